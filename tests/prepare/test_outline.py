"""Joints from the corners of a flat garment: hem and cuff lengths do not move hips and elbows."""

from __future__ import annotations

import numpy as np
import pytest

from tryon.prepare import outline
from tryon.prepare.outline import INDEX, joints_of_outline

Place = tuple[float, float]


def corners(**places: Place) -> np.ndarray:
    points_K3 = np.zeros((17, 3))
    for name, place in places.items():
        points_K3[INDEX[name]] = (*place, 1.0)
    return points_K3


def top(hem_y: float, cuff: Place | None, **more: Place) -> np.ndarray:
    cuffs = {} if cuff is None else {"left_elbow": (200 + cuff[0], cuff[1]), "right_elbow": (100 - cuff[0], cuff[1])}
    hem = {"left_hip": (190.0, hem_y), "right_hip": (110.0, hem_y)}
    return corners(left_shoulder=(200, 50), right_shoulder=(100, 50), **hem, **cuffs, **more)


def shown(joints_K3: np.ndarray) -> set[str]:
    return {name for name, index in INDEX.items() if joints_K3[index, 2] > 0}


def test_a_longer_hem_leaves_the_hips_where_they_are() -> None:
    short, long = joints_of_outline(top(150, None), "up"), joints_of_outline(top(260, None), "up")
    np.testing.assert_allclose(short, long)
    assert short[INDEX["left_hip"]].tolist() == pytest.approx([150 + 24.75, 50 + 141, 1])
    assert short[INDEX["right_hip"]].tolist() == pytest.approx([150 - 24.75, 50 + 141, 1])


def test_a_short_sleeve_points_to_the_elbow_and_shows_no_wrist() -> None:
    joints_K3 = joints_of_outline(top(200, (30, 90)), "up")
    assert joints_K3[INDEX["left_elbow"], :2].tolist() == pytest.approx([200 + 0.9 * 60, 50 + 0.9 * 80])
    assert shown(joints_K3) == {
        f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "hip")
    }


def test_a_long_sleeve_has_wrists() -> None:
    assert {"left_wrist", "right_wrist"} <= shown(joints_of_outline(top(200, (60, 190)), "up"))


def test_a_dress_keeps_the_height_of_its_hips() -> None:
    joints_K3 = joints_of_outline(top(220, None), "dress")
    assert joints_K3[INDEX["left_hip"], 1] == pytest.approx(220)
    assert {"left_knee", "right_knee"} <= shown(joints_K3)


@pytest.mark.parametrize(("opening_y", "has_ankles"), [(180.0, False), (400.0, True)])
def test_trousers_have_ankles_and_shorts_do_not(opening_y: float, *, has_ankles: bool) -> None:
    marks = corners(left_hip=(185, 50), right_hip=(100, 50), left_ankle=(180, opening_y), right_ankle=(105, opening_y))
    joints_K3 = joints_of_outline(marks, "down")
    assert joints_K3[INDEX["left_hip"], 1] == pytest.approx(50 + outline.WAIST_RISE * 100)
    assert ("left_ankle" in shown(joints_K3)) == has_ankles


def test_without_hem_corners_only_the_shoulders_are_known() -> None:
    marks = corners(left_shoulder=(200, 50), right_shoulder=(100, 50), left_elbow=(240, 90))
    assert shown(joints_of_outline(marks, "up")) == {"left_shoulder", "right_shoulder"}
    assert shown(joints_of_outline(corners(left_hip=(1, 1)), "down")) == set()


def test_the_proportions_are_the_studios() -> None:
    from tryon.studio.skeleton import FLAT_POSE, pose_body
    from tryon.studio.specs import STANDARD_BODY

    body = pose_body(STANDARD_BODY, FLAT_POSE)
    shoulder, elbow, wrist = body.arms[1]
    hip, knee, ankle = body.legs[1]
    width = np.linalg.norm(shoulder - body.arms[-1][0])
    torso = np.linalg.norm((shoulder + body.arms[-1][0] - hip - body.legs[-1][0]) / 2)
    hips = np.linalg.norm(hip - body.legs[-1][0])
    lengths = [
        torso,
        hips,
        *(np.linalg.norm(b - a) for a, b in ((shoulder, elbow), (elbow, wrist), (hip, knee), (knee, ankle))),
    ]
    expected = [outline.TORSO, outline.HIPS, outline.UPPER_ARM, outline.FOREARM, outline.THIGH, outline.SHIN]
    assert np.array(lengths) / width == pytest.approx(expected, rel=0.01)
