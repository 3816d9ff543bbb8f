"""Remembers warped garments: the costliest part of a batch, and the same in every epoch.

Warping takes 5 ms of a core at 64x48 and depends on nothing random, so a pair needs it twice (once mirrored),
not once per epoch. Results are kept under a digest of everything that went in: whatever augmentation does to a
photo, a memory hit is the array that would have been computed.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from tryon.methods.prealign import prealign

MEMO_BYTES = 1 << 29  # of warped garments; the demo's largest stage needs 0.4 GB


class WarpMemo:
    """`prealign` with a memory; calls past the budget are computed and not kept.

    Args:
        num_bytes: budget for the kept arrays.
    """

    def __init__(self, num_bytes: int = MEMO_BYTES) -> None:
        self._bytes_left = num_bytes
        self._kept: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __call__(self, *args: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN401 (as prealign)
        """What `prealign` returns for the same arguments; treat the arrays as read-only."""
        key = _key(*args, *sorted(options.items()))
        if key not in self._kept:
            result = prealign(*args, **options)
            num_bytes = sum(array.nbytes for array in result)
            if num_bytes > self._bytes_left:
                return result
            self._bytes_left -= num_bytes
            self._kept[key] = result
        return self._kept[key]


def _key(*parts: object) -> bytes:
    content = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            content.update(f"{part.dtype} {part.shape} ".encode())
            content.update(np.ascontiguousarray(part).data)
        else:
            content.update(f"{part!r} ".encode())
    return content.digest()
