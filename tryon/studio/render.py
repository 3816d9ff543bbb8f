"""Scenes and garments to pictures, label maps and keypoints: pure functions of their specs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from tryon.ontology import KEYPOINT_NAMES, LABEL_INDEX
from tryon.studio import backdrop, figure, hair, head, shapes
from tryon.studio.dressing import Tailor
from tryon.studio.easel import Easel
from tryon.studio.folds import Drape
from tryon.studio.skeleton import FLAT_POSE, HEAD_CENTRE, Skeleton, pose_body
from tryon.studio.specs import STANDARD_BODY, Garment, Person, Scene

UNIT = 0.121  # a body unit as a share of the picture's height at zoom 1
HEADROOM = 0.068  # space above the head as a share of the picture's height


@dataclass(frozen=True)
class Rendered:
    """A picture with its truth.

    Attributes:
        image_HWC: uint8 RGB.
        labels_HW: uint8, visible label per pixel, indices into `ontology.LABELS`; exclusive by construction.
        keypoints_K3: float32 (x, y, visible) in pixels with integer pixel centres; (0, 0, 0) = not in the picture.
    """

    image_HWC: np.ndarray
    labels_HW: np.ndarray
    keypoints_K3: np.ndarray

    def mask_HW(self, label: str) -> np.ndarray:
        """Visible pixels of a label, uint8 {0, 1}; "person" means the whole visible person."""
        visible_HW = self.labels_HW > 0 if label == "person" else self.labels_HW == LABEL_INDEX[label]
        return visible_HW.astype(np.uint8)


def render_person(scene: Scene, size_hw: tuple[int, int]) -> Rendered:
    """Photograph a person.

    Args:
        scene: who, how, where and in what.
        size_hw: height and width in pixels.
    """
    easel = Easel(size_hw)
    skeleton = pose_body(scene.person.body, scene.pose)
    drape = Drape(scene.folds, scene.light)
    view, resolution = _view(scene, skeleton, size_hw)
    backdrop.draw_backdrop(easel, scene.backdrop, scene.light)
    with easel.moved(view):
        _draw_figure(easel, scene, skeleton, drape, resolution)
    labels_HW = easel.labels_HW()
    keypoints_K3 = _on_picture(_person_keypoints(scene, skeleton), view, size_hw)
    _hide_covered_ears(keypoints_K3, labels_HW)
    return Rendered(easel.image_HWC(), labels_HW, keypoints_K3)


def render_garment(garment: Garment, size_hw: tuple[int, int]) -> Rendered:
    """Photograph a garment flat on a light ground, as a shop shows it."""
    easel = Easel(size_hw)
    skeleton = pose_body(STANDARD_BODY, FLAT_POSE)
    view, resolution = _table_view(garment, skeleton, size_hw)
    backdrop.draw_table(easel, garment)
    drape = Drape(garment.wrinkle, -1.0, strength=0.5, is_worn=False)
    tailor = Tailor(easel, garment, skeleton, drape, resolution)
    with easel.moved(view):
        for path in _silhouette(garment, skeleton):
            path.offset(0.03, 0.07)
            easel.fill(path, "#2a2430", alpha=0.28, soft=0.06)
        if garment.category == "down":
            tailor.bottoms()
        else:
            tailor.inside_back()
            tailor.body()
            for side in (-1, 1):
                tailor.sleeve(side)
            tailor.collar()
    keypoints_K3 = _on_picture(garment_keypoints(garment, skeleton), view, size_hw)
    return Rendered(easel.image_HWC(), easel.labels_HW(), keypoints_K3)


def _view(scene: Scene, skeleton: Skeleton, size_hw: tuple[int, int]) -> tuple[skia.Matrix, float]:
    """Body units → pixels: the head stays below the upper edge; a larger zoom cuts the legs off."""
    height, width = size_hw
    unit = UNIT * scene.zoom * height
    top = -(scene.person.body.torso + HEAD_CENTRE + 0.5) - 0.1
    matrix = skia.Matrix.Translate(width / 2 + scene.centre * unit, HEADROOM * height - top * unit)
    return matrix.preScale(unit, unit), unit


def _table_view(garment: Garment, skeleton: Skeleton, size_hw: tuple[int, int]) -> tuple[skia.Matrix, float]:
    """Body units → pixels so that the garment fills most of the picture, whatever its kind."""
    height, width = size_hw
    boxes = [path.getBounds() for path in _silhouette(garment, skeleton)]
    left, right = min(box.left() for box in boxes), max(box.right() for box in boxes)
    top, bottom = min(box.top() for box in boxes), max(box.bottom() for box in boxes)
    unit = min(width * 0.88 / (right - left), height * 0.88 / (bottom - top)) * garment.scale
    matrix = skia.Matrix.Translate(width / 2, height / 2)
    matrix.preRotate(garment.turn_deg)
    matrix.preScale(unit, unit)
    return matrix.preTranslate(-(left + right) / 2, -(top + bottom) / 2), unit


def _silhouette(garment: Garment, skeleton: Skeleton) -> list[skia.Path]:
    """The parts of a garment as plain paths, for its shadow and its bounds."""
    if garment.category == "down":
        paths = [shapes.bottom_shape(garment, skeleton).path]
        if garment.kind != "skirt":
            for side in (-1, 1):
                limb = skeleton.leg(side, ease=garment.ease, flare=garment.flare)
                paths.append(limb.tube(0.0, shapes.leg_end(garment, skeleton, side), bulge=0.025))
        return paths
    paths = [shapes.top_shape(garment, skeleton).path]
    if garment.sleeve > 0:
        for side in (-1, 1):
            limb = skeleton.arm(side, ease=garment.sleeve_ease)
            paths.append(limb.tube(0.0, shapes.sleeve_end(garment, skeleton, side), bulge=0.02))
    return paths


def _draw_figure(easel: Easel, scene: Scene, skeleton: Skeleton, drape: Drape, resolution: float) -> None:
    person = scene.person
    tailors = [Tailor(easel, garment, skeleton, drape, resolution) for garment in scene.garments]
    if scene.backdrop.kind in ("wall", "room", "arch"):
        for side in (-1, 1):
            ankle = skeleton.legs[side][2]
            backdrop.draw_floor_shadow(easel, float(ankle[0]) + side * 0.08, float(ankle[1]) + 0.38, 0.42, 0.35)
    hair.draw_back(easel, skeleton, person)
    figure.draw_legs(easel, skeleton, person, drape)
    figure.draw_shoes(easel, skeleton, person)
    figure.draw_trunk(easel, skeleton, person, drape)
    for tailor in sorted(tailors, key=lambda t: _layer(t.garment, scene.tucked)):
        if tailor.garment.category == "down":
            tailor.bottoms()
        else:
            tailor.body(tucked=scene.tucked and tailor.garment.category == "up")
    for side in _arm_order(scene):
        with easel.inside(_body_area(skeleton, scene)):
            figure.arm_shadow(easel, skeleton, side, drape)
        figure.draw_arm(easel, skeleton, side, person, drape)
        for tailor in tailors:
            tailor.sleeve(side)
    for tailor in tailors:
        tailor.collar()
    head.draw_head(easel, skeleton, person, scene.light)
    hair.draw_top(easel, skeleton, person)
    hair.draw_strands(easel, skeleton, person)


def _layer(garment: Garment, tucked: bool) -> int:
    """Drawing order of trunk garments: a tucked top goes under the trousers."""
    return (0 if tucked else 2) if garment.category != "down" else 1


def _arm_order(scene: Scene) -> tuple[int, int]:
    """The arm that lies across the body comes last."""
    return (1, -1) if scene.pose.right_arm.kind == "across" else (-1, 1)


def _body_area(skeleton: Skeleton, scene: Scene) -> skia.Path:
    """Trunk and thighs: where an arm's shadow may fall, whatever is worn there."""
    path = shapes.torso_skin(skeleton)
    for side in (-1, 1):
        path.addPath(skeleton.leg(side).tube(0.0, skeleton.body.thigh_length))
    return path


def _person_keypoints(scene: Scene, skeleton: Skeleton) -> dict[str, tuple[float, float]]:
    points: dict[str, tuple[float, float]] = {}
    names = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    for name, place in zip(names, head.keypoints(scene.person, scene.pose.turn), strict=True):
        mapped = skeleton.head_matrix.mapXY(*place)
        points[name] = (mapped.x(), mapped.y())
    for side, word in ((1, "left"), (-1, "right")):
        for joint, place in zip(("shoulder", "elbow", "wrist"), skeleton.arms[side], strict=True):
            points[f"{word}_{joint}"] = (float(place[0]), float(place[1]))
        for joint, place in zip(("hip", "knee", "ankle"), skeleton.legs[side], strict=True):
            points[f"{word}_{joint}"] = (float(place[0]), float(place[1]))
    return points


def garment_keypoints(garment: Garment, skeleton: Skeleton) -> dict[str, tuple[float, float]]:
    """Where the wearer's joints would be in a garment that lies flat (body units).

    A joint means the same in a shop photo and on a person, so one map by keypoints carries a hem above or below
    the hips, or a cuff above the elbow, to the right place. Joints that the garment does not reach towards are
    absent: no elbows without sleeves, no wrists for short ones, no ankles for shorts.
    """
    points: dict[str, tuple[float, float]] = {}
    for side, word in ((1, "left"), (-1, "right")):
        shoulder, elbow, wrist = map(_pair, skeleton.arms[side])
        hip, knee, ankle = map(_pair, skeleton.legs[side])
        points[f"{word}_hip"] = hip
        if garment.category == "down":
            points[f"{word}_knee"] = knee
            if garment.kind == "skirt" or shapes.leg_end(garment, skeleton, side) > skeleton.body.thigh_length:
                points[f"{word}_ankle"] = ankle
            continue
        points[f"{word}_shoulder"] = shoulder
        if garment.sleeve > 0:
            points[f"{word}_elbow"] = elbow
            if shapes.sleeve_end(garment, skeleton, side) > skeleton.body.upper_arm:
                points[f"{word}_wrist"] = wrist
        if garment.category == "dress":
            points[f"{word}_knee"] = knee
    return points


def _pair(point: np.ndarray) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _on_picture(points: dict[str, tuple[float, float]], view: skia.Matrix, size_hw: tuple[int, int]) -> np.ndarray:
    """Body units → pixels; what lies outside the picture is not visible."""
    height, width = size_hw
    keypoints_K3 = np.zeros((len(KEYPOINT_NAMES), 3), np.float32)
    for index, name in enumerate(KEYPOINT_NAMES):
        if name not in points:
            continue
        mapped = view.mapXY(*points[name])
        x, y = mapped.x() - 0.5, mapped.y() - 0.5  # skia counts from pixel corners, annotations from pixel centres
        if 0 <= x <= width - 1 and 0 <= y <= height - 1:
            keypoints_K3[index] = (x, y, 1.0)
    return keypoints_K3


def _hide_covered_ears(keypoints_K3: np.ndarray, labels_HW: np.ndarray) -> None:
    """An ear under hair cannot be seen, and nobody would place it."""
    for name in ("left_ear", "right_ear"):
        index = KEYPOINT_NAMES.index(name)
        x, y, visible = keypoints_K3[index]
        if visible and labels_HW[round(float(y)), round(float(x))] == LABEL_INDEX["hair"]:
            keypoints_K3[index] = 0.0


__all__ = ["Person", "Rendered", "garment_keypoints", "render_garment", "render_person"]
