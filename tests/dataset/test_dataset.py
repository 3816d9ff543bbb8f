"""The stage `dataset`: a row for every usable photo, a reason for every other."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
import pytest
from handmade import (
    ISAT,
    SIZE_HW,
    add_photo,
    annotation,
    garment_objects,
    make_folder,
    person_objects,
    polygon,
    save_json,
)
from PIL import Image

from tryon.dataset import dataset, manifest
from tryon.errors import UserError


def build(root: Path, tmp_path: Path, jobs: int = 1) -> tuple[pd.DataFrame, dict[str, str]]:
    photos, quarantine = dataset.build(root, tmp_path / "cache", ISAT, jobs=jobs)
    assert set(quarantine["stage"]) <= {"dataset"}
    return photos, dict(zip(quarantine["id"], quarantine["reason"], strict=True))


def stage(root: Path, out: Path, max_quarantined: float = 0.1) -> None:
    settings = {
        "max_quarantined": max_quarantined,
        "stages": {"base": {"kind": "parallel_unet", "size": [32, 24]}},
        "cascade": ["base"],
    }
    save_json(out / "config.json", settings)
    dataset.run(
        argparse.Namespace(
            config=str(out / "config.json"),
            data=root,
            out=out / "dataset/manifest.parquet",
            quarantine=out / "dataset/quarantine.csv",
            jobs=2,
        )
    )


def test_a_row_per_photo(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", {"anna": "a", "anna2": "b", "bo": None}, ["a"], identities={"anna2": "anna"})
    add_photo(root, "garment/coat", garment_objects("dress"))
    photos, bad = build(root, tmp_path)
    assert bad == {}
    assert list(photos["id"]) == ["garment/a", "garment/coat", "person/anna", "person/anna2", "person/bo"]
    assert list(photos["identity"]) == ["a", "coat", "anna", "anna", "bo"]
    assert list(photos["garment"]) == ["a", "coat", "a", "b", None]
    assert list(photos["categories"]) == ["up", "dress", "up", "up", "up"]
    assert set(photos["width"]) == {SIZE_HW[1]}
    assert photos["sha256"].is_unique


def test_without_photos_csv_the_garment_of_the_same_name_is_worn(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", {"anna": None, "bo": None}, ["anna", "coat"])
    (root / "photos.csv").unlink()
    photos, _ = build(root, tmp_path)
    worn = photos.set_index("id")["garment"]
    assert worn["person/anna"] == "anna"
    assert worn["person/bo"] is None


def test_every_bad_photo_has_its_reason_and_every_good_one_its_row(tmp_path: Path) -> None:
    root = make_folder(
        tmp_path / "data", {"good": None, "truncated": None, "size": None, "labelme": None}, ["shirt", "bare"]
    )
    whole = (root / "person/truncated.jpg").read_bytes()
    (root / "person/truncated.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    save_json(root / "annotations/person/size.json", annotation(person_objects(), (64, 48)))
    save_json(root / "annotations/person/labelme.json", {"shapes": [], "imagePath": "x"})
    (root / "annotations/garment/bare.json").unlink()
    for name, objects in {"nobody": [polygon("up", (1, 1, 3, 3), 1.0)], "empty": []}.items():
        add_photo(root, f"person/{name}", objects)
    add_photo(root, "person/unlisted", person_objects())
    (root / "person/not a photo.jpg").write_bytes(b"hello")
    save_json(root / "annotations/person/not a photo.json", annotation(person_objects()))
    with (root / "photos.csv").open("a") as stream:
        stream.write("person/gone.jpg,x,\nperson/nobody,,\nperson/empty,,\nperson/not a photo,,\n")
    photos, bad = build(root, tmp_path)
    assert list(photos["id"]) == ["garment/shirt", "person/good"]
    told = {
        "garment/bare": "no annotation annotations/garment/bare.json",
        "person/empty": "no person is annotated (found nothing)",
        "person/gone": "photos.csv line 6 names it",
        "person/labelme": "not ISAT but LabelMe JSON",
        "person/nobody": "no person is annotated (found up)",
        "person/not a photo": "not a picture that can be decoded",
        "person/size": "annotated on a picture of 48x64, but the photo is 24x32",
        "person/truncated": "truncated",
        "person/unlisted": "photos.csv has no line for it; add 'person/unlisted.jpg,IDENTITY,GARMENT'",
    }
    assert sorted(bad) == sorted(told)
    for id_, part in told.items():
        assert part in bad[id_]


def test_the_exif_rotation_counts(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", {"anna": None}, ["shirt"])
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    picture = Image.new("RGB", (32, 24))
    picture.save(root / "person/anna.jpg", exif=exif)
    photos, bad = build(root, tmp_path)
    assert bad == {}
    person = photos.set_index("id").loc["person/anna"]
    assert (person["height"], person["width"]) == (32, 24)


def test_too_much_quarantine_stops_with_all_reasons(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", {"anna": None, "bo": None}, ["shirt"])
    for name in ("anna", "bo"):
        (root / f"annotations/person/{name}.json").write_text("{}")
    with pytest.raises(UserError, match=r"2 of 3 photos cannot be used.*") as refused:
        stage(root, tmp_path / "r")
    assert "person/anna: " in str(refused.value)
    assert "person/bo: " in str(refused.value)
    stage(root, tmp_path / "r", max_quarantined=0.7)
    assert list(manifest.read_manifest(tmp_path / "r/dataset/manifest.parquet")["id"]) == ["garment/shirt"]


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", {"李 娜": "红色", "NA": None, "x,y": None}, ["红色", "007"])
    (root / "annotations/garment/007.json").write_text("{}")
    for name in ("one", "two"):
        stage(root, tmp_path / name, max_quarantined=0.5)
    for file in ("manifest.parquet", "quarantine.csv"):
        assert (tmp_path / "one/dataset" / file).read_bytes() == (tmp_path / "two/dataset" / file).read_bytes()
    photos = manifest.read_manifest(tmp_path / "one/dataset/manifest.parquet")
    assert list(photos["id"]) == ["garment/红色", "person/NA", "person/x,y", "person/李 娜"]
    assert list(photos["garment"]) == ["红色", None, None, "红色"]
    assert list(photos["split"]) == [None] * 4


def test_only_a_changed_photo_is_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(tmp_path / "data", {"anna": None, "bo": None}, ["shirt"])
    build(root, tmp_path)
    seen: list[str] = []
    real = dataset.verify
    monkeypatch.setattr(
        dataset, "verify", lambda root, reader, photo: seen.append(photo.id) or real(root, reader, photo)
    )
    build(root, tmp_path)
    assert seen == []
    (root / "person/bo.jpg").write_bytes(b"gone bad")
    _, bad = build(root, tmp_path)
    assert seen == ["person/bo"]
    assert list(bad) == ["person/bo"]


def test_a_shard_keeps_names_that_look_like_numbers_or_nothing(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", {"NA": None, "007": None, "1e3": None, 'a"b': None, "null": None}, ["nan"])
    photos, _ = build(root, tmp_path)
    manifest.write_shard(tmp_path / "s.tsv", photos)
    read = manifest.read_shard(tmp_path / "s.tsv")
    pd.testing.assert_frame_equal(read, photos[list(manifest.COLUMNS)])


def test_the_real_photos_are_all_usable(photos: Path, tmp_path: Path) -> None:
    table, bad = build(photos, tmp_path, jobs=2)
    assert bad == {}
    assert table["role"].value_counts().to_dict() == {"garment": 9, "person": 8}
    assert table["keypoints"].notna().all()
    assert json.loads((tmp_path / "cache/dataset.json").read_text())
