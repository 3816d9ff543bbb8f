"""mmpose prediction JSON that comes with the photos: read exactly, refused with a reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tryon.dataset.given_keypoints import read_given, read_near
from tryon.errors import BadItem

SIZE_HW = (200, 100)


def person(**changes: object) -> dict[str, Any]:
    """A well-formed person whose keypoint k lies at (2k, 3k) with score k / 20."""
    points = [[2.0 * index, 3.0 * index] for index in range(17)]
    scores = [index / 20 for index in range(17)]
    return {"keypoints": points, "keypoint_scores": scores, "bbox": [[0, 0, 9, 9]], "bbox_score": 1.0, **changes}


def write(folder: Path, value: object) -> Path:
    path = folder / "anna.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@pytest.mark.parametrize("wrap", [lambda people: people, lambda people: {"instance_info": people}])
def test_both_forms_that_mmpose_writes_are_read(tmp_path: Path, wrap: Any) -> None:
    keypoints_K3 = read_given(write(tmp_path, wrap([person()])), SIZE_HW)
    index_K = np.arange(17)
    np.testing.assert_array_equal(keypoints_K3, np.stack([2 * index_K, 3 * index_K, index_K / 20], axis=1))


def test_the_person_with_the_best_box_is_taken(tmp_path: Path) -> None:
    people = [person(bbox_score=0.2, keypoint_scores=[0.5] * 17), person(bbox_score=0.9), person(bbox_score=0.1)]
    assert read_given(write(tmp_path, people), SIZE_HW)[1, 2] == 1 / 20


def at(x: float, y: float, side: float) -> dict[str, Any]:
    """Somebody whose points fill a square."""
    points = [[x + side * (index % 2), y + side * (index // 9)] for index in range(17)]
    return person(keypoints=points, keypoint_scores=[0.9] * 17)


def test_the_person_who_stands_in_the_box_is_taken_else_the_largest(tmp_path: Path) -> None:
    path = write(tmp_path, [at(0, 0, 30), at(60, 100, 30), at(10, 150, 40)])
    near, repairs = read_near(path, SIZE_HW, (55.0, 95.0, 95.0, 140.0))
    assert near[0, :2].tolist() == [60, 100]
    assert repairs[0].startswith("several people: of 3 in anna.json the one who overlaps the annotation most (IoU 0.5")
    largest, repairs = read_near(path, SIZE_HW, (90.0, 10.0, 99.0, 20.0))
    assert largest[0, :2].tolist() == [10, 150]
    assert repairs == ("several people: of 3 in anna.json the one who is the largest",)


def test_whole_body_points_start_with_the_17(tmp_path: Path) -> None:
    whole = person(keypoints=[[1.0, 2.0]] * 133, keypoint_scores=[1.0] * 133)
    assert read_given(write(tmp_path, [whole]), SIZE_HW).shape == (17, 3)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("[{", "not JSON"),
        ({"shapes": []}, "not an mmpose prediction"),
        ([], "not an mmpose prediction"),
        ([{"keypoint_scores": [1.0] * 17}], "without 'keypoints'"),
        ([person(keypoints=[[1.0, 2.0]] * 16)], r"shape \(16, 2\)"),
        ([person(keypoint_scores=[1.0] * 3)], r"scores of shape \(3,\)"),
        ([person(keypoints=[["left", 2.0]] * 17)], "no number"),
        ([person(keypoints=[[float("nan"), 2.0]] * 17)], "not finite"),
        ([person(keypoints=[[150.0, 2.0]] * 17)], r"left_eye lies at \(150, 2\), outside the photo of 100x200"),
    ],
)
def test_a_malformed_file_names_itself_and_the_cause(tmp_path: Path, value: object, reason: str) -> None:
    with pytest.raises(BadItem, match=f"^anna.json: .*{reason}"):
        read_given(write(tmp_path, value), SIZE_HW)


def test_an_absent_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match="no such keypoint file; restore it, or set keypoints.source"):
        read_given(tmp_path / "anna.json", SIZE_HW)


def test_a_point_that_is_not_visible_may_lie_anywhere(tmp_path: Path) -> None:
    away = person(keypoints=[[1000.0, 1000.0]] * 17, keypoint_scores=[0.0] * 17)
    assert read_given(write(tmp_path, [away]), SIZE_HW)[:, 2].max() == 0
