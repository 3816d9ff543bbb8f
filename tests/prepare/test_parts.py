"""Body parts beside garments and person: which are asked for, and their bits."""

from __future__ import annotations

import numpy as np
import pytest

from tryon.config import CutoutsConfig
from tryon.errors import BadItem
from tryon.images import read_mask_bits
from tryon.ontology import KEYPOINT_NAMES, LABEL_INDEX, PART_BIT
from tryon.prepare.cutouts import cut_photo
from tryon.prepare.parts import MEMBERS, part_bits, rough_masks
from tryon.prepare.prompts import BODY_PARTS, INSIDE, OUTSIDE, PARTS

ALL = tuple(PART_BIT)
HEIGHT, WIDTH = 200, 160


@pytest.fixture
def labels_HW() -> np.ndarray:
    """A figure of rectangles: torso, a head, and the left arm straight down."""
    labels_HW = np.zeros((HEIGHT, WIDTH), np.uint8)
    for name, (top, bottom, left, right) in {
        "person": (20, 190, 60, 100),
        "hair": (20, 30, 70, 90),
        "face": (30, 50, 70, 90),
        "up": (55, 110, 60, 100),
        "left_arm": (60, 130, 104, 114),
    }.items():
        labels_HW[top:bottom, left:right] = LABEL_INDEX[name]
    return labels_HW


@pytest.fixture
def keypoints_K3() -> np.ndarray:
    keypoints_K3 = np.zeros((17, 3))
    places = {"left_shoulder": (98, 60), "right_shoulder": (62, 60), "left_hip": (92, 110), "right_hip": (68, 110)}
    places |= {"left_elbow": (109, 90), "left_wrist": (109, 115), "nose": (80, 40)}
    for name, point in places.items():
        keypoints_K3[KEYPOINT_NAMES.index(name)] = (*point, 1)
    return keypoints_K3


def test_a_hand_is_what_the_arm_holds_beyond_the_wrist(labels_HW: np.ndarray, keypoints_K3: np.ndarray) -> None:
    parts = rough_masks(labels_HW, keypoints_K3, "person", ALL)
    assert list(parts) == ["up", "person", "left_arm", "left_hand", "head"]
    rows = np.flatnonzero(parts["left_hand"].any(axis=1))
    assert 115 <= rows[0] <= 118
    assert rows[-1] > 125
    assert not (parts["left_hand"] & (1 - parts["left_arm"])).any()
    np.testing.assert_array_equal(parts["head"], np.isin(labels_HW, [LABEL_INDEX["hair"], LABEL_INDEX["face"]]))


def test_without_a_wrist_there_is_no_hand(labels_HW: np.ndarray, keypoints_K3: np.ndarray) -> None:
    keypoints_K3[KEYPOINT_NAMES.index("left_wrist"), 2] = 0
    assert "left_hand" not in rough_masks(labels_HW, keypoints_K3, "person", ALL)


def test_only_what_is_asked_for_is_made(labels_HW: np.ndarray, keypoints_K3: np.ndarray) -> None:
    assert list(rough_masks(labels_HW, keypoints_K3, "person", ())) == ["up", "person"]
    assert list(rough_masks(labels_HW, keypoints_K3, "person", ("head",))) == ["up", "person", "head"]
    assert list(rough_masks(labels_HW, keypoints_K3, "garment", ALL)) == ["up"]


def test_a_part_of_a_few_pixels_is_not_asked_for(labels_HW: np.ndarray, keypoints_K3: np.ndarray) -> None:
    labels_HW[10:13, 10:13] = LABEL_INDEX["right_arm"]
    assert "right_arm" not in rough_masks(labels_HW, keypoints_K3, "person", ALL)


def test_a_photo_without_a_garment_is_refused(labels_HW: np.ndarray, keypoints_K3: np.ndarray) -> None:
    labels_HW[labels_HW == LABEL_INDEX["up"]] = LABEL_INDEX["person"]
    with pytest.raises(BadItem, match="no garment is annotated"):
        rough_masks(labels_HW, keypoints_K3, "person", ALL)


def test_each_bit_stands_for_its_part(labels_HW: np.ndarray, keypoints_K3: np.ndarray) -> None:
    parts = rough_masks(labels_HW, keypoints_K3, "person", ALL)
    bits_HW = part_bits(parts, ALL, labels_HW.shape)
    np.testing.assert_array_equal(bits_HW & PART_BIT["arms"] > 0, parts["left_arm"] > 0)
    np.testing.assert_array_equal(bits_HW & PART_BIT["hands"] > 0, parts["left_hand"] > 0)
    np.testing.assert_array_equal(bits_HW & PART_BIT["head"] > 0, parts["head"] > 0)
    np.testing.assert_array_equal(bits_HW & PART_BIT["background"] > 0, labels_HW == 0)
    assert not part_bits(parts, (), labels_HW.shape).any()
    assert sorted(PART_BIT.values()) == [1, 2, 4, 8]


def test_the_stage_stores_the_parts_that_were_asked_for(
    labels_HW: np.ndarray, keypoints_K3: np.ndarray, tmp_path
) -> None:
    cfg = CutoutsConfig(source="annotations", parts=["arms", "background"])
    image_HWC = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    done = cut_photo(image_HWC, labels_HW, keypoints_K3, role="person", cfg=cfg, cutter=None)
    assert done.facts["parts"] == "up,person,left_arm"
    path = tmp_path / "parts.png"
    path.write_bytes(done.files["parts.png"])
    bits_HW = read_mask_bits(path)
    np.testing.assert_array_equal(bits_HW & PART_BIT["arms"] > 0, labels_HW == LABEL_INDEX["left_arm"])
    assert set(np.unique(bits_HW)) == {0, 1, 8}


def test_a_part_of_the_settings_has_prompts_and_a_bit() -> None:
    asked = CutoutsConfig.model_json_schema()["properties"]["parts"]["items"]["enum"]
    assert set(asked) == set(PART_BIT) == set(MEMBERS)
    assert {member for members in MEMBERS.values() for member in members} == set(BODY_PARTS)
    assert set(PARTS) == set(INSIDE) == set(OUTSIDE)
