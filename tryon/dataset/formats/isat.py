"""ISAT: one JSON file of polygons per photo, drawn in the order of their layers.

An ISAT file is a JSON object ``{"info": {"description": "ISAT", "name", "width", "height", …}, "objects": [...]}``;
an object has `category`, `group` (instance), `layer` (drawing order) and `segmentation` ([[x, y], …] in pixels).
Reference: https://github.com/yatengLG/ISAT_with_segment_anything (its annotation reader defines the format).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tryon.dataset.annotation import Annotation, Polygon
from tryon.dataset.formats.folder_reader import FolderReader, guess_format, read_json
from tryon.errors import BadItem

MAX_NUMBER = 1e9  # no picture is as large


class IsatReader(FolderReader):
    """`annotations/{person,garment}/NAME.json` as ISAT writes it."""

    def annotate(self, root: Path, annotation: str, role: str) -> Annotation:
        """Parse one file; see `formats.interface.Reader`."""
        return parse(read_json(root / annotation, "ISAT"), annotation, self.category)


def parse(value: object, file: str, category: Callable[[str], str] = str) -> Annotation:
    """Parse the JSON value of an ISAT file.

    Args:
        value: what the file holds.
        file: its path, for messages.
        category: translates a label name of the file.

    Raises:
        BadItem: not ISAT, or malformed.
    """
    name = Path(file).name
    if not isinstance(value, dict) or not isinstance(value.get("info"), dict) or "objects" not in value:
        raise BadItem(
            f"{name}: not ISAT but {guess_format(value)}; ISAT JSON has `info` and `objects`: export as ISAT, or set "
            "dataset.format"
        )
    width, height = (_positive(value["info"].get(key), f"{name}: info.{key}") for key in ("width", "height"))
    if not isinstance(value["objects"], list):
        raise BadItem(f"{name}: `objects` is {type(value['objects']).__name__}, expected a list; export as ISAT")
    shapes = [_polygon(item, f"{name}: objects[{index}]", category) for index, item in enumerate(value["objects"])]
    return Annotation(file, width, height, tuple(sorted(shapes, key=lambda shape: shape.layer)))


def _polygon(item: object, place: str, category_of: Callable[[str], str]) -> Polygon:
    if not isinstance(item, dict):
        raise BadItem(f"{place} is {type(item).__name__}, expected an object; save the annotation again from ISAT")
    category = item.get("category")
    if not isinstance(category, str) or not category:
        raise BadItem(f"{place}.category is {category!r}, expected a label name; choose a category in ISAT")
    points = item.get("segmentation")
    if not isinstance(points, list) or not points:
        raise BadItem(f"{place}.segmentation of {category!r} has no vertices; draw the polygon again or delete it")
    layer = _number(item.get("layer"), f"{place}.layer")
    group = int(_number(item.get("group", 0), f"{place}.group"))
    return Polygon(
        category_of(category), group, layer, tuple(_point(point, f"{place}.segmentation") for point in points)
    )


def _point(point: object, place: str) -> tuple[float, float]:
    if not isinstance(point, list) or len(point) != 2:
        raise BadItem(f"{place} holds {point!r}, expected [x, y]; save the annotation again from ISAT")
    return _number(point[0], place), _number(point[1], place)


def _number(value: Any, place: str) -> float:  # noqa: ANN401 (JSON is any)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # a coordinate of a million digits is JSON too
    if not is_number or not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise BadItem(f"{place} is {value!r}, expected a number; save the annotation again from ISAT")
    return float(value)


def _positive(value: Any, place: str) -> int:  # noqa: ANN401 (JSON is any)
    number = _number(value, place)
    if number < 1 or number != int(number):
        raise BadItem(f"{place} is {value!r}, expected a whole number of pixels; save the annotation again from ISAT")
    return int(number)
