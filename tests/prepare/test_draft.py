"""Label maps of photos that nobody annotated, drafted on renders whose true ones are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tryon.config import CutoutsConfig, DatasetConfig
from tryon.errors import BadItem
from tryon.fit.segmenter_data import Example, list_photos, read_example
from tryon.ontology import LABEL_INDEX
from tryon.prepare import draft, sam
from tryon.prepare.cutter import SamCutter
from tryon.prepare.pose_model import Pose
from tryon.prepare.quality import iou

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cutter() -> SamCutter:
    torch.set_num_threads(1)
    cfg = CutoutsConfig()
    return SamCutter(sam.load(cfg.model_type, ROOT / cfg.checkpoint))


@pytest.fixture(scope="module")
def examples(rendered: Path) -> list[Example]:
    return [read_example(rendered, photo, dataset=DatasetConfig()) for photo in list_photos(rendered, None)]


class Model:
    """Answers every question with one pose."""

    def __init__(self, keypoints_K3: np.ndarray) -> None:
        self.keypoints_K3 = keypoints_K3
        self.boxes: list[tuple[float, ...]] = []

    def predict(self, pictures: list[np.ndarray], boxes: list[tuple[float, ...]]) -> list[Pose]:
        self.boxes += boxes
        return [Pose(self.keypoints_K3[:, :2], self.keypoints_K3[:, 2]) for _ in boxes]


def test_a_drafted_silhouette_is_nearly_the_annotated_one(examples: list[Example], cutter: SamCutter) -> None:
    people = [example for example in examples if example.id.startswith("person/")]
    overlaps = []
    for person in people:
        labels_HW = draft.draft_person(person.image_HWC, person.keypoints_K3, cutter)
        overlaps.append(iou(labels_HW > 0, person.labels_HW > 0))
        arms = np.isin(labels_HW, [LABEL_INDEX["left_arm"], LABEL_INDEX["right_arm"]])
        assert {"up", "face"} <= {name for name, index in LABEL_INDEX.items() if (labels_HW == index).any()}
        assert arms.any()
    assert np.mean(overlaps) > 0.8, overlaps


def test_a_drafted_garment_is_nearly_the_annotated_one(examples: list[Example], cutter: SamCutter) -> None:
    garments = [example for example in examples if example.id.startswith("garment/")]
    overlaps = []
    for garment in garments:
        category = garment.parts[0]
        labels_HW = draft.draft_garment(garment.image_HWC, category, cutter)
        assert set(np.unique(labels_HW)) == {0, LABEL_INDEX[category]}
        overlaps.append(iou(labels_HW > 0, garment.labels_HW > 0))
    assert np.mean(overlaps) > 0.9, overlaps


def test_the_same_photo_has_the_same_draft(examples: list[Example], cutter: SamCutter) -> None:
    person = next(example for example in examples if example.id.startswith("person/"))
    first, second = (draft.draft_person(person.image_HWC, person.keypoints_K3, cutter) for _ in range(2))
    assert np.array_equal(first, second)


def test_an_empty_photo_holds_no_garment(cutter: SamCutter) -> None:
    with pytest.raises(BadItem, match="no garment found: 0% of the photo differs"):
        draft.draft_garment(np.full((64, 48, 3), 240, np.uint8), "up", cutter)


def test_a_print_on_cloth_of_the_grounds_colour_is_one_garment() -> None:
    picture_HWC = np.full((160, 120, 3), 235, np.uint8)
    for y in range(40, 120, 10):
        for x in range(30, 90, 10):
            picture_HWC[y : y + 4, x : x + 4] = (160, 30, 30)
    found_HW = draft._garment_by_colour(picture_HWC)
    cloth_HW = np.zeros_like(found_HW)
    cloth_HW[40:114, 30:84] = 1
    assert iou(found_HW, cloth_HW) > 0.85


def test_the_box_closes_in_on_the_person(examples: list[Example]) -> None:
    person = next(example for example in examples if example.id.startswith("person/"))
    model = Model(person.keypoints_K3)
    found_K3 = draft.find_person(person.image_HWC, model, 0.3)
    assert np.array_equal(found_K3[:, 2] > 0, person.keypoints_K3[:, 2] > 0)
    height, width = person.image_HWC.shape[:2]
    assert model.boxes[0] == (0.0, 0.0, width - 1.0, height - 1.0)
    left, top, right, bottom = model.boxes[-1]
    assert (right - left) * (bottom - top) < 0.9 * width * height


def test_nobody_is_told(examples: list[Example]) -> None:
    points_K3 = np.zeros((17, 3))
    points_K3[0] = (20, 20, 0.9)
    with pytest.raises(BadItem, match=r"no person found: .* \(keypoints found: nose\)"):
        draft.find_person(examples[0].image_HWC, Model(points_K3), 0.3)


def test_a_second_person_beside_the_first_is_seen() -> None:
    labels_HW = np.zeros((100, 200), np.uint8)
    labels_HW[10:90, 20:60] = LABEL_INDEX["person"]
    picture_HWC = np.full((100, 200, 3), 200, np.uint8)
    beside = np.column_stack([np.linspace(120, 160, 17), np.linspace(10, 90, 17), np.full(17, 0.9)])
    assert draft.others(picture_HWC, labels_HW, Model(beside), 0.3) == 1
    doubtful = beside * (1, 1, 0.5)
    assert draft.others(picture_HWC, labels_HW, Model(doubtful), 0.3) == 0
