"""The clothing-agnostic person: which pixels are repainted when a garment of a category is exchanged.

A rule is a pure function of (label map, keypoints, category). It has to cover whatever *another* garment of the
category may change (longer sleeves, a longer hem, a higher collar) and must not give away the outline of the one
that is worn, so it unites the worn garment, dilated, with shapes drawn from the body alone. Head, hair, hands,
shoes, and what belongs to the other half of the body stay. `tryon cutouts` calls it, in pixels of the photo.

Body shapes are thick hulls around keypoints. Their sizes are fractions of `unit`, the shoulder width (or 0.7 of
the torso length, if that is more: a person seen from the side has narrow shoulders), or of a limb's length. The
fractions are measured: the smallest at which, on studio pictures, at least 99 % of the pixels that really change
lie inside (tests/prepare/test_agnostic.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from tryon.ontology import KEYPOINT_NAMES, LABEL_INDEX

SIDES = ("left", "right")
THIGH_PER_TORSO = 0.8
TORSO_PER_SHOULDERS = 0.7  # shoulder width over torso length of a standing person seen from the front, about

# Sizes in units (see above)
GARMENT_MARGIN = 0.12  # dilation of the worn garment: hides its exact outline
CLOSING = 0.25  # gaps narrower than this are filled: they would trace the garment's contour
TORSO_RADIUS = 0.24
HEM_RADIUS = 0.36  # tops hang wider below the waist
SLEEVE_RADIUS = 0.26
NECK_RADIUS = 0.14
LEG_RADIUS = 0.32
SKIRT_RADIUS = 0.36
SKIRT_FLARE = 0.45  # of a hem, to each side
HAND_RADIUS = 0.42
HAND_START = 0.04  # a hand begins this far past the wrist
SHOE_START = 0.10  # a shoe begins this far past the ankle
SHOE_RADIUS = 0.65

# Sizes as fractions of a limb's length
HEM_REACH = 0.45  # of the torso, below the hips: a long top
WAIST_RISE = 0.22  # of the torso, above the hips: a high waistband
SKIRT_REACH = 0.6  # of the shin, below the knees


@dataclass(frozen=True)
class Region:
    """What a rule answers.

    Attributes:
        mask_HW: uint8 {0, 1}; 1 = repaint.
        missing: names of keypoints that the rule would have used but that are not visible; legs are then drawn
            where they must be, and elsewhere the region is the worn garment (dilated) without the body shape that
            needs the point.
    """

    mask_HW: np.ndarray
    missing: tuple[str, ...]


class Body:
    """One person's label map and visible keypoints, and the shapes that they span."""

    def __init__(self, labels_HW: np.ndarray, keypoints_K3: np.ndarray) -> None:
        """Keep what is visible.

        Args:
            labels_HW: uint8 indices into `ontology.LABELS`, in photo pixels.
            keypoints_K3: x, y in photo pixels and visibility; <= 0 means not visible.
        """
        self.labels_HW = labels_HW
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
                thigh = THIGH_PER_TORSO * (_middle(hips) - _middle(shoulders))
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

    @cached_property
    def unit_px(self) -> float:
        """The length that body shapes are measured in."""
        shoulders, hips = self.pair("shoulder"), self.pair("hip")
        lengths = []
        if shoulders:
            lengths.append(_distance(*shoulders))
        if shoulders and hips:
            lengths.append(TORSO_PER_SHOULDERS * _distance(_middle(shoulders), _middle(hips)))
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
        direction = (end[0] - inner_point[0]) / max(_distance(end[0], inner_point[0]), 1e-6)
        return disc_HW & (x_1W * direction[0] + y_H1 * direction[1] >= start * self.unit_px)

    def grown(self, mask_HW: np.ndarray, radius: float) -> np.ndarray:
        """Boolean [H, W]: a mask dilated by `radius` units."""
        return cv2.dilate(mask_HW.astype(np.uint8), _disc(radius * self.unit_px)).astype(bool)

    def closed(self, mask_HW: np.ndarray, width: float) -> np.ndarray:
        """Boolean [H, W]: a mask without gaps narrower than `width` units."""
        border_px = round(width * self.unit_px) + 1  # cv2 closes towards the picture's edge otherwise
        padded = cv2.copyMakeBorder(mask_HW.astype(np.uint8), *(border_px,) * 4, cv2.BORDER_CONSTANT, value=0)
        padded = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _disc(width * self.unit_px / 2))
        return padded[border_px:-border_px, border_px:-border_px].astype(bool)


def limbs(body: Body, category: str) -> np.ndarray:
    """Rule `limbs`: worn garment, dilated, united with torso, neck and arms (or waist and legs, or both).

    Returns:
        Boolean [H, W]; 1 = repaint.
    """
    if category == "up":
        return body.closed(_upper(body), CLOSING) & ~_kept(body, "hair", "face", "hands")
    if category == "down":
        return body.closed(_lower(body), CLOSING) & ~_kept(body, "hair", "face", "arms", "shoes", "top")
    if category == "dress":
        region_HW = _upper(body) | _skirt(body) | body.grown(body.label("down"), GARMENT_MARGIN)
        return body.closed(region_HW, CLOSING) & ~_kept(body, "hair", "face", "hands", "shoes")
    raise ValueError(f"no region for category {category!r}")


RULES: dict[str, Callable[[Body, str], np.ndarray]] = {"limbs": limbs}
"""Rules by the name that `cutouts.agnostic` gives."""


def repaint_region(rule: str, labels_HW: np.ndarray, keypoints_K3: np.ndarray, category: str) -> Region:
    """Apply a rule.

    Args:
        rule: name in `RULES`.
        labels_HW: uint8 indices into `ontology.LABELS`, in photo pixels.
        keypoints_K3: COCO-17 keypoints of the person: x, y in photo pixels, visibility (<= 0: not visible).
        category: garment category that is exchanged.

    Returns:
        The region and the keypoints that were missed.
    """
    if keypoints_K3.shape != (len(KEYPOINT_NAMES), 3):
        raise ValueError(f"keypoints have shape {keypoints_K3.shape}; expected ({len(KEYPOINT_NAMES)}, 3)")
    body = Body(labels_HW, keypoints_K3)
    mask_HW = RULES[rule](body, category).astype(np.uint8)
    return Region(mask_HW, tuple(name for name in KEYPOINT_NAMES if name in body.missed))


def _upper(body: Body) -> np.ndarray:
    """Where a top can be: worn top or dress, torso to below the hips, neck hollow, both arms."""
    bare_HW = body.label("left_arm", "right_arm") & ~_hands(body)  # grown too, as a wrist may be out of the picture
    region_HW = body.grown(body.label("up", "dress") | bare_HW, GARMENT_MARGIN)
    for side in SIDES:
        region_HW |= body.limb(side, ("shoulder", "elbow", "wrist"), SLEEVE_RADIUS)
    shoulders, hips = body.pair("shoulder"), body.pair("hip")
    if shoulders and hips:
        below = HEM_REACH * (_middle(hips) - _middle(shoulders))
        region_HW |= body.hull([*shoulders, *hips], TORSO_RADIUS)
        region_HW |= body.hull([*hips, *(hip + below for hip in hips)], HEM_RADIUS)
    if shoulders:
        region_HW |= body.hull([*shoulders, *_chin(body)], NECK_RADIUS)
    return region_HW


def _chin(body: Body) -> list[np.ndarray]:
    """The lowest point of the face, if a face is labelled: a collar can reach up to it."""
    rows = np.flatnonzero(body.label("face").any(axis=1))
    if not len(rows):
        return []
    columns = np.flatnonzero(body.label("face")[rows[-1]])
    return [np.array([columns.mean(), rows[-1]])]


def _lower(body: Body) -> np.ndarray:
    """Where trousers or a skirt can be: worn bottom or dress, waist, legs down to the ankles, between them."""
    body.legs()
    region_HW = body.grown(body.label("down", "dress"), GARMENT_MARGIN) | _waist(body)
    for side in SIDES:
        region_HW |= body.limb(side, ("hip", "knee", "ankle"), LEG_RADIUS)
    region_HW |= _skirt(body)
    knees, ankles = body.pair("knee"), body.pair("ankle")
    if knees and ankles:
        region_HW |= body.hull([*knees, *ankles], LEG_RADIUS)  # a long skirt
    return region_HW


def _waist(body: Body) -> np.ndarray:
    shoulders, hips = body.pair("shoulder"), body.pair("hip")
    if not (shoulders and hips):
        return np.zeros(body.labels_HW.shape, bool)
    rise = WAIST_RISE * (_middle(shoulders) - _middle(hips))
    return body.hull([*hips, *(hip + rise for hip in hips)], TORSO_RADIUS)


def _skirt(body: Body) -> np.ndarray:
    """Where a skirt or the lower part of a dress can be: from the hips to below the knees, wider downwards."""
    body.legs()
    hips, knees, ankles = body.pair("hip"), body.pair("knee"), body.pair("ankle")
    if not (hips and knees and ankles):
        return np.zeros(body.labels_HW.shape, bool)
    outward = (hips[0] - hips[1]) / max(_distance(*hips), 1e-6) * SKIRT_FLARE * body.unit_px
    left, right = (knee + SKIRT_REACH * (ankle - knee) for knee, ankle in zip(knees, ankles, strict=True))
    return body.hull([*hips, *knees, left + outward, right - outward], SKIRT_RADIUS)


def _kept(body: Body, *parts: str) -> np.ndarray:
    """Boolean [H, W]: the union of body parts that stay."""
    kept_HW = np.zeros(body.labels_HW.shape, bool)
    for part in parts:
        kept_HW |= _PARTS[part](body)
    return kept_HW


def _hands(body: Body) -> np.ndarray:
    """Each hand on its own arm's label: near crossed wrists lies the other forearm, which a sleeve may cover."""
    left_HW, right_HW = (
        body.label(f"{side}_arm") & body.beyond(side, "elbow", "wrist", HAND_START, HAND_RADIUS) for side in SIDES
    )
    return left_HW | right_HW


def _shoes(body: Body) -> np.ndarray:
    beyond = [body.beyond(side, "knee", "ankle", SHOE_START, SHOE_RADIUS) for side in SIDES]
    return body.label("person") & (beyond[0] | beyond[1])


def _top(body: Body) -> np.ndarray:
    """The top that stays when the bottom changes, without the seam between the two, which would trace the bottom."""
    return body.label("up") & ~body.grown(body.label("down"), GARMENT_MARGIN)


_PARTS: dict[str, Callable[[Body], np.ndarray]] = {
    "hair": lambda body: body.label("hair"),
    "face": lambda body: body.label("face"),
    "arms": lambda body: body.label("left_arm", "right_arm"),
    "hands": _hands,
    "shoes": _shoes,
    "top": _top,
}


def _middle(points: list[np.ndarray]) -> np.ndarray:
    return (points[0] + points[1]) / 2


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.hypot(*(a - b)))


def _disc(radius_px: float) -> np.ndarray:
    size = 2 * max(1, round(radius_px)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
