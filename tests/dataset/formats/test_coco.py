"""COCO files: photos found by name, shapes and keypoints per picture, and what each broken file is told."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from handmade import add_photo, save_json
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from tryon.config import DatasetConfig
from tryon.dataset import dataset, formats
from tryon.dataset.annotation import Annotation
from tryon.dataset.formats import coco_file
from tryon.dataset.formats.run_lengths import decode
from tryon.errors import BadItem, UserError
from tryon.ontology import CATEGORIES, LABEL_INDEX, LABELS
from tryon.prepare.masks import draw_label_map

CFG = DatasetConfig(format="coco")
NAMES = ("person", "up", "down", "hair")
RING = [2, 2, 10, 2, 10, 20, 2, 20]


def picture(number: int, file_name: str, size_hw: tuple[int, int] = (32, 24)) -> dict:
    return {"id": number, "file_name": file_name, "height": size_hw[0], "width": size_hw[1]}


def entry(number: int, image: int, category: int, segmentation: object = None, **more: object) -> dict:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": [RING] if segmentation is None else segmentation,
        "iscrowd": 0,
        "bbox": [2, 2, 8, 18],
        **more,
    }


def coco(images: list, annotations: list) -> dict:
    categories = [{"id": index, "name": name} for index, name in enumerate(NAMES, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def keypoints(v: float = 2, x: float = 5) -> list:
    return [x, 7, v] * 17


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for id_ in ("person/anna", "person/ben", "garment/shirt"):
        add_photo(tmp_path, id_, None)
    (tmp_path / "annotations").mkdir()
    return tmp_path


def save(folder: Path, value: object, place: str = "annotations/all.json") -> None:
    save_json(folder / place, value)


def read(folder: Path, annotations: list, size_hw: tuple[int, int] = (32, 24)) -> Annotation:
    save(folder, coco([picture(7, "anna.jpg", size_hw)], annotations))
    found = formats.reader(CFG).annotate(folder, "annotations/all.json#7", "person")
    assert isinstance(found, Annotation)
    return found


def references(folder: Path) -> dict[str, tuple[str | None, str | None]]:
    return {photo.id: (photo.annotation, photo.keypoints) for photo in formats.reader(CFG).scan(folder).photos}


def problems(folder: Path) -> dict[str, str]:
    return dict(formats.reader(CFG).scan(folder).problems)


# ---- which entry belongs to which photo


@pytest.mark.parametrize("name", ["anna.jpg", "person/anna.jpg", "train/person/anna.png", "C:\\data\\person\\anna.jpg"])
def test_a_picture_is_found_by_its_name_with_or_without_folders(folder: Path, name: str) -> None:
    save(folder, coco([picture(7, name)], [entry(1, 7, 1)]))
    assert references(folder)["person/anna"] == ("annotations/all.json#7", None)
    assert references(folder)["person/ben"] == (None, None)
    assert problems(folder) == {}


def test_several_files_are_read_and_a_folder_of_a_role_holds_that_role_alone(folder: Path) -> None:
    add_photo(folder, "garment/anna", None)
    save(folder, coco([picture(1, "ben.jpg")], [entry(1, 1, 1)]), "annotations/ben.json")
    save(folder, coco([picture(1, "anna.jpg")], [entry(1, 1, 1)]), "annotations/person/p.json")
    save(folder, coco([picture(1, "anna.jpg")], [entry(1, 1, 2)]), "annotations/garment/g.json")
    found = references(folder)
    assert found["person/ben"][0] == "annotations/ben.json#1"
    assert found["person/anna"][0] == "annotations/person/p.json#1"
    assert found["garment/anna"][0] == "annotations/garment/g.json#1"
    assert problems(folder) == {}


def test_a_name_that_two_photos_have_needs_its_folder(folder: Path) -> None:
    add_photo(folder, "garment/anna", None)
    save(folder, coco([picture(7, "anna.jpg")], [entry(1, 7, 1)]))
    assert "anna.jpg may be person/anna or garment/anna" in problems(folder)["annotations/all.json#7"]
    assert references(folder)["person/anna"] == (None, None)


def test_a_photo_that_two_entries_name_is_not_guessed_at(folder: Path) -> None:
    for name in ("a", "b"):
        save(folder, coco([picture(7, "anna.jpg")], [entry(1, 7, 1)]), f"annotations/{name}.json")
    assert "annotations/a.json#7 and in annotations/b.json#7" in problems(folder)["person/anna"]
    assert "person/anna" not in references(folder)


def test_pictures_that_are_no_photos_are_counted_in_one_line(folder: Path) -> None:
    save(folder, coco([picture(7, "anna.jpg"), picture(8, "eve.jpg"), picture(9, "zoe.jpg")], [entry(1, 7, 1)]))
    assert problems(folder)["annotations/all.json"].startswith("2 of its 3 pictures are neither in person/")


def test_a_decomposed_name_finds_its_photo(folder: Path) -> None:
    add_photo(folder, "person/zoé", None)
    save(folder, coco([picture(7, "zoe\u0301.jpg")], [entry(1, 7, 1)]))
    assert references(folder)["person/zoé"][0] == "annotations/all.json#7"


def test_a_file_may_be_laid_out_in_any_way_and_hold_other_things(folder: Path) -> None:
    value = {
        "info": {"images": [1]},
        "annotations": [entry(1, 7, 2)],
        "licenses": [],
        "images": [picture(7, "anna.jpg")],
        "categories": [{"id": 2, "name": "up"}],
    }
    for indent in (None, 2):
        content = b"\xef\xbb\xbf \r\n" + json.dumps(value, indent=indent).encode() + b"\n"
        (folder / "annotations" / "all.json").write_bytes(content)
        reader = formats.reader(CFG)
        assert reader.annotate(folder, "annotations/all.json#7", "person").categories == ("up",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "not UTF-8 JSON"),
        (b"\xff\xfe", "not UTF-8 JSON"),
        (b"[" * 100_000, "not UTF-8 JSON"),
        (b"", "not UTF-8 JSON"),
        (b'{"images": [], "annotations": []', "not UTF-8 JSON"),
        (b'{"images": [], "annotations": [],}', "not UTF-8 JSON"),
        (b'{"images": [], "annotations": [{"image_id": 1},]}', "not UTF-8 JSON"),
        (b'{"images": [] "annotations": []}', "not UTF-8 JSON"),
        (b'{1: [], "annotations": []}', "not UTF-8 JSON"),
        (b'{"images": [], "annotations": []} {}', "not UTF-8 JSON"),
        (b'{"images": {}, "annotations": []}', "not COCO but"),
        (b'{"images": [null], "annotations": []}', r"images\[0\] is NoneType"),
        (b"[]", "not COCO but a JSON list"),
        (b'{"shapes": []}', "not COCO but LabelMe JSON"),
        (b'{"images": [3], "annotations": []}', r"images\[0\] is int"),
        (b'{"images": [{"id": 1}], "annotations": []}', r"images\[0\] lacks `id` or `file_name`"),
        (
            b'{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": []}',
            r"images\[1\] has the id 1 of an earlier picture",
        ),
        (
            b'{"images": [], "annotations": [{"image_id": 4}]}',
            r"annotations\[0\] is of picture 4, which `images` lacks",
        ),
        (b'{"images": [], "annotations": [], "categories": [{"id": "1"}]}', r"categories\[0\] has id '1'"),
    ],
)
def test_a_broken_file_is_many_photos_own_and_stops_the_listing(folder: Path, content: bytes, told: str) -> None:
    (folder / "annotations" / "all.json").write_bytes(content)
    with pytest.raises(UserError, match=rf"all\.json.*{told}"):
        formats.reader(CFG).scan(folder)


def test_a_folder_without_coco_files_says_so(folder: Path) -> None:
    with pytest.raises(UserError, match="no COCO file in it"):
        formats.reader(CFG).scan(folder)


def test_a_file_is_parsed_once_until_it_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(folder, coco([picture(7, "anna.jpg")], [entry(1, 7, 1)]))
    parsed = []
    read_whole = coco_file._read
    monkeypatch.setattr(coco_file, "_read", lambda path: parsed.append(path) or read_whole(path))
    for _ in range(3):
        references(folder)
        formats.reader(CFG).annotate(folder, "annotations/all.json#7", "person")
    assert len(parsed) == 1
    save(folder, coco([picture(7, "anna.jpg"), picture(8, "ben.jpg")], [entry(1, 7, 1)]))
    assert references(folder)["person/ben"][0] == "annotations/all.json#8"
    assert len(parsed) == 2


def test_one_changed_annotation_changes_the_digest_of_one_photo(folder: Path) -> None:
    value = coco([picture(7, "anna.jpg"), picture(8, "ben.jpg")], [entry(1, 7, 1), entry(2, 8, 1)])

    def digests() -> tuple[str, str]:
        save(folder, value)
        reader = formats.reader(CFG)
        return tuple(reader.annotation_sha256(folder, f"annotations/all.json#{image}", {}) for image in (7, 8))  # type: ignore[return-value]

    anna, ben = digests()
    value["annotations"][1]["segmentation"] = [[2, 2, 9, 2, 9, 9]]
    value["images"].append(picture(9, "shirt.jpg"))
    assert digests()[0] == anna
    assert digests()[1] != ben
    value["categories"][1]["name"] = "top"
    assert digests()[0] != anna, "a name of the table may translate any entry"


def test_the_stage_dataset_reads_a_coco_folder(folder: Path) -> None:
    annotations = [entry(1, 7, 1, keypoints=keypoints()), entry(2, 7, 2), entry(3, 9, 2)]
    save(folder, coco([picture(7, "anna.jpg"), picture(9, "shirt.jpg")], annotations))
    manifest, quarantine = dataset.build(folder, folder / "cache" / "x", CFG, jobs=2)
    rows = manifest.set_index("id")
    assert sorted(rows.index) == ["garment/shirt", "person/anna"]
    assert rows.loc["person/anna", "keypoints"] == "annotations/all.json#7"
    assert len(rows.loc["person/anna", "keypoints_sha256"]) == 64
    assert rows.loc["person/anna", "categories"] == "up"
    assert list(quarantine["id"]) == ["person/ben"]


def test_a_hundred_times_the_pictures_take_no_more_than_a_few_hundred_times_as_long(tmp_path: Path) -> None:
    """Finding the entry of a photo must not search all others; 10 000 pictures would take minutes."""

    def seconds(count: int) -> float:
        root = tmp_path / str(count)
        for role in ("person", "garment", "annotations"):
            (root / role).mkdir(parents=True)
        for number in range(count):
            (root / "person" / f"{number}.jpg").touch()
        (root / "garment" / "g.jpg").touch()
        images = [picture(number, f"{number}.jpg") for number in range(count)]
        save(root, coco(images, [entry(number, number, 1) for number in range(count)]))
        reader = formats.reader(CFG)
        started = time.process_time()
        listing = reader.scan(root)
        for photo in listing.photos:
            if photo.annotation:
                reader.annotation_sha256(root, photo.annotation, {})
        return time.process_time() - started

    small = seconds(100)
    assert seconds(10_000) < 400 * small + 1.0


# ---- shapes


def test_polygons_stand_for_the_pixels_their_vertices_lie_in_and_keep_their_instance(folder: Path) -> None:
    found = read(folder, [entry(1, 7, 2, [[3.2, 4.9, 8.9, 4.9, 8.9, 32.0, 3.2, 32.0], [20, 1, 22, 1, 22, 3]])])
    labels_HW = draw_label_map(found, (32, 24))
    expected_HW = np.zeros((32, 24), bool)
    expected_HW[4:, 3:9] = True
    np.testing.assert_array_equal(labels_HW[:, :12] == LABEL_INDEX["up"], expected_HW[:, :12])
    assert [shape.group for shape in found.shapes] == [1, 1]


@given(arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_run_lengths_are_decoded_exactly_however_they_are_written(mask_HW: np.ndarray) -> None:
    compressed = coco_mask.encode(np.asfortranarray(mask_HW.astype(np.uint8)))
    flat = mask_HW.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *changes, flat.size]).tolist()
    runs = [0, *runs] if flat[0] else runs
    size_hw = (mask_HW.shape[0], mask_HW.shape[1])
    for counts in (compressed["counts"].decode(), runs):
        code = {"size": list(size_hw), "counts": counts}
        np.testing.assert_array_equal(decode(code, size_hw, "x"), mask_HW)


def test_a_crowd_is_left_out_and_recorded(folder: Path) -> None:
    code = {"size": [32, 24], "counts": [0, 32 * 24]}
    found = read(folder, [entry(1, 7, 2), entry(5, 7, 1, code, iscrowd=1)])
    assert found.categories == ("up",)
    assert found.repairs == (
        "annotations/all.json#7: annotation 5 is a crowd of 'person', which outlines nobody: left out",
    )


def test_the_person_lies_under_its_parts_wherever_it_stands(folder: Path) -> None:
    found = read(folder, [entry(1, 7, 2), entry(2, 7, 1, [[0, 0, 20, 0, 20, 30, 0, 30]])])
    assert draw_label_map(found, (32, 24))[5, 5] == LABEL_INDEX["up"]


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (entry(5, 7, 99), "annotation 5 has category_id 99, which `categories` lacks"),
        (entry(5, 7, 2, []), "annotation 5 of 'up' has no segmentation"),
        (entry(5, 7, 2, [[1, 2, 3, 4]]), r"segmentation\[0\] is 4 numbers, expected \[x1, y1"),
        (entry(5, 7, 2, [[1, 2, 3, 4, 5, "6"]]), r"segmentation\[0\] is '6', expected a number"),
        (entry(5, 7, 2, [[1, 2, 3, 4, 5, float("inf")]]), r"segmentation\[0\] is inf, expected a number"),
        (entry(5, 7, 2, {"size": [24, 32], "counts": []}), r"of size \[24, 32\], expected \[32, 24\]"),
        (entry(5, 7, 2, {"size": [32, 24], "counts": [5]}), r"add up to 5, expected 32 \* 24"),
        (entry(5, 7, 2, {"size": [32, 24], "counts": [-1, 769]}), "whole numbers from 0 on"),
        (entry(5, 7, 2, {"size": [32, 24], "counts": None}), "whole numbers from 0 on"),
        (entry(5, 7, 2, {"size": [32, 24], "counts": "\x7f!"}), "is not part of a compressed"),
        (entry(5, 7, 2, {"size": [32, 24], "counts": "PPPPPPPPPP"}), "is not part of a compressed"),
        (entry(5, 7, 2, {"size": [32, 24], "counts": "0P"}), "ends in the middle of a number"),
    ],
)
def test_an_entry_that_cannot_be_used_names_file_picture_and_cause(folder: Path, annotation: dict, told: str) -> None:
    with pytest.raises(BadItem, match=rf"all\.json#7.*{told}"):
        read(folder, [annotation])


@pytest.mark.parametrize(("size_hw", "told"), [((0, 24), "height is 0"), ((20_000, 20_000), "over 100000000 pixels")])
def test_a_size_that_cannot_be_is_refused(folder: Path, size_hw: tuple[int, int], told: str) -> None:
    with pytest.raises(BadItem, match=told):
        read(folder, [entry(1, 7, 2)], size_hw)


# ---- keypoints


def points(folder: Path, annotations: list) -> np.ndarray:
    save(folder, coco([picture(7, "anna.jpg")], annotations))
    reference = references(folder)["person/anna"][1]
    assert reference is not None
    return formats.reader(CFG).keypoints(folder, reference, (32, 24))


def test_hidden_and_visible_points_count_and_absent_ones_do_not(folder: Path) -> None:
    values = keypoints()
    values[3:9] = [6, 8, 1, 0, 0, 0]
    found_K3 = points(folder, [entry(1, 7, 1, keypoints=values)])
    np.testing.assert_array_equal(found_K3[:4], [[5, 7, 1], [6, 8, 1], [0, 0, 0], [5, 7, 1]])


def test_of_several_people_the_largest_has_the_keypoints(folder: Path) -> None:
    small, large = (
        entry(1, 7, 1, keypoints=keypoints(x=3), bbox=[0, 0, 5, 5]),
        entry(2, 7, 1, keypoints=keypoints(x=9), bbox=[0, 0, 9, 9]),
    )
    assert (points(folder, [small, large])[:, 0] == 9).all()


def at(number: int, x: float, y: float, side: float) -> dict:
    """Somebody whose points fill a square; the boxes that the file gives are all equal."""
    values = [value for k in range(17) for value in (x + side * (k % 2), y + side * (k // 9), 2)]
    return entry(number, 7, 1, keypoints=values)


def test_the_keypoints_are_those_of_who_stands_where_the_annotation_is(folder: Path) -> None:
    large, annotated = at(1, 0, 0, 9), at(2, 15, 20, 4)
    save(folder, coco([picture(7, "anna.jpg")], [large, annotated]))
    reader, reference = formats.reader(CFG), "annotations/all.json#7"
    found_K3, repairs = reader.keypoints_near(folder, reference, (32, 24), (14, 18, 20, 26))
    assert found_K3[0].tolist() == [15, 20, 1]
    assert repairs[0].startswith(f"several people: of 2 in {reference} the one who overlaps the annotation most (IoU 0")
    found_K3, repairs = reader.keypoints_near(folder, reference, (32, 24), (22, 0, 23, 2))
    assert found_K3[0].tolist() == [0, 0, 1]
    assert repairs == (f"several people: of 2 in {reference} the one who is the largest",)
    save(folder, coco([picture(7, "anna.jpg")], [annotated]))
    assert reader.keypoints_near(folder, reference, (32, 24), (22, 0, 23, 2))[1] == (), "nobody else was there"


def test_who_is_taken_has_to_stand_inside_the_photo(folder: Path) -> None:
    save(folder, coco([picture(7, "anna.jpg")], [at(1, 0, 0, 9), at(2, 0, 0, 900)]))
    reader, reference = formats.reader(CFG), "annotations/all.json#7"
    assert reader.keypoints_near(folder, reference, (32, 24), (0, 0, 9, 9))[0][0].tolist() == [0, 0, 1]
    with pytest.raises(BadItem, match="all.json#7: keypoints of annotation 2.*outside the photo"):
        reader.keypoints_near(folder, reference, (32, 24), (0, 0, 900, 900))


def test_a_picture_without_keypoints_says_so(folder: Path) -> None:
    save(folder, coco([picture(7, "anna.jpg")], [entry(1, 7, 1)]))
    for read_points in (
        lambda reader: reader.keypoints(folder, "annotations/all.json#7", (32, 24)),
        lambda reader: reader.keypoints_near(folder, "annotations/all.json#7", (32, 24), (0, 0, 9, 9)),
    ):
        with pytest.raises(BadItem, match="all.json#7: no keypoints of this picture"):
            read_points(formats.reader(CFG))


def test_of_several_people_in_an_mmpose_file_the_one_who_stands_there_is_taken(folder: Path) -> None:
    def person(x: float, score: float) -> dict:
        points = [[x + k % 2, 8 + k // 9] for k in range(17)]
        return {"keypoints": points, "keypoint_scores": [0.5] * 17, "bbox_score": score}

    save(folder, [person(3, 0.9), person(15, 0.1)], "keypoints/person/anna.json")
    found_K3, repairs = formats.reader(CFG).keypoints_near(
        folder, "keypoints/person/anna.json", (32, 24), (14, 7, 18, 12)
    )
    assert found_K3[0, 0] == 15
    assert repairs[0].startswith("several people: of 2 in anna.json the one who overlaps")


def test_a_picture_id_may_hold_anything(folder: Path) -> None:
    images = [picture("a#1.json", "anna.jpg"), picture("b", "ben.jpg")]  # type: ignore[arg-type]
    save(folder, coco(images, [entry(1, "a#1.json", 2, keypoints=keypoints())]))  # type: ignore[arg-type]
    reader, reference = formats.reader(CFG), "annotations/all.json#a#1.json"
    assert references(folder)["person/anna"] == (reference, reference)
    assert reader.annotate(folder, reference, "person").categories == ("up",)
    assert reader.keypoints(folder, reference, (32, 24))[0].tolist() == [5, 7, 1]
    assert len(reader.annotation_sha256(folder, reference, {})) == 64


# ---- true pictures


def test_a_true_picture_has_a_coco_file_of_its_own(folder: Path) -> None:
    save(folder, coco([picture(1, "any name.jpg")], [entry(1, 1, 2)]), "truth/ben__shirt.json")
    found = formats.reader(CFG).annotate(folder, "truth/ben__shirt.json", "person")
    assert found.categories == ("up",)
    assert (found.width, found.height) == (24, 32)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (coco([], []), "describes 0 pictures, expected one; export"),
        (coco([picture(1, "a.jpg"), picture(2, "b.jpg")], []), "describes 2 pictures, expected one; export"),
        ({"info": {}, "objects": []}, "not COCO but ISAT JSON"),
        (None, "cannot be read"),
    ],
)
def test_a_true_picture_whose_file_cannot_be_used_is_one_picture_refused(
    folder: Path, value: object, told: str
) -> None:
    if value is not None:
        save(folder, value, "truth/ben__shirt.json")
    with pytest.raises(BadItem, match=rf"truth/ben__shirt\.json.*{told}"):
        formats.reader(CFG).annotate(folder, "truth/ben__shirt.json", "person")


def test_of_a_whole_body_the_first_17_are_read(folder: Path) -> None:
    found_K3 = points(folder, [entry(1, 7, 1, keypoints=keypoints() + [1, 1, 2] * 116)])
    np.testing.assert_array_equal(found_K3, [[5, 7, 1]] * 17)


def test_keypoints_may_lie_in_a_file_of_their_own_or_as_mmpose_writes_them(folder: Path) -> None:
    save(folder, coco([picture(7, "anna.jpg")], [entry(1, 7, 1)]))
    save(folder, coco([picture(3, "anna.jpg")], [entry(1, 3, 1, [], keypoints=keypoints())]), "keypoints/kp.json")
    assert references(folder)["person/anna"] == ("annotations/all.json#7", "keypoints/kp.json#3")
    mmpose = [{"keypoints": [[4, 4]] * 17, "keypoint_scores": [0.5] * 17}]
    save(folder, mmpose, "keypoints/person/anna.json")
    assert references(folder)["person/anna"][1] == "keypoints/person/anna.json"
    found_K3 = formats.reader(CFG).keypoints(folder, "keypoints/person/anna.json", (32, 24))
    np.testing.assert_array_equal(found_K3[0], [4, 4, 0.5])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1, 2, 3], "are 3 numbers, expected 17 times x, y, v"),
        ([*keypoints()[:-1], None], "is None, expected a number"),
        (keypoints(x=900), "outside the photo of 24x32"),
    ],
)
def test_keypoints_that_cannot_be_used_are_refused(folder: Path, values: list, told: str) -> None:
    with pytest.raises(BadItem, match=f"all.json#7.*annotation 4.*{told}"):
        points(folder, [entry(4, 7, 1, keypoints=values)])


# ---- real files


@pytest.fixture
def real(photos: Path, tmp_path: Path) -> Path:
    for name in ("person", "garment", "keypoints"):
        shutil.copytree(photos / name, tmp_path / name)
    (tmp_path / "annotations").mkdir()
    shutil.copy(photos / "coco" / "instances.json", tmp_path / "annotations")
    return tmp_path


def test_isat_coco_and_labelme_of_one_picture_give_the_same_masks(photos: Path, real: Path) -> None:
    """The silhouette and every label agree by IoU 0.99; labels of a few hundred pixels within 8 pixels.

    The COCO polygons of these photos were simplified when they were written, which moves a pixel here and there.
    """
    isat, labelme = (formats.reader(DatasetConfig(format=name)) for name in ("isat", "labelme"))
    coco_reader = formats.reader(CFG)
    listing = coco_reader.scan(real)
    annotated = [photo for photo in listing.photos if photo.annotation]
    assert len(annotated) == 8
    num_labelme = 0
    for photo in annotated:
        name = photo.id.partition("/")[2]
        read_back = [
            isat.annotate(photos, f"annotations/{photo.id}.json", "person"),
            coco_reader.annotate(real, str(photo.annotation), "person"),
        ]
        if (photos / "labelme" / f"{name}.json").is_file():
            num_labelme += 1
            read_back.append(labelme.annotate(photos, f"labelme/{name}.json", "person"))
        maps = [draw_label_map(item, (item.height, item.width)) for item in read_back]
        for first, second in [(0, 1), (0, 2), (1, 2)][: 3 if len(maps) > 2 else 1]:
            one_HW, other_HW = maps[first], maps[second]
            assert overlap(one_HW > 0, other_HW > 0) >= 0.99, photo.id
            assert (one_HW == other_HW).mean() > 0.999, photo.id
            for label in LABELS[2:]:
                is_one, is_other = one_HW == LABEL_INDEX[label], other_HW == LABEL_INDEX[label]
                if label in CATEGORIES or is_one.sum() >= 1000:
                    assert overlap(is_one, is_other) >= 0.99, (photo.id, label)
                assert overlap(is_one, is_other) >= 0.99 or (is_one != is_other).sum() <= 8, (photo.id, label)
    assert num_labelme == 4


def overlap(one_HW: np.ndarray, other_HW: np.ndarray) -> float:
    union = (one_HW | other_HW).sum()
    return float((one_HW & other_HW).sum() / union) if union else 1.0


def test_polygons_differ_from_pycocotools_by_their_outline_alone(photos: Path, real: Path) -> None:
    value = json.loads((photos / "coco" / "instances.json").read_text())
    sizes = {item["id"]: (item["height"], item["width"]) for item in value["images"]}
    polygons = [item for item in value["annotations"] if isinstance(item["segmentation"], list)]
    assert len(polygons) == 47
    for item in polygons:
        size_hw = sizes[item["image_id"]]
        theirs_HW = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(item["segmentation"], *size_hw)))
        whole = {**value, "annotations": [{**item, "category_id": 2}]}
        save_json(real / "annotations" / "instances.json", whole)
        found = formats.reader(CFG).annotate(real, f"annotations/instances.json#{item['image_id']}", "person")
        ours_HW = draw_label_map(found, size_hw) > 0
        grown_HW = ours_HW.copy()
        grown_HW[1:] |= ours_HW[:-1]
        grown_HW[:-1] |= ours_HW[1:]
        assert not (theirs_HW.astype(bool) & ~grown_HW).any()
        assert overlap(theirs_HW.astype(bool), ours_HW) > (0.99 if item["area"] > 8000 else 0.9)


def test_real_keypoints_are_those_of_the_file(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "coco-keypoints"
    add_photo(tmp_path, "garment/x", None)
    (tmp_path / "person").mkdir()
    shutil.copy(source / "000000000785.jpg", tmp_path / "person")
    found = []
    for name in ("test_coco_785.json", "test_coco_wholebody_785.json"):
        (tmp_path / "annotations").mkdir(exist_ok=True)
        shutil.copy(source / name, tmp_path / "annotations" / "all.json")
        photo = next(photo for photo in formats.reader(CFG).scan(tmp_path).photos if photo.role == "person")
        assert photo.annotation == photo.keypoints == "annotations/all.json#785"
        found.append(formats.reader(CFG).keypoints(tmp_path, photo.keypoints, (425, 640)))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0][0], [367, 81, 1])


def test_real_crowds_and_several_people_are_read(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "isat" / "convert" / "coco_tiny"
    shutil.copytree(source / "images", tmp_path / "person")
    add_photo(tmp_path, "garment/x", None)
    (tmp_path / "annotations").mkdir()
    shutil.copy(source / "coco_tiny.json", tmp_path / "annotations")
    reader = formats.reader(CFG)
    photos = {photo.id: photo for photo in reader.scan(tmp_path).photos if photo.role == "person"}
    assert len(photos) == 5
    found = reader.annotate(tmp_path, str(photos["person/000000100723"].annotation), "person")
    assert isinstance(found, Annotation)
    assert len({shape.group for shape in found.shapes if shape.category == "person"}) > 5
    assert len(found.repairs) == 1
    # the same picture was annotated by three people in three tools, so outlines differ more than readers do
    isat, labelme = (formats.reader(DatasetConfig(format=name)) for name in ("isat", "labelme"))
    name = "000000083540"
    maps = [
        draw_label_map(item, (item.height, item.width)) == LABEL_INDEX["person"]
        for item in (
            reader.annotate(tmp_path, str(photos[f"person/{name}"].annotation), "person"),
            isat.annotate(source, f"isat/{name}.json", "person"),
            labelme.annotate(source, f"labelme/{name}.json", "person"),
        )
    ]
    assert overlap(maps[0], maps[1]) > 0.75
    assert overlap(maps[0], maps[2]) > 0.75
    assert overlap(maps[1], maps[2]) > 0.75


def test_real_uncompressed_run_lengths_fill_their_box(fixtures: Path) -> None:
    value = json.loads((fixtures / "isat" / "convert" / "coco_tiny" / "coco_tiny.json").read_text())
    crowds = [item for item in value["annotations"] if item["iscrowd"]]
    assert len(crowds) == 2
    for item in crowds:
        code = item["segmentation"]
        mask_HW = decode(code, (code["size"][0], code["size"][1]), "x")
        assert mask_HW.sum() == sum(code["counts"][1::2]) > 700
        rows, columns = np.nonzero(mask_HW)
        left, top, width, height = item["bbox"]
        found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose(found, (left, top, left + width, top + height), atol=1)


def test_a_link_out_of_the_folder_is_refused_unless_that_is_asked_for(tmp_path: Path) -> None:
    outside = add_photo(tmp_path / "elsewhere", "person/x", None)
    root = tmp_path / "data"
    add_photo(root, "garment/x", None)
    (root / "person").mkdir()
    (root / "person/x.jpg").symlink_to(outside)
    (root / "annotations").mkdir()
    save_json(root / "annotations/instances.json", {"images": [], "annotations": [], "categories": []})
    assert [photo.id for photo in formats.reader(CFG).scan(root).photos] == ["garment/x"]
    linked = DatasetConfig(format="coco", follow_links=True)
    assert [photo.id for photo in formats.reader(linked).scan(root).photos] == ["garment/x", "person/x"]
