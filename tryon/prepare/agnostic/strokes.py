"""Shapes that the VITON-HD and HR-VITON rules draw along the skeleton, in multiples of a radius.

Both draw the same torso and differ in the radius, the shoulders, the neck and the hands; their repositories
(shadow2496/VITON-HD datasets.py, sangyun884/HR-VITON cp_dataset.py) are the source of every multiple that is not
marked as an extension.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from tryon.prepare.agnostic.body import SIDES, Body, distance, middle

CANVAS_HW = (1024, 768)  # both rules state pixels of this size
_SUBPIXEL = 4  # bits of fraction in cv2's coordinates

Points = Sequence[np.ndarray] | None


def canvas_scale(body: Body, canvas_hw: tuple[int, int] = CANVAS_HW) -> float:
    """Photo pixels per pixel of a canvas that holds the whole photo."""
    height, width = body.labels_HW.shape
    return max(height / canvas_hw[0], width / canvas_hw[1])


class Pen:
    """Draws into one plane; every length is a multiple of `radius_px`, and a shape with a missing point is left out.

    Attributes:
        plane_HW: boolean, what was drawn so far.
    """

    def __init__(self, body: Body, radius_px: float) -> None:
        self.radius_px = radius_px
        self._plane_HW = np.zeros(body.labels_HW.shape, np.uint8)

    @property
    def plane_HW(self) -> np.ndarray:
        """Boolean [H, W]."""
        return self._plane_HW > 0

    def polygon(self, points: Points) -> None:
        """Fill a convex outline."""
        if points is not None:
            corners = cv2.convexHull(np.rint(np.stack(points) * 2**_SUBPIXEL).astype(np.int32))
            cv2.fillConvexPoly(self._plane_HW, corners, 1, cv2.LINE_8, _SUBPIXEL)

    def line(self, points: Points, width: float) -> None:
        """A straight stroke with flat ends between two points."""
        if points is not None:
            start, end = points
            along = (end - start) / max(distance(start, end), 1e-6)
            aside = np.array([-along[1], along[0]]) * (width / 2 * self.radius_px)
            self.polygon([start + aside, end + aside, end - aside, start - aside])

    def ellipse(self, points: Points, half_width: float, half_height: float) -> None:
        """An upright ellipse around each point."""
        axes = tuple(round(half * self.radius_px * 2**_SUBPIXEL) for half in (half_width, half_height))
        for point in points or ():
            centre = tuple(int(value) for value in np.rint(point * 2**_SUBPIXEL))
            cv2.ellipse(self._plane_HW, centre, axes, 0, 0, 360, 1, -1, cv2.LINE_8, _SUBPIXEL)

    def box(self, points: Points, left: float, top: float, right: float, bottom: float) -> None:
        """An upright rectangle that reaches this far from the (one) point."""
        if points is not None:
            corners = [np.array([x, y]) for x in (-left, right) for y in (-top, bottom)]
            self.polygon([points[0] + corner * self.radius_px for corner in corners])


def torso(pen: Pen, body: Body) -> None:
    """Hip ellipses, sides, hip line and the area between shoulders and hips, the hips as far apart as the shoulders."""
    shoulders, hips = body.pair("shoulder"), wide_hips(body)
    pen.ellipse(hips, 3, 6)
    pen.line(hips, 12)
    if shoulders and hips:
        for shoulder, hip in zip(shoulders, hips, strict=True):
            pen.line([shoulder, hip], 6)
        pen.polygon([*shoulders, *hips])


def wide_hips(body: Body) -> list[np.ndarray] | None:
    """The hips moved apart, or together, to the distance of the shoulders (to where they are without shoulders)."""
    shoulders, hips = body.pair("shoulder"), body.pair("hip")
    if not (shoulders and hips):
        return hips
    stretch = distance(*shoulders) / max(distance(*hips), 1e-6)
    return [middle(hips) + (hip - middle(hips)) * stretch for hip in hips]


def arms(pen: Pen, body: Body, side: str, wrist: float) -> None:
    """Upper arm and forearm 10 radii wide, with a disc of 5 at the elbow and of `wrist` at the wrist."""
    for start, end, radius in (("shoulder", "elbow", 5.0), ("elbow", "wrist", wrist)):
        bone = body.at(f"{side}_{start}", f"{side}_{end}")
        pen.line(bone, 10)
        if bone:
            pen.ellipse(bone[1:], radius, radius)


def legs(pen: Pen, body: Body) -> None:
    """Hips, thighs and shins, and what hangs between them.

    Extension: the sources know tops alone. Legs get the width of arms and the hip line the width that it has there.
    """
    body.legs()
    hips, knees, ankles = wide_hips(body), body.pair("knee"), body.pair("ankle")
    pen.line(hips, 12)
    for side in SIDES:
        for start, end in (("hip", "knee"), ("knee", "ankle")):
            pen.line(body.at(f"{side}_{start}", f"{side}_{end}"), 10)
        pen.ellipse(body.at(f"{side}_knee"), 5, 5)
    for upper, lower in ((hips, knees), (knees, ankles)):
        pen.polygon([*upper, *lower] if upper and lower else None)
