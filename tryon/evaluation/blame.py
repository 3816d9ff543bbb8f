"""How much of the final picture's error each stage of a cascade makes itself, and how much it inherits.

Every later stage is judged twice at its own size: fed with what came before (squared error E) and with the truth
(squared error O). Errors of stages are taken to add up, so O / E of a stage's error is its own and the rest came in
with its input, where the stage before is asked the same; the first stage inherits nothing. Shares sum to 1. Ratios
are those of a typical pair, the mean over pairs in dB: a sum of squared errors would tell of the few worst pairs.

A stage whose weights are bad stands out even where it still improves on a worse input, which the step from one stage
to the next cannot show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tryon.evaluation.statistics import LEVEL, Estimate


@dataclass(frozen=True)
class Blame:
    """Shares of the final squared error.

    Attributes:
        shares: of each stage, coarse to fine, in [0, 1], with the interval over pairs.
        most: index of the stage with the largest share.
        is_clear: whether the largest share exceeds every other one beyond chance (95 %, pairs resampled).
    """

    shares: list[Estimate]
    most: int
    is_clear: bool


def blame(chain_db_SN: np.ndarray, oracle_db_SN: np.ndarray, *, num_resamples: int, seed: int) -> Blame:
    """Share the final error out among the stages.

    Args:
        chain_db_SN: PSNR in dB of every stage of the cascade at its own size, S stages coarse to fine, N pairs.
        oracle_db_SN: the same stages fed with the truth; the first row is not read.
        num_resamples: bootstrap resamples behind each interval.
        seed: the same seed gives the same intervals.

    Raises:
        ValueError: shapes differ, or a number is not finite.
    """
    known = np.concatenate([chain_db_SN, oracle_db_SN[1:]])
    if chain_db_SN.shape != oracle_db_SN.shape or not known.size or not np.isfinite(known).all():
        raise ValueError(f"stages and oracles of {chain_db_SN.shape} and {oracle_db_SN.shape}, all finite, are needed")
    inherited_db_SN = chain_db_SN - oracle_db_SN
    inherited_db_SN[0] = 0  # the first stage inherits nothing
    num_pairs = inherited_db_SN.shape[1]
    shares_S = _shares(inherited_db_SN.mean(axis=1))
    most = int(shares_S.argmax())
    if num_pairs < 2:
        return Blame([Estimate(float(share), None, None, num_pairs) for share in shares_S], most, is_clear=False)
    picks_RN = np.random.default_rng(seed).integers(0, num_pairs, size=(num_resamples, num_pairs))
    drawn_SR = _shares(inherited_db_SN[:, picks_RN].mean(axis=2))
    tail = 100 * (1 - LEVEL) / 2
    low_S, high_S = np.percentile(drawn_SR, [tail, 100 - tail], axis=1)
    leads_SR = np.delete(drawn_SR[most] - drawn_SR, most, axis=0)
    return Blame(
        [
            Estimate(float(share), float(low), float(high), num_pairs)
            for share, low, high in zip(shares_S, low_S, high_S, strict=True)
        ],
        most,
        is_clear=bool((np.percentile(leads_SR, tail, axis=1) > 0).all()),
    )


def _shares(inherited_db_S: np.ndarray) -> np.ndarray:
    """Shares [S, ...] of mean differences in dB [S, ...], from the last stage back to the first."""
    own_S = 10 ** (inherited_db_S.clip(max=0) / 10)  # better on its input than on the truth: that is chance
    shares_S = np.empty_like(own_S)
    left = np.ones_like(own_S[0])
    for stage in reversed(range(len(own_S))):
        shares_S[stage] = left * own_S[stage]
        left = left - shares_S[stage]
    return shares_S
