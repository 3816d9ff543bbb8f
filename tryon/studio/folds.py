"""Folds and shading of worn cloth. They belong to the photograph (body, pose, light), never to the garment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from tryon.studio.curves import Limb, lens
from tryon.studio.easel import Easel, linear, rgba
from tryon.studio.randomness import Dice
from tryon.studio.shapes import ARMPIT_Y, WAIST_SHARE, half_width
from tryon.studio.skeleton import Skeleton

SHADE, SHINE = "#1a1024", "#ffffff"


@dataclass(frozen=True)
class Drape:
    """How cloth is lit and creased in one photograph."""

    seed: int
    light: float  # -1 from the image's left, 1 from the right
    strength: float = 1.0  # 1 worn, less in a shop photo
    is_worn: bool = True


def crease(
    easel: Easel, start: np.ndarray, end: np.ndarray, bend: float, width: float, depth: float, light: float
) -> None:
    """One fold: a dark sickle and beside it a bright one on the side of the light."""
    shift = np.array([light * width * 1.3, -width * 0.4])
    easel.fill(lens(start + shift, end + shift, bend, width), SHINE, alpha=0.5 * depth, soft=width * 0.8)
    easel.fill(lens(start, end, bend, width * 1.2), SHADE, alpha=depth, soft=width * 0.8)


def shade_torso(easel: Easel, skeleton: Skeleton, drape: Drape, bottom: float) -> None:
    """Roundness of the trunk: darker flanks, a little light on the side where the light comes from."""
    wide = half_width(skeleton.body, ARMPIT_Y) + 0.2
    left, right = skeleton.at(-wide, 1.0), skeleton.at(wide, 1.0)
    k = drape.strength
    near, far = (0.10 * k, 0.34 * k) if drape.light < 0 else (0.34 * k, 0.10 * k)
    shine = 0.22 if drape.light < 0 else 0.78
    colours = [rgba(SHADE, near), rgba(SHADE, near * 0.2), rgba(SHADE, 0.0), rgba(SHADE, far * 0.35), rgba(SHADE, far)]
    if drape.light > 0:
        colours = [
            rgba(SHADE, near),
            rgba(SHADE, near * 0.35),
            rgba(SHADE, 0.0),
            rgba(SHADE, far * 0.2),
            rgba(SHADE, far),
        ]
    area = skia.Path()
    area.addRect(skia.Rect.MakeLTRB(-4, -4, 4, float(skeleton.at(0, bottom)[1]) + 1))
    easel.fill(area, linear(left, right, colours, [0.0, 0.2, 0.45, 0.75, 1.0]))
    glow = linear(
        left, right, [rgba(SHINE, 0.0), rgba(SHINE, 0.13 * k), rgba(SHINE, 0.0)], [shine - 0.2, shine, shine + 0.2]
    )
    easel.fill(area, glow)


def torso_folds(easel: Easel, skeleton: Skeleton, drape: Drape, bottom: float) -> None:
    """Creases from the armpits, at the waist, and hanging towards the hem; bent sides crease more."""
    body, dice, k = skeleton.body, Dice(drape.seed, "torso folds"), drape.strength
    for side in (1, -1):
        for _ in range(dice.integer(2, 4)):
            start = skeleton.at(side * body.chest * dice.between(0.85, 1.0), ARMPIT_Y + dice.between(-0.12, 0.12))
            end = skeleton.at(side * body.chest * dice.between(0.35, 0.7), ARMPIT_Y + dice.between(0.2, 0.75))
            crease(
                easel, start, end, side * dice.between(-0.1, -0.02), dice.between(0.022, 0.05), 0.26 * k, drape.light
            )
        squeeze = skeleton.pose.lean_deg * side
        for _ in range(dice.integer(2, 4) + (2 if squeeze > 1.5 else 0)):
            y = body.torso * WAIST_SHARE + dice.between(-0.35, 0.4)
            start = skeleton.at(side * half_width(body, y, 0.1), y)
            end = skeleton.at(side * body.waist * dice.between(0.2, 0.65), y + dice.between(0.1, 0.3))
            crease(easel, start, end, side * dice.between(0.03, 0.1), dice.between(0.02, 0.04), 0.24 * k, drape.light)
    for _ in range(dice.integer(2, 5)):
        x = dice.between(-0.85, 0.85) * body.waist
        y = dice.between(0.9, 1.5)
        start, end = skeleton.at(x, y), skeleton.at(x * 1.2, y + dice.between(0.5, 1.0))
        crease(easel, start, end, dice.between(-0.06, 0.06), dice.between(0.03, 0.07), 0.17 * k, drape.light)
    if bottom > body.torso + 0.4:
        skirt_folds(easel, skeleton, drape, body.torso * 0.8, bottom)


def skirt_folds(easel: Easel, skeleton: Skeleton, drape: Drape, top: float, bottom: float) -> None:
    """Long folds that fan out from the hips to the hem."""
    body, dice = skeleton.body, Dice(drape.seed, "skirt folds")
    for k in range(7):
        x = (k - 3 + dice.between(-0.35, 0.35)) / 3.2
        start = skeleton.at(x * body.hip * 0.75, top + dice.between(0.1, 0.5))
        end = skeleton.at(x * body.hip * 1.35, bottom + 0.1)
        crease(
            easel, start, end, dice.between(-0.05, 0.05), dice.between(0.03, 0.06), 0.24 * drape.strength, drape.light
        )


def shade_limb(easel: Easel, limb: Limb, drape: Drape, start: float, end: float) -> None:
    """Roundness of a sleeve or trouser leg, bone by bone."""
    for bone in range(len(limb.joints_N2) - 1):
        low, high = limb.joints_N2[bone], limb.joints_N2[bone + 1]
        direction = (high - low) / max(float(np.hypot(*(high - low))), 1e-9)
        normal = np.array([-direction[1], direction[0]])
        if normal[0] * drape.light < 0:
            normal = -normal  # points to the light
        radius = limb.radius(float(np.hypot(*(high - low))) * (0.5 + bone)) * 1.1
        middle = (low + high) / 2
        k = drape.strength
        shader = linear(
            middle + normal * radius,
            middle - normal * radius,
            [rgba(SHINE, 0.10 * k), rgba(SHADE, 0.0), rgba(SHADE, 0.08 * k), rgba(SHADE, 0.36 * k)],
            [0.0, 0.4, 0.65, 1.0],
        )
        part = _bone_part(limb, bone)
        easel.fill(part, shader)


def _bone_part(limb: Limb, bone: int) -> skia.Path:
    """A wide quadrilateral around one bone, cut along the bisectors at the joints, so that shading never doubles."""
    joints = limb.joints_N2
    corners = []
    for index, end in ((bone, False), (bone + 1, True)):
        directions = [joints[i + 1] - joints[i] for i in (index - 1, index) if 0 <= i < len(joints) - 1]
        units = [d / max(float(np.hypot(*d)), 1e-9) for d in directions]
        both = np.sum(units, axis=0)
        own = joints[bone + 1] - joints[bone]
        own = own / max(float(np.hypot(*own)), 1e-9)
        both = both / np.hypot(*both) if np.hypot(*both) > 0.2 else own
        normal = np.array([-both[1], both[0]])
        beyond = own * (0.5 if len(directions) == 1 else 0.0) * (1 if end else -1)
        pair = [joints[index] + beyond + normal * 0.9, joints[index] + beyond - normal * 0.9]
        corners.extend(pair if not end else pair[::-1])
    return skia.Path.Polygon([skia.Point(float(x), float(y)) for x, y in corners], True)


def limb_folds(easel: Easel, limb: Limb, drape: Drape, name: str, start: float, end: float) -> None:
    """Creases across a limb: around the bent joint, near both ends, and a few along it."""
    dice, k = Dice(drape.seed, "limb folds", name), drape.strength
    joint = float(np.hypot(*(limb.joints_N2[1] - limb.joints_N2[0])))
    one = limb.direction(joint * 0.5)
    two = limb.direction(joint + 0.1)
    turn = float(one[0] * two[1] - one[1] * two[0])
    spots = [(joint + dice.between(-0.14, 0.14), 0.28) for _ in range(2 + int(5 * abs(turn)))]
    spots += [(dice.between(0.1, 0.5), 0.2) for _ in range(2)]
    spots += [(limb.length * dice.between(0.8, 0.95), 0.24) for _ in range(2)]
    for place, depth in spots:
        inner = (1 if turn > 0 else -1) if abs(turn) > 0.1 else dice.pick((1, -1))
        slope, width = dice.between(-0.16, 0.16), dice.between(0.015, 0.03)
        reach = dice.between(0.2, 0.9)
        if not start <= place <= end:
            continue
        radius = limb.radius(place)
        begin, stop = (
            limb.point(place, inner * radius * 1.05),
            limb.point(place + slope, -inner * radius * (reach - 0.5)),
        )
        crease(easel, begin, stop, inner * 0.05, width, depth * k, drape.light)
    for _ in range(2):
        across, low = dice.between(-0.5, 0.5), dice.between(0.1, 0.6) * limb.length
        length, bend, width = dice.between(0.3, 0.7), dice.between(-0.04, 0.04), dice.between(0.02, 0.035)
        if low + length > end:
            continue
        begin, stop = (
            limb.point(low, across * limb.radius(low)),
            limb.point(low + length, across * limb.radius(low + length)),
        )
        crease(easel, begin, stop, bend, width, 0.16 * k, drape.light)
