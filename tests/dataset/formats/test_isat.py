"""ISAT files: what is read, and what each kind of broken file is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from handmade import READER, annotation, polygon, save_json

from tryon.config import DatasetConfig
from tryon.dataset.annotation import HOLE, KNOWN_CATEGORIES, Annotation, check_labels, check_role, check_size
from tryon.dataset.formats import isat
from tryon.errors import BadItem


def parse(value: object) -> Annotation:
    return isat.parse(value, "annotations/person/anna.json")


def read(folder: Path, content: bytes) -> Annotation:
    (folder / "anna.json").write_bytes(content)
    return READER.annotate(folder, "anna.json", "person")


def test_polygons_come_in_layer_order_and_keep_their_group() -> None:
    parts = [
        polygon("hair", (1, 1, 3, 3), 7.0, 5),
        polygon("person", (0, 0, 9, 9), 1.0),
        polygon("up", (2, 2, 4, 4), 3.5),
    ]
    read = parse(annotation(parts, (32, 24)))
    assert [item.category for item in read.shapes] == ["person", "up", "hair"]
    assert read.shapes[2].group == 5
    assert read.shapes[1].points_xy == ((2.0, 2.0), (4.0, 2.0), (4.0, 4.0), (2.0, 4.0))
    assert (read.height, read.width) == (32, 24)
    assert read.categories == ("hair", "person", "up")


def test_holes_are_no_category() -> None:
    read = parse(annotation([polygon("person", (0, 0, 9, 9), 1.0), polygon(HOLE, (2, 2, 4, 4), 2.0, 0)]))
    assert read.categories == ("person",)
    check_labels(read)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"shapes": [], "imagePath": "x.jpg"}, "LabelMe"),
        ({"images": [], "annotations": []}, "COCO"),
        ([{"keypoints": []}], "a JSON list"),
        ({"info": {"width": 3, "height": 3}, "objects": {}}, "expected a list"),
        ({"info": {"width": 3}, "objects": []}, "info.height is None"),
        ({"info": {"width": 3.5, "height": 3}, "objects": []}, "whole number of pixels"),
        (
            annotation([{**polygon("up", (0, 0, 1, 1), 1.0), "segmentation": []}]),
            "objects[0].segmentation of 'up' has no",
        ),
        (annotation([{**polygon("up", (0, 0, 1, 1), 1.0), "segmentation": [[1, 2, 3]]}]), "expected [x, y]"),
        (annotation([{**polygon("up", (0, 0, 1, 1), 1.0), "segmentation": [[1, "2"]]}]), "expected a number"),
        (annotation([{**polygon("up", (0, 0, 1, 1), 1.0), "layer": None}]), "objects[0].layer is None"),
        (annotation([{**polygon("up", (0, 0, 1, 1), 1.0), "category": ""}]), "choose a category"),
        (annotation([3]), "objects[0] is int"),  # type: ignore[list-item]
    ],
)
def test_what_is_not_isat_names_the_file_and_the_cause(value: object, told: str) -> None:
    with pytest.raises(BadItem, match="anna.json") as refused:
        parse(value)
    assert told in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"info": {"width": NaN}}'])
def test_bytes_that_are_no_json_are_refused_not_crashed_on(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadItem, match="anna.json"):
        read(tmp_path, content)


def test_a_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(annotation([polygon("up", (0, 0, 1, 1), 1.0)])).encode()
    assert read(tmp_path, content).categories == ("up",)


def test_an_unknown_label_names_the_nearest_known_one() -> None:
    read = parse(annotation([polygon("left_am", (0, 0, 3, 3), 1.0)]))
    with pytest.raises(BadItem, match=r"unknown label 'left_am' \(did you mean 'left_arm'\?\)"):
        check_labels(read)


def test_another_size_names_both_sizes() -> None:
    read = parse(annotation([], (32, 24)))
    with pytest.raises(BadItem, match=r"24x32.*48x64"):
        check_size(read, (64, 48))


@pytest.mark.parametrize(
    ("role", "label", "told"), [("person", "up", "no person"), ("garment", "person", "no garment")]
)
def test_a_photo_without_its_subject_is_refused(role: str, label: str, told: str) -> None:
    with pytest.raises(BadItem, match=f"{told}.*found {label}"):
        check_role(parse(annotation([polygon(label, (0, 0, 3, 3), 1.0)])), role)


def test_labels_that_only_look_wrong_are_named_with_the_right_one() -> None:
    read = parse(annotation([polygon(label, (0, 0, 3, 3), 1.0) for label in ("Person", "UP", "上衣", "裤子")]))
    with pytest.raises(BadItem) as refused:
        check_role(read, "person")
    assert str(refused.value).endswith(
        "draw `person` around the body, or rename the unknown label 'Person' (did you mean 'person'?), 'UP' (did you "
        f"mean 'up'?), '上衣', '裤子' (known: {', '.join(KNOWN_CATEGORIES)}) or translate it with dataset.labels"
    )
    with pytest.raises(BadItem, match="draw one of up, down, dress, or rename the unknown label 'Person'"):
        check_role(read, "garment")
    with pytest.raises(BadItem, match="draw `person` around the body$"):
        check_role(parse(annotation([polygon("up", (0, 0, 3, 3), 1.0)])), "person")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match=r"anna\.json: no such annotation; annotate"):
        READER.annotate(tmp_path, "anna.json", "person")


def test_every_real_annotation_is_read(fixtures: Path) -> None:
    found = sorted((fixtures / "isat" / "images").glob("*.json"))
    assert len(found) == 6
    assert all(READER.annotate(path.parent, path.name, "person").shapes for path in found)


def test_own_label_names_are_translated(tmp_path: Path) -> None:
    reader = isat.IsatReader(DatasetConfig(labels={"上衣": "up"}))
    save_json(
        tmp_path / "anna.json", annotation([polygon("上衣", (0, 0, 3, 3), 1.0), polygon("裤子", (0, 0, 3, 3), 2.0)])
    )
    assert reader.annotate(tmp_path, "anna.json", "person").categories == ("up", "裤子")


@pytest.mark.parametrize("value", ["1" + "0" * 4000, "1" * 5000, "1e400", "NaN", '"\\ud800"'])
def test_numbers_that_no_computer_holds_are_refused_with_a_reason_that_a_table_holds(
    tmp_path: Path, value: str
) -> None:
    info = '{"description": "ISAT", "width": 24, "height": 32}'
    item = f'{{"category": "up", "group": 1, "layer": 1.0, "segmentation": [[{value}, 1], [2, 2], [3, 5]]}}'
    (tmp_path / "x.json").write_text(f'{{"info": {info}, "objects": [{item}]}}')
    with pytest.raises(BadItem, match="^x.json") as refused:
        READER.annotate(tmp_path, "x.json", "garment")
    str(refused.value).encode("utf-8")


def test_a_label_of_half_a_character_is_quoted_in_a_way_that_a_table_holds(tmp_path: Path) -> None:
    info = '{"description": "ISAT", "width": 24, "height": 32}'
    points = "[[1, 1], [2, 2], [3, 5]]"
    item = f'{{"category": "\\ud800", "group": 1, "layer": 1.0, "segmentation": {points}}}'
    (tmp_path / "x.json").write_text(f'{{"info": {info}, "objects": [{item}]}}')
    with pytest.raises(BadItem, match="no garment is annotated") as refused:
        check_role(READER.annotate(tmp_path, "x.json", "garment"), "garment")
    str(refused.value).encode("utf-8")
