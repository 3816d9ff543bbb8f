"""Crops for training: box and keypoints follow the pixels, and the COCO files say the same."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from handmade import make_folder

from tryon.config import DatasetConfig
from tryon.errors import UserError
from tryon.fit.crops import LabelledPhoto, cut, is_held_out, labelled_photos, write_crops
from tryon.images import read_rgb

INPUT_WH = (96, 128)


def marked_photo() -> tuple[LabelledPhoto, np.ndarray]:
    """A grey photo with a white dot on each of three keypoints."""
    image_HWC = np.full((600, 400, 3), 60, np.uint8)
    keypoints_K3 = np.zeros((17, 3))
    for index, (x, y) in enumerate([(120, 100), (300, 250), (200, 480)]):
        image_HWC[y - 4 : y + 5, x - 4 : x + 5] = 255
        keypoints_K3[index] = x, y, 1
    return LabelledPhoto("person/dots", Path("dots.jpg"), (100.0, 80.0, 320.0, 500.0), keypoints_K3), image_HWC


@pytest.mark.parametrize("photo_id", ["person/a", "person/b", "person/c", "person/d"])  # both interpolations
def test_keypoints_stay_on_their_pixels(photo_id: str) -> None:
    photo, image_HWC = marked_photo()
    photo = LabelledPhoto(photo_id, photo.file, photo.box_xyxy, photo.keypoints_K3)
    crop_HWC, box_xyxy, keypoints_K3 = cut(photo, image_HWC, INPUT_WH)
    assert crop_HWC.shape[0] < image_HWC.shape[0]
    for x, y, _ in keypoints_K3[:3]:
        around = crop_HWC[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5, 0].astype(float) - 60
        rows, columns = np.mgrid[-4:5, -4:5]
        assert abs((around * columns).sum() / around.sum() + round(x) - x) < 0.3
        assert abs((around * rows).sum() / around.sum() + round(y) - y) < 0.3
    scale = crop_HWC.shape[1] / 400  # the region is wider than the photo, so the whole width is kept
    np.testing.assert_allclose(box_xyxy[2] - box_xyxy[0], 220 * scale, rtol=0.01)


def test_a_small_photo_is_not_enlarged() -> None:
    photo, image_HWC = marked_photo()
    small = LabelledPhoto(photo.id, photo.file, (180.0, 200.0, 230.0, 260.0), photo.keypoints_K3)
    crop_HWC, box_xyxy, _ = cut(small, image_HWC, INPUT_WH)
    assert box_xyxy[2] - box_xyxy[0] == pytest.approx(50)
    assert max(crop_HWC.shape) < 200


def test_person_and_garment_of_one_name_are_held_out_together() -> None:
    for name in map(str, range(50)):
        assert is_held_out(f"person/{name}", 0.5) == is_held_out(f"garment/{name}", 0.5)
    assert 300 < sum(is_held_out(f"person/{name}", 0.4) for name in range(1000)) < 500
    assert not is_held_out("person/a", 0.0)
    assert is_held_out("person/a", 1.0)


def test_coco_files_hold_every_labelled_photo_once(rendered: Path, tmp_path: Path) -> None:
    counts = write_crops(rendered, tmp_path, INPUT_WH, 0.3)
    assert sum(counts.values()) == len(list(labelled_photos(rendered))) == 16
    names = []
    for split, count in counts.items():
        coco = json.loads((tmp_path / f"{split}.json").read_text())
        assert len(coco["images"]) == len(coco["annotations"]) == count
        for picture, annotation in zip(coco["images"], coco["annotations"], strict=True):
            assert read_rgb(tmp_path / picture["file_name"]).shape[:2] == (picture["height"], picture["width"])
            assert annotation["num_keypoints"] == sum(value > 0 for value in annotation["keypoints"][2::3]) > 0
            names.append(picture["file_name"])
    assert len(set(names)) == 16


def test_an_unusable_photo_is_left_out_aloud(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(rendered, data)
    broken = sorted((data / "person").glob("*.jpg"))[0]
    broken.write_bytes(broken.read_bytes()[:1000])
    absent = sorted((data / "garment").glob("*.jpg"))[0]
    absent.unlink()
    assert len(list(labelled_photos(data))) == 14
    errors = capsys.readouterr().err
    assert f"left out person/{broken.stem}: {broken.name}: cannot be decoded" in errors
    assert f"left out annotations/garment/{absent.stem}.json: its photo garment/{absent.stem} is missing" in errors


def test_a_folder_without_keypoints_says_what_is_needed(tmp_path: Path) -> None:
    make_folder(tmp_path, {"anna": None}, ["shirt"])
    with pytest.raises(UserError, match=r"no photo with keypoints; a photo needs an annotation and keypoints/person"):
        list(labelled_photos(tmp_path))


def test_another_format_is_read_by_its_own_reader(photos: Path, tmp_path: Path) -> None:
    for name in ("person", "garment"):
        shutil.copytree(photos / name, tmp_path / name)
    (tmp_path / "annotations").mkdir()
    shutil.copy(photos / "coco" / "instances.json", tmp_path / "annotations")
    found = [photo for photo, _ in labelled_photos(tmp_path, DatasetConfig(format="coco"))]
    isat = {photo.id: photo for photo, _ in labelled_photos(photos)}
    assert len(found) == 8
    for photo in found:
        np.testing.assert_allclose(photo.box_xyxy, isat[photo.id].box_xyxy, atol=1.01)
        visible_K = photo.keypoints_K3[:, 2] > 0
        np.testing.assert_array_equal(visible_K, isat[photo.id].keypoints_K3[:, 2] > 0)
        close = isat[photo.id].keypoints_K3[visible_K]
        np.testing.assert_allclose(photo.keypoints_K3[visible_K], close, atol=0.051)  # the file rounds to 0.1 px
