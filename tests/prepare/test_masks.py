"""The stage `masks`: layers, groups, holes, exact pixels, and a reason for what cannot be drawn."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from handmade import (
    ISAT,
    READER,
    SIZE_HW,
    add_photo,
    annotation,
    garment_objects,
    make_folder,
    person_objects,
    polygon,
    save_json,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tryon import images
from tryon.config import MasksConfig
from tryon.dataset import dataset, manifest
from tryon.dataset.annotation import HOLE, KNOWN_CATEGORIES, Annotation, Polygon
from tryon.errors import BadItem
from tryon.ontology import LABEL_INDEX, LABELS
from tryon.prepare import masks


def drawn(*parts: dict, size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    polygons = [
        Polygon(part["category"], part["group"], part["layer"], tuple(map(tuple, part["segmentation"])))
        for part in parts
    ]
    ordered = tuple(sorted(polygons, key=lambda item: item.layer))
    return masks.draw_label_map(Annotation("x.json", size_hw[1], size_hw[0], ordered), size_hw)


def box_mask(box: tuple[int, int, int, int]) -> np.ndarray:
    mask_HW = np.zeros(SIZE_HW, bool)
    mask_HW[box[1] : box[3] + 1, box[0] : box[2] + 1] = True
    return mask_HW


def test_vertices_are_pixel_centres_and_belong_to_the_polygon() -> None:
    labels_HW = drawn(polygon("up", (3, 5, 9, 12), 1.0))
    np.testing.assert_array_equal(labels_HW, box_mask((3, 5, 9, 12)) * LABEL_INDEX["up"])


def test_the_higher_layer_covers_whatever_the_order_of_the_file() -> None:
    low, high = polygon("person", (2, 2, 20, 28), 1.0), polygon("up", (5, 8, 15, 20), 2.0)
    labels_HW = drawn(high, low)
    np.testing.assert_array_equal(labels_HW, drawn(low, high))
    assert labels_HW[10, 10] == LABEL_INDEX["up"]
    assert labels_HW[3, 3] == LABEL_INDEX["person"]


def test_several_polygons_and_groups_of_a_label_all_count() -> None:
    one, two = (1, 1, 4, 4), (10, 10, 14, 14)
    labels_HW = drawn(
        polygon("hair", one, 1.0, 1), polygon("hair", two, 2.0, 1), polygon("hair", (20, 20, 21, 21), 3.0, 2)
    )
    assert (labels_HW > 0).sum() == 16 + 25 + 4
    assert set(np.unique(labels_HW)) == {0, LABEL_INDEX["hair"]}


def test_a_hole_is_background_through_all_layers_below_and_none_above() -> None:
    hole = (8, 8, 14, 20)
    labels_HW = drawn(
        polygon("person", (2, 2, 20, 28), 1.0),
        polygon("up", (5, 5, 17, 24), 2.0),
        polygon(HOLE, hole, 3.0, 0),
        polygon("left_arm", (10, 10, 12, 12), 4.0),
    )
    inside = box_mask(hole)
    arm = box_mask((10, 10, 12, 12))
    assert (labels_HW[inside & ~arm] == 0).all()
    assert (labels_HW[arm] == LABEL_INDEX["left_arm"]).all()
    assert labels_HW[6, 6] == LABEL_INDEX["up"]


def test_vertices_outside_the_photo_are_clipped() -> None:
    labels_HW = drawn(polygon("up", (-50, 10, 500, 12), 1.0))
    assert (labels_HW[10:13] == LABEL_INDEX["up"]).all()
    assert labels_HW.sum() == 3 * SIZE_HW[1] * LABEL_INDEX["up"]


def test_vertices_between_centres_go_to_the_nearest() -> None:
    part = polygon("up", (0, 0, 0, 0), 1.0)
    part["segmentation"] = [[2.6, 3.4], [9.4, 3.4], [9.4, 8.6], [2.6, 8.6]]
    np.testing.assert_array_equal(drawn(part) > 0, box_mask((3, 3, 9, 9)))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), num_shapes=st.integers(1, 8))
def test_drawing_inverts_the_outlines_that_opencv_finds(seed: int, num_shapes: int) -> None:
    """Painted shapes and holes → outlines → label map: exact to the pixel, thin ones too."""
    rng = np.random.default_rng(seed)
    painted_HW = np.zeros((40, 30), np.uint8)
    polygons = []
    for layer in range(num_shapes):
        category = str(rng.choice(KNOWN_CATEGORIES))
        shape_HW = np.zeros_like(painted_HW)
        center, axes = rng.integers(2, 28, 2).tolist(), rng.integers(0, 12, 2).tolist()
        cv2.ellipse(shape_HW, center, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        painted_HW[shape_HW > 0] = LABEL_INDEX.get(category, 0)
        outlines, _ = cv2.findContours(shape_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        polygons += [
            Polygon(category, 1, float(layer), tuple(map(tuple, outline[:, 0].tolist()))) for outline in outlines
        ]
    found_HW = masks.draw_label_map(Annotation("x", 30, 40, tuple(polygons)), (40, 30))
    np.testing.assert_array_equal(found_HW, painted_HW)


def test_agreement_with_isats_own_maps(fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ISAT's exported label maps of the same polygons differ at outlines alone (it draws edges its own way)."""
    folder = fixtures / "isat"
    names = (folder / "semantic/classification.txt").read_text().split()
    monkeypatch.setattr(masks, "LABEL_INDEX", {name: index for index, name in enumerate(names)})
    found = sorted((folder / "images").glob("*.json"))
    assert len(found) == 6
    for path in found:
        read = READER.annotate(path.parent, path.name, "person")
        labels_HW = masks.draw_label_map(read, (read.height, read.width))
        exported_HW = images.read_labels(folder / f"semantic/{path.stem}.png")
        edge_HW = cv2.morphologyEx(exported_HW, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        assert ((labels_HW == exported_HW) | edge_HW).mean() > 0.9995, path.name


# ---- the stage


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., pd.DataFrame]:
    def stage(root: Path, **settings: object) -> pd.DataFrame:
        save_json(
            tmp_path / "config.json",
            {"masks": settings, "stages": {"base": {"kind": "parallel_unet", "size": [32, 24]}}, "cascade": ["base"]},
        )
        photos, _ = dataset.build(root, tmp_path / "r/cache", ISAT, jobs=1)
        manifest.write_shard(tmp_path / "r/pairs/shards/k.tsv", photos)
        masks.run(
            argparse.Namespace(
                config=str(tmp_path / "config.json"),
                shard=tmp_path / "r/pairs/shards/k.tsv",
                data=root,
                results=tmp_path / "r",
                out=tmp_path / "r/masks/k.parquet",
            )
        )
        return pd.read_parquet(tmp_path / "r/masks/k.parquet").set_index("id")

    return stage


def test_a_label_map_per_photo_and_a_reason_for_the_rest(tmp_path: Path, run: Callable[..., pd.DataFrame]) -> None:
    root = make_folder(tmp_path / "data", {"anna": None, "李 娜": None}, ["shirt"])
    lines = (root / "photos.csv").open("a")
    with lines as stream:
        stream.write("person/typo,,\nperson/cut,,\n")
    add_photo(root, "person/typo", [*person_objects(), polygon("hiar", (1, 1, 3, 3), 9.0)])
    add_photo(root, "person/cut", [*person_objects(), polygon(HOLE, (0, 0, 23, 31), 9.0, 0)])
    add_photo(root, "garment/away", [*garment_objects(), polygon(HOLE, (0, 0, 23, 31), 2.0, 0)])
    table = run(root)
    assert list(table.index) == [
        "garment/away",
        "garment/shirt",
        "person/anna",
        "person/cut",
        "person/typo",
        "person/李 娜",
    ]
    good = table[table["status"] == "ok"]
    assert list(good.index) == ["garment/shirt", "person/anna", "person/李 娜"]
    labels_HW = images.read_labels(tmp_path / "r" / good.loc["person/李 娜", masks.LABELS_FILE])
    expected = drawn(*person_objects())
    np.testing.assert_array_equal(labels_HW, expected)
    assert "unknown label 'hiar' (did you mean 'hair'?)" in table.loc["person/typo", "reason"]
    assert "leave no pixel of a person" in table.loc["person/cut", "reason"]
    assert "leave no pixel of a garment" in table.loc["garment/away", "reason"]


def test_unknown_labels_can_be_ignored(tmp_path: Path, run: Callable[..., pd.DataFrame]) -> None:
    root = make_folder(tmp_path / "data", {"anna": None}, ["shirt"])
    add_photo(root, "person/anna", [*person_objects(), polygon("watch", (8, 10, 9, 11), 9.0)])
    table = run(root, unknown_label="ignore")
    assert list(table["status"]) == ["ok", "ok"]
    labels_HW = images.read_labels(tmp_path / "r" / table.loc["person/anna", masks.LABELS_FILE])
    np.testing.assert_array_equal(labels_HW, drawn(*person_objects()))


def test_the_second_run_draws_nothing_and_a_new_annotation_one(
    tmp_path: Path, run: Callable[..., pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(tmp_path / "data", {"anna": None, "bo": None}, ["shirt"])
    seen: list[str] = []
    real = masks.make_mask
    monkeypatch.setattr(masks, "make_mask", lambda photo, *rest: seen.append(photo.id) or real(photo, *rest))
    first = run(root)
    content = (tmp_path / "r/masks/k.parquet").read_bytes()
    assert len(seen) == 3
    seen.clear()
    run(root)
    assert seen == []
    assert (tmp_path / "r/masks/k.parquet").read_bytes() == content
    save_json(root / "annotations/person/bo.json", annotation([polygon("person", (1, 1, 9, 9), 1.0)]))
    changed = run(root)
    assert seen == ["person/bo"]
    assert (changed["key"] != first["key"]).to_dict() == {
        "garment/shirt": False,
        "person/anna": False,
        "person/bo": True,
    }


def test_a_renamed_annotation_that_is_refused_is_named_as_it_is_now(
    tmp_path: Path, run: Callable[..., pd.DataFrame]
) -> None:
    root = make_folder(tmp_path / "data", {"anna": None}, ["shirt"])
    (root / "photos.csv").unlink()
    add_photo(root, "person/anna", [*person_objects(), polygon("hiar", (1, 1, 3, 3), 9.0)])
    assert run(root).loc["person/anna", "reason"].startswith("anna.json: unknown label 'hiar'")
    for file in ("person/anna.jpg", "annotations/person/anna.json"):
        (root / file).rename((root / file).with_stem("bo"))
    assert run(root).loc["person/bo", "reason"].startswith("bo.json: unknown label 'hiar'")


def test_an_annotation_of_another_size_is_a_bad_item(tmp_path: Path) -> None:
    root = make_folder(tmp_path, {"anna": None}, ["shirt"])
    photos, _ = dataset.build(root, tmp_path / "cache", ISAT, jobs=1)
    photo = next(photos[photos["role"] == "person"].itertuples(index=False))
    save_json(root / "annotations/person/anna.json", annotation(person_objects(), (64, 48)))
    with pytest.raises(BadItem, match="annotated on a picture of 48x64, but the photo is 24x32"):
        masks.make_mask(photo, root, READER, MasksConfig())


def test_the_real_photos_agree_with_their_coco_annotation(photos: Path) -> None:
    """The same masks were written as COCO: run lengths (one photo) are exact; COCO's polygons are rasterised by
    taking coordinates as pixel edges, which moves outlines by about half a pixel."""
    coco = json.loads((photos / "coco/instances.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    files = {image["id"]: image for image in coco["images"]}
    seen: set[str] = set()
    for item in coco["annotations"]:
        image, label = files[item["image_id"]], names[item["category_id"]]
        stem, size_hw = Path(image["file_name"]).stem, (image["height"], image["width"])
        labels_HW = masks.draw_label_map(READER.annotate(photos, f"annotations/person/{stem}.json", "person"), size_hw)
        ours_HW = labels_HW > 0 if label == "person" else labels_HW == LABEL_INDEX[label]
        written = item["segmentation"]
        if isinstance(written, list):
            written = coco_mask.merge(coco_mask.frPyObjects(written, *size_hw))
            theirs_HW = coco_mask.decode(written).astype(bool)
            edge_HW = cv2.morphologyEx(ours_HW.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
            assert ((ours_HW == theirs_HW) | edge_HW).mean() > 0.9999, f"{stem} {label}"
        else:
            np.testing.assert_array_equal(ours_HW, coco_mask.decode(written).astype(bool), err_msg=f"{stem} {label}")
            seen.add("run lengths")
        seen.add(stem)
    assert len(seen) == 9


def test_garment_photos_need_their_garment() -> None:
    labels_HW = drawn(*garment_objects())
    parsed = Annotation("g.json", 24, 32, (Polygon("up", 1, 1.0, ((1.0, 1.0),)),))
    masks.check_drawn(labels_HW, parsed, "garment")
    persons = np.where(labels_HW > 0, LABELS.index("person"), 0)
    with pytest.raises(BadItem, match=r"g\.json: its shapes leave no pixel of a garment"):
        masks.check_drawn(persons, parsed, "garment")
