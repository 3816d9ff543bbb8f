"""Pictures on disk and in the networks: one function each way.

On disk and between stages a photo is uint8 RGB [H, W, 3]; in the networks it is float32 in [-1, 1]. Masks are
indexed or 8-bit PNG, never JPEG.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from tryon.errors import BadItem
from tryon.ontology import LABELS, PALETTE

MAX_PIXELS = 100_000_000  # a header that claims more is refused before anything is decoded

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),  # a JPEG with a second picture for 3D or previews behind it, as phones write
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (),
    "AVIF": (),
    "JPEG2000": (),
}
"""Formats that are decoded, with the suffixes that name them; a format without one is read under any name."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation (EXIF 2.3, tag 0x0112); 1 is upright."""


_PALETTE, _GREY = "palette: colours looked up", "grey: one channel, so the photo has no colours"
_FORMULA = "{}: converted to RGB by the device formula, without a colour profile"
KINDS = {
    **dict.fromkeys(["RGB", "RGBA", "RGBa", "RGBX"], ""),
    **dict.fromkeys(["P", "PA"], _PALETTE),
    **dict.fromkeys(["L", "LA", "La", "1"], _GREY),
    **{mode: _FORMULA.format(mode) for mode in ("CMYK", "YCbCr")},
}
"""Pillow's modes whose numbers mean one colour each, with what their conversion to RGB is to be called."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A photo as every stage sees it.

    Attributes:
        image_HWC: uint8 RGB [H, W, 3], upright.
        repairs: what had to be done to get there, as "kind: detail"; empty for an ordinary RGB file.
    """

    image_HWC: np.ndarray
    repairs: tuple[str, ...] = ()


def read_rgb(path: Path | str) -> np.ndarray:
    """The pixels of `decode`: uint8 RGB [H, W, 3].

    Raises:
        BadItem: as `decode`.
    """
    return decode(path).image_HWC


def decode(path: Path | str) -> Decoded:
    """Decode a photo; what is unusual about it is mended where no guess is needed, and said.

    Mended: a suffix of another format, EXIF rotation, transparency (shown on white), palette, grey, 16 bits, CMYK
    with Adobe's marker (by the device formula, which browsers use too; a colour profile is not applied).

    Raises:
        BadItem: missing, empty, not a picture, truncated, too large, or with numbers of unknown meaning; the message
            is the reason.
    """
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise BadItem(f"{path.name}: empty, 0 bytes; copy or export it again")
        with Image.open(path) as picture:
            _check_header(picture, path.name)
            stored = _stored(picture)
            repairs = [*_named(picture, path), *_parts(picture)]
            orientation, damage = _orientation(picture)
            rgb, mended = _to_rgb(picture, stored, path.name)
            repairs += [*damage, *mended]
            if orientation in TURNS:
                rgb = rgb.transpose(TURNS[orientation])
                repairs.append(f"EXIF rotation: turned upright (orientation {orientation})")
            return Decoded(np.asarray(rgb), tuple(repairs))
    except FileNotFoundError:
        raise BadItem(f"{path.name}: no such file; restore it or remove its annotation") from None
    except Image.DecompressionBombError:
        raise BadItem(f"{path.name}: its header claims over {MAX_PIXELS} pixels; scale it down") from None
    except UnidentifiedImageError:
        raise BadItem(f"{path.name}: not a picture that can be decoded; export it again as JPEG or PNG") from None
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise BadItem(f"{path.name}: cannot be decoded ({error}); copy or export it again") from None


def _check_header(picture: Image.Image, name: str) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise BadItem(f"{name}: {picture.width}x{picture.height} is over {MAX_PIXELS} pixels; scale it down")
    if picture.format not in SUFFIXES:
        raise BadItem(f"{name}: {picture.format} files are not read; export it again as JPEG or PNG")


def _named(picture: Image.Image, path: Path) -> list[str]:
    """What a file name says that its content contradicts."""
    suffixes = SUFFIXES[str(picture.format)]
    if path.suffix.lower() in suffixes:
        return []
    return [f"wrong suffix: {picture.format} content read from a file named {path.suffix}"]


def _parts(picture: Image.Image) -> list[str]:
    """A file of several pictures: the first one counts, as in every viewer."""
    num = getattr(picture, "n_frames", 1)
    return [f"several pictures: the first of {num} is used"] if num > 1 and picture.format != "MPO" else []


def _orientation(picture: Image.Image) -> tuple[int, list[str]]:
    """EXIF orientation (1: upright), and what is wrong with the EXIF block; viewers ignore one that is broken."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1)), []
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error):
        return 1, ["EXIF damaged: cannot be read, so the picture is left as it lies"]


def _stored(picture: Image.Image) -> str:
    """How the file stores pixels, such as "RGB;16B"; known only before they are decoded."""
    return " ".join(str(tile.args) for tile in getattr(picture, "tile", []))


def _to_rgb(picture: Image.Image, stored: str, name: str) -> tuple[Image.Image, list[str]]:
    """RGB of any mode whose numbers have one meaning, and what was done.

    Raises:
        BadItem: numbers of which nobody knows what is white, or CMYK of unknown sign.
    """
    repairs = []
    if picture.mode.startswith("I;16") and not picture.has_transparency_data:
        # Pillow's own conversion cuts everything above 255 to white
        white = 4095 if ";12" in stored else 65535
        picture = Image.fromarray(np.rint(np.asarray(picture, np.float32) * (255 / white)).astype(np.uint8))
        repairs.append("16 bits: scaled to 8 bits per channel")
    elif ";16" in stored:
        repairs.append("16 bits: scaled to 8 bits per channel")  # by Pillow, while it decodes
    mode = picture.mode
    if mode not in KINDS:
        raise BadItem(f"{name}: pixels of the kind {mode} do not say what is white; export it as RGB with 8 bits")
    if mode == "CMYK" and picture.format == "JPEG" and "adobe" not in picture.info:
        raise BadItem(f"{name}: CMYK without Adobe's marker, so it may be inverted or not; export it again as RGB")
    if KINDS[mode]:
        repairs.append(KINDS[mode])
    if not picture.has_transparency_data:
        return picture.convert("RGB"), repairs
    rgba = picture.convert("RGBA")
    if rgba.getchannel("A").getextrema()[0] == 255:
        return rgba.convert("RGB"), repairs  # opaque everywhere: nothing to mend
    backdrop = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(backdrop, rgba).convert("RGB"), [*repairs, "transparency: shown on white"]


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
