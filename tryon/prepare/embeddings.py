"""What segment-anything's image encoder made of each photo, kept so that only new photos cost an encoder pass.

The encoder is nearly all of the time that a cut-out takes, and its answer depends on the photo, the weights and the
precision alone. It is kept by a digest of these and of the encoder's code: another prompt, agnostic rule or threshold
asks the decoder again and the encoder not.

Disk per photo: 2.1 MB for vit_b, vit_l and vit_h (256 x 64 x 64 float16 numbers), 0.13 MB for tryon_small.
`cutouts.keep_embeddings: false` keeps none; the masks are the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import load, save

from tryon import files
from tryon.config import CutoutsConfig
from tryon.digests import code_digest, digest
from tryon.environments import environment_digest
from tryon.weights import weights_digest

FOLDER = "embeddings"
CODE = ("tryon.prepare.encoder", "tryon.prepare.sam", "tryon.images")
"""From a photo's bytes to its embedding; a change of one of these makes all anew."""

Encode = Callable[[list[np.ndarray]], list[np.ndarray]]


class Embeddings:
    """Embeddings by photo, below `items/embeddings/`."""

    def __init__(self, items: Path, cfg: CutoutsConfig) -> None:
        """Use a results folder's `items`; nothing is made before the first embedding is."""
        self.root = items / FOLDER
        self.keep = cfg.keep_embeddings
        weights = weights_digest(cfg.checkpoint, cfg.sha256)
        self._version = [weights, cfg.model_type, cfg.precision, code_digest(*CODE), environment_digest("cutouts")]

    def of(self, pictures: Mapping[str, np.ndarray], encode: Encode) -> dict[str, np.ndarray]:
        """The embeddings of some photos: kept ones, and the others in one encoder pass.

        Args:
            pictures: uint8 RGB [H, W, 3] by the sha256 of the photo's bytes.
            encode: `Encoder.encode`; called if anything is absent.

        Returns:
            float16 [C, G, G] by sha256.
        """
        found = {sha256: self.load(self.key(sha256)) for sha256 in pictures} if self.keep else {}
        known = {sha256: embedding for sha256, embedding in found.items() if embedding is not None}
        absent = [sha256 for sha256 in pictures if sha256 not in known]
        if absent:
            fresh = dict(zip(absent, encode([pictures[sha256] for sha256 in absent]), strict=True))
            for sha256, embedding_CGG in fresh.items() if self.keep else ():
                self.save(self.key(sha256), embedding_CGG)
            known |= fresh
        return known

    def key(self, sha256: str) -> str:
        """Digest of all that decides a photo's embedding; in the stage's table, so that clearing up knows its files."""
        return digest([sha256, *self._version])

    def path(self, key: str) -> Path:
        """Where the embedding of a key lies."""
        return self.root / key[:2] / f"{key}.safetensors"

    def load(self, key: str) -> np.ndarray | None:
        """float16 [C, G, G]; None where it is absent or damaged and so has to be made."""
        try:
            found = load(self.path(key).read_bytes())
            embedding_CGG, checksum = found["embedding"], int(found["crc32"][0])
        except (FileNotFoundError, safetensors.SafetensorError, KeyError):
            return None
        # a disk that loses a block leaves a file that parses
        return embedding_CGG if checksum == zlib.crc32(embedding_CGG.tobytes()) else None

    def save(self, key: str, embedding_CGG: np.ndarray) -> None:
        """Write an embedding; the file appears whole or not at all."""
        values = np.ascontiguousarray(embedding_CGG)
        checksum = np.array([zlib.crc32(values.tobytes())], np.int64)
        files.write_bytes(self.path(key), save({"embedding": values, "crc32": checksum}))
