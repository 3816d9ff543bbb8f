"""The garment warped to the person."""

from __future__ import annotations

import numpy as np
import pytest
from mannequins import FLAT, JOINTS, box, keypoints

from tryon.methods.prealign import prealign

SIZE_HW = (64, 48)
RED, BLUE = (200, 30, 30), (30, 30, 200)


def top() -> tuple[np.ndarray, np.ndarray]:
    """A red body with blue sleeves that hang away from it."""
    body_HW, sleeves_HW = box(SIZE_HW, 0.2, 0.3, 0.8, 0.7), box(SIZE_HW, 0.2, 0.02, 0.5, 0.98)
    image_HWC = np.full((*SIZE_HW, 3), 255, np.uint8)
    image_HWC[sleeves_HW] = BLUE
    image_HWC[body_HW] = RED
    return image_HWC, (body_HW | sleeves_HW).astype(np.uint8)


def at(plane: np.ndarray, xy: tuple[float, float]) -> np.ndarray:
    return plane[int(xy[1] * SIZE_HW[0]), int(xy[0] * SIZE_HW[1])]


def test_keypoints_that_agree_leave_the_garment_where_it_is() -> None:
    image_HWC, mask_HW = top()
    same_K3 = keypoints(JOINTS)
    rgb_HWC, coverage_HW = prealign(image_HWC, mask_HW, same_K3, same_K3, "up", SIZE_HW, limbs=False)
    # two samples per pixel mix a quarter pixel across each edge, so only the insides are exact
    for inside_HW in (box(SIZE_HW, 0.25, 0.36, 0.75, 0.64), box(SIZE_HW, 0.25, 0.08, 0.45, 0.24)):
        assert np.array_equal(rgb_HWC[inside_HW], image_HWC[inside_HW])
    assert np.abs((coverage_HW > 0.5).astype(int) - mask_HW).sum() == 0
    assert np.all(rgb_HWC[coverage_HW == 0] == 0)


def test_a_known_affine_map_is_found() -> None:
    image_HWC, mask_HW = top()
    garment_K3 = keypoints(JOINTS)
    person_K3 = garment_K3.copy()
    shown = person_K3[:, 2] > 0
    person_K3[shown, :2] = person_K3[shown, :2] * (0.5, 0.6) + (0.2, 0.1)
    _, coverage_HW = prealign(image_HWC, mask_HW, garment_K3, person_K3, "up", SIZE_HW, limbs=False)
    rows, columns = np.nonzero(coverage_HW > 0.5)
    expected = np.array([0.2 * 0.6 + 0.1, 0.8 * 0.6 + 0.1, 0.02 * 0.5 + 0.2, 0.98 * 0.5 + 0.2])
    found = np.array([rows.min() / 64, (rows.max() + 1) / 64, columns.min() / 48, (columns.max() + 1) / 48])
    np.testing.assert_allclose(found, expected, atol=0.04)


def test_sleeves_follow_the_arm() -> None:
    image_HWC, mask_HW = top()
    raised = {**JOINTS, "left_elbow": (0.85, 0.2), "left_wrist": (0.95, 0.05)}
    warped = {}
    for name, pose in (("hanging", JOINTS), ("raised", raised)):
        rgb_HWC, coverage_HW = prealign(
            image_HWC, mask_HW, keypoints({**FLAT, "left_elbow": (0.98, 0.3)}), keypoints(pose), "up", SIZE_HW
        )
        warped[name] = rgb_HWC * (coverage_HW > 0.5)[..., None]
    on_raised_arm = (0.8, 0.235)
    assert at(warped["raised"], on_raised_arm)[2] > 150
    assert np.all(at(warped["hanging"], on_raised_arm) == 0)
    chest = (0.5, 0.45)
    assert np.array_equal(at(warped["raised"], chest), RED)


def test_a_short_sleeve_ends_before_the_hand() -> None:
    image_HWC, mask_HW = top()
    image_HWC[:, :7], image_HWC[:, -7:] = 255, 255
    mask_HW[:, :7], mask_HW[:, -7:] = 0, 0
    flat = keypoints({**FLAT, "left_elbow": (0.82, 0.3), "right_elbow": (0.18, 0.3)})
    _, coverage_HW = prealign(image_HWC, mask_HW, flat, keypoints(JOINTS), "up", SIZE_HW)
    assert at(coverage_HW, (0.7, 0.35)) > 0.5
    assert at(coverage_HW, JOINTS["left_wrist"]) == 0


@pytest.mark.parametrize("shown", [(), ("left_shoulder",), ("left_shoulder", "right_shoulder")])
@pytest.mark.parametrize("category", ["up", "down", "dress"])
def test_missing_keypoints_still_give_a_garment(shown: tuple[str, ...], category: str) -> None:
    image_HWC, mask_HW = top()
    person_K3 = keypoints({name: JOINTS[name] for name in shown})
    rgb_HWC, coverage_HW = prealign(image_HWC, mask_HW, keypoints(FLAT), person_K3, category, SIZE_HW)
    assert rgb_HWC.shape == (*SIZE_HW, 3)
    assert coverage_HW.shape == SIZE_HW
    assert coverage_HW.max() == 1
    assert coverage_HW.dtype == np.float32
    if not shown or category == "down":
        assert np.array_equal(coverage_HW > 0.5, mask_HW > 0)


def test_any_keypoints_give_finite_pictures() -> None:
    image_HWC, mask_HW = top()
    draws = np.random.default_rng(0)
    for _ in range(40):
        garment_K3, person_K3 = draws.random((2, 17, 3)).astype(np.float32)
        for keypoints_K3 in (garment_K3, person_K3):
            keypoints_K3[:, 2] = keypoints_K3[:, 2] > 0.3
            keypoints_K3[draws.integers(17)] = keypoints_K3[draws.integers(17)]  # two points in one place
        for category in ("up", "down", "dress"):
            _, coverage_HW = prealign(image_HWC, mask_HW, garment_K3, person_K3, category, SIZE_HW)
            assert np.isfinite(coverage_HW).all()
            assert 0 <= coverage_HW.min() <= coverage_HW.max() <= 1


def test_an_empty_garment_covers_nothing() -> None:
    image_HWC, mask_HW = top()
    for pose in (keypoints(JOINTS), keypoints({})):
        _, coverage_HW = prealign(image_HWC, mask_HW * 0, keypoints(FLAT), pose, "up", SIZE_HW)
        assert coverage_HW.max() == 0
