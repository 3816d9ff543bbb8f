"""Keypoint files of known data sets: who is taken, where the points land, and what a bad file is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tryon.config import DatasetConfig
from tryon.dataset import formats, openpose
from tryon.errors import BadItem
from tryon.keypoints import BODY_25, COCO_17, OPENPOSE_18

SIZE_HW = (200, 100)


def person(x: float, y: float, scale: float = 10.0, names: tuple[str, ...] = BODY_25) -> list[float]:
    """Somebody whose points lie on a diagonal from (x, y) on."""
    rows = [[x + scale * index / len(names), y + scale * index / len(names), 0.9] for index in range(len(names))]
    return [number for row in rows for number in row]


def save(path: Path, *people: list[float], key: str = "pose_keypoints_2d") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1.3, "people": [{"person_id": [-1], key: points} for points in people]}))
    return path


def test_points_of_body_25_keep_their_places(tmp_path: Path) -> None:
    read_K3 = openpose.read_openpose(save(tmp_path / "a.json", person(20, 30)), SIZE_HW, None)
    assert read_K3.shape == (17, 3)
    for index, name in enumerate(COCO_17):
        offset = 10.0 * BODY_25.index(name) / 25
        np.testing.assert_allclose(read_K3[index], [20 + offset, 30 + offset, 0.9])


def test_a_hand_written_file_of_the_older_model_is_read(tmp_path: Path) -> None:
    points = [0] * 54
    points[0:3] = [50, 20, 0.8]  # nose
    points[6:9] = [40, 40, 0.7]  # right shoulder
    path = save(tmp_path / "a.json", points, key="pose_keypoints")
    read_K3 = openpose.read_openpose(path, SIZE_HW, None)
    np.testing.assert_allclose(read_K3[COCO_17.index("nose")], [50, 20, 0.8])
    np.testing.assert_allclose(read_K3[COCO_17.index("right_shoulder")], [40, 40, 0.7])
    assert (read_K3[:, 2] > 0).sum() == 2


def test_of_several_people_the_one_on_the_label_map_is_taken_else_the_largest(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", person(10, 10, 20), person(60, 60, 30), person(10, 100, 10))
    assert openpose.read_openpose(path, SIZE_HW, None)[0, 0] == 60
    labels_HW = np.zeros(SIZE_HW, np.uint8)
    labels_HW[95:115, 5:25] = 1
    assert openpose.read_openpose(path, SIZE_HW, labels_HW)[0].tolist() == [10, 100, 0.9]
    assert openpose.num_people(path) == 3


def test_the_reader_takes_the_person_of_the_parse_map_and_records_how_many_there_were(tmp_path: Path) -> None:
    from test_parse_maps import save as save_numbers

    path = save(tmp_path / "test/openpose-json/a_keypoints.json", person(60, 60, 30), person(10, 100, 10))
    numbers_HW = np.zeros(SIZE_HW, np.uint8)
    numbers_HW[95:115, 5:25] = 5
    (tmp_path / "test/image-parse").mkdir()
    save_numbers(tmp_path / "test/image-parse/a.png", numbers_HW.tolist(), None)
    reader = formats.reader(DatasetConfig(format="viton_hd"))
    file = path.relative_to(tmp_path).as_posix()
    assert reader.keypoints(tmp_path, file, SIZE_HW)[0].tolist() == [10, 100, 0.9]
    assert reader.num_people(tmp_path, file) == 2
    (tmp_path / "test/image-parse/a.png").unlink()
    assert reader.keypoints(tmp_path, file, SIZE_HW)[0, 0] == 60


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"people": []}, "found nobody in this photo"),
        ({"persons": []}, "not an OpenPose file"),
        ([], "not an OpenPose file"),
        ({"people": [{}]}, "a person without pose_keypoints_2d or pose_keypoints"),
        ({"people": [{"pose_keypoints_2d": [1, 2, 3]}]}, "holds 3 numbers; expected 75"),
        ({"people": [{"pose_keypoints_2d": [1, "2", 3]}]}, "holds '2' where a number is expected"),
        ({"people": [{"pose_keypoints_2d": [True] * 75}]}, "holds True"),
        ({"people": [{"pose_keypoints_2d": {"x": 1}}]}, "expected a list of numbers"),
        ({"people": [{"pose_keypoints_2d": person(500, 10)}]}, "outside the photo of 100x200"),
    ],
)
def test_a_bad_openpose_file_is_told_what_is_wrong(tmp_path: Path, value: object, told: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(BadItem, match=r"a\.json: ") as refused:
        openpose.read_openpose(tmp_path / "a.json", SIZE_HW, None)
    assert told in str(refused.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match=r"gone\.json"):
        openpose.read_openpose(tmp_path / "gone.json", SIZE_HW, None)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(BadItem, match=r"a\.json: not JSON"):
        openpose.num_people(tmp_path / "a.json")


def test_points_of_dresscode_are_scaled_from_384x512(tmp_path: Path) -> None:
    rows = [[-1, -1, 0, index] for index in range(18)]
    rows[0] = [191.5, 255.5, 0.9, 0]  # the middle of the picture: 192 px from the edge
    rows[5] = [383, 511, 0.5, 5]  # the last pixel
    (tmp_path / "a.json").write_text(json.dumps({"keypoints": rows}))
    read_K3 = openpose.read_dresscode(tmp_path / "a.json", (1024, 768))
    np.testing.assert_allclose(read_K3[COCO_17.index("nose")], [383.5, 511.5, 0.9])
    np.testing.assert_allclose(read_K3[COCO_17.index("left_shoulder")], [766.5, 1022.5, 0.5])
    assert (read_K3[:, 2] > 0).sum() == 2


@pytest.mark.parametrize("value", [{"keypoints": [[1, 2, 3]] * 18}, {"points": []}, [1, 2], {"keypoints": None}])
def test_what_is_not_dresscode_is_refused(tmp_path: Path, value: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(BadItem, match=r"a\.json: expected"):
        openpose.read_dresscode(tmp_path / "a.json", SIZE_HW)


def test_nobody_in_a_dresscode_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"keypoints": [[-1, -1, 0, index] for index in range(18)]}))
    with pytest.raises(BadItem, match="nobody found"):
        openpose.read_dresscode(tmp_path / "a.json", SIZE_HW)


def test_a_flat_list_sees_what_lies_in_the_photo(tmp_path: Path) -> None:
    points = [[10.0 + index, 20.0 + index] for index in range(17)]
    points[3] = [-3.0, 5.0]
    (tmp_path / "a.json").write_text(json.dumps([number for point in points for number in point]))
    read_K3 = openpose.read_flat(tmp_path / "a.json", SIZE_HW)
    assert read_K3[16].tolist() == [26, 36, 1]
    assert read_K3[3].tolist() == [0, 0, 0]
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    with pytest.raises(BadItem, match=r"flat list of 34 numbers.*found \[1, 2, 3\]"):
        openpose.read_flat(tmp_path / "a.json", SIZE_HW)


def test_npy_poses_are_pixels_or_shares(tmp_path: Path) -> None:
    pixels_K2 = np.zeros((18, 2), np.float32)
    pixels_K2[OPENPOSE_18.index("nose")] = (49.5, 19.5)
    pixels_K2[OPENPOSE_18.index("left_hip")] = np.nan
    np.save(tmp_path / "a.npy", pixels_K2)
    np.save(tmp_path / "b.npy", (pixels_K2 + 0.5 * (pixels_K2 > 0)) / (100, 200))
    for name in "ab":
        read_K3 = openpose.read_npy(tmp_path / f"{name}.npy", SIZE_HW)
        np.testing.assert_allclose(read_K3[COCO_17.index("nose")], [49.5, 19.5, 1], atol=1e-4)
        assert (read_K3[:, 2] > 0).sum() == 1


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], object), allow_pickle=True)
    with pytest.raises(BadItem, match=r"a\.npy: not a plain NumPy array"):
        openpose.read_npy(tmp_path / "a.npy", SIZE_HW)


@pytest.mark.parametrize("value", [np.zeros((17, 2)), np.zeros((18, 2), bool), np.zeros(36)])
def test_an_array_of_another_shape_or_kind_is_refused(tmp_path: Path, value: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", value)
    with pytest.raises(BadItem, match=r"expected numbers of shape \(18, 2\)"):
        openpose.read_npy(tmp_path / "a.npy", SIZE_HW)
