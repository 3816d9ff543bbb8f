"""Augmentation moves and recolours everything that belongs together."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from mannequins import pair

from tryon.config import AugmentConfig
from tryon.methods.augment import augment, flip, recolour, shift
from tryon.methods.conditions import condition_arrays, target_array
from tryon.ontology import KEYPOINT_FLIP, KEYPOINT_NAMES, LABEL_INDEX
from tryon.packed import PackedPhoto

SIZE_HW = (32, 24)
MIRROR = list(KEYPOINT_FLIP)


def same(one: PackedPhoto, other: PackedPhoto) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))


def test_flipping_twice_is_nothing() -> None:
    for photo in pair(0, SIZE_HW):
        twice = flip(flip(photo))
        np.testing.assert_allclose(twice.keypoints_K3, photo.keypoints_K3, atol=1e-6)
        assert same(replace(twice, keypoints_K3=photo.keypoints_K3), photo)


def test_a_flip_swaps_left_and_right() -> None:
    person, _ = pair(0, SIZE_HW)
    flipped = flip(person)
    left, right = KEYPOINT_NAMES.index("left_wrist"), KEYPOINT_NAMES.index("right_wrist")
    np.testing.assert_allclose(flipped.keypoints_K3[left, 0], 1 - person.keypoints_K3[right, 0], rtol=1e-6)
    assert np.all(flipped.keypoints_K3[flipped.keypoints_K3[:, 2] == 0] == 0)
    assert (person.labels_HW == LABEL_INDEX["left_arm"]).any()
    was_left_HW = person.labels_HW[:, ::-1] == LABEL_INDEX["left_arm"]
    assert np.array_equal(flipped.labels_HW == LABEL_INDEX["right_arm"], was_left_HW)


def test_conditions_of_a_flipped_pair_are_the_flipped_conditions() -> None:
    """Person, region, garment, warped garment and keypoints move as one; a public fork flips them one by one."""
    person, garment = pair(3, SIZE_HW)
    before = condition_arrays(person, garment, "up", SIZE_HW)
    after = condition_arrays(flip(person), flip(garment), "up", SIZE_HW)
    assert np.array_equal(target_array(flip(person)), target_array(person)[..., ::-1])
    for name, array in before.items():
        if name.endswith("BK3"):
            expected = array[MIRROR].copy()
            expected[expected[:, 2] > 0, 0] = 1 - expected[expected[:, 2] > 0, 0]
            np.testing.assert_allclose(after[name], expected, atol=1e-6)
        elif name.startswith("prealigned"):
            # cv2.remap rounds coordinates to 1/32 pixel, so edges differ a little
            assert np.abs(after[name] - array[..., ::-1]).mean() < 0.01, name
        else:
            assert np.array_equal(after[name], array[..., ::-1]), name


def test_the_same_colour_change_hits_the_garment_in_both_pictures_and_nothing_else() -> None:
    person, garment = pair(1, SIZE_HW)
    changed = augment(person, [garment], seed=4, cfg=AugmentConfig(flip=0, colour=1.0))
    photos = [changed[0], *changed[1]]
    for before, after in zip((person, garment), photos, strict=True):
        is_garment_HW = before.garments_HW > 0
        assert np.array_equal(after.image_HWC[~is_garment_HW], before.image_HWC[~is_garment_HW])
        assert not np.array_equal(after.image_HWC[is_garment_HW], before.image_HWC[is_garment_HW])
    colours = [np.unique(photo.image_HWC[photo.garments_HW > 0], axis=0) for photo in photos]
    assert np.array_equal(*colours)  # the worn garment still has the colours of its photo


def test_no_colour_change_is_exactly_none() -> None:
    person, garment = pair(1, SIZE_HW)
    assert same(recolour(person, np.eye(3), 0.0), person)
    unchanged = augment(person, [garment], seed=4, cfg=AugmentConfig(flip=0, colour=0, shift=0))
    assert same(unchanged[0], person)
    assert same(unchanged[1][0], garment)


def test_a_shift_moves_pixels_masks_and_keypoints_together() -> None:
    person, _ = pair(0, SIZE_HW)
    moved = shift(person, 3, -2)
    assert np.array_equal(moved.image_HWC[3:, :-2], person.image_HWC[:-3, 2:])
    for name in ("labels_HW", "garments_HW", "regions_HW"):
        assert np.array_equal(getattr(moved, name)[3:, :-2], getattr(person, name)[:-3, 2:]), name
    shown_K = moved.keypoints_K3[:, 2] > 0
    step = moved.keypoints_K3[shown_K, :2] - person.keypoints_K3[shown_K, :2]
    np.testing.assert_allclose(step, np.broadcast_to((-2 / 24, 3 / 32), step.shape), atol=1e-6)


@pytest.mark.parametrize(("down_px", "right_px"), [(-4, 0), (0, 3)])
def test_a_shift_uncovers_nothing_of_the_worn_garment(down_px: int, right_px: int) -> None:
    """A region that reaches the frame is repainted where the border is repeated, too."""
    person, _ = pair(0, SIZE_HW)
    everywhere = replace(person, regions_HW=np.full_like(person.regions_HW, 255))
    assert (shift(everywhere, down_px, right_px).regions_HW == 255).all()


def test_a_point_that_leaves_the_canvas_is_no_longer_visible() -> None:
    person, _ = pair(0, SIZE_HW)
    moved = shift(person, -20, 0)
    assert np.array_equal(moved.keypoints_K3[0], np.zeros(3))


@pytest.mark.parametrize("seed", [1, 2])
def test_augmentation_is_a_function_of_the_seed(seed: int) -> None:
    cfg = AugmentConfig(flip=0.5, colour=0.5, shift=0.1)
    person, garment = pair(2, SIZE_HW)
    first, again = (augment(person, [garment], seed, cfg) for _ in range(2))
    assert same(first[0], again[0])
    assert same(first[1][0], again[1][0])
    assert not same(first[0], augment(person, [garment], seed + 10, cfg)[0])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_garment_is_changed_alike_at_every_size(seed: int) -> None:
    person, garment = pair(2, SIZE_HW)
    large = pair(2, (64, 48))[1]
    cfg = AugmentConfig(flip=0.5, colour=1.0, shift=0.1)
    both = augment(person, [garment, large], seed, cfg)[1]
    assert [photo.size_hw for photo in both] == [SIZE_HW, (64, 48)]
    for photo, changed in zip((garment, large), both, strict=True):
        assert same(augment(person, [photo], seed, cfg)[1][0], changed)


def test_the_flip_chance_is_kept() -> None:
    person, garment = pair(2, SIZE_HW)
    cfg = AugmentConfig(flip=0.25)
    flipped = [same(augment(person, [garment], seed, cfg)[1][0], flip(garment)) for seed in range(200)]
    assert 30 < sum(flipped) < 72  # 50 expected, 3.5 standard deviations
