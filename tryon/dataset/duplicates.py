"""What tells that two photos show the same picture: a digest of the pixels, and a perceptual hash.

The perceptual hash is `imagehash.phash` (the signs of a picture's lowest 16 x 16 cosine frequencies around their
median, 256 bits; https://github.com/JohannesBuchner/imagehash). It survives another file format, size, compression
and brightness, within `pairs.leak_distance` bits; it does not survive a crop of a few per cent.
`tryon.prepare.leaks` compares the hashes.
"""

from __future__ import annotations

import hashlib

import imagehash
import numpy as np
from PIL import Image

from tryon.digests import NUM_HEX

HASH_SIDE = 16  # cosine frequencies per axis; 8 (64 bits) takes different garments on white for one


def fingerprints(image_HWC: np.ndarray) -> dict[str, str]:
    """What the manifest keeps of a photo's content.

    Args:
        image_HWC: uint8 RGB [H, W, 3].

    Returns:
        ``pixels``: 16 hex digits, equal for equal pixels whatever the file; ``phash``: 64 hex digits.
    """
    content = hashlib.sha256(f"{image_HWC.shape}".encode())
    content.update(np.ascontiguousarray(image_HWC).data)
    return {
        "pixels": content.hexdigest()[:NUM_HEX],
        "phash": str(imagehash.phash(Image.fromarray(image_HWC), hash_size=HASH_SIDE)),
    }
