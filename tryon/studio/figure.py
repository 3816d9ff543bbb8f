"""Bare bodies: legs with shoes, trunk, arms with hands."""

from __future__ import annotations

import math

import numpy as np
import skia

from tryon.ontology import LABEL_INDEX
from tryon.studio import folds, shapes
from tryon.studio.curves import Limb, blob, outline
from tryon.studio.easel import Easel, darker, lighter, linear, mix, rgba
from tryon.studio.folds import Drape
from tryon.studio.skeleton import Skeleton
from tryon.studio.specs import Person

PERSON = LABEL_INDEX["person"]
ARM_LABEL = {1: LABEL_INDEX["left_arm"], -1: LABEL_INDEX["right_arm"]}


def blush(skin: str) -> str:
    """A warmer skin colour for cheeks, knuckles and shaded flesh."""
    return mix(skin, "#b2442c", 0.32)


def draw_legs(easel: Easel, skeleton: Skeleton, person: Person, drape: Drape) -> None:
    """Bare legs."""
    skin = person.body.skin
    for side in (-1, 1):
        limb = skeleton.leg(side)
        path = limb.tube(0.0, limb.length)
        easel.fill(path, skin, PERSON)
        with easel.inside(path):
            folds.shade_limb(easel, limb, Drape(drape.seed, drape.light, 0.75), 0.0, limb.length)
            knee = limb.joints_N2[1]
            mark = np.array([knee + (-0.1, 0.06), knee + (0.0, 0.12), knee + (0.1, 0.05)])
            easel.stroke(outline(mark, closed=False), darker(blush(skin), 0.2), 0.02, alpha=0.35, soft=0.012)


def draw_shoes(easel: Easel, skeleton: Skeleton, person: Person) -> None:
    """Shoes seen from the front, turned a little outward."""
    for side in (-1, 1):
        ankle = skeleton.legs[side][2]
        matrix = skia.Matrix.Translate(float(ankle[0]), float(ankle[1]))
        matrix.preScale(float(side), 1.0)
        with easel.moved(matrix):
            _shoe(easel, person)


def _shoe(easel: Easel, person: Person) -> None:
    """One shoe; the origin is the ankle joint, +x the outer side of the foot."""
    colour = person.shoes
    high = -0.28 if person.shoe_kind == "boot" else -0.03
    upper = outline(
        [(-0.13, high), (-0.14, 0.1), (-0.13, 0.24), (-0.12, 0.33)],
        [(-0.12, 0.33), (0.1, 0.37), (0.29, 0.34)],
        [(0.29, 0.34), (0.28, 0.22), (0.2, 0.1), (0.14, high)],
    )
    easel.fill(upper, colour, PERSON)
    with easel.inside(upper):
        easel.fill(
            upper, linear((-0.15, 0), (0.28, 0), [rgba("#000000", 0.22), rgba("#ffffff", 0.10), rgba("#000000", 0.18)])
        )
        if person.shoe_kind == "sneaker":
            for y in (0.09, 0.145, 0.2):
                lace = outline([(-0.05, y), (0.05, y + 0.02), (0.13, y - 0.005)], closed=False)
                easel.stroke(lace, lighter(colour, 0.75), 0.022, alpha=0.9)
    sole = outline(
        [(-0.14, 0.3), (-0.13, 0.37)],
        [(-0.13, 0.37), (0.1, 0.41), (0.31, 0.38)],
        [(0.31, 0.38), (0.3, 0.31)],
        [(0.3, 0.31), (0.1, 0.35), (-0.14, 0.3)],
    )
    easel.fill(sole, "#f1ede6" if person.shoe_kind == "sneaker" else darker(colour, 0.6), PERSON)


def draw_trunk(easel: Easel, skeleton: Skeleton, person: Person, drape: Drape) -> None:
    """Neck, shoulders, bare chest and hips."""
    skin = person.body.skin
    path = shapes.torso_skin(skeleton)
    easel.fill(path, skin, PERSON)
    with easel.inside(path):
        folds.shade_torso(easel, skeleton, Drape(drape.seed, drape.light, 0.6), 2.4)
        for side in (1, -1):
            bone = skeleton.torso([(side * 0.1, 0.1), (side * 0.3, 0.06), (side * 0.52, 0.09)])
            easel.stroke(outline(bone, closed=False), darker(blush(skin), 0.25), 0.025, alpha=0.4, soft=0.015)
        shade = skeleton.torso([(-0.3, -0.5), (0.3, -0.5), (0.25, -0.12), (0.0, -0.02), (-0.25, -0.12)])
        easel.fill(blob(shade), darker(blush(skin), 0.35), alpha=0.42, soft=0.05)  # the head's shadow on the neck


def arm_shadow(easel: Easel, skeleton: Skeleton, side: int, drape: Drape) -> None:
    """The shadow that a bare arm throws on whatever lies behind it: the same for every garment."""
    limb = skeleton.arm(side, ease=0.04)
    path = limb.tube(0.05, limb.length)
    path.offset(-drape.light * 0.05, 0.06)
    easel.fill(path, folds.SHADE, alpha=0.30, soft=0.06)


def draw_arm(easel: Easel, skeleton: Skeleton, side: int, person: Person, drape: Drape) -> None:
    """A bare arm with its hand."""
    skin = person.body.skin
    limb = skeleton.arm(side)
    path = limb.tube(0.0, limb.length)
    label = ARM_LABEL[side]
    _hand(easel, skeleton, limb, side, skin, label)
    easel.fill(path, skin, label)
    with easel.inside(path):
        folds.shade_limb(easel, limb, Drape(drape.seed, drape.light, 0.75), 0.0, limb.length)
    elbow = float(np.hypot(*(limb.joints_N2[1] - limb.joints_N2[0])))
    for sign in (1, -1):
        places = [
            limb.point(float(d), sign * limb.radius(float(d))) for d in np.linspace(elbow * 0.35, elbow * 0.95, 6)
        ]
        easel.stroke(outline(np.array(places), closed=False), darker(blush(skin), 0.35), 0.012, alpha=0.35)
        places = [limb.point(float(d), sign * limb.radius(float(d))) for d in np.linspace(elbow * 1.1, limb.length, 6)]
        easel.stroke(outline(np.array(places), closed=False), darker(blush(skin), 0.35), 0.012, alpha=0.35)


def hand_direction(skeleton: Skeleton, side: int) -> float:
    """Angle in degrees by which a hand that points down is turned (clockwise on the picture)."""
    bone = skeleton.arms[side][2] - skeleton.arms[side][1]
    angle = math.degrees(math.atan2(-bone[0], bone[1]))
    arm = skeleton.pose.left_arm if side > 0 else skeleton.pose.right_arm
    if arm.kind == "hip":
        return side * 38.0  # the palm rests on the hip
    return angle


def _hand(easel: Easel, skeleton: Skeleton, limb: Limb, side: int, skin: str, label: int) -> None:
    wrist = limb.joints_N2[-1]
    matrix = skia.Matrix.Translate(float(wrist[0]), float(wrist[1]))
    matrix.preRotate(hand_direction(skeleton, side))
    size = limb.radius(limb.length) / 0.085
    matrix.preScale(side * size, size)
    with easel.moved(matrix):
        palm = blob(
            [
                (-0.08, -0.07),
                (-0.095, 0.08),
                (-0.115, 0.2),
                (-0.1, 0.33),
                (-0.055, 0.43),
                (0.0, 0.455),
                (0.055, 0.41),
                (0.085, 0.3),
                (0.09, 0.16),
                (0.08, 0.0),
                (0.07, -0.07),
            ]
        )
        thumb = blob([(-0.06, 0.02), (-0.13, 0.1), (-0.165, 0.2), (-0.15, 0.275), (-0.115, 0.27), (-0.085, 0.18)])
        easel.fill(palm, skin, label)
        edge = darker(blush(skin), 0.3)
        easel.stroke(palm, edge, 0.012, alpha=0.35)
        for x in (-0.045, 0.0, 0.042):
            easel.stroke(outline([(x, 0.24), (x * 0.95, 0.32), (x * 0.8, 0.41)], closed=False), edge, 0.012, alpha=0.5)
        easel.fill(thumb, skin, label)
        easel.stroke(thumb, edge, 0.01, alpha=0.4)
