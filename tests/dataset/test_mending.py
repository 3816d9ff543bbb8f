"""Annotations that are not clean: mended where no guess is needed and said so, refused where one is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from handmade import READER, SIZE_HW, annotation, person_objects, polygon, save_json

from tryon.dataset.annotation import Annotation, Bitmap, LabelMap, check_role, check_size
from tryon.dataset.mending import doubtful_share, mend, pixels
from tryon.errors import BadItem


def parsed(tmp_path: Path, *objects: dict, size_hw: tuple[int, int] = SIZE_HW) -> Annotation:
    save_json(tmp_path / "x.json", annotation(list(objects), size_hw))
    found = READER.annotate(tmp_path, "x.json", "person")
    assert isinstance(found, Annotation)
    return found


def free(category: str, *points: tuple[float, float], layer: float = 2.0) -> dict:
    return {**polygon(category, (0, 0, 1, 1), layer), "segmentation": [list(point) for point in points]}


def test_a_clean_annotation_is_the_same_object_without_repairs(tmp_path: Path) -> None:
    clean = parsed(tmp_path, *person_objects())
    assert mend(clean, "person") == clean
    labels = LabelMap("x.png", np.ones((4, 4), np.uint8))
    assert mend(labels, "person") is labels


def test_a_shape_without_an_area_is_left_out_and_named(tmp_path: Path) -> None:
    mended = mend(parsed(tmp_path, *person_objects(), free("hair", (3, 4), (5, 6))), "person")
    assert mended.categories == ("person", "up")
    assert mended.repairs == ("no area: 'hair' (2 vertices from 3, 4) is left out",)
    lone = mend(parsed(tmp_path, free("person", (3, 4), (5, 6))), "person")
    with pytest.raises(BadItem, match=r"no person is annotated \(found nothing, no area: 'person'"):
        check_role(lone, "person")


def test_what_reaches_over_the_edge_is_cut_off_there_and_named(tmp_path: Path) -> None:
    height, width = SIZE_HW
    over = parsed(tmp_path, *person_objects(), free("hair", (3, 4), (width + 6, 4), (3, 20)))
    assert mend(over, "person").repairs == (
        "over the edge: 'hair' (3 vertices from 3, 4) reaches 7 px out of the photo; cut off there",
    )
    # tools write the right edge as the width: that is no news
    edge = parsed(tmp_path, *person_objects(), free("hair", (0, 0), (width, 0), (width, height), (0, height)))
    assert mend(edge, "person").repairs == ()


@pytest.mark.parametrize(
    ("points", "cause"),
    [
        (((40, 2), (50, 2), (50, 9)), "lies outside the photo of 24x32"),
        (((-9, 2), (-3, 2), (-3, 9)), "lies outside the photo of 24x32"),
        (((2, 2), (900, 2), (2, 9)), "belong to another picture"),
        (((2, 2), (5, 1e8), (2, 9)), "belong to another picture"),
    ],
)
def test_what_lies_outside_is_refused(tmp_path: Path, points: tuple[tuple[float, float], ...], cause: str) -> None:
    with pytest.raises(BadItem, match=f"^x.json: 'hair' .*{cause}"):
        mend(parsed(tmp_path, *person_objects(), free("hair", *points)), "person")


SQUARE = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)]


@pytest.mark.parametrize(
    ("points", "share"),
    [
        (SQUARE, 0.0),
        (SQUARE[::-1], 0.0),
        ([SQUARE[0], SQUARE[1], SQUARE[3], SQUARE[2]], 0.5),  # a bow tie: two triangles of opposite turn
        ([*SQUARE, (0.0, 0.0), (5.0, 0.0), (5.0, 5.0), (0.0, 5.0)], 0.25),  # a quarter is gone round twice
        ([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 2.0), (0.0, 10.0)], 0.0),  # concave is not crossing
        ([*SQUARE, (0.0, 5.0), (-1.0, 5.0), (0.0, 5.0)], 0.0),  # a spike encloses nothing
        ([(1.0, 1.0)] * 4, 0.0),
    ],
)
def test_the_doubtful_share_is_what_the_rule_of_filling_decides(points: list, share: float) -> None:
    assert doubtful_share(np.asarray(points)) == pytest.approx(share, abs=0.01)


def test_a_regular_star_has_the_doubt_of_its_pentagon() -> None:
    """The pentagram {5/2}: its inner pentagon is gone round twice."""
    angles = np.pi / 2 + 4 * np.pi / 5 * np.arange(5)
    inner = 5 * np.sin(2 * np.pi / 5) / 2 * (np.cos(2 * np.pi / 5) / np.cos(np.pi / 5)) ** 2
    star = 5 * np.cos(2 * np.pi / 5) / np.cos(np.pi / 5) * np.sin(np.pi / 5)
    assert doubtful_share(np.stack([np.cos(angles), np.sin(angles)], axis=1)) == pytest.approx(inner / star, abs=0.01)


def test_a_polygon_that_crosses_itself_widely_is_refused_and_a_little_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match=r"x.json: 'up' \(4 vertices from 2, 2\) crosses itself, so 47% of its area"):
        mend(parsed(tmp_path, *person_objects(), free("up", (2, 2), (20, 2), (2, 20), (19, 21))), "person")
    size_hw = (400, 400)
    body = free("person", (10, 10), (390, 10), (390, 390), (10, 390), layer=1.0)
    loop = [(20, 20), (300, 20), (300, 300), (150, 300), (174, 324), (174, 276), (150, 300), (20, 300)]
    mended = mend(parsed(tmp_path, body, free("up", *loop), size_hw=size_hw), "person")
    assert mended.repairs[0].startswith("crosses itself: 'up' (8 vertices from 20, 20), 0.")


def two_people(tmp_path: Path, *parts: dict, gap: int = 2) -> Annotation:
    """A large person at the left, group 1, and a small one at the right, group 7."""
    left = polygon("person", (1, 2, 12, 30), 1.0, 1)
    right = polygon("person", (12 + gap, 6, 22, 20), 1.0, 7)
    return parsed(tmp_path, left, right, *parts)


def test_of_several_people_the_largest_is_kept_with_its_parts(tmp_path: Path) -> None:
    mine, other = polygon("up", (2, 9, 11, 18), 2.0, 2), polygon("up", (15, 9, 21, 15), 2.0, 8)
    hole, bag = polygon("__background__", (15, 9, 16, 10), 3.0, 0), polygon("bag", (10, 9, 16, 10), 3.0, 0)
    mended = mend(two_people(tmp_path, mine, other, hole, bag), "person")
    assert isinstance(mended, Annotation)
    assert [(shape.category, shape.group) for shape in mended.shapes] == [
        ("person", 1),
        ("up", 2),
        ("__background__", 0),
        ("bag", 0),  # not of the ontology: another check's business
    ]
    assert mended.repairs == ("several people: the largest of 2 is kept, the others are left out with up",)
    # one person in two pieces, as behind a table, is one group
    pieces = parsed(tmp_path, polygon("person", (1, 2, 12, 9), 1.0), polygon("person", (1, 20, 12, 30), 1.0))
    assert mend(pieces, "person").repairs == ()


def test_a_part_that_may_belong_to_two_people_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match=r"several people are annotated, and 'up' .* may belong to either"):
        mend(two_people(tmp_path, polygon("up", (8, 9, 18, 18), 2.0, 2)), "person")


def test_a_bitmap_is_mended_as_a_polygon_is() -> None:
    whole = np.ones((8, 6), np.uint8)
    shapes = (
        Bitmap("person", 1, 1.0, 2, 3, whole),
        Bitmap("up", 2, 2.0, 21, 3, whole),
        Bitmap("hair", 3, 3.0, 2, 3, whole * 0),
    )
    mended = mend(Annotation("x.json", 24, 32, shapes), "person")
    assert [shape.category for shape in mended.shapes] == ["person", "up"]
    assert [repair.partition(":")[0] for repair in mended.repairs] == ["over the edge", "no area"]
    assert pixels(shapes[1], (32, 24)).sum() == 8 * 3
    with pytest.raises(BadItem, match="lies outside the photo"):
        mend(Annotation("x.json", 24, 32, (Bitmap("up", 1, 1.0, 24, 0, whole),)), "garment")


def test_the_side_ways_annotation_of_a_rotated_photo_is_told(tmp_path: Path) -> None:
    swapped = parsed(tmp_path, *person_objects(), size_hw=(SIZE_HW[1], SIZE_HW[0]))
    with pytest.raises(BadItem, match="the sides are swapped, as by a tool that ignores the EXIF rotation"):
        check_size(swapped, SIZE_HW)
    with pytest.raises(BadItem) as other:
        check_size(LabelMap("x.png", np.ones((9, 9), np.uint8)), SIZE_HW)
    assert "swapped" not in str(other.value)


def test_the_real_annotations_need_no_mending(photos: Path) -> None:
    for role in ("person", "garment"):
        for path in sorted((photos / "annotations" / role).glob("*.json")):
            found = READER.annotate(photos, f"annotations/{role}/{path.name}", role)
            assert mend(found, role) == found


def test_one_pixel_written_as_a_polygon_stays(tmp_path: Path) -> None:
    """Exports write a single pixel as three equal vertices; a vertex fills its pixel."""
    mended = mend(parsed(tmp_path, *person_objects(), free("hair", (3, 4), (3, 4), (3, 4))), "person")
    assert "hair" in mended.categories
    assert mended.repairs == ()
