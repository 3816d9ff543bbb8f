"""One person's body as an agnostic rule sees it: label map, visible keypoints, and the shapes that they span.

Body shapes are thick hulls around keypoints. Their sizes are fractions of `unit_px`, the shoulder width (or 0.7 of
the torso length, if that is more: a person seen from the side has narrow shoulders).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import cv2
import numpy as np

from tryon.ontology import KEYPOINT_NAMES, LABEL_INDEX

SIDES = ("left", "right")
THIGH_PER_TORSO = 0.8
TORSO_PER_SHOULDERS = 0.7  # shoulder width over torso length of a standing person seen from the front, about


class Body:
    """One person's label map and visible keypoints, and the shapes that they span."""

    def __init__(
        self, labels_HW: np.ndarray, keypoints_K3: np.ndarray, cuts: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Keep what is visible.

        Args:
            labels_HW: uint8 indices into `ontology.LABELS`, in photo pixels.
            keypoints_K3: x, y in photo pixels and visibility; <= 0 means not visible.
            cuts: masks (0: outside) by part that a segmentation model made of the photo, if one was asked.
        """
        self.labels_HW = labels_HW
        self.cuts = cuts or {}
        self.points = {
            name: np.asarray(row[:2], np.float64)
            for name, row in zip(KEYPOINT_NAMES, keypoints_K3, strict=True)
            if row[2] > 0
        }
        self.missed: set[str] = set()

    def at(self, *names: str) -> list[np.ndarray] | None:
        """The points with these names; None, and a note of it, if one is not visible."""
        absent = [name for name in names if name not in self.points]
        self.missed.update(absent)
        return None if absent else [self.points[name] for name in names]

    def legs(self) -> None:
        """Add knees and ankles that are not visible, mostly because the picture ends above them.

        A thigh hangs in line with the torso and a shin in line with its thigh, each THIGH_PER_TORSO and 1 times as
        long; what lies outside the picture does no harm.
        """
        shoulders, hips = self.pair("shoulder"), self.pair("hip")
        for side in SIDES:
            knee = self.at(f"{side}_knee")
            if knee is None and shoulders and hips:
                thigh = THIGH_PER_TORSO * (middle(hips) - middle(shoulders))
                self.points[f"{side}_knee"] = self.points[f"{side}_hip"] + thigh
            ends = self.at(f"{side}_hip", f"{side}_knee")
            if self.at(f"{side}_ankle") is None and ends:
                self.points[f"{side}_ankle"] = 2 * ends[1] - ends[0]

    def pair(self, joint: str) -> list[np.ndarray] | None:
        """The left and the right point of a joint."""
        return self.at(*(f"{side}_{joint}" for side in SIDES))

    def label(self, *names: str) -> np.ndarray:
        """Boolean [H, W]: pixels with one of these labels."""
        return np.isin(self.labels_HW, [LABEL_INDEX[name] for name in names])

    def cut(self, *parts: str) -> np.ndarray:
        """Boolean [H, W]: the union of these parts' cut-outs, as far as there are any."""
        plane_HW = np.zeros(self.labels_HW.shape, bool)
        for part in parts:
            if part in self.cuts:
                plane_HW |= self.cuts[part] > 0
        return plane_HW

    def nothing(self) -> np.ndarray:
        """Boolean [H, W] without a pixel."""
        return np.zeros(self.labels_HW.shape, bool)

    @cached_property
    def unit_px(self) -> float:
        """The length that body shapes are measured in."""
        shoulders, hips = self.pair("shoulder"), self.pair("hip")
        lengths = []
        if shoulders:
            lengths.append(distance(*shoulders))
        if shoulders and hips:
            lengths.append(TORSO_PER_SHOULDERS * distance(middle(shoulders), middle(hips)))
        if lengths:
            return max(lengths)
        # Without shoulders: a standing silhouette is about 6.5 units high and 1.4 wide on average.
        return float(np.sqrt(self.label("person", "up", "down", "dress").sum() / 9.0))

    def hull(self, points: Iterable[np.ndarray] | None, radius: float) -> np.ndarray:
        """Boolean [H, W]: the convex hull of some points, grown by `radius` units; nothing without points."""
        plane_HW = np.zeros(self.labels_HW.shape, np.uint8)
        if points is not None:
            corners = cv2.convexHull(np.rint(np.stack(list(points))).astype(np.int32))
            cv2.fillConvexPoly(plane_HW, corners, 1)
            cv2.polylines(plane_HW, [corners], True, 1, thickness=max(1, round(2 * radius * self.unit_px)))
        return plane_HW.astype(bool)

    def limb(self, side: str, joints: tuple[str, ...], radius: float) -> np.ndarray:
        """Boolean [H, W]: thick strokes from joint to joint; a stroke with a missing end is left out."""
        plane_HW = np.zeros(self.labels_HW.shape, bool)
        for start, end in zip(joints, joints[1:], strict=False):
            plane_HW |= self.hull(self.at(f"{side}_{start}", f"{side}_{end}"), radius)
        return plane_HW

    def beyond(self, side: str, inner: str, outer: str, start: float, radius: float) -> np.ndarray:
        """Boolean [H, W]: the disc round a limb's end, from `start` units past it (a hand or a foot).

        Where the inner joint is missing the limb's direction is unknown and the whole disc is taken.
        """
        end = self.at(f"{side}_{outer}")
        if end is None:
            return np.zeros(self.labels_HW.shape, bool)
        rows_H1, columns_1W = np.ogrid[: self.labels_HW.shape[0], : self.labels_HW.shape[1]]
        x_1W, y_H1 = columns_1W - end[0][0], rows_H1 - end[0][1]
        disc_HW = np.hypot(x_1W, y_H1) <= radius * self.unit_px
        inner_point = self.at(f"{side}_{inner}")
        if inner_point is None:
            return disc_HW
        direction = (end[0] - inner_point[0]) / max(distance(end[0], inner_point[0]), 1e-6)
        return disc_HW & (x_1W * direction[0] + y_H1 * direction[1] >= start * self.unit_px)

    def grown(self, mask_HW: np.ndarray, radius: float) -> np.ndarray:
        """Boolean [H, W]: a mask dilated by `radius` units."""
        return cv2.dilate(mask_HW.astype(np.uint8), disc(radius * self.unit_px)).astype(bool)

    def closed(self, mask_HW: np.ndarray, width: float) -> np.ndarray:
        """Boolean [H, W]: a mask without gaps narrower than `width` units."""
        border_px = round(width * self.unit_px) + 1  # cv2 closes towards the picture's edge otherwise
        padded = cv2.copyMakeBorder(mask_HW.astype(np.uint8), *(border_px,) * 4, cv2.BORDER_CONSTANT, value=0)
        padded = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc(width * self.unit_px / 2))
        return padded[border_px:-border_px, border_px:-border_px].astype(bool)


def middle(points: list[np.ndarray]) -> np.ndarray:
    """The point between two points."""
    return (points[0] + points[1]) / 2


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """In pixels."""
    return float(np.hypot(*(a - b)))


def disc(radius_px: float) -> np.ndarray:
    """A round kernel for cv2's morphology, at least 3 pixels wide."""
    size = 2 * max(1, round(radius_px)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def filled(mask_HW: np.ndarray) -> np.ndarray:
    """Boolean [H, W]: a mask without holes; what touches the picture's border is outside, not a hole."""
    _, labels_HW = cv2.connectedComponents((~mask_HW).astype(np.uint8), connectivity=4)
    border = np.concatenate([labels_HW[0], labels_HW[-1], labels_HW[:, 0], labels_HW[:, -1]])
    return mask_HW | ~np.isin(labels_HW, np.unique(border))
