"""What readers of formats without layers share: checked numbers and points, and an order to draw shapes in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tryon.dataset.annotation import HOLE, Shape
from tryon.errors import BadItem

PERSON = "person"
MAX_PIXELS = 100_000_000  # as images.MAX_PIXELS, which this module may not import: a larger picture is refused

PointXY = tuple[float, float]


def in_drawing_order(shapes: Iterable[Shape]) -> tuple[Shape, ...]:
    """Shapes of a format that has no layers, in the order that they are drawn in.

    `person` is the silhouette, so it lies under everything else; a hole cuts through everything, so holes come last;
    between them the order of the file holds, later over earlier, as LabelMe draws them.
    """
    ranked = sorted(shapes, key=lambda shape: {PERSON: 0, HOLE: 2}.get(shape.category, 1))
    return tuple(replace(shape, layer=float(layer)) for layer, shape in enumerate(ranked, start=1))


def number(value: Any, place: str, fix: str) -> float:  # noqa: ANN401 (JSON is any)
    """A finite JSON number.

    Args:
        value: what the file holds there.
        place: file and field, for messages.
        fix: what to do, for messages.

    Raises:
        BadItem: it is something else.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
    if not is_number:
        raise BadItem(f"{place} is {_shown(value)}, expected a number; {fix}")
    return float(value)


def side(value: Any, place: str, fix: str) -> int:  # noqa: ANN401 (JSON is any)
    """A picture's width or height in pixels; arguments and errors as `number`."""
    length = number(value, place, fix)
    if length < 1 or length != int(length):
        raise BadItem(f"{place} is {_shown(value)}, expected a whole number of pixels; {fix}")
    return int(length)


def point(value: Any, place: str, fix: str) -> PointXY:  # noqa: ANN401 (JSON is any)
    """An [x, y] in pixels; arguments and errors as `number`."""
    if not isinstance(value, list) or len(value) != 2:
        raise BadItem(f"{place} holds {_shown(value)}, expected [x, y]; {fix}")
    return number(value[0], place, fix), number(value[1], place, fix)


def pixel_of(corner_xy: PointXY, size_hw: tuple[int, int]) -> PointXY:
    """The pixel in which a vertex of LabelMe or COCO lies.

    Both measure from the corner of the top-left pixel, so (3.2, 7.9) lies in the pixel whose centre is (3, 7) here.
    What is drawn takes in the outline's own pixels, as LabelMe's masks do; pycocotools leaves out those of which the
    polygon covers less than about half, so its masks are up to half a pixel narrower on each side.

    Args:
        corner_xy: x and y as the file holds them.
        size_hw: height and width of the picture; a vertex on its right or lower edge lies in the last pixel.
    """
    (x, y), (height, width) = corner_xy, size_hw
    return float(width - 1 if x == width else math.floor(x)), float(height - 1 if y == height else math.floor(y))


def ring(value: Any, size_hw: tuple[int, int], place: str, fix: str) -> tuple[PointXY, ...]:  # noqa: ANN401 (JSON)
    """The pixels in which the vertices of a COCO polygon [x1, y1, x2, y2, …] lie.

    Args:
        value: what the file holds.
        size_hw: height and width of the picture.
        place: file and field, for messages.
        fix: what to do, for messages.

    Raises:
        BadItem: fewer than three vertices, or something that is no number.
    """
    if not isinstance(value, list) or len(value) < 6 or len(value) % 2:
        found = f"{len(value)} numbers" if isinstance(value, list) else _shown(value)
        raise BadItem(f"{place} is {found}, expected [x1, y1, x2, y2, x3, y3, …]; {fix}")
    numbers = [number(item, place, fix) for item in value]
    return tuple(pixel_of(corner, size_hw) for corner in zip(numbers[::2], numbers[1::2], strict=True))


def check_pixels(width: int, height: int, place: str) -> None:
    """Refuse a size that would fill the memory, before anything of that size is made.

    Raises:
        BadItem: naming the size and the limit.
    """
    if width * height > MAX_PIXELS:
        raise BadItem(f"{place} says {width}x{height}, which is over {MAX_PIXELS} pixels; scale the photo down")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
