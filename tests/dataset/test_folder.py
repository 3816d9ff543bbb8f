"""The layout: partners are joined by name; whatever belongs to no photo is reported, never skipped."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from handmade import add_photo, garment_objects, make_folder, person_objects

from tryon.dataset import folder
from tryon.errors import UserError


def test_partners_are_joined_by_name(tmp_path: Path) -> None:
    make_folder(tmp_path, {"anna": "a", "bo": None}, ["a"])
    (tmp_path / "keypoints/person").mkdir(parents=True)
    (tmp_path / "keypoints/person/bo.json").write_text("[]")
    listing = folder.scan(tmp_path)
    assert [photo.id for photo in listing.photos] == ["garment/a", "person/anna", "person/bo"]
    assert [photo.keypoints for photo in listing.photos] == [None, None, "keypoints/person/bo.json"]
    assert [photo.annotation for photo in listing.photos] == [
        f"annotations/{photo.id}.json" for photo in listing.photos
    ]
    assert listing.problems == ()


@pytest.mark.parametrize("name", ["two words", "张伟 的照片", "NA", "007", "a.b", "été", "it's,quoted"])
def test_unusual_names_are_names(tmp_path: Path, name: str) -> None:
    make_folder(tmp_path, {}, ["g"])
    add_photo(tmp_path, f"person/{name}", person_objects())
    photo = next(photo for photo in folder.scan(tmp_path).photos if photo.role == "person")
    assert photo.id == f"person/{name}"
    assert photo.annotation == f"annotations/person/{name}.json"


def test_two_unicode_forms_of_a_name_are_one_name(tmp_path: Path) -> None:
    make_folder(tmp_path, {}, ["g"])
    add_photo(tmp_path, "person/" + unicodedata.normalize("NFD", "été"), None)
    annotated = add_photo(tmp_path, "person/" + unicodedata.normalize("NFC", "été"), person_objects())
    annotated.unlink()
    [photo] = [photo for photo in folder.scan(tmp_path).photos if photo.role == "person"]
    assert photo.annotation is not None


def test_what_is_no_photo_or_belongs_to_none_is_reported(tmp_path: Path) -> None:
    make_folder(tmp_path, {"anna": None}, ["g"])
    (tmp_path / "person/notes.txt").write_text("x")
    (tmp_path / "person/album").mkdir()
    (tmp_path / "person/.DS_Store").write_text("x")
    (tmp_path / "annotations/person/gone.json").write_text("{}")
    (tmp_path / "person/tab\tname.jpg").write_bytes(b"x")
    add_photo(tmp_path, "person/anna", None, suffix=".png")
    problems = dict(folder.scan(tmp_path).problems)
    assert sorted(problems) == [
        "annotations/person/gone.json",
        "person/album",
        "person/anna",
        "person/notes.txt",
        "person/tab\\tname.jpg",
    ]
    assert "person/anna.jpg and person/anna.png have one name" in problems["person/anna"]
    assert "photo person/gone is missing" in problems["annotations/person/gone.json"]


@pytest.mark.parametrize("missing", ["person", "garment", "annotations"])
def test_another_layout_is_refused_with_the_missing_folder(tmp_path: Path, missing: str) -> None:
    for name in {"person", "garment", "annotations"} - {missing}:
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=f"no folder {missing}/"):
        folder.scan(tmp_path)


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    add_photo(tmp_path, "person/anna", person_objects())
    (tmp_path / "garment").mkdir()
    with pytest.raises(UserError, match="garment: no photos in it"):
        folder.scan(tmp_path)
    with pytest.raises(UserError, match="no such data folder"):
        folder.scan(tmp_path / "nowhere")


def test_the_order_of_listing_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path, dict.fromkeys("dbcaef"), ["y", "x"])
    add_photo(tmp_path, "garment/z", garment_objects())
    first = folder.scan(tmp_path)
    scandir = folder.os.scandir

    class Backwards:
        def __init__(self, path: object) -> None:
            with scandir(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> list:
            return self.entries

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(folder.os, "scandir", Backwards)
    assert folder.scan(tmp_path) == first
