"""ISAT annotations: polygons of one photo, parsed and checked.

An ISAT file is a JSON object ``{"info": {"description": "ISAT", "name", "width", "height", …}, "objects": [...]}``;
an object has `category`, `group` (instance), `layer` (drawing order) and `segmentation` ([[x, y], …] in pixels).
Reference: https://github.com/yatengLG/ISAT_with_segment_anything (its annotation reader defines the format).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tryon.config import nearest
from tryon.errors import BadItem
from tryon.ontology import CATEGORIES, LABELS

HOLE = "__background__"
"""ISAT's name for polygons that cut back to the background."""

KNOWN_CATEGORIES = (HOLE, *LABELS[1:])


@dataclass(frozen=True)
class Polygon:
    """One drawn outline.

    Attributes:
        category: ISAT category, a name of `ontology.LABELS` or `__background__` where it is known.
        group: instance number; parts of one thing share it, holes have 0.
        layer: drawing order, low first.
        points_xy: vertices (x, y) in pixels; whole numbers are pixel centres.
    """

    category: str
    group: int
    layer: float
    points_xy: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Annotation:
    """All polygons of one photo.

    Attributes:
        file: where it was read, for messages.
        width, height: size in pixels of the photo that was annotated.
        polygons: in drawing order (by layer; equal layers in the order of the file).
    """

    file: str
    width: int
    height: int
    polygons: tuple[Polygon, ...]

    @property
    def categories(self) -> tuple[str, ...]:
        """Distinct categories, sorted, without holes."""
        return tuple(sorted({polygon.category for polygon in self.polygons} - {HOLE}))


def read(path: Path | str) -> Annotation:
    """Read an ISAT file.

    Raises:
        BadItem: missing, not JSON, not ISAT, or malformed; the message names the file, the cause and the fix.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadItem(f"{path.name}: no such annotation; annotate the photo in ISAT and save it there") from None
    except OSError as error:
        raise BadItem(f"{path.name}: cannot be read ({error.strerror}); check the file's permissions") from None
    return parse(content, str(path))


def parse(content: bytes, file: str) -> Annotation:
    """Parse the bytes of an ISAT file.

    Args:
        content: the file's bytes (UTF-8, a byte-order mark is allowed).
        file: its path, for messages.

    Raises:
        BadItem: not JSON, not ISAT, or malformed.
    """
    name = Path(file).name
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadItem(f"{name}: not UTF-8 text; save the annotation again from ISAT") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadItem(f"{name}: not JSON ({error}); save the annotation again from ISAT") from None
    if not isinstance(value, dict) or not isinstance(value.get("info"), dict) or "objects" not in value:
        raise BadItem(
            f"{name}: not ISAT but {_guess_format(value)}; ISAT JSON has `info` and `objects`: export as ISAT"
        )
    width, height = (_positive(value["info"].get(key), f"{name}: info.{key}") for key in ("width", "height"))
    if not isinstance(value["objects"], list):
        raise BadItem(f"{name}: `objects` is {type(value['objects']).__name__}, expected a list; export as ISAT")
    polygons = [_polygon(item, f"{name}: objects[{index}]") for index, item in enumerate(value["objects"])]
    return Annotation(file, width, height, tuple(sorted(polygons, key=lambda polygon: polygon.layer)))


def check_labels(annotation: Annotation) -> None:
    """Refuse categories that the ontology does not have.

    Raises:
        BadItem: naming each unknown category and the nearest known one.
    """
    unknown = sorted({polygon.category for polygon in annotation.polygons} - set(KNOWN_CATEGORIES))
    if unknown:
        shown = ", ".join(f"{category!r}{nearest(category, list(KNOWN_CATEGORIES))}" for category in unknown)
        raise BadItem(
            f"{Path(annotation.file).name}: unknown label {shown}; rename it in ISAT, "
            "or set masks.unknown_label: ignore"
        )


def check_size(annotation: Annotation, size_hw: tuple[int, int]) -> None:
    """Refuse an annotation that was made for a picture of another size.

    Args:
        annotation: of a photo.
        size_hw: height and width in pixels of the photo.

    Raises:
        BadItem: naming both sizes.
    """
    if (annotation.height, annotation.width) != size_hw:
        raise BadItem(
            f"{Path(annotation.file).name}: annotated on a picture of {annotation.width}x{annotation.height}, but the "
            f"photo is {size_hw[1]}x{size_hw[0]} (width x height); put back the annotated photo or annotate this one"
        )


def check_role(annotation: Annotation, role: str) -> None:
    """Refuse a person photo without a person and a garment photo without a garment.

    Args:
        annotation: of a photo.
        role: "person" or "garment".

    Raises:
        BadItem: naming what is annotated instead.
    """
    name = Path(annotation.file).name
    shown = ", ".join(annotation.categories) or "nothing"
    if role == "person" and "person" not in annotation.categories:
        raise BadItem(f"{name}: no person is annotated (found {shown}); draw `person` around the body in ISAT")
    if role == "garment" and not set(annotation.categories) & set(CATEGORIES):
        wanted = ", ".join(CATEGORIES)
        raise BadItem(f"{name}: no garment is annotated (found {shown}); draw one of {wanted} in ISAT")


def _guess_format(value: object) -> str:
    if not isinstance(value, dict):
        return f"a JSON {type(value).__name__}"
    if "shapes" in value:
        return "LabelMe JSON"
    if "images" in value and "annotations" in value:
        return "COCO JSON"
    return f"a JSON object with the keys {', '.join(sorted(map(str, value))[:6]) or '(none)'}"


def _polygon(item: object, place: str) -> Polygon:
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
    return Polygon(category, group, layer, tuple(_point(point, f"{place}.segmentation") for point in points))


def _point(point: object, place: str) -> tuple[float, float]:
    if not isinstance(point, list) or len(point) != 2:
        raise BadItem(f"{place} holds {point!r}, expected [x, y]; save the annotation again from ISAT")
    return _number(point[0], place), _number(point[1], place)


def _number(value: Any, place: str) -> float:  # noqa: ANN401 (JSON is any)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number:
        raise BadItem(f"{place} is {value!r}, expected a number; save the annotation again from ISAT")
    return float(value)


def _positive(value: Any, place: str) -> int:  # noqa: ANN401 (JSON is any)
    number = _number(value, place)
    if number < 1 or number != int(number):
        raise BadItem(f"{place} is {value!r}, expected a whole number of pixels; save the annotation again from ISAT")
    return int(number)
