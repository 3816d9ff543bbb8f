"""Sampled pictures on disk: PNG files that carry the key of everything they were made from.

A picture whose key is still right is reused; so a killed `tryon sample` goes on where it stopped, and one changed
photo costs its own pairs alone.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from tryon import files
from tryon.errors import UserError

KEY = "tryon-key"


def write_picture(path: Path, image_HWC: np.ndarray, key: str) -> None:
    """Write a uint8 RGB picture with its key, whole or not at all."""
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, key)
    stream = io.BytesIO()
    Image.fromarray(image_HWC).save(stream, "PNG", compress_level=3, pnginfo=text)
    files.write_bytes(path, stream.getvalue())


def has_key(path: Path, key: str) -> bool:
    """Whether a picture is there and was made from exactly this; pixels are not decoded."""
    try:
        with Image.open(path) as picture:
            return picture.info.get(KEY) == key
    except (FileNotFoundError, UnidentifiedImageError):
        return False


def read_picture(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    """A sampled picture, uint8 RGB [H, W, 3].

    Raises:
        UserError: it is gone, damaged or of another size.
    """
    try:
        with Image.open(path) as picture:
            image_HWC = np.array(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"{path}: not a readable picture ({error}); delete it and run the stage `sample` again"
        ) from None
    if image_HWC.shape[:2] != size_hw:
        found = "x".join(map(str, image_HWC.shape[:2]))
        raise UserError(
            f"{path}: {found} (height x width), but its stage makes {size_hw[0]}x{size_hw[1]}; "
            "delete it and run the stage `sample` again"
        )
    return image_HWC
