"""Randomness as a function of (seed, step, sample): never of how often a generator was called before.

A seed is a non-negative 63-bit integer. `seed_of` makes one from names and numbers; the functions ending in
`_B` draw for a batch of seeds, row by row, so a sample's numbers do not depend on its neighbours, on the
batch size, on the number of workers, or on the device (everything is drawn on the CPU).
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch

SEED_MASK = (1 << 63) - 1


def seed_of(*parts: int | str) -> int:
    """A stable 63-bit seed of names and numbers, the same on every machine and Python.

    Args:
        parts: integers and strings; their order and type count.
    """
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big") & SEED_MASK


def seeds_of(seeds_B: torch.Tensor, *parts: int | str) -> torch.Tensor:
    """Seeds [B] for one purpose (`parts`) of each seed in seeds_B."""
    return torch.tensor([seed_of(int(seed), *parts) for seed in seeds_B.tolist()], dtype=torch.int64)


def generator(seed: int, *parts: int | str) -> np.random.Generator:
    """A counter-based generator (Philox) that belongs to `seed` and a purpose."""
    return np.random.Generator(np.random.Philox(key=seed_of(seed, *parts)))


def normal_B(seeds_B: torch.Tensor, shape: tuple[int, ...], *parts: int | str) -> torch.Tensor:
    """Standard normal numbers.

    Args:
        seeds_B: int64 [B].
        shape: shape of one sample.
        parts: what the numbers are for; the same seed and purpose give the same numbers.

    Returns:
        float32 [B, *shape] on the CPU.
    """
    rows = [generator(seed, *parts).standard_normal(shape, dtype=np.float32) for seed in seeds_B.tolist()]
    return torch.from_numpy(np.stack(rows))


def uniform_B(seeds_B: torch.Tensor, *parts: int | str) -> torch.Tensor:
    """One number in [0, 1) per seed, float64 [B] on the CPU."""
    return torch.tensor([generator(seed, *parts).random() for seed in seeds_B.tolist()], dtype=torch.float64)


def integers_B(seeds_B: torch.Tensor, high: int, *parts: int | str) -> torch.Tensor:
    """One integer in [0, high) per seed, int64 [B] on the CPU."""
    return (uniform_B(seeds_B, *parts) * high).long().clamp(max=high - 1)
