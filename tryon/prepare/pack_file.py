"""Writer of packed files; `tryon/packed.py` reads them and describes their layout."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tryon.ontology import KEYPOINT_NAMES
from tryon.packed import METADATA_KEY, PLANES, PackedPhoto, tensor_name


class Pack:
    """A safetensors file that is filled photo by photo.

    The format is eight bytes with the header's length, a JSON header with each tensor's type, shape and place,
    and the tensors' bytes one after the other (https://github.com/huggingface/safetensors#format); the library
    itself can write it only from tensors that are all in memory.

    Args:
        path: file to create.
        num_photos: photos it holds.
        sizes: canvases.
        metadata: kept under `packed.METADATA_KEY`.
    """

    def __init__(self, path: Path, num_photos: int, sizes: list[tuple[int, int]], metadata: dict[str, Any]) -> None:
        shapes: dict[str, tuple[int, ...]] = {}
        for size in sizes:
            # 4-byte numbers first keeps every one of them at an address that divides by 4
            shapes[tensor_name(size, "keypoints")] = (num_photos, len(KEYPOINT_NAMES), 3)
        for size in sizes:
            shapes[tensor_name(size, "image")] = (num_photos, *size, 3)
            for plane in ("labels", "garments", "regions"):
                shapes[tensor_name(size, plane)] = (num_photos, *size)
        header: dict[str, Any] = {
            "__metadata__": {METADATA_KEY: json.dumps(metadata, sort_keys=True, ensure_ascii=False)}
        }
        end = 0
        for name, shape in shapes.items():
            begin, end = end, end + math.prod(shape) * (4 if name.endswith("keypoints") else 1)
            kind = "F32" if name.endswith("keypoints") else "U8"
            header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        text += b" " * (-len(text) % 8)
        with path.open("wb") as stream:
            stream.write(len(text).to_bytes(8, "little") + text)
            stream.truncate(8 + len(text) + end)
        self._tensors = {
            name: np.memmap(
                path,
                np.float32 if name.endswith("keypoints") else np.uint8,
                "r+",
                offset=8 + len(text) + header[name]["data_offsets"][0],
                shape=shape,
            )
            for name, shape in shapes.items()
            if num_photos  # an empty file cannot be mapped
        }

    def put(self, row: int, photo: PackedPhoto) -> None:
        """Write one photo on one canvas."""
        planes = (photo.image_HWC, photo.labels_HW, photo.garments_HW, photo.regions_HW, photo.keypoints_K3)
        for plane, values in zip(PLANES, planes, strict=True):
            self._tensors[tensor_name(photo.size_hw, plane)][row] = values

    def close(self) -> None:
        """Hand all pages to the file."""
        for tensor in self._tensors.values():
            tensor.flush()
        self._tensors.clear()
