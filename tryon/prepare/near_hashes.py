"""Pairs of perceptual hashes that differ in few bits, without comparing every hash with every other.

Two hashes within r bits of each other agree wholly in at least one of r + 1 bands of bits (multi-index hashing,
Norouzi et al. 2012, section 3: the pigeonhole principle). So only hashes that share a band are compared: with 100 000
hashes of 256 bits and r = 16, a few million comparisons instead of five thousand million.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 1 << 20  # pairs compared at a time: bounds memory at some 100 MB whatever the number of hashes


def parse(hex_digits: list[str]) -> np.ndarray:
    """Hashes as uint64 [N, W] from equally long hex strings of W * 16 digits."""
    if not hex_digits:
        return np.zeros((0, 4), np.uint64)
    return np.frombuffer(bytes.fromhex("".join(hex_digits)), ">u8").reshape(len(hex_digits), -1).astype(np.uint64)


def near_pairs(hashes_NW: np.ndarray, max_distance: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pairs of hashes within a Hamming distance, each once, in blocks.

    Args:
        hashes_NW: uint64 [N, W]; best without repetitions, as n equal hashes make n * (n - 1) / 2 pairs.
        max_distance: bits.

    Yields:
        Indices (first < second) and distances of one block of pairs: three arrays of one length.
    """
    if len(hashes_NW) < 2:
        return
    bands_NB = _bands(hashes_NW, max_distance + 1)
    for band in range(bands_NB.shape[1]):
        order = np.argsort(bands_NB[:, band], kind="stable")
        for first, second in _within_buckets(bands_NB[order, band]):
            one, other = order[first], order[second]
            distance = np.bitwise_count(hashes_NW[one] ^ hashes_NW[other]).sum(1, dtype=np.int64)
            near = distance <= max_distance
            one, other, distance = one[near], other[near], distance[near]
            # a pair that shares an earlier band was found there
            new = ~(bands_NB[one, :band] == bands_NB[other, :band]).any(1)
            one, other, distance = one[new], other[new], distance[new]
            if len(one):
                yield np.minimum(one, other), np.maximum(one, other), distance


def _bands(hashes_NW: np.ndarray, num_bands: int) -> np.ndarray:
    """uint32 [N, num_bands]: every bit is in one band; neighbouring bits, which go together, are in different ones."""
    bits = np.unpackbits(hashes_NW.view(np.uint8), axis=1)
    num_bands = min(num_bands, bits.shape[1])
    if -(-bits.shape[1] // num_bands) > 31:
        num_bands = -(-bits.shape[1] // 31)  # more bands than needed find the same pairs
    bands_NB = np.zeros((len(hashes_NW), num_bands), np.uint32)
    for bit in range(bits.shape[1]):
        bands_NB[:, bit % num_bands] = bands_NB[:, bit % num_bands] << 1 | bits[:, bit]
    return bands_NB


def _within_buckets(sorted_N: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of places that hold the same value, at most about `BLOCK` at a time."""
    place_N = np.arange(len(sorted_N))
    starts = np.flatnonzero(np.r_[True, sorted_N[1:] != sorted_N[:-1]])
    ends_N = np.repeat(np.r_[starts[1:], len(sorted_N)], np.diff(np.r_[starts, len(sorted_N)]))
    followers_N = ends_N - place_N - 1  # each place is paired with those behind it in its bucket
    total_N = np.cumsum(followers_N)
    begin = 0
    while begin < len(sorted_N):
        done = total_N[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(total_N, done + BLOCK, side="right")))
        counts = followers_N[begin:end]
        first = np.repeat(place_N[begin:end], counts)
        step = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
        if len(first):
            yield first, first + 1 + step
        begin = end
