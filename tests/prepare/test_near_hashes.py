"""Looking hashes up by bands finds exactly the pairs that comparing all with all finds."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest

from tryon.prepare import near_hashes
from tryon.prepare.near_hashes import near_pairs, parse


def hashes(num: int, seed: int = 0) -> np.ndarray:
    """Random hashes, each followed by a copy with up to 40 bits flipped."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (num // 2, 256), np.uint8)
    copies = bits.copy()
    for row, copy in enumerate(copies):
        copy[rng.choice(256, row % 41, replace=False)] ^= 1
    return parse([row.tobytes().hex() for row in np.packbits(np.concatenate([bits, copies]), axis=1)])


def brute_force(hashes_NW: np.ndarray, max_distance: int) -> list[tuple[int, int, int]]:
    found = []
    for one, other in combinations(range(len(hashes_NW)), 2):
        distance = int(np.bitwise_count(hashes_NW[one] ^ hashes_NW[other]).sum())
        if distance <= max_distance:
            found.append((one, other, distance))
    return found


@pytest.mark.parametrize("max_distance", [0, 1, 7, 16, 64, 120])
@pytest.mark.parametrize("block", [1, 50, 1 << 20])
def test_bands_find_every_near_pair_once(max_distance: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_hashes, "BLOCK", block)
    hashes_NW = hashes(164)
    blocks = list(near_pairs(hashes_NW, max_distance))
    found = sorted((int(a), int(b), int(d)) for block in blocks for a, b, d in zip(*block, strict=True))
    expected = brute_force(hashes_NW, max_distance)
    assert found == expected
    assert len(expected) > max_distance // 2, "the case is not empty"


def test_equal_hashes_and_no_hashes() -> None:
    same = parse(["0f" * 32] * 3)
    assert [(block[0].tolist(), block[1].tolist(), block[2].tolist()) for block in near_pairs(same, 4)] == [
        ([0, 0, 1], [1, 2, 2], [0, 0, 0])
    ]
    assert list(near_pairs(parse([]), 4)) == []


def test_hex_digits_keep_their_order() -> None:
    assert parse(["0000000000000001" + "0" * 48]).tolist() == [[1, 0, 0, 0]]


def test_thirty_thousand_photos_take_seconds() -> None:
    rng = np.random.default_rng(1)
    hashes_NW = rng.integers(0, 1 << 63, (30_000, 4), np.uint64)
    hashes_NW[::300] = hashes_NW[0]
    hashes_NW[::300, 3] ^= rng.integers(0, 1 << 16, 100, np.uint64)
    started = time.monotonic()
    num = sum(len(block[0]) for block in near_pairs(hashes_NW, 16))
    assert num > 100
    assert time.monotonic() - started < 20, "comparing all with all takes minutes"
