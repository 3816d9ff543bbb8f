"""Pictures on disk and in the networks: one function each way.

On disk and between stages a photo is uint8 RGB [H, W, 3]; in the networks it is float32 in [-1, 1]. Masks are
indexed or 8-bit PNG, never JPEG.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tryon.errors import BadItem
from tryon.ontology import LABELS, PALETTE

MAX_PIXELS = 100_000_000  # a header that claims more is refused before anything is decoded


def read_rgb(path: Path | str) -> np.ndarray:
    """Decode a photo.

    Returns:
        uint8 RGB [H, W, 3] with the EXIF rotation applied.

    Raises:
        BadItem: the file is missing, not a picture, truncated or too large; the message is the reason.
    """
    path = Path(path)
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise BadItem(
                    f"{path.name}: {picture.width}x{picture.height} is over {MAX_PIXELS} pixels; scale it down"
                )
            upright = ImageOps.exif_transpose(picture)
            return np.asarray(upright.convert("RGB"))
    except FileNotFoundError:
        raise BadItem(f"{path.name}: no such file; restore it or remove its annotation") from None
    except Image.DecompressionBombError as error:
        raise BadItem(f"{path.name}: {error}") from None
    except UnidentifiedImageError:
        raise BadItem(f"{path.name}: not a picture that can be decoded; export it again as JPEG or PNG") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise BadItem(f"{path.name}: cannot be decoded ({error}); copy or export it again") from None


def encode_jpeg(image_HWC: np.ndarray, quality: int = 95) -> bytes:
    """JPEG bytes of a uint8 RGB picture, without chroma subsampling."""
    stream = io.BytesIO()
    Image.fromarray(image_HWC).save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def encode_png(image_HWC: np.ndarray) -> bytes:
    """PNG bytes of a uint8 RGB picture."""
    stream = io.BytesIO()
    Image.fromarray(image_HWC).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def encode_labels(labels_HW: np.ndarray) -> bytes:
    """Indexed PNG bytes of a label map (uint8 indices into `ontology.LABELS`)."""
    if labels_HW.dtype != np.uint8 or labels_HW.max(initial=0) >= len(LABELS):
        raise ValueError(f"a label map is uint8 below {len(LABELS)}; got {labels_HW.dtype}, max {labels_HW.max()}")
    picture = Image.fromarray(labels_HW).convert("P")
    picture = Image.frombytes("P", picture.size, labels_HW.tobytes())
    picture.putpalette([channel for colour in PALETTE for channel in colour])
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def read_labels(path: Path | str) -> np.ndarray:
    """The uint8 indices [H, W] of an indexed PNG written by `encode_labels`."""
    with Image.open(path) as picture:
        if picture.mode != "P":
            raise ValueError(f"{path}: mode {picture.mode}, but a label map is an indexed PNG (mode P)")
        return np.array(picture)


def encode_mask_bits(bits_HW: np.ndarray) -> bytes:
    """8-bit grey PNG bytes of a plane of bit flags (uint8 [H, W])."""
    stream = io.BytesIO()
    Image.fromarray(bits_HW.astype(np.uint8, casting="safe")).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def read_mask_bits(path: Path | str) -> np.ndarray:
    """The uint8 bit flags [H, W] of a PNG written by `encode_mask_bits`."""
    with Image.open(path) as picture:
        if picture.mode != "L":
            raise ValueError(f"{path}: mode {picture.mode}, but a plane of bit flags is an 8-bit grey PNG (mode L)")
        return np.array(picture)


def to_network(image_HWC: np.ndarray) -> np.ndarray:
    """uint8 [0, 255] → float32 [-1, 1]."""
    if image_HWC.dtype != np.uint8:
        raise ValueError(f"expected uint8, got {image_HWC.dtype}: a picture is scaled to the networks' range once")
    return image_HWC.astype(np.float32) / 127.5 - 1.0


def from_network(image_HWC: np.ndarray) -> np.ndarray:
    """Float [-1, 1] → uint8 [0, 255], rounded; what lies outside the range is clipped, never wrapped."""
    return np.clip(np.rint((image_HWC.astype(np.float32) + 1.0) * 127.5), 0, 255).astype(np.uint8)
