"""A label map → outlines that, drawn one over the other, give back every pixel of it.

A piece is a 4-connected region of one label. Filled with all that it encloses, it can hold other pieces whole but
never in part, so drawing them from large to small is exact. The background is a piece too where something encloses it
(a hole). In a person photo the silhouette, everything but background, is the first piece and is called `person`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tryon.dataset.annotation import HOLE
from tryon.ontology import LABEL_INDEX, LABELS

PERSON = "person"


@dataclass(frozen=True, eq=False)
class Piece:
    """One outline.

    Attributes:
        category: a name of `ontology.LABELS`, or `annotation.HOLE`.
        points_K2: int32 x, y of pixel centres; three vertices at least.
    """

    category: str
    points_K2: np.ndarray

    @property
    def value(self) -> int:
        """What it draws."""
        return 0 if self.category == HOLE else LABEL_INDEX[self.category]


def pieces_of(labels_HW: np.ndarray, role: str) -> list[Piece]:
    """Outlines of a label map in drawing order.

    Args:
        labels_HW: uint8 indices into `ontology.LABELS`.
        role: "person" (the silhouette comes first) or "garment".
    """
    found: list[tuple[float, int, Piece, np.ndarray, tuple[slice, slice]]] = []
    if role == PERSON:
        found += _regions(labels_HW > 0, PERSON, rank=0)
    for value in np.unique(labels_HW):
        found += _regions(labels_HW == value, LABELS[value] if value else HOLE, rank=1)
    canvas_HW = np.zeros_like(labels_HW)
    drawn = []
    for _, _, piece, inside_HW, window in sorted(found, key=lambda item: item[:2]):
        if (canvas_HW[window][inside_HW] != piece.value).any():  # else something drawn earlier is right already
            cv2.fillPoly(canvas_HW, [piece.points_K2], color=piece.value)
            drawn.append(piece)
    if not np.array_equal(canvas_HW, labels_HW):
        raise AssertionError("the outlines of a label map do not draw it")
    return drawn


def group_of(piece: Piece) -> int:
    """Instance number: one per label, 0 for holes."""
    return 0 if piece.category == HOLE else LABEL_INDEX[piece.category]


def silhouette_and_labels(labels_HW: np.ndarray, role: str) -> list[tuple[str, np.ndarray]]:
    """(label, boolean [H, W]) of every label that has pixels; `person` is the silhouette in a person photo."""
    planes = [(LABELS[value], labels_HW == value) for value in np.unique(labels_HW) if value > 0]
    if role != PERSON or not planes:
        return planes
    return [(PERSON, labels_HW > 0), *(plane for plane in planes if plane[0] != PERSON)]


def box_of(mask_HW: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a mask's outermost pixels, all included."""
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _regions(
    mask_HW: np.ndarray, category: str, *, rank: int
) -> list[tuple[float, int, Piece, np.ndarray, tuple[slice, slice]]]:
    """Sort key (large first, then rank), outline, pixels and window of every 4-connected region."""
    count, numbers_HW, stats, _ = cv2.connectedComponentsWithStats(mask_HW.astype(np.uint8), connectivity=4)
    found = []
    for number in range(1, count):
        left, top, width, height = (int(stats[number, key]) for key in range(4))
        window = slice(top, top + height), slice(left, left + width)
        inside_HW = numbers_HW[window] == number
        contours, _ = cv2.findContours(inside_HW.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        points_K2 = contours[0][:, 0] + np.array([left, top], np.int32)
        area = float(cv2.contourArea(points_K2))
        while len(points_K2) < 3:  # a region of one or two pixels; tools want a triangle
            points_K2 = np.concatenate([points_K2, points_K2[-1:]])
        found.append((-area, rank, Piece(category, points_K2), inside_HW, window))
    return found
