"""DeepFashion2: its own layout and its COCO form, roles, pairs, and what each broken file is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from handmade import add_photo, save_json
from PIL import Image

from tryon.config import DatasetConfig
from tryon.dataset import dataset, formats
from tryon.errors import BadItem, UserError
from tryon.ontology import LABEL_INDEX
from tryon.prepare.masks import draw_label_map

CFG = DatasetConfig(format="deepfashion2")


def item(category: int = 1, style: int = 1, x1: int = 20, **more: object) -> dict:
    return {
        "category_id": category,
        "category_name": "name",
        "style": style,
        "bounding_box": [2, 4, x1, 20],
        "segmentation": [[2, 4, x1, 4, x1, 20, 2, 20]],
        **more,
    }


def annos(source: str, pair: int, *items: dict) -> dict:
    return {"source": source, "pair_id": pair, **{f"item{index}": value for index, value in enumerate(items, 1)}}


def add(root: Path, name: str, value: object, part: str = "") -> None:
    made = add_photo(root / part / "image", name, None)
    assert made.is_file()
    (root / part / "annos").mkdir(parents=True, exist_ok=True)
    if value is not None:
        save_json(root / part / "annos" / f"{name}.json", value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    add(root, "000001", annos("user", 7, item(1, 2), item(8, 0)))
    add(root, "000002", annos("shop", 7, item(1, 2)))
    add(root, "000003", annos("user", 8, item(11, 0)))
    return root


def test_the_source_gives_the_role_and_the_style_the_garment(root: Path) -> None:
    manifest, quarantine = dataset.build(root, root / "results" / "cache", CFG, jobs=1)
    assert quarantine.empty
    rows = manifest.set_index("id")
    assert list(rows.index) == ["garment/000002", "person/000001", "person/000003"]
    assert rows.loc["person/000001", "file"] == "image/000001.jpg"
    assert rows.loc["person/000001", "categories"] == "up,down"
    assert list(rows["identity"]) == ["7", "7", "8"]
    assert rows.loc["garment/000002", "garment"] == rows.loc["person/000001", "garment"] == "7_2"
    assert rows.loc["person/000003", "garment"] is None, "style 0 is nobody's pair"


def test_a_linked_photo_is_used_once_it_is_copied_as_its_reason_says(root: Path, tmp_path: Path) -> None:
    photo, outside = root / "image/000001.jpg", tmp_path / "elsewhere.jpg"
    photo.rename(outside)
    photo.symlink_to(outside)
    _, quarantine = dataset.build(root, root / "results/cache", CFG, jobs=1)
    assert list(quarantine["id"]) == ["person/000001"]
    assert quarantine.loc[0, "reason"].startswith("image/000001.jpg: a link out of the data folder; copy the file here")
    photo.unlink()
    shutil.copy(outside, photo)
    manifest, quarantine = dataset.build(root, root / "results/cache", CFG, jobs=1)
    assert quarantine.empty
    assert "person/000001" in set(manifest["id"])
    photo.unlink()
    photo.symlink_to(outside)
    _, quarantine = dataset.build(root, root / "results/cache", CFG, jobs=1)
    assert list(quarantine["id"]) == ["person/000001"], "nor is it trusted because its copy was"


@pytest.mark.parametrize("name", ["image", "annos"])
def test_a_linked_folder_is_refused_before_its_photos_are(root: Path, tmp_path: Path, name: str) -> None:
    shutil.move(root / name, tmp_path / "elsewhere")
    (root / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=rf"/{name}: a link to .*elsewhere, out of .*dataset.follow_links: true"):
        formats.reader(CFG).scan(root)
    assert len(formats.reader(CFG.model_copy(update={"follow_links": True})).scan(root).photos) == 3


def test_parts_of_the_set_keep_their_photos_pairs_and_split_apart(tmp_path: Path) -> None:
    for part in ("train", "validation"):
        add(tmp_path, "000001", annos("user", 7, item()), part)
        add(tmp_path, "000002", annos("shop", 7, item()), part)
    manifest, _ = dataset.build(tmp_path, tmp_path / "results" / "cache", CFG, jobs=1)
    rows = manifest.set_index("id")
    assert list(rows.index) == [
        f"{role}/{part}_{name}"
        for role, name in (("garment", "000002"), ("person", "000001"))
        for part in ("train", "validation")
    ]
    assert rows.loc["person/train_000001", "garment"] == rows.loc["garment/train_000002", "garment"] == "train_7_1"
    assert rows.loc["person/train_000001", "split"] == "train"
    assert rows.loc["person/validation_000001", "split"] is None
    assert rows.loc["person/validation_000001", "identity"] == "validation_7"


def test_of_several_paired_items_the_largest_is_the_garment(tmp_path: Path) -> None:
    add(tmp_path, "000001", annos("user", 7, item(1, 1, 9), item(8, 2, 20)))
    reader = formats.reader(CFG)
    facts = reader.facts(tmp_path, reader.scan(tmp_path))
    assert facts is not None
    assert facts["person/000001"].garment == "7_2"


@pytest.mark.parametrize(
    ("category", "label"), [(1, "up"), (4, "up"), (6, "up"), (7, "down"), (9, "down"), (10, "dress"), (13, "dress")]
)
def test_thirteen_kinds_are_three_categories(root: Path, category: int, label: str) -> None:
    save_json(root / "annos" / "000001.json", annos("user", 7, item(category)))
    labels_HW = draw_label_map(formats.reader(CFG).annotate(root, "annos/000001.json", "person"), (32, 24))
    expected_HW = np.zeros((32, 24), bool)
    expected_HW[4:21, 2:21] = True
    np.testing.assert_array_equal(labels_HW == LABEL_INDEX[label], expected_HW)


def test_the_settings_may_call_a_kind_otherwise(root: Path) -> None:
    cfg = DatasetConfig(format="deepfashion2", labels={"vest": "dress"})
    save_json(root / "annos" / "000001.json", annos("user", 7, item(5, category_name="vest")))
    assert formats.reader(cfg).annotate(root, "annos/000001.json", "person").categories == ("dress",)


def test_a_turned_photo_is_as_wide_as_it_is_seen(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(root / "image" / "000001.jpg", exif=exif)
    found = formats.reader(CFG).annotate(root, "annos/000001.json", "person")
    assert (found.width, found.height) == (30, 40)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"shapes": []}, "not DeepFashion2 but LabelMe JSON"),
        ([], "not DeepFashion2 but a JSON list"),
        ({**annos("user", 7), "source": "street"}, "source is 'street', expected 'shop' or 'user'"),
        ({**annos("user", 7), "pair_id": "7"}, "pair_id is '7', expected a whole number"),
        ({**annos("user", 7), "item1": 3}, "item1 is int, expected an object"),
    ],
)
def test_a_photo_of_unknown_role_is_a_problem_of_its_own(root: Path, value: object, told: str) -> None:
    save_json(root / "annos" / "000001.json", value)
    listing = formats.reader(CFG).scan(root)
    assert [photo.id for photo in listing.photos] == ["garment/000002", "person/000003"]
    assert told in dict(listing.problems)["annos/000001.json"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (item(14), "item1: category_id is 14, expected 1 to 13"),
        (item(1, segmentation=[]), "item1 has no segmentation"),
        (item(1, segmentation=[[1, 2, 3]]), "item1.segmentation[0] is 3 numbers"),
    ],
)
def test_an_item_that_cannot_be_used_names_file_and_cause(root: Path, changed: dict, told: str) -> None:
    save_json(root / "annos" / "000001.json", annos("user", 7, changed))
    with pytest.raises(BadItem, match=r"000001\.json") as refused:
        formats.reader(CFG).annotate(root, "annos/000001.json", "person")
    assert told in str(refused.value)


def test_a_photo_without_partner_is_named(root: Path) -> None:
    (root / "annos" / "000003.json").unlink()
    (root / "image" / "000002.jpg").unlink()
    listing = formats.reader(CFG).scan(root)
    problems = dict(listing.problems)
    assert "no annos/000003.json says what it shows" in problems["image/000003.jpg"]
    assert "its photo" in problems["annos/000002.json"]
    with pytest.raises(BadItem, match=r"000002\.jpg: cannot be decoded"):
        formats.reader(CFG).annotate(root, "annos/000002.json", "garment")


def test_another_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither image/ and annos/ in it, nor train/image"):
        formats.reader(CFG).scan(tmp_path)


def test_the_real_coco_form_is_read(fixtures: Path, tmp_path: Path) -> None:
    """Two photos of one pair; which is the shop's the COCO form does not say, so the folders do."""
    source = fixtures / "deepfashion2"
    for role, name in (("person", "000264"), ("garment", "000265")):
        (tmp_path / role).mkdir()
        shutil.copy(source / f"{name}.jpg", tmp_path / role)
    (tmp_path / "annotations").mkdir()
    shutil.copy(source / "deepfasion2.json", tmp_path / "annotations")
    manifest, quarantine = dataset.build(tmp_path, tmp_path / "results" / "cache", CFG, jobs=1)
    assert quarantine.empty
    rows = manifest.set_index("id")
    assert list(rows["categories"]) == ["dress", "dress"]
    assert list(rows["identity"]) == ["22", "22"]
    assert rows.loc["person/000264", "garment"] == "22_1"
    assert rows["keypoints"].isna().all(), "landmarks are no keypoints of a body"
    reader = formats.reader(CFG)
    labels_HW = draw_label_map(reader.annotate(tmp_path, rows.loc["person/000264", "annotation"], "person"), (750, 750))
    assert (labels_HW == LABEL_INDEX["dress"]).sum() == pytest.approx(180_000, rel=0.5)


def coco_form(root: Path, *entries: dict) -> Path:
    """Two persons, pictures 1 and 2, and a shop photo, picture 3."""
    images = []
    for number, id_ in enumerate(("person/a", "person/b", "garment/c"), start=1):
        add_photo(root, id_, None)
        images.append({"id": number, "file_name": f"{id_}.jpg", "width": 24, "height": 32})
    save_json(root / "annotations" / "all.json", {"images": images, "annotations": list(entries), "categories": []})
    return root


def entry(number: int, image: int, **more: object) -> dict:
    return {"id": number, "image_id": image, "area": 9, "pair_id": 7, **item(1, 2), **more}


@pytest.mark.parametrize("pair", [None, "7"])
def test_without_pair_id_nobody_is_taken_for_somebody_else(tmp_path: Path, pair: object) -> None:
    root = coco_form(tmp_path, entry(1, 1), entry(2, 2, pair_id=pair), entry(3, 3))
    told = rf"all\.json: annotation 2 of picture 2 has pair_id {pair!r}, expected .* or write photos\.csv"
    with pytest.raises(UserError, match=told):
        dataset.build(root, root / "results" / "cache", CFG, jobs=1)
    (root / "photos.csv").write_text("photo,identity,garment\nperson/a.jpg,ann,c\nperson/b.jpg,bob,\n")
    manifest, quarantine = dataset.build(root, root / "results" / "cache", CFG, jobs=1)
    assert quarantine.empty
    assert list(manifest.set_index("id")["identity"]) == ["c", "ann", "bob"]


def test_a_picture_in_which_nothing_is_annotated_is_quarantined_alone(tmp_path: Path) -> None:
    root = coco_form(tmp_path, entry(1, 1), entry(3, 3))
    manifest, quarantine = dataset.build(root, root / "results" / "cache", CFG, jobs=1)
    assert list(manifest["id"]) == ["garment/c", "person/a"]
    assert list(manifest["identity"]) == ["7", "7"]
    assert list(quarantine["id"]) == ["person/b"]
    assert "no garment is annotated (found nothing)" in quarantine["reason"][0]


def test_a_picture_of_two_pairs_stops_the_run(tmp_path: Path) -> None:
    root = coco_form(tmp_path, entry(1, 1), entry(2, 1, pair_id=8))
    reader = formats.reader(CFG)
    with pytest.raises(UserError, match=r"picture 1 belongs to the pairs \[7, 8\], expected one"):
        reader.facts(root, reader.scan(root))


def test_keypoints_beside_the_coco_form_are_read(tmp_path: Path) -> None:
    root = coco_form(tmp_path, entry(1, 1), entry(2, 2), entry(3, 3))
    people = [
        {"id": n, "image_id": 5, "category_id": 1, "keypoints": [x, 7, 2, x + 4, 20, 2, *[0] * 45]}
        for n, x in ((1, 2), (2, 15))
    ]
    images = [{"id": 5, "file_name": "a.jpg", "width": 24, "height": 32}]
    save_json(root / "keypoints" / "k.json", {"images": images, "annotations": people, "categories": []})
    mmpose = [{"keypoints": [[4, 4]] * 17, "keypoint_scores": [0.5] * 17}]
    save_json(root / "keypoints" / "person" / "b.json", mmpose)
    manifest, _ = dataset.build(root, root / "results" / "cache", CFG, jobs=1)
    rows = manifest.set_index("id")
    assert rows.loc["person/a", "keypoints"] == "keypoints/k.json#5"
    reader = formats.reader(CFG)
    found_K3, repairs = reader.keypoints_near(root, "keypoints/k.json#5", (32, 24), (14, 6, 20, 21))
    assert found_K3[0].tolist() == [15, 7, 1]
    assert repairs[0].startswith("several people: of 2 in keypoints/k.json#5 the one who overlaps")
    assert reader.keypoints(root, "keypoints/k.json#5", (32, 24)).shape == (17, 3)
    found_K3, _ = reader.keypoints_near(root, rows.loc["person/b", "keypoints"], (32, 24), (3, 3, 5, 5))
    assert found_K3[0].tolist() == [4, 4, 0.5]


def test_a_true_picture_of_the_coco_form_has_a_coco_file_of_its_own(tmp_path: Path) -> None:
    root = coco_form(tmp_path, entry(1, 1), entry(2, 2), entry(3, 3))
    images = [{"id": 1, "file_name": "x.jpg", "width": 24, "height": 32}]
    save_json(root / "truth" / "a__c.json", {"images": images, "annotations": [entry(1, 1)], "categories": []})
    assert formats.reader(CFG).annotate(root, "truth/a__c.json", "person").categories == ("up",)


def test_both_forms_of_a_photo_give_one_label_map(root: Path, tmp_path: Path) -> None:
    own = annos("user", 7, item(1, 2), item(8, 0))
    other = tmp_path / "coco"
    add_photo(other, "person/000001", None)
    add_photo(other, "garment/x", None)
    entries = [{"id": index, "image_id": 1, "pair_id": 7, "area": 9, **own[f"item{index}"]} for index in (1, 2)]
    images = [{"id": 1, "file_name": "000001.jpg", "width": 24, "height": 32}]
    save_json(other / "annotations" / "all.json", {"images": images, "annotations": entries, "categories": []})
    reader = formats.reader(CFG)
    photo = next(photo for photo in reader.scan(other).photos if photo.role == "person")
    np.testing.assert_array_equal(
        draw_label_map(reader.annotate(other, str(photo.annotation), "person"), (32, 24)),
        draw_label_map(reader.annotate(root, "annos/000001.json", "person"), (32, 24)),
    )
