"""OKS by its closed form, preserved regions by counting pixels."""

from __future__ import annotations

import numpy as np
import pytest

from tryon.evaluation.consistency import coco_sigmas, oks, preserved_iou
from tryon.ontology import KEYPOINT_NAMES, LABEL_INDEX

POINTS_K3 = np.stack([np.arange(17) * 4.0, np.arange(17) * 3.0, np.ones(17)], axis=1)


def test_the_same_points_are_perfect() -> None:
    assert oks(POINTS_K3, POINTS_K3[:, :2], 500.0, 0.3) == 1.0


def test_a_shifted_joint_loses_by_cocos_formula() -> None:
    moved_K2 = POINTS_K3[:, :2].copy()
    moved_K2[5] += (3.0, 4.0)  # the left shoulder, by 5 px
    k = 2 * coco_sigmas()[KEYPOINT_NAMES.index("left_shoulder")]
    expected = (16 + np.exp(-25 / (2 * 500.0 * k**2))) / 17
    assert oks(POINTS_K3, moved_K2, 500.0, 0.3) == pytest.approx(expected)
    assert oks(POINTS_K3, moved_K2, 50_000.0, 0.3) > expected, "the same error is smaller on a larger person"


def test_it_agrees_with_cocos_own_evaluation() -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    found_K2 = POINTS_K3[:, :2] + np.random.default_rng(0).normal(0, 3, (17, 2))
    visible_K3 = POINTS_K3.copy()
    visible_K3[:, 2] = 2
    visible_K3[[1, 7]] = 0
    truth = COCO()
    box = [0, 0, 70, 60]
    truth.dataset = {
        "info": {}, "images": [{"id": 1}], "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 700.0, "bbox": box,
                         "num_keypoints": 15, "keypoints": visible_K3.ravel().tolist()}],
    }  # fmt: skip
    truth.createIndex()
    points = np.concatenate([found_K2, np.ones((17, 1))], axis=1).ravel().tolist()
    guess = truth.loadRes([{"image_id": 1, "category_id": 1, "score": 1.0, "keypoints": points, "bbox": box}])
    judge = COCOeval(truth, guess, "keypoints")
    judge._prepare()
    expected = judge.computeOks(1, 1)[0, 0]
    assert oks(visible_K3, found_K2, 700.0, 0.3) == pytest.approx(expected, abs=1e-9)


def test_points_that_the_person_does_not_show_do_not_count() -> None:
    hidden_K3 = POINTS_K3.copy()
    hidden_K3[9, 2] = 0.1
    moved_K2 = POINTS_K3[:, :2].copy()
    moved_K2[9] += 100
    assert oks(hidden_K3, moved_K2, 500.0, 0.3) == 1.0
    assert oks(POINTS_K3 * (1, 1, 0), moved_K2, 500.0, 0.3) is None
    assert oks(POINTS_K3, moved_K2, 0.0, 0.3) is None


def face_and_top() -> np.ndarray:
    labels_HW = np.zeros((12, 10), np.uint8)
    labels_HW[0:4, 2:8] = LABEL_INDEX["face"]
    labels_HW[5:12, 1:9] = LABEL_INDEX["up"]
    return labels_HW


def test_preserved_regions_count_outside_the_region_alone() -> None:
    labels_HW = face_and_top()
    region_HW = np.zeros((12, 10), bool)
    region_HW[5:12] = True
    found_HW = labels_HW.copy()
    found_HW[5:12] = LABEL_INDEX["dress"]
    assert preserved_iou(labels_HW, found_HW, region_HW) == 1.0, "another garment inside the region is what was asked"
    found_HW[0:2, 2:8] = LABEL_INDEX["hair"]  # half of the face gone; a label that the person does not show there
    assert preserved_iou(labels_HW, found_HW, region_HW) == pytest.approx((0.5 + 0.0) / 2)
    assert preserved_iou(labels_HW, labels_HW, np.ones((12, 10), bool)) is None


def test_label_maps_of_two_sizes_are_a_fault() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        preserved_iou(face_and_top(), face_and_top()[:6], np.zeros((12, 10), bool))
