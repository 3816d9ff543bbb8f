"""COCO run-length codes → pixels, checked before pycocotools' C code sees them.

A code is ``{"size": [height, width], "counts": …}``: lengths of runs of 0 and 1 by turns, column by column, beginning
with 0; as a list, or compressed into text (five bits per character from "0" on, little end first, signed, each from
the fourth on as the difference to the one before the last). Source: pycocotools, common/maskApi.c, rleToString.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tryon.dataset.formats.shapes import check_pixels
from tryon.errors import BadItem

if TYPE_CHECKING:
    import numpy as np

FIX = "export the annotation again as COCO"


def decode(code: dict[str, Any], size_hw: tuple[int, int], place: str) -> np.ndarray:
    """Pixels of a code.

    Args:
        code: the JSON object.
        size_hw: height and width of its picture in pixels.
        place: file and entry, for messages.

    Returns:
        uint8 {0, 1} [H, W].

    Raises:
        BadItem: of another size, or the runs do not fill the picture.
    """
    height, width = size_hw
    if code.get("size") != [height, width]:
        raise BadItem(f"{place}: a run-length code of size {code.get('size')}, expected [{height}, {width}]; {FIX}")
    check_pixels(width, height, place)
    counts = code.get("counts")
    runs = _uncompress(counts, place) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise BadItem(f"{place}: run lengths must be whole numbers from 0 on, or COCO's compressed text; {FIX}")
    if sum(runs) != height * width:
        raise BadItem(f"{place}: run lengths add up to {sum(runs)}, expected {height} * {width}; {FIX}")
    from pycocotools import mask as coco_mask

    mask_HW: np.ndarray = coco_mask.decode(coco_mask.frPyObjects({"size": [height, width], "counts": runs}, *size_hw))
    return mask_HW


def _uncompress(text: str, place: str) -> list[int]:
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise BadItem(f"{place}: {character!r} is not part of a compressed run-length code; {FIX}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:  # goes on
            continue
        if bits & 16:  # negative
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise BadItem(f"{place}: a compressed run-length code that ends in the middle of a number; {FIX}")
    return runs
