"""Conversions between keypoint sets: nothing moves, nothing is made up, and ways back lead back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tryon.keypoints import BODY_25, COCO_17, MIDDLES, OPENPOSE_18, convert, scaled

SETS = {"coco": COCO_17, "openpose": OPENPOSE_18, "body25": BODY_25}


@st.composite
def keypoints(draw: st.DrawFn, names: tuple[str, ...]) -> np.ndarray:
    """Points with scores; those that are not visible are (0, 0, 0), as every set writes them."""
    points_K3 = draw(
        arrays.arrays(np.float64, (len(names), 3), elements=st.floats(0.015625, 1000, width=32, allow_subnormal=False))
    )
    shown_K = draw(arrays.arrays(np.bool_, len(names)))
    points_K3[~shown_K] = 0.0
    return points_K3


def test_the_orders_are_openposes() -> None:
    assert [len(names) for names in SETS.values()] == [17, 18, 25]
    assert [OPENPOSE_18[index] for index in (0, 1, 2, 5, 8, 11, 14, 17)] == [
        "nose",
        "neck",
        "right_shoulder",
        "left_shoulder",
        "right_hip",
        "left_hip",
        "right_eye",
        "left_ear",
    ]
    assert [BODY_25[index] for index in (8, 9, 12, 15, 18, 19, 22, 24)] == [
        "mid_hip",
        "right_hip",
        "left_hip",
        "right_eye",
        "left_ear",
        "left_big_toe",
        "right_big_toe",
        "right_heel",
    ]


@settings(max_examples=60, deadline=None)
@given(points_K3=keypoints(COCO_17))
@pytest.mark.parametrize("other", [OPENPOSE_18, BODY_25], ids=["openpose", "body25"])
def test_coco_comes_back_as_it_was(points_K3: np.ndarray, other: tuple[str, ...]) -> None:
    np.testing.assert_array_equal(convert(convert(points_K3, COCO_17, other), other, COCO_17), points_K3)


@settings(max_examples=60, deadline=None)
@given(points_K3=keypoints(OPENPOSE_18))
def test_openpose_comes_back_from_body_25_as_it_was(points_K3: np.ndarray) -> None:
    there_K3 = convert(points_K3, OPENPOSE_18, BODY_25)
    np.testing.assert_array_equal(convert(there_K3, BODY_25, OPENPOSE_18), points_K3)


@settings(max_examples=60, deadline=None)
@given(points_K3=keypoints(OPENPOSE_18))
def test_only_the_neck_of_openpose_changes_on_the_way_through_coco(points_K3: np.ndarray) -> None:
    back_K3 = convert(convert(points_K3, OPENPOSE_18, COCO_17), COCO_17, OPENPOSE_18)
    kept = [index for index, name in enumerate(OPENPOSE_18) if name != "neck"]
    np.testing.assert_array_equal(back_K3[kept], points_K3[kept])


@settings(max_examples=60, deadline=None)
@given(points_K3=keypoints(COCO_17))
def test_middles_need_both_ends_and_feet_are_never_made_up(points_K3: np.ndarray) -> None:
    body_K3 = dict(zip(BODY_25, convert(points_K3, COCO_17, BODY_25), strict=True))
    own = dict(zip(COCO_17, points_K3, strict=True))
    for middle, (one, other) in MIDDLES.items():
        if own[one][2] > 0 and own[other][2] > 0:
            np.testing.assert_allclose(body_K3[middle][:2], (own[one][:2] + own[other][:2]) / 2)
            assert body_K3[middle][2] == min(own[one][2], own[other][2])
        else:
            assert not body_K3[middle].any()
    assert not any(body_K3[name].any() for name in BODY_25 if "toe" in name or "heel" in name)


def test_a_neck_that_was_not_found_is_not_made_up_from_the_shoulders() -> None:
    """OpenPose looked for it; only sets without a neck get one."""
    points_K3 = np.ones((18, 3))
    points_K3[OPENPOSE_18.index("neck")] = 0
    assert not convert(points_K3, OPENPOSE_18, BODY_25)[BODY_25.index("neck")].any()


def test_the_wrong_number_of_points_is_refused() -> None:
    with pytest.raises(ValueError, match="set of 25 points"):
        convert(np.zeros((18, 3)), BODY_25, COCO_17)


@settings(max_examples=30, deadline=None)
@given(points_K3=keypoints(COCO_17), height=st.integers(8, 2000), width=st.integers(8, 2000))
def test_scaling_and_scaling_back_changes_nothing(points_K3: np.ndarray, height: int, width: int) -> None:
    there_K3 = scaled(points_K3, (512, 384), (height, width))
    np.testing.assert_allclose(scaled(there_K3, (height, width), (512, 384)), points_K3, atol=1e-9)


def test_scaling_keeps_corners_on_corners() -> None:
    corners_K3 = np.array([[-0.5, -0.5, 1], [383.5, 511.5, 1], [0, 0, 0]])
    np.testing.assert_allclose(
        scaled(corners_K3, (512, 384), (1024, 768)), [[-0.5, -0.5, 1], [767.5, 1023.5, 1], [0, 0, 0]]
    )
