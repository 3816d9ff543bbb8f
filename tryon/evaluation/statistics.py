"""Means that carry their uncertainty: seeded bootstrap intervals, and paired differences.

Used by `tryon evaluate`. Two systems are judged on the same pairs, so their difference is resampled pair by
pair: that takes out how hard each pair is and resolves gaps that two separate intervals would hide.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over pairs.

    Attributes:
        mean: arithmetic mean.
        low: lower end of the 95 % percentile-bootstrap interval; None below two pairs.
        high: upper end; None below two pairs.
        num: number of pairs.
    """

    mean: float
    low: float | None
    high: float | None
    num: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain JSON values."""
        return asdict(self)


def estimate(values_N: np.ndarray, *, num_resamples: int, seed: int) -> Estimate:
    """Mean with its percentile-bootstrap interval (Efron 1979).

    Args:
        values_N: one finite number per pair.
        num_resamples: bootstrap resamples behind the interval.
        seed: the same seed gives the same interval.
    """
    values_N = np.asarray(values_N, np.float64)
    if values_N.ndim != 1 or not len(values_N) or not np.isfinite(values_N).all():
        raise ValueError(f"a mean needs one row of finite numbers, got shape {values_N.shape}")
    if len(values_N) < 2:
        return Estimate(float(values_N.mean()), None, None, len(values_N))
    picks_RN = np.random.default_rng(seed).integers(0, len(values_N), size=(num_resamples, len(values_N)))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(values_N[picks_RN].mean(axis=1), [tail, 100 - tail])
    return Estimate(float(values_N.mean()), float(low), float(high), len(values_N))
