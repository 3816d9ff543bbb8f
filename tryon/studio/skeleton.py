"""Where the joints of a posed body are: proportions and pose → points in body units."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import skia

from tryon.studio.curves import Limb, Points
from tryon.studio.specs import STANDARD_BODY, ArmPose, Body, Pose

SHOULDER_Y = 0.3  # torso coordinate of the shoulder joint, below the neck base
HIP_JOINT = 0.51  # hip joint's distance from the middle as a share of the half hip width
SHOULDER_EASE = 0.3  # share of a sleeve's ease that is left on top of the shoulder
NECK_LENGTH = 0.25  # neck base to chin
HEAD_CENTRE = NECK_LENGTH + 0.5

FLAT_POSE = Pose(ArmPose("hang", 30.0, 0.0), ArmPose("hang", 30.0, 0.0), left_leg_deg=4.0, right_leg_deg=4.0)
"""How a garment lies in its shop photo."""


@dataclass(frozen=True)
class Skeleton:
    """A posed body. Arms and legs are indexed by side: +1 is the image's right (the person's own left)."""

    body: Body
    pose: Pose
    hips: np.ndarray  # middle of the hip line
    arms: dict[int, np.ndarray]  # shoulder, elbow, wrist [3, 2]
    legs: dict[int, np.ndarray]  # hip, knee, ankle [3, 2]

    def torso(self, points: Points) -> np.ndarray:
        """Torso coordinates (origin at the neck base, y down) → body units, [N, 2].

        The lean acts fully down to the waist and fades out to the hip line, below which the pelvis is upright.
        """
        points_N2 = np.asarray(points, dtype=np.float64)
        height = points_N2[:, 1] / self.body.torso
        angle = math.radians(self.pose.lean_deg) * np.clip((1.0 - height) / 0.35, 0.0, 1.0)
        x, y = points_N2[:, 0], points_N2[:, 1] - self.body.torso
        turned_N2 = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=1)
        placed_N2: np.ndarray = turned_N2 + self.hips
        return placed_N2

    def at(self, x: float, y: float) -> np.ndarray:
        """One point of `torso`."""
        place: np.ndarray = self.torso([(x, y)])[0]
        return place

    def cloth_matrix(self) -> skia.Matrix:
        """The affine map from the standard body's torso coordinates to this body: the frame of all textures."""
        across = (self.body.shoulder + self.body.chest) / (STANDARD_BODY.shoulder + STANDARD_BODY.chest)
        down = self.body.torso / STANDARD_BODY.torso
        neck = self.at(0.0, 0.0)
        angle = math.radians(self.pose.lean_deg)
        cos, sin = math.cos(angle), math.sin(angle)
        return skia.Matrix.MakeAll(
            cos * across, -sin * down, float(neck[0]), sin * across, cos * down, float(neck[1]), 0, 0, 1
        )

    def arm(self, side: int, *, ease: float = 0.0, flare: float = 0.0) -> Limb:
        """The arm, or a sleeve around it that is `ease` wider (and `flare` more at the wrist)."""
        upper, whole, r = self.body.upper_arm, self._arm_length(side), self.body.arm
        upper = float(np.hypot(*(self.arms[side][1] - self.arms[side][0])))
        knots = [
            (0.0, r + ease * SHOULDER_EASE),  # cloth lies on the shoulder and hangs away from the arm below
            (upper * 0.45, r * 0.93 + ease),
            (upper, r * 0.74 + ease + flare * 0.5),
            (upper + (whole - upper) * 0.3, r * 0.76 + ease + flare * 0.6),
            (whole, r * 0.47 + ease * 0.8 + flare),
        ]
        return Limb(self.arms[side], knots)

    def _arm_length(self, side: int) -> float:
        bones = np.diff(self.arms[side], axis=0)
        return float(np.hypot(bones[:, 0], bones[:, 1]).sum())

    def leg(self, side: int, *, ease: float = 0.0, flare: float = 0.0) -> Limb:
        """The leg, or a trouser leg around it."""
        thigh, shin, r = self.body.thigh_length, self.body.shin_length, self.body.thigh
        knots = [
            (0.0, r + ease * 0.3),
            (thigh * 0.5, r * 0.86 + ease * 0.7),
            (thigh, r * 0.56 + ease),
            (thigh + shin * 0.3, r * 0.58 + ease + flare * 0.3),
            (thigh + shin, r * 0.31 + ease + flare),
        ]
        return Limb(self.legs[side], knots)

    @property
    def head_centre(self) -> np.ndarray:
        """Middle of the head; the head turns about the neck base with lean and tilt."""
        angle = math.radians(self.pose.lean_deg * 0.6 + self.pose.head_deg)
        return self.at(0.0, 0.0) + HEAD_CENTRE * np.array([math.sin(angle), -math.cos(angle)])

    @property
    def head_matrix(self) -> skia.Matrix:
        """Head coordinates (origin in the middle of the head) → body units."""
        centre = self.head_centre
        matrix = skia.Matrix.Translate(float(centre[0]), float(centre[1]))
        return matrix.preRotate(self.pose.lean_deg * 0.6 + self.pose.head_deg)


def pose_body(body: Body, pose: Pose) -> Skeleton:
    """Place the joints of a body; the middle of the hip line is the origin."""
    hips = np.zeros(2)
    bare = Skeleton(body, pose, hips, {}, {})
    arms = {side: _arm(bare, side, pose.left_arm if side > 0 else pose.right_arm) for side in (1, -1)}
    legs = {1: _leg(body, 1, pose.left_leg_deg, pose.left_knee_deg)}
    legs[-1] = _leg(body, -1, pose.right_leg_deg, pose.right_knee_deg)
    return Skeleton(body, pose, hips, arms, legs)


def _outward(side: int, degrees: float) -> np.ndarray:
    """Unit vector at an angle outward from straight down."""
    return np.array([side * math.sin(math.radians(degrees)), math.cos(math.radians(degrees))])


def _leg(body: Body, side: int, degrees: float, knee_deg: float) -> np.ndarray:
    hip = np.array([side * body.hip * HIP_JOINT, 0.02])
    knee = hip + body.thigh_length * _outward(side, degrees)
    return np.stack([hip, knee, knee + body.shin_length * _outward(side, degrees - knee_deg)])


def _arm(bare: Skeleton, side: int, arm: ArmPose) -> np.ndarray:
    body = bare.body
    shoulder = bare.at(side * body.shoulder, SHOULDER_Y)
    if arm.kind in ("hang", "raise"):
        lean = bare.pose.lean_deg * side
        elbow = shoulder + body.upper_arm * _outward(side, arm.first - lean)
        return np.stack([shoulder, elbow, elbow + body.forearm * _outward(side, arm.first + arm.second - lean)])
    wrist = bare.at(side * arm.first * body.waist, arm.second * body.torso)
    return np.stack([shoulder, _elbow(shoulder, wrist, body, side), wrist])


def _elbow(shoulder: np.ndarray, wrist: np.ndarray, body: Body, side: int) -> np.ndarray:
    """The elbow between a shoulder and a wrist, on the outer side; an arm seen from the front looks shorter."""
    reach = wrist - shoulder
    distance = float(np.hypot(*reach))
    upper, fore = 0.94 * body.upper_arm, 0.92 * body.forearm
    if distance > 0.98 * (upper + fore):
        stretch = distance / (0.98 * (upper + fore))
        upper, fore = upper * stretch, fore * stretch
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    height = math.sqrt(max(upper**2 - along**2, 0.0))
    direction = reach / distance
    normal = np.array([-direction[1], direction[0]])
    if normal[0] * side < 0:
        normal = -normal
    elbow: np.ndarray = shoulder + direction * along + height * normal
    return elbow
