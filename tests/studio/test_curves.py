"""Limbs and outlines: the geometry that garments and bodies share."""

from __future__ import annotations

import numpy as np
import pytest
import skia

from tryon.studio.curves import Limb, blob, outline
from tryon.studio.easel import Easel
from tryon.studio.randomness import Dice
from tryon.studio.skeleton import pose_body
from tryon.studio.specs import STANDARD_BODY, ArmPose, Pose


def filled(path: skia.Path) -> np.ndarray:
    easel = Easel((200, 200))
    with easel.moved(skia.Matrix.Scale(100, 100)):
        easel.fill(path, "#ffffff", 1)
    return easel.labels_HW()


@pytest.mark.parametrize("angle_deg", range(0, 360, 45))
def test_a_bent_limb_has_no_hole_at_its_joint(angle_deg: int) -> None:
    angle = np.radians(angle_deg)
    bend = np.array([np.cos(angle + 1.9), np.sin(angle + 1.9)])
    joints = np.array(
        [[1.0, 1.0] - 0.7 * np.array([np.cos(angle), np.sin(angle)]), [1.0, 1.0], [1.0, 1.0] + 0.6 * bend]
    )
    limb = Limb(joints, [(0.0, 0.15), (1.3, 0.1)])
    labels_HW = filled(limb.tube(0.0, limb.length))
    for distance in np.linspace(0.0, limb.length, 40):
        x, y = limb.point(float(distance)) * 100
        assert labels_HW[min(int(y), 199), min(int(x), 199)] == 1


def test_limb_points_lie_at_their_distance() -> None:
    limb = Limb(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), [(0.0, 0.2), (2.0, 0.1)])
    assert limb.length == pytest.approx(2.0)
    np.testing.assert_allclose(limb.point(0.5), [0.0, 0.5])
    np.testing.assert_allclose(limb.point(1.25), [0.25, 1.0])
    np.testing.assert_allclose(limb.point(0.5, across=0.1), [-0.1, 0.5])
    assert limb.radius(0.0) == pytest.approx(0.2)
    assert limb.radius(2.0) == pytest.approx(0.1)


def test_smooth_curves_pass_through_their_points() -> None:
    points = [(0.4, 0.4), (1.0, 0.3), (1.6, 0.9), (0.9, 1.5)]
    for path in (blob(points), outline(points)):
        ends = [path.getPoint(k) for k in range(path.countPoints())]
        for x, y in points:
            assert min(abs(p.x() - x) + abs(p.y() - y) for p in ends) < 1e-5


def test_bones_keep_their_length_where_the_arm_hangs_and_reach_their_goal_where_it_does_not() -> None:
    hanging = pose_body(STANDARD_BODY, Pose(ArmPose("hang", 10, 0), ArmPose("raise", 100, 30)))
    for side in (1, -1):
        bones = np.hypot(*np.diff(hanging.arms[side], axis=0).T)
        np.testing.assert_allclose(bones, [STANDARD_BODY.upper_arm, STANDARD_BODY.forearm])
    across = pose_body(STANDARD_BODY, Pose(ArmPose("across", -0.4, 0.6), ArmPose("hip", 1.1, 0.8)))
    np.testing.assert_allclose(across.arms[1][2], across.at(-0.4 * STANDARD_BODY.waist, 0.6 * STANDARD_BODY.torso))
    np.testing.assert_allclose(across.arms[-1][2], across.at(-1.1 * STANDARD_BODY.waist, 0.8 * STANDARD_BODY.torso))
    assert across.arms[1][1][0] > across.arms[1][0][0] - 0.2  # elbows stay outside
    assert across.arms[-1][1][0] < across.arms[-1][0][0]


def test_dice_of_one_key_agree_and_of_two_keys_do_not() -> None:
    assert [Dice(1, "a").between(0, 1) for _ in range(2)] == [Dice(1, "a").between(0, 1)] * 2
    assert Dice(1, "a").between(0, 1) != Dice(1, "b").between(0, 1)
    assert Dice(1, "a", 11).between(0, 1) != Dice(1, "a", 1, 1).between(0, 1)
    assert sorted(Dice(1, "s").shuffled(range(9))) == list(range(9))
    picks = [Dice(2, k).pick(("x", "y"), (0.0, 1.0)) for k in range(20)]
    assert set(picks) == {"y"}
