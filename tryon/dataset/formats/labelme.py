"""LabelMe: one JSON file of shapes per photo, `annotations/{person,garment}/NAME.json`.

A LabelMe file is a JSON object ``{"shapes": [...], "imageHeight", "imageWidth", "imagePath", "imageData", …}``; a
shape has `label`, `points` ([[x, y], …] in pixels), `group_id` and `shape_type`. LabelMe has no layers:
`shapes.in_drawing_order` says what lies over what. A point stands for the pixel that it lies in (`shapes.pixel_of`).
Shapes of one `group_id` are one instance, a shape without it is one by itself; which of several people a photo is of is
not guessed from such shapes where garments hang on it (tryon/dataset/mending.py). The picture that a file may carry
(`imageData`) is not read.

    polygon, oriented_rectangle   the outline and what it encloses
    rectangle                     two opposite corners
    circle                        centre and a point of the rim: every pixel that is no farther from the centre's
    line, linestrip               a stroke of `dataset.line_width_px`, with round ends
    mask                          base64 PNG inside the box of two corners, both included
    point, points                 no area: left out, and recorded

Reference: https://github.com/wkentaro/labelme (its label file and `shape_to_mask` define the format).
"""

from __future__ import annotations

import base64
import binascii
import io
import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tryon.dataset.annotation import Annotation, Bitmap, Polygon, Shape
from tryon.dataset.formats.folder_reader import FolderReader, guess_format, read_json
from tryon.dataset.formats.shapes import PointXY, check_pixels, in_drawing_order, pixel_of, point, side
from tryon.errors import BadItem

if TYPE_CHECKING:
    import numpy as np

FIX = "save the annotation again from LabelMe"
OUTLINES = ("polygon", "oriented_rectangle")
WITHOUT_AREA = ("point", "points")
NUM_POINTS = {"rectangle": (2, 2), "circle": (2, 2), "line": (2, 2), "linestrip": (2, None), "mask": (2, 2)}


class LabelmeReader(FolderReader):
    """`annotations/{person,garment}/NAME.json` as LabelMe writes it."""

    def annotate(self, root: Path, annotation: str, role: str) -> Annotation:
        """Parse one file; see `formats.interface.Reader`."""
        value = read_json(root / annotation, "LabelMe")
        name = Path(annotation).name
        if not isinstance(value, dict) or not isinstance(value.get("shapes"), list):
            raise BadItem(
                f"{name}: not LabelMe but {guess_format(value)}; LabelMe JSON has a list `shapes`: save as LabelMe, or "
                "set dataset.format"
            )
        width, height = (side(value.get(key), f"{name}: {key}", FIX) for key in ("imageWidth", "imageHeight"))
        check_pixels(width, height, name)
        shapes: list[Shape] = []
        repairs: list[str] = []
        groups, made_groups = _groups(value["shapes"])
        for index, item in enumerate(value["shapes"]):
            place = f"{name}: shapes[{index}]"
            label, kind, points = _fields(item, place)
            if kind in WITHOUT_AREA:
                repairs.append(f"{place} {label!r} is a {kind}, which has no area: left out")
                continue
            category = self.category(label)
            radius = math.dist(*points) if kind == "circle" else self.cfg.line_width_px / 2
            points = [pixel_of(corner, (height, width)) for corner in points]
            outline = _outline(kind, points)
            if outline is not None:
                shapes.append(Polygon(category, groups[index], 0.0, outline))
                continue
            if kind == "mask":
                left, top, mask_HW = _mask(item.get("mask"), points, place)
            else:
                ends = [points[0], points[0]] if kind == "circle" else points
                left, top, mask_HW = _near(list(itertools.pairwise(ends)), radius, (height, width))
            shapes.append(Bitmap(category, groups[index], 0.0, left, top, mask_HW))
        return Annotation(annotation, width, height, in_drawing_order(shapes), tuple(repairs), made_groups)


def _fields(item: object, place: str) -> tuple[str, str, list[PointXY]]:
    """Label, shape type and points of a shape."""
    if not isinstance(item, dict):
        raise BadItem(f"{place} is {type(item).__name__}, expected an object; {FIX}")
    label = item.get("label")
    if not isinstance(label, str) or not label:
        raise BadItem(f"{place}.label is {label!r}, expected a name; choose a label in LabelMe")
    kind = item.get("shape_type") or "polygon"  # files of before 2018 hold polygons alone and do not say so
    known = (*OUTLINES, *NUM_POINTS, *WITHOUT_AREA)
    if kind not in known:
        raise BadItem(f"{place}.shape_type of {label!r} is {kind!r}, expected one of {', '.join(known)}; draw it again")
    values = item.get("points")
    if not isinstance(values, list):
        raise BadItem(f"{place}.points of {label!r} is {type(values).__name__}, expected a list; {FIX}")
    points = [point(value, f"{place}.points", FIX) for value in values]
    least, most = NUM_POINTS.get(kind, (3, None)) if kind not in WITHOUT_AREA else (0, None)
    if len(points) < least or (most is not None and len(points) > most):
        wanted = f"{least}" if most == least else f"at least {least}"
        raise BadItem(f"{place}: a {kind} of {label!r} with {len(points)} points, expected {wanted}; draw it again")
    return label, kind, points


def _groups(items: list[Any]) -> tuple[list[int], frozenset[int]]:
    """Instance of each shape, its `group_id` or else a number of its own after the largest one; and those numbers."""
    given = [item.get("group_id") if isinstance(item, dict) else None for item in items]
    known = [group if isinstance(group, int) and not isinstance(group, bool) else None for group in given]
    fresh = itertools.count(max((group for group in known if group is not None), default=0) + 1)
    groups = [next(fresh) if group is None else group for group in known]
    return groups, frozenset(groups) - frozenset(known)


def _outline(kind: str, points: list[PointXY]) -> tuple[PointXY, ...] | None:
    if kind in OUTLINES:
        return tuple(points)
    if kind == "rectangle":
        (x0, y0), (x1, y1) = points
        return (x0, y0), (x1, y0), (x1, y1), (x0, y1)
    return None


def _near(
    segments: list[tuple[PointXY, PointXY]], radius: float, size_hw: tuple[int, int]
) -> tuple[int, int, np.ndarray]:
    """The pixels whose centres are no farther than `radius` from a chain of segments, inside the photo.

    Returns:
        Left column, top row, uint8 {0, 1}.
    """
    import numpy as np

    ends = [end for segment in segments for end in segment]
    height, width = size_hw
    left, right = (_clip(end(x for x, _ in ends) + reach, width) for end, reach in ((min, -radius), (max, radius)))
    top, bottom = (_clip(end(y for _, y in ends) + reach, height) for end, reach in ((min, -radius), (max, radius)))
    rows_H1, columns_1W = np.mgrid[top : bottom + 1, left : right + 1].astype(np.float64)
    near_HW = np.zeros(rows_H1.shape, bool)
    for (x0, y0), (x1, y1) in segments:
        length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along_HW = ((columns_1W - x0) * (x1 - x0) + (rows_H1 - y0) * (y1 - y0)) / length2 if length2 else 0.0
        along_HW = np.clip(along_HW, 0.0, 1.0)
        away2_HW = (columns_1W - x0 - along_HW * (x1 - x0)) ** 2 + (rows_H1 - y0 - along_HW * (y1 - y0)) ** 2
        near_HW |= away2_HW <= radius**2
    return left, top, near_HW.astype(np.uint8)


def _clip(value: float, length: int) -> int:
    return int(min(max(math.floor(value), 0), length - 1))


def _mask(text: object, points: list[PointXY], place: str) -> tuple[int, int, np.ndarray]:
    import numpy as np
    from PIL import Image

    (x0, y0), (x1, y1) = ((int(x), int(y)) for x, y in points)
    if not isinstance(text, str):
        raise BadItem(f"{place}.mask is {type(text).__name__}, expected base64 text; {FIX}")
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as picture:
            if picture.size != (x1 - x0 + 1, y1 - y0 + 1):
                raise BadItem(
                    f"{place}.mask is {picture.width}x{picture.height}, but its box of points is "
                    f"{x1 - x0 + 1}x{y1 - y0 + 1}; {FIX}"
                )
            check_pixels(*picture.size, f"{place}.mask")
            pixels_HW = np.asarray(picture.convert("L"))
    except (binascii.Error, ValueError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadItem(f"{place}.mask is no picture in base64 ({error}); {FIX}") from None
    return x0, y0, (pixels_HW > 0).astype(np.uint8)
