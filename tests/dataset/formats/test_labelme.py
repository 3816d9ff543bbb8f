"""LabelMe files: every kind of shape as pixels, what lies over what, and what each broken file is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from handmade import save_json
from labelme_files import labelme, png_text, shape, square
from PIL import Image

from tryon.config import DatasetConfig
from tryon.dataset import formats
from tryon.dataset.annotation import HOLE, Annotated, Annotation
from tryon.dataset.mending import mend
from tryon.errors import BadItem
from tryon.ontology import LABEL_INDEX
from tryon.prepare.masks import draw_label_map

CFG = DatasetConfig(format="labelme")


def read(folder: Path, value: object, cfg: DatasetConfig = CFG) -> Annotation:
    save_json(folder / "anna.json", value)
    annotation = formats.reader(cfg).annotate(folder, "anna.json", "person")
    assert isinstance(annotation, Annotation)
    return annotation


def pixels(folder: Path, *shapes: dict, cfg: DatasetConfig = CFG, size_hw: tuple[int, int] = (32, 24)) -> np.ndarray:
    return draw_label_map(read(folder, labelme(list(shapes), size_hw), cfg), size_hw)


def is_label(labels_HW: np.ndarray, label: str) -> np.ndarray:
    return labels_HW == LABEL_INDEX[label]


def test_a_rectangle_holds_both_corners_whichever_come_first(tmp_path: Path) -> None:
    found_HW = is_label(pixels(tmp_path, shape("up", [[9, 12], [4, 5]], "rectangle")), "up")
    expected_HW = np.zeros((32, 24), bool)
    expected_HW[5:13, 4:10] = True
    np.testing.assert_array_equal(found_HW, expected_HW)


def test_a_circle_holds_the_pixels_within_its_radius_and_inside_the_photo(tmp_path: Path) -> None:
    found_HW = is_label(pixels(tmp_path, shape("up", [[3.5, 10.5], [3.5, 16.5]], "circle")), "up")
    rows, columns = np.mgrid[:32, :24]
    np.testing.assert_array_equal(found_HW, (columns - 3) ** 2 + (rows - 10) ** 2 <= 36)


@pytest.mark.parametrize("width_px", [1, 4, 10])
def test_a_line_is_as_wide_as_the_setting(tmp_path: Path, width_px: int) -> None:
    cfg = DatasetConfig(format="labelme", line_width_px=width_px)
    found_HW = is_label(pixels(tmp_path, shape("up", [[-20, 15.5], [50, 15.5]], "line"), cfg=cfg), "up")
    rows = np.abs(np.arange(32) - 15) <= width_px / 2
    np.testing.assert_array_equal(found_HW, np.repeat(rows[:, None], 24, axis=1))


def test_a_linestrip_goes_round_its_corners(tmp_path: Path) -> None:
    cfg = DatasetConfig(format="labelme", line_width_px=2)
    found_HW = is_label(pixels(tmp_path, shape("up", [[4, 4], [4, 20], [18, 20]], "linestrip"), cfg=cfg), "up")
    assert found_HW[4:21, 3:6].all()
    assert found_HW[19:22, 4:19].all()
    assert not found_HW[:18, 7:].any()


def test_a_vertex_stands_for_the_pixel_that_it_lies_in(tmp_path: Path) -> None:
    found_HW = is_label(pixels(tmp_path, shape("up", square(3.2, 4.9, 8.9, 32.0))), "up")
    expected_HW = np.zeros((32, 24), bool)
    expected_HW[4:, 3:9] = True
    np.testing.assert_array_equal(found_HW, expected_HW)


def test_a_mask_lies_in_its_box(tmp_path: Path) -> None:
    mask_HW = np.random.default_rng(0).random((6, 5)) < 0.5
    found_HW = is_label(
        pixels(tmp_path, shape("up", [[7, 3], [11, 8]], "mask", mask=png_text(mask_HW))),
        "up",
    )
    expected_HW = np.zeros((32, 24), bool)
    expected_HW[3:9, 7:12] = mask_HW
    np.testing.assert_array_equal(found_HW, expected_HW)


def test_points_have_no_area_and_are_recorded(tmp_path: Path) -> None:
    read_back = read(tmp_path, labelme([shape("up", square(1, 1, 9, 9)), shape("collar", [[3, 3]], "point")]))
    assert read_back.categories == ("up",)
    assert read_back.repairs == ("anna.json: shapes[1] 'collar' is a point, which has no area: left out",)


def test_the_person_lies_lowest_and_holes_cut_everything_wherever_they_stand_in_the_file(tmp_path: Path) -> None:
    hole, up, arm = (
        shape(HOLE, square(8, 8, 11, 11)),
        shape("up", square(4, 4, 15, 15)),
        shape("left_arm", square(12, 4, 18, 15)),
    )
    labels_HW = pixels(tmp_path, hole, up, arm, shape("person", square(2, 2, 20, 28)))
    assert (labels_HW[8:12, 8:12] == 0).all()
    assert is_label(labels_HW, "up")[4:8, 4:12].all()
    assert is_label(labels_HW, "left_arm")[4:16, 12:19].all(), "later lies over earlier"
    assert is_label(labels_HW, "person")[20:29, 2:21].all()


def test_shapes_keep_their_instance_and_others_get_their_own(tmp_path: Path) -> None:
    given = [
        shape("up", square(1, 1, 5, 5), group_id=4),
        shape("up", square(9, 9, 12, 12), group_id=4),
        shape("down", square(1, 20, 5, 25)),
        shape("hair", square(9, 20, 15, 25)),
    ]
    assert [item.group for item in read(tmp_path, labelme(given)).shapes] == [4, 4, 5, 6]


def two_halves(*parts: dict, **lower: object) -> dict:
    """A body that is drawn as two polygons, as above and below a table."""
    above, below = shape("person", square(2, 2, 20, 15)), shape("person", square(4, 18, 18, 30), **lower)
    return labelme([above, below, *parts])


TROUSERS = ("down", square(5, 19, 17, 28))


def test_garments_of_a_person_without_group_id_are_not_left_out(tmp_path: Path) -> None:
    """They may be the other half of the same body."""
    for groups in ({}, {"group_id": 3}):
        halves = two_halves(shape("up", square(4, 4, 15, 14)), shape(*TROUSERS), **groups)
        with pytest.raises(BadItem, match=r"anna\.json: 2 shapes of 'person'.*down would be left out.*one group_id"):
            mend(read(tmp_path, halves), "person")


def test_a_garment_over_two_persons_without_group_id_says_how_to_make_them_one(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match=r"'dress' .* may belong to either.*crop the photo; give the parts.*group_id"):
        mend(read(tmp_path, two_halves(shape("dress", square(5, 5, 15, 28)))), "person")


def test_parts_with_one_group_id_are_one_person_and_with_two_are_two(tmp_path: Path) -> None:
    def mended(below: int) -> Annotated:
        value = two_halves(shape(*TROUSERS), group_id=below)
        value["shapes"][0]["group_id"] = 1
        return mend(read(tmp_path, value), "person")

    assert mended(1).repairs == ()
    assert mended(1).categories == ("down", "person")
    assert mended(2).repairs == ("several people: the largest of 2 is kept, the others are left out with down",)


def test_a_bystander_without_garments_needs_no_group_id(tmp_path: Path) -> None:
    mended = mend(read(tmp_path, two_halves(shape("up", square(4, 4, 15, 14)))), "person")
    assert mended.repairs == ("several people: the largest of 2 is kept, the others are left out",)
    assert mended.categories == ("person", "up")


def test_a_file_of_before_shape_types_holds_polygons(tmp_path: Path) -> None:
    old = {key: value for key, value in shape("up", square(1, 1, 5, 5)).items() if key != "shape_type"}
    assert is_label(pixels(tmp_path, old), "up").sum() == 25


def test_the_picture_inside_the_file_is_not_read(tmp_path: Path) -> None:
    read_back = read(tmp_path, labelme([shape("up", square(1, 1, 5, 5))], imageData="no base64, no picture"))
    assert read_back.categories == ("up",)


def test_own_label_names_are_translated(tmp_path: Path) -> None:
    cfg = DatasetConfig(format="labelme", labels={"上衣": "up", "gap": "__background__"})
    read_back = read(tmp_path, labelme([shape("gap", square(1, 1, 2, 2)), shape("上衣", square(1, 1, 5, 5))]), cfg)
    assert [item.category for item in read_back.shapes] == ["up", HOLE]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"info": {}, "objects": []}, "not LabelMe but ISAT JSON"),
        ({"images": [], "annotations": []}, "not LabelMe but COCO JSON"),
        ([], "not LabelMe but a JSON list"),
        (labelme([], imageHeight=None), "imageHeight is None, expected a number"),
        (labelme([], imageWidth=0), "imageWidth is 0, expected a whole number of pixels"),
        (labelme([], (20_000, 20_000)), "over 100000000 pixels"),
        (labelme([7]), "shapes[0] is int, expected an object"),
        (labelme([shape("", square(1, 1, 5, 5))]), "shapes[0].label is ''"),
        (labelme([shape("up", square(1, 1, 5, 5), "blob")]), "shapes[0].shape_type of 'up' is 'blob', expected one of"),
        (labelme([shape("up", [[1, 1], [2, 2]])]), "a polygon of 'up' with 2 points, expected at least 3"),
        (labelme([shape("up", [[1, 1]], "circle")]), "a circle of 'up' with 1 points, expected 2"),
        (labelme([shape("up", square(1, 1, 2, 2), "rectangle")]), "a rectangle of 'up' with 4 points, expected 2"),
        (labelme([shape("up", [[1, 1], [2, "3"], [4, 4]])]), "shapes[0].points is '3', expected a number"),
        (labelme([shape("up", [[1, 1], [2, float("nan")], [4, 4]])]), "points is nan, expected a number"),
        (labelme([shape("up", [[1, 1], [2], [4, 4]])]), "holds [2], expected [x, y]"),
        (labelme([shape("up", None)]), "points of 'up' is NoneType, expected a list"),  # type: ignore[arg-type]
        (labelme([shape("up", [[1, 1], [3, 3]], "mask")]), "mask is NoneType, expected base64 text"),
        (labelme([shape("up", [[1, 1], [3, 3]], "mask", mask="%")]), "mask is no picture in base64"),
        (labelme([shape("up", [[1, 1], [3, 3]], "mask", mask="AAAA")]), "mask is no picture in base64"),
        (
            labelme([shape("up", [[1, 1], [3, 3]], "mask", mask=png_text(np.ones((3, 4), bool)))]),
            "mask is 4x3, but its box of points is 3x3",
        ),
    ],
)
def test_what_cannot_be_used_names_the_file_and_the_cause(tmp_path: Path, value: object, told: str) -> None:
    with pytest.raises(BadItem, match=r"anna\.json") as refused:
        read(tmp_path, value)
    assert told in str(refused.value)


def test_a_truncated_mask_is_refused(tmp_path: Path) -> None:
    text = png_text(np.random.default_rng(0).random((64, 64)) < 0.5)
    with pytest.raises(BadItem, match="mask is no picture"):
        read(tmp_path, labelme([shape("up", [[0, 0], [63, 63]], "mask", mask=text[:400])], (64, 64)))


def test_real_files_give_the_golden_masks(fixtures: Path, tmp_path: Path) -> None:
    """LabelMe's own example and its own conversion to PASCAL VOC masks, label by label."""
    root = fixtures / "labelme"
    names = (root / "labels.txt").read_text().splitlines()  # of the values -1 (255: nobody has to answer), 0, 1, ...
    stand_ins = ("up", "down", "dress", "hair", "face")  # these are no labels of try-on photos
    found = sorted((root / "data_annotated").glob("*.json"))
    assert len(found) == 3
    for path in found:
        golden_HW = np.asarray(Image.open(root / "data_dataset_voc" / "SegmentationClass" / f"{path.stem}.png"))
        value = json.loads(path.read_text())
        labels = sorted({item["label"] for item in value["shapes"]})
        cfg = DatasetConfig(format="labelme", labels=dict(zip(labels, stand_ins, strict=False)))
        labels_HW = draw_label_map(read(tmp_path, value, cfg), golden_HW.shape)
        for label, stand_in in cfg.labels.items():
            found_HW, golden = is_label(labels_HW, stand_in), np.uint8((names.index(label) - 1) % 256)
            wanted_HW = golden_HW == golden
            assert (found_HW & wanted_HW).sum() / (found_HW | wanted_HW).sum() > 0.98, (path.name, label)
