"""The layout: partners are joined by name; whatever belongs to no photo is reported, never skipped."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from handmade import READER, add_photo, garment_objects, make_folder, person_objects

from tryon.dataset import folder
from tryon.dataset.fingerprint import folder_digest
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


def test_a_link_may_not_lead_out_of_the_folder_unless_that_is_asked_for(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", {"anna": None}, ["g"])
    outside = add_photo(tmp_path / "elsewhere", "person/x", None)
    for name, target in {"out": outside, "in": root / "person/anna.jpg", "dangling": tmp_path / "gone.jpg"}.items():
        (root / f"person/{name}.jpg").symlink_to(target)
        (root / f"annotations/person/{name}.json").write_text("{}")
    (root / "person/circle.jpg").symlink_to(root / "person/circle.jpg")
    (root / "annotations/garment/g.json").rename(tmp_path / "g.json")
    (root / "annotations/garment/g.json").symlink_to(tmp_path / "g.json")
    listing = folder.scan(root)
    problems = dict(listing.problems)
    assert [photo.id for photo in listing.photos] == ["person/anna", "person/in"]
    assert problems["person/out"].startswith("person/out.jpg: a link out of the data folder; copy")
    assert problems["garment/g"].startswith("annotations/garment/g.json: a link out of the data folder")
    assert "leads nowhere" in problems["person/dangling"]
    assert "leads nowhere" in problems["person/circle"]
    assert len(problems) == 4
    asked = folder.scan(root, follow_links=True)
    assert [photo.id for photo in asked.photos] == ["garment/g", "person/anna", "person/in", "person/out"]
    (root / "person").rename(tmp_path / "moved")
    (root / "person").symlink_to(tmp_path / "moved")
    with pytest.raises(UserError, match=r"person: a link to .*moved.*dataset.follow_links"):
        folder.scan(root)


def test_a_file_of_any_layout_is_checked_for_links_that_lead_out(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", {"anna": None}, ["g"])
    (tmp_path / "link").symlink_to(root)
    (root / "train").symlink_to(tmp_path)
    outside = add_photo(tmp_path / "elsewhere", "x", None)
    (root / "person/out.jpg").symlink_to(outside)
    (root / "person/in.jpg").symlink_to(root / "person/anna.jpg")
    files = ["person/anna.jpg", "person/in.jpg", "person/out.jpg", "train/x.jpg"]
    found = folder.links_out(tmp_path / "link", files)
    assert list(found) == ["person/out.jpg", "train/x.jpg"]
    assert found["train/x.jpg"].startswith("train/x.jpg: a link out of the data folder; copy the file here")


def test_the_topmost_linked_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/image").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/circle").symlink_to(tmp_path / "data/circle")
    folder.check_folder_links(tmp_path / "data", ["test/image", "circle"])
    with pytest.raises(UserError, match=r"data/train: a link to .*elsewhere, out of the data folder.*follow_links"):
        folder.check_folder_links(tmp_path / "data", ["test/image", "train/image"])


def test_a_name_that_two_files_share_or_that_is_too_long_is_reported(tmp_path: Path) -> None:
    make_folder(tmp_path, {"anna": None, "Anna": None}, ["g"])
    for form in ("NFC", "NFD"):
        add_photo(tmp_path, "person/" + unicodedata.normalize(form, "été"), person_objects())
    for name in ("x" * 101, "王" * 34):
        add_photo(tmp_path, f"person/{name}", person_objects())
    add_photo(tmp_path, "person/zoë", person_objects())
    (tmp_path / "annotations/person" / (unicodedata.normalize("NFD", "zoë") + ".json")).write_text("{}")
    (tmp_path / "annotations/garment/g.json").unlink()
    (tmp_path / "annotations/garment/g.json").mkdir()
    listing = folder.scan(tmp_path)
    # two names that differ only in case are two names
    assert [photo.id for photo in listing.photos] == ["person/Anna", "person/anna"]
    problems = dict(listing.problems)
    assert len(problems) == 5
    assert "have one name" in problems["person/été"]
    assert "have one name" in problems["person/zoë"]
    assert "its name is 101 bytes long, at most 100" in problems["person/" + "x" * 101]
    assert "its name is 102 bytes long, at most 100" in problems["person/" + "王" * 34]
    assert problems["garment/g"] == "annotations/garment/g.json: not a file"


def test_a_name_that_is_no_text_is_reported_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", {"anna": None}, ["g"])
    for place in (b"person/\xe9t\xe9.jpg", b"annotations/person/\xe9t\xe9.json"):
        (Path(os.fsdecode(os.path.join(os.fsencode(root), place)))).write_bytes(b"x")
    assert folder_digest(root, tmp_path / "cache.json", READER.watched)
    problems = dict(folder.scan(root).problems)
    assert sorted(problems) == [r"annotations/person/\udce9t\udce9.json", r"person/\udce9t\udce9.jpg"]


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
