"""The region to repaint: what it covers, what it keeps, and what it must not give away."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from figures import JOINTS, SIZE_HW, Figure, draw, hand, keypoints

from tryon import images
from tryon.dataset.folder import TRUTH, scan
from tryon.fit.segmenter_data import read_example
from tryon.ontology import CATEGORIES, KEYPOINT_FLIP, LABEL_FLIP
from tryon.prepare.agnostic import repaint_region


def test_a_top_frees_torso_arms_and_neck_and_keeps_head_hands_and_legs() -> None:
    figure = draw()
    region_HW = figure.region("up")
    assert region_HW.dtype == np.uint8
    assert set(np.unique(region_HW)) == {0, 1}
    assert region_HW[figure.mask("up")].all()
    for name in ("left_elbow", "right_elbow", "left_shoulder"):
        x, y = JOINTS[name]
        assert region_HW[y, x]
    assert region_HW[85, 150], "the neck hollow, where a collar may reach"
    assert not region_HW[figure.mask("face", "hair")].any()
    assert not region_HW[hand("left")]
    assert not region_HW[hand("right")]
    assert not region_HW[270:].any(), "knees and below"
    assert region_HW[225, 150], "a longer top reaches below the hips"


def test_a_bottom_frees_the_legs_and_keeps_top_arms_and_shoes() -> None:
    figure = draw()
    region_HW = figure.region("down")
    assert region_HW[figure.mask("down")].all()
    assert region_HW[270, 150], "between the knees, where a skirt hangs"
    assert not region_HW[figure.mask("left_arm", "right_arm", "face", "hair")].any()
    assert not region_HW[140, 150], "the top's chest"
    assert not region_HW[372, 175], "a shoe"


def test_a_dress_frees_both_halves_to_below_the_knee() -> None:
    figure = draw()
    region_HW = figure.region("dress")
    assert region_HW[figure.mask("up", "down")].all()
    assert region_HW[290, 150]
    assert not region_HW[figure.mask("face", "hair")].any()
    assert not region_HW[hand("left")]
    assert not region_HW[372, 175]


def test_the_region_hardly_tells_which_top_is_worn() -> None:
    sleeveless = draw(sleeve=0.0, hem_y=190).region("up")
    long_sleeved = draw(sleeve=1.0, hem_y=215).region("up")
    overlap = (sleeveless & long_sleeved).sum() / (sleeveless | long_sleeved).sum()
    worn = draw(sleeve=0.0, hem_y=190).mask("up"), draw(sleeve=1.0, hem_y=215).mask("up")
    assert overlap > 0.95
    assert (worn[0] & worn[1]).sum() / (worn[0] | worn[1]).sum() < 0.75


def test_a_wide_garment_is_covered_beyond_the_body_shapes() -> None:
    figure = draw(flare=60)
    region_HW = figure.region("up")
    margin_HW = cv2.dilate(figure.mask("up").astype(np.uint8), np.ones((9, 9), np.uint8))
    kept_HW = figure.mask("left_arm", "right_arm", "face", "hair")
    assert region_HW[(margin_HW > 0) & ~kept_HW].all()


@pytest.mark.parametrize("category", CATEGORIES)
def test_mirroring_the_person_mirrors_the_region(category: str) -> None:
    figure = draw(sleeve=0.8)
    mirrored_K3 = figure.keypoints_K3[list(KEYPOINT_FLIP)].copy()
    mirrored_K3[:, 0] = SIZE_HW[1] - 1 - mirrored_K3[:, 0]
    mirrored = Figure(np.array(LABEL_FLIP, np.uint8)[figure.labels_HW[:, ::-1]], mirrored_K3)
    differing = (mirrored.region(category)[:, ::-1] != figure.region(category)).sum()
    assert differing <= 0.01 * figure.region(category).sum()  # even kernels and rounding shift a pixel row


@pytest.mark.parametrize("category", CATEGORIES)
def test_twice_the_picture_gives_twice_the_region(category: str) -> None:
    figure = draw()
    large_K3 = figure.keypoints_K3 * (2, 2, 1)
    large = Figure(figure.labels_HW.repeat(2, 0).repeat(2, 1), large_K3)
    region_HW = figure.region(category).repeat(2, 0).repeat(2, 1)
    differing = (large.region(category) != region_HW).sum()
    assert differing <= 0.03 * region_HW.sum()


def test_missing_keypoints_leave_the_garment_part_and_are_named() -> None:
    complete = draw()
    figure = complete.without("left_shoulder", "right_wrist")
    region = repaint_region("limbs", figure.labels_HW, figure.keypoints_K3, "up")
    assert set(region.missing) == {"left_shoulder", "right_wrist"}
    assert repaint_region("limbs", complete.labels_HW, complete.keypoints_K3, "up").missing == ()
    assert region.mask_HW[figure.mask("up")].all()
    assert region.mask_HW[225, 150] == 0, "no torso shape without its corners"
    assert not region.mask_HW[figure.mask("face", "hair")].any()


def test_no_keypoints_at_all_still_covers_the_garment() -> None:
    figure = dataclasses.replace(draw(), keypoints_K3=np.zeros((17, 3)))
    for category, worn in (("up", "up"), ("down", "down")):
        region = repaint_region("limbs", figure.labels_HW, figure.keypoints_K3, category)
        assert region.mask_HW[figure.mask(worn)].all()
        assert region.mask_HW.mean() < 0.5
        assert "left_shoulder" in region.missing


def test_a_joint_outside_the_picture_is_no_reason_to_fail() -> None:
    labels_HW = draw().labels_HW[:180]
    figure = Figure(labels_HW, keypoints(JOINTS))
    assert figure.region("up").shape == labels_HW.shape
    assert figure.region("up")[figure.mask("up")].all()


def test_true_pictures_of_another_garment_change_inside_the_region_only(rendered: Path) -> None:
    changed_px, missed_px = 0, 0
    photos = {photo.id: photo for photo in scan(rendered).photos}
    for truth in sorted((rendered / TRUTH).glob("*.jpg")):
        person_name, garment_name = truth.stem.split("__")
        person = read_example(rendered, photos[f"person/{person_name}"])
        category = read_example(rendered, photos[f"garment/{garment_name}"]).parts[0]
        region_HW = repaint_region("limbs", person.labels_HW, person.keypoints_K3, category).mask_HW
        difference_HW = np.abs(images.read_rgb(truth).astype(int) - person.image_HWC).max(axis=2)
        changed_HW = difference_HW > 40  # clearly more than JPEG's noise
        changed_px += int(changed_HW.sum())
        missed_px += int((changed_HW & (region_HW == 0)).sum())
    assert changed_px > 10_000
    assert missed_px <= 0.01 * changed_px


def test_wrong_calls_are_refused() -> None:
    figure = draw()
    with pytest.raises(ValueError, match="hat"):
        figure.region("hat")
    with pytest.raises(ValueError, match=r"\(13, 3\)"):
        repaint_region("limbs", figure.labels_HW, figure.keypoints_K3[:13], "up")
