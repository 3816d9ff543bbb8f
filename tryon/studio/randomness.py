"""Random numbers that depend on what is drawn, never on what was drawn before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """A stream of its own for each (seed, kind, index …): adding one picture changes no other."""

    def __init__(self, *parts: int | str) -> None:
        """Seed the stream with the SHA-256 of `parts`: the same in every process and on every machine."""
        key = hashlib.sha256(json.dumps(parts).encode("utf-8")).digest()
        self._generator = np.random.Generator(np.random.PCG64(int.from_bytes(key[:16], "big")))

    def between(self, low: float, high: float) -> float:
        """A uniform float in [low, high)."""
        return float(low + (high - low) * self._generator.random())

    def around(self, middle: float, spread: float) -> float:
        """A float near `middle`: the mean of three uniform draws, never farther away than `spread`."""
        return float(middle + spread * (2.0 * self._generator.random(3).mean() - 1.0))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return bool(self._generator.random() < probability)

    def pick(self, choices: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of `choices`, evenly or in proportion to `weights`."""
        if weights is None:
            return choices[int(self._generator.random() * len(choices))]
        edges = np.cumsum(np.asarray(weights, dtype=np.float64))
        return choices[int(np.searchsorted(edges, self._generator.random() * edges[-1], side="right"))]

    def integer(self, low: int, high: int) -> int:
        """A uniform integer in [low, high)."""
        return low + int(self._generator.random() * (high - low))

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """A copy of `items` in random order."""
        return [items[i] for i in np.argsort(self._generator.random(len(items)), kind="stable")]
