"""What is done about an annotation that is not clean: mended where no guess is needed, refused where one is.

Mended, and said in `repairs`: shapes without an area are left out; shapes that reach over the photo's edge end there;
of several people the largest is kept with the parts that lie in it. Refused: shapes that lie outside the photo,
polygons of which a considerable part is inside or outside depending on the rule of filling, parts that may belong to
either of two people, and garments of somebody whom the file does not tell from the one who is kept
(`Annotation.made_groups`): two outlines of one body would lose half of its clothes. The stage `dataset` records it, the
stage `masks` draws what is left.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from tryon.dataset.annotation import KNOWN_CATEGORIES, Annotated, Annotation, Bitmap, Polygon, Shape
from tryon.errors import BadItem
from tryon.ontology import CATEGORIES, LABELS

PERSON = "person"
MAX_DOUBT = 0.05
"""Largest share of a polygon that may be inside or outside depending on the rule of filling. Outlines drawn by hand or
simplified by a program cross themselves by some pixels: the largest doubt among 184 real polygons (shared/photos and
shared/fixtures) is 0.011, of a DeepFashion2 dress. A wrong order of vertices puts half of the area in doubt."""
LEAST_DOUBT = 0.002  # below it nothing is said: outlines that a program found go along thin lines twice
ROUNDING_PX = 1.0  # tools write the right edge as the width, and round: nothing is lost there
ONE_GROUP = f"give the parts of one person one group_id, and every other {PERSON!r} another"
NUM_CELLS = 256  # a polygon's windings are counted on a grid of this size, which sees loops of 1/256 of its size
IN_SHARE, OUT_SHARE = 0.9, 0.1
"""A part belongs to a person who holds 0.9 of it, and does not to one who holds less than 0.1: outlines of one body are
drawn with such a slack (of every part of the real photos in shared/photos at least 0.96 lies in the person)."""


def mend(annotation: Annotated, role: str) -> Annotated:
    """An annotation without what cannot be drawn as it was meant; label maps stay as they are.

    Args:
        annotation: of a photo of its own size (`annotation.check_size`).
        role: "person" or "garment".

    Returns:
        The annotation, with what was done in `repairs` as "kind: detail".

    Raises:
        BadItem: mending it would be guessing; the message names the shape and the fix.
    """
    if not isinstance(annotation, Annotation):
        return annotation
    name = Path(annotation.file).name
    size_hw = (annotation.height, annotation.width)
    repairs = []
    for shape in annotation.shapes:
        if shape.category not in KNOWN_CATEGORIES or not _has_area(shape):
            continue
        beyond_px = _beyond(shape, size_hw, name)
        if beyond_px > ROUNDING_PX:
            repairs.append(f"over the edge: {_title(shape)} reaches {beyond_px:.0f} px out of the photo; cut off there")
        if isinstance(shape, Polygon):
            repairs += _check_windings(shape, name)
    chosen = select(annotation, role)
    return replace(chosen, repairs=(*annotation.repairs, *repairs, *chosen.repairs[len(annotation.repairs) :]))


def select(annotation: Annotated, role: str) -> Annotated:
    """The part of `mend` that changes what is drawn; of an annotation that `mend` let pass it is all of it.

    Arguments, result and errors as for `mend`.
    """
    if not isinstance(annotation, Annotation):
        return annotation
    repairs = list(annotation.repairs)
    shapes = []
    for shape in annotation.shapes:
        # an unknown category is never drawn; whether it may be there is for annotation.check_labels to say
        if shape.category in KNOWN_CATEGORIES and not _has_area(shape):
            repairs.append(f"no area: {_title(shape)} is left out")
        else:
            shapes.append(shape)
    if role == PERSON:
        size_hw = (annotation.height, annotation.width)
        name = Path(annotation.file).name
        shapes, dropped = _one_person(shapes, size_hw, name, annotation.made_groups)
        repairs += dropped
    return replace(annotation, shapes=tuple(shapes), repairs=tuple(repairs))


def _title(shape: Shape) -> str:
    if isinstance(shape, Bitmap):
        return f"{shape.category!r} (mask of {shape.mask_HW.shape[1]}x{shape.mask_HW.shape[0]} px)"
    x, y = shape.points_xy[0]
    return f"{shape.category!r} ({len(shape.points_xy)} vertices from {x:.0f}, {y:.0f})"


def _has_area(shape: Shape) -> bool:
    if isinstance(shape, Bitmap):
        return bool(shape.mask_HW.any())
    # three vertices in a line, or on one pixel, are how exports write what is one pixel wide: a vertex fills its pixel
    return len(shape.points_xy) >= 3


def _extent(shape: Shape) -> tuple[float, float, float, float]:
    """Left, top, right and bottom: outermost pixel centres."""
    if isinstance(shape, Polygon):
        xs, ys = zip(*shape.points_xy, strict=True)
        return min(xs), min(ys), max(xs), max(ys)
    rows, columns = np.flatnonzero(shape.mask_HW.any(axis=1)), np.flatnonzero(shape.mask_HW.any(axis=0))
    return (
        float(shape.left + columns[0]),
        float(shape.top + rows[0]),
        float(shape.left + columns[-1]),
        float(shape.top + rows[-1]),
    )


def _beyond(shape: Shape, size_hw: tuple[int, int], name: str) -> float:
    """How many pixels a shape reaches out of the photo (0: not at all).

    Raises:
        BadItem: it lies outside, or further out than the photo is large, as no photo's own outline does.
    """
    left, top, right, bottom = _extent(shape)
    height, width = size_hw
    beyond_px = max(-left, -top, right - (width - 1), bottom - (height - 1), 0.0)
    if right < -0.5 or bottom < -0.5 or left > width - 0.5 or top > height - 0.5:
        raise BadItem(
            f"{name}: {_title(shape)} lies outside the photo of {width}x{height}; delete it, or put back the photo "
            "that was annotated"
        )
    if max(-left, right - (width - 1)) > width or max(-top, bottom - (height - 1)) > height:
        raise BadItem(
            f"{name}: {_title(shape)} reaches {beyond_px:.0f} px out of the photo of {width}x{height}: its coordinates "
            "belong to another picture; annotate this one"
        )
    return beyond_px


def _check_windings(polygon: Polygon, name: str) -> list[str]:
    """Say that a polygon crosses itself.

    Raises:
        BadItem: a considerable part is inside or outside depending on the rule of filling.
    """
    doubt = doubtful_share(np.asarray(polygon.points_xy))
    if doubt > MAX_DOUBT:
        raise BadItem(
            f"{name}: {_title(polygon)} crosses itself, so {doubt:.0%} of its area may be inside or outside; draw it "
            "again"
        )
    if doubt > LEAST_DOUBT:
        return [f"crosses itself: {_title(polygon)}, {doubt:.1%} of its area is in doubt; filled by even and odd"]
    return []


def doubtful_share(points_K2: np.ndarray) -> float:
    """Share of a closed polygon's area that the outline goes round more than once, or the other way.

    The winding number of each cell of a grid is the sum of the outline's crossings to its left, up minus down. In an
    outline that does not cross itself it is 0 or ±1, of one sign.

    Args:
        points_K2: x, y of the vertices.

    Returns:
        0 where the outline crosses itself nowhere (as far as the grid shows) or encloses no cell.
    """
    span = float(np.ptp(points_K2, axis=0).max())
    if span == 0:
        return 0.0
    scaled_K2 = (points_K2 - points_K2.min(axis=0)) * (NUM_CELLS / span)
    x0, y0 = scaled_K2.T
    x1, y1 = np.roll(scaled_K2, -1, axis=0).T
    # rows whose centre an edge crosses: first <= row < last, with the edge from its upper to its lower end
    first = np.ceil(np.minimum(y0, y1) - 0.5).astype(int)
    last = np.ceil(np.maximum(y0, y1) - 0.5).astype(int)
    counts = last - first
    edge = np.repeat(np.arange(len(x0)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    x = x0[edge] + (row + 0.5 - y0[edge]) * ((x1 - x0)[edge] / (y1 - y0)[edge])
    column = np.clip(np.ceil(x - 0.5).astype(int), 0, NUM_CELLS)  # the first cell whose centre lies right of it
    turns = np.zeros((NUM_CELLS, NUM_CELLS + 1), np.int16)
    np.add.at(turns, (row, column), np.sign(y1 - y0)[edge].astype(np.int16))
    winding = turns[:, :-1].cumsum(axis=1, dtype=np.int16)
    num_inside = int((winding != 0).sum())
    if not num_inside:
        return 0.0
    plain = 1 if (winding == 1).sum() >= (winding == -1).sum() else -1
    return 1.0 - int((winding == plain).sum()) / num_inside


def _one_person(
    shapes: list[Shape], size_hw: tuple[int, int], name: str, made_groups: frozenset[int]
) -> tuple[list[Shape], list[str]]:
    """Of several people, instances by `group`, the largest with the parts that lie in it.

    Raises:
        BadItem: a part may belong to either, or a garment would be left out and no instance of the file's says that
            it is another person's.
    """
    groups = list(dict.fromkeys(shape.group for shape in shapes if shape.category == PERSON))
    if len(groups) < 2:
        return shapes, []
    bodies = {group: np.zeros(size_hw, np.uint8) for group in groups}
    for shape in shapes:
        if shape.category == PERSON:
            bodies[shape.group] |= pixels(shape, size_hw)
    kept = max(groups, key=lambda group: int(bodies[group].sum()))
    hint = f"; {ONE_GROUP}" if made_groups.intersection(groups) else ""
    others_HW = np.zeros(size_hw, np.uint8)
    for group in groups:
        if group != kept:
            others_HW |= bodies[group]
    left, dropped = [], []
    for shape in shapes:
        # a hole only cuts, so that one in a person who is left out does nothing
        if shape.category not in LABELS or (shape.category == PERSON and shape.group == kept):
            left.append(shape)
        elif shape.category == PERSON:
            continue
        elif _belongs(shape, bodies[kept], others_HW, name, hint):
            left.append(shape)
        else:
            dropped.append(shape.category)
    garments = sorted(set(dropped).intersection(CATEGORIES))
    if garments and hint:
        raise BadItem(
            f"{name}: {len(groups)} shapes of {PERSON!r}, of which not every one has a group_id, would count as so "
            f"many people, and {', '.join(garments)} would be left out{hint}"
        )
    parts = f" with {', '.join(sorted(set(dropped)))}" if dropped else ""
    return left, [f"several people: the largest of {len(groups)} is kept, the others are left out{parts}"]


def _belongs(shape: Shape, body_HW: np.ndarray, others_HW: np.ndarray, name: str, hint: str) -> bool:
    """Whether a part lies in the body that is kept; `hint` ends the message where none or both hold it.

    Raises:
        BadItem: it lies in both, or in neither.
    """
    part_HW = pixels(shape, size_hw=(body_HW.shape[0], body_HW.shape[1])) > 0
    area = max(int(part_HW.sum()), 1)
    inside, elsewhere = (int(mask_HW[part_HW].sum()) / area for mask_HW in (body_HW, others_HW))
    if inside >= IN_SHARE and elsewhere < OUT_SHARE:
        return True
    if elsewhere >= IN_SHARE and inside < OUT_SHARE:
        return False
    raise BadItem(
        f"{name}: several people are annotated, and {_title(shape)} may belong to either ({inside:.0%} of it lies in "
        f"the largest, {elsewhere:.0%} in others); annotate one person, or crop the photo{hint}"
    )


def pixels(shape: Shape, size_hw: tuple[int, int]) -> np.ndarray:
    """uint8 {0, 1} [H, W]: the pixels of one shape that lie in the photo."""
    mask_HW = np.zeros(size_hw, np.uint8)
    draw(mask_HW, shape, 1)
    return mask_HW


def draw(plane_HW: np.ndarray, shape: Shape, value: int) -> None:
    """Write a value into the pixels of one shape; what lies outside the photo is clipped.

    A vertex with whole-number coordinates is a pixel centre and its pixel is filled, which makes this the exact
    inverse of `cv2.findContours`; other coordinates go to the nearest centre. Where a polygon crosses itself, the
    even-odd rule decides what is inside.

    Args:
        plane_HW: uint8, changed in place.
        shape: a polygon or a bitmap.
        value: what is written.
    """
    if isinstance(shape, Polygon):
        cv2.fillPoly(plane_HW, [np.rint(np.asarray(shape.points_xy)).astype(np.int32)], color=value)
        return
    height, width = plane_HW.shape
    top, left = max(shape.top, 0), max(shape.left, 0)
    bottom = min(shape.top + shape.mask_HW.shape[0], height)
    right = min(shape.left + shape.mask_HW.shape[1], width)
    if bottom > top and right > left:
        inside_HW = shape.mask_HW[top - shape.top : bottom - shape.top, left - shape.left : right - shape.left]
        plane_HW[top:bottom, left:right][inside_HW > 0] = value
