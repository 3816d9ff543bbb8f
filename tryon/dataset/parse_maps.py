"""Parse maps of human parsers: pictures whose pixels are label numbers, and what those numbers are called here.

Numbers are read, never colours: one parser writes the same number in red, another in green. The palette of an
indexed PNG only tells whether the numbers can be what they are taken for, so it is checked against the known ones.
Left and right are the person's own, as in the ontology.

Label spaces (number: its name there → ours), from SCHP (https://github.com/GoGoDuck912/Self-Correction-Human-Parsing),
CIHP_PGN, CP-VTON+ (20 of LIP) and the README of DressCode (ATR):

* gloves, socks, shoes, hats, scarves, belts, bags, bare legs and the neck are `person`: worn or shown by the person,
  and part of no garment category;
* sunglasses belong to the face; skirts are `down`; coats are `up`; jumpsuits are `dress`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from tryon import images
from tryon.dataset.annotation import LabelMap
from tryon.errors import BadItem
from tryon.ontology import LABEL_INDEX

Space = Literal["lip", "cihp", "atr"]

_LIP_TO_TEN = (
    ("background", "background"),
    ("hat", "person"),
    ("hair", "hair"),
    ("glove", "person"),
    ("sunglasses", "face"),
    ("upper-clothes", "up"),
    ("dress", "dress"),
    ("coat", "up"),
    ("socks", "person"),
    ("pants", "down"),
)
_LIP_FROM_ELEVEN = (
    ("scarf", "person"),
    ("skirt", "down"),
    ("face", "face"),
    ("left-arm", "left_arm"),
    ("right-arm", "right_arm"),
    ("left-leg", "person"),
    ("right-leg", "person"),
    ("left-shoe", "person"),
    ("right-shoe", "person"),
)

TABLES: dict[Space, tuple[tuple[str, str], ...]] = {
    # 20 is what CP-VTON+ adds in image-parse-new: neck and chest
    "lip": (*_LIP_TO_TEN, ("jumpsuits", "dress"), *_LIP_FROM_ELEVEN, ("neck", "person")),
    "cihp": (*_LIP_TO_TEN, ("torso-skin", "person"), *_LIP_FROM_ELEVEN),
    "atr": (
        ("background", "background"),
        ("hat", "person"),
        ("hair", "hair"),
        ("sunglasses", "face"),
        ("upper-clothes", "up"),
        ("skirt", "down"),
        ("pants", "down"),
        ("dress", "dress"),
        ("belt", "person"),
        ("left-shoe", "person"),
        ("right-shoe", "person"),
        ("face", "face"),
        ("left-leg", "person"),
        ("right-leg", "person"),
        ("left-arm", "left_arm"),
        ("right-arm", "right_arm"),
        ("bag", "person"),
        ("scarf", "person"),
    ),
}
"""Name in the label space and name of the ontology, by number."""

NUM_SCHP_COLOURS = {"lip": 20, "cihp": 20, "atr": 18}
NUM_PASCAL_PARTS = 7  # head, torso, arms and legs: which of them is cloth it does not say

Colour = tuple[int, int, int]

LIP_COLOURS: tuple[Colour, ...] = (
    (0, 0, 0),
    (128, 0, 0),
    (255, 0, 0),
    (0, 85, 0),
    (170, 0, 51),
    (255, 85, 0),
    (0, 0, 85),
    (0, 119, 221),
    (85, 85, 0),
    (0, 85, 85),
    (85, 51, 0),
    (52, 86, 128),
    (0, 128, 0),
    (0, 0, 255),
    (51, 170, 221),
    (0, 255, 255),
    (85, 255, 170),
    (170, 255, 85),
    (255, 255, 0),
    (255, 170, 0),
    (170, 170, 50),
)
"""Of LIP and CIHP, and of VITON-HD's image-parse-v3, whose palette is the same one rounded down (254 for 255)."""
LIP_TOLERANCE = 1


def pascal_colours(count: int) -> tuple[Colour, ...]:
    """The palette of PASCAL VOC, which SCHP writes: bits of the number dealt to red, green and blue in turn."""
    colours: list[Colour] = []
    for number in range(count):
        red, green, blue = (
            sum(((number >> (3 * step + channel)) & 1) << (7 - step) for step in range(3)) for channel in range(3)
        )
        colours.append((red, green, blue))
    return tuple(colours)


def read_parse_map(root: Path, file: str, space: Space) -> LabelMap:
    """A parse map in the ontology's labels.

    Args:
        root: the data folder.
        file: the parse map, relative to it.
        space: label space of its numbers.

    Raises:
        BadItem: missing, undecodable, no map of numbers, or of another label space.
    """
    return LabelMap(file, to_labels(read_numbers(root / file, space), space))


def to_labels(numbers_HW: np.ndarray, space: Space) -> np.ndarray:
    """Numbers of a label space → uint8 indices into `ontology.LABELS`."""
    table = np.array([LABEL_INDEX[ours] for _, ours in TABLES[space]], np.uint8)
    return table[numbers_HW]


def read_numbers(path: Path, space: Space) -> np.ndarray:
    """The numbers of a parse map, checked.

    Returns:
        uint8 [H, W]; all are numbers of the space.

    Raises:
        BadItem: see `read_parse_map`.
    """
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > images.MAX_PIXELS:
                raise BadItem(f"{path.name}: {picture.width}x{picture.height} is over {images.MAX_PIXELS} pixels")
            _check_kind(picture, path.name)
            numbers_HW = np.array(picture)
            palette = picture.getpalette() if picture.mode == "P" else None
    except FileNotFoundError:
        raise BadItem(f"{path.name}: no such parse map; take it from the data set, or run a human parser") from None
    except Image.DecompressionBombError as error:
        raise BadItem(f"{path.name}: {error}") from None
    except UnidentifiedImageError:
        raise BadItem(f"{path.name}: not a picture that can be decoded; take it from the data set again") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise BadItem(f"{path.name}: cannot be decoded ({error}); take it from the data set again") from None
    largest = int(numbers_HW.max(initial=0))
    if largest >= len(TABLES[space]):
        raise BadItem(
            f"{path.name}: holds the number {largest}, but {space.upper()} ends at {len(TABLES[space]) - 1}; it is of "
            "another label space, or was scaled with smoothing: take the original"
        )
    if palette is not None:
        colours = list(zip(palette[0::3], palette[1::3], palette[2::3], strict=True))
        _check_palette(colours, np.unique(numbers_HW).tolist(), space, path.name)
    return numbers_HW


def _check_kind(picture: Image.Image, name: str) -> None:
    if picture.format == "JPEG":
        raise BadItem(f"{name}: a JPEG, which blurs numbers into others; take the PNG that the parser wrote")
    if picture.mode not in ("P", "L"):
        raise BadItem(
            f"{name}: holds colours (mode {picture.mode}), not numbers; take the indexed PNG that the parser wrote, as "
            "colours stand for other labels in every tool"
        )


def _check_palette(colours: list[Colour], used: list[int], space: Space, name: str) -> None:
    """Refuse a palette that tells of another label space, or of none that is known."""
    count = len(TABLES[space])
    shown = [colours[number] if number < len(colours) else None for number in used]

    def is_palette(known: tuple[Colour, ...], tolerance: int) -> bool:
        return all(
            colour is not None and max(abs(a - b) for a, b in zip(colour, known[number], strict=True)) <= tolerance
            for number, colour in zip(used, shown, strict=True)
        )

    if is_palette(tuple((number, number, number) for number in range(count)), 0):
        return  # grey levels, which say nothing
    if is_palette(pascal_colours(count), 0):
        _check_schp(colours, space, name)
    elif not is_palette(LIP_COLOURS, LIP_TOLERANCE):
        raise BadItem(
            f"{name}: an unknown palette, so its numbers may be anything; if they are {space.upper()}'s, save them as "
            "grey levels: PIL.Image.fromarray(numpy.array(PIL.Image.open(FILE))).save(FILE)"
        )
    elif space == "atr":
        raise BadItem(f"{name}: has the palette of LIP, but ATR's numbers are expected here; take the ATR parse map")


def _check_schp(colours: list[Colour], space: Space, name: str) -> None:
    """SCHP colours as many numbers as its label space has and leaves the rest grey, which gives the space away."""
    known = pascal_colours(len(colours))
    num_coloured = next((number for number, colour in enumerate(colours) if colour != known[number]), len(colours))
    rest = range(num_coloured, len(colours))
    if num_coloured == NUM_SCHP_COLOURS[space] or any(colours[number] != (number,) * 3 for number in rest):
        return
    if num_coloured == NUM_PASCAL_PARTS:
        raise BadItem(
            f"{name}: a parse map of PASCAL's {NUM_PASCAL_PARTS} body parts, which does not tell clothes from skin; "
            f"parse the photo again with a model of {space.upper()}"
        )
    others = sorted({other.upper() for other, number in NUM_SCHP_COLOURS.items() if number == num_coloured})
    if others:
        raise BadItem(
            f"{name}: its palette colours {num_coloured} numbers, as {' and '.join(others)} has them, but "
            f"{space.upper()}'s are expected here; parse the photo again with a model of {space.upper()}"
        )
