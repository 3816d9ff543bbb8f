"""The content digest of a folder: a touch changes nothing, a byte changes it, unchanged files are not read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from handmade import READER, make_folder

from tryon import files
from tryon.dataset.fingerprint import folder_digest

LONG_AGO_NS = 1_600_000_000_000_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_folder(tmp_path / "data", {"anna": "a", "bo": None}, ["a"])
    for path in (tmp_path / "data").rglob("*"):
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return tmp_path / "data"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the files that are read."""
    seen: list[str] = []
    real = files.sha256_file

    def counting(path: Path) -> str:
        seen.append(Path(path).name)
        return real(path)

    monkeypatch.setattr(files, "sha256_file", counting)
    return seen


def test_unchanged_files_are_not_read_again(root: Path, tmp_path: Path, reads: list[str]) -> None:
    first = folder_digest(root, tmp_path / "cache.json", READER.watched)
    assert len(reads) == 7  # three photos, three annotations, photos.csv
    reads.clear()
    assert folder_digest(root, tmp_path / "cache.json", READER.watched) == first
    assert reads == []


def test_a_touch_reads_one_file_and_changes_nothing(root: Path, tmp_path: Path, reads: list[str]) -> None:
    first = folder_digest(root, tmp_path / "cache.json", READER.watched)
    reads.clear()
    os.utime(root / "person/anna.jpg", ns=(LONG_AGO_NS, LONG_AGO_NS + 10**9))
    assert folder_digest(root, tmp_path / "cache.json", READER.watched) == first
    assert reads == ["anna.jpg"]


@pytest.mark.parametrize("name", ["person/anna.jpg", "annotations/garment/a.json", "photos.csv"])
def test_changed_content_of_the_same_size_changes_the_digest(root: Path, tmp_path: Path, name: str) -> None:
    first = folder_digest(root, tmp_path / "cache.json", READER.watched)
    content = bytearray((root / name).read_bytes())
    content[-3] ^= 1
    (root / name).write_bytes(bytes(content))
    assert folder_digest(root, tmp_path / "cache.json", READER.watched) != first


def test_a_file_written_just_now_is_read_again(root: Path, tmp_path: Path, reads: list[str]) -> None:
    """Written twice within one tick of the clock and with one size, it would look unchanged."""
    (root / "person/anna.jpg").write_bytes(b"one")
    stamp = time.time_ns()
    os.utime(root / "person/anna.jpg", ns=(stamp, stamp))
    first = folder_digest(root, tmp_path / "cache.json", READER.watched)
    (root / "person/anna.jpg").write_bytes(b"two")
    os.utime(root / "person/anna.jpg", ns=(stamp, stamp))
    assert folder_digest(root, tmp_path / "cache.json", READER.watched) != first


def test_adding_removing_and_renaming_change_the_digest(root: Path, tmp_path: Path) -> None:
    digests = [folder_digest(root, tmp_path / "cache.json", READER.watched)]
    (root / "truth").mkdir()
    (root / "truth/anna__a.jpg").write_bytes(b"x")
    digests.append(folder_digest(root, tmp_path / "cache.json", READER.watched))
    (root / "person/bo.jpg").rename(root / "person/bob.jpg")
    digests.append(folder_digest(root, tmp_path / "cache.json", READER.watched))
    (root / "person/bob.jpg").rename(root / "person/bo.jpg")
    (root / "truth/anna__a.jpg").unlink()
    assert len(set(digests)) == 3
    assert folder_digest(root, tmp_path / "cache.json", READER.watched) == digests[0]


def test_unrelated_files_and_a_broken_cache_do_not_matter(root: Path, tmp_path: Path) -> None:
    first = folder_digest(root, tmp_path / "cache.json", READER.watched)
    (root / "README.md").write_text("x")
    (root / "person/.DS_Store").write_text("x")
    (tmp_path / "cache.json").write_text('{"root": 3')
    assert folder_digest(root, tmp_path / "cache.json", READER.watched) == first


def test_the_cache_of_another_folder_is_not_believed(root: Path, tmp_path: Path, reads: list[str]) -> None:
    folder_digest(root, tmp_path / "cache.json", READER.watched)
    root.rename(tmp_path / "moved")
    reads.clear()
    folder_digest(tmp_path / "moved", tmp_path / "cache.json", READER.watched)
    assert len(reads) == 7


def test_importing_it_pulls_in_nothing_heavy() -> None:
    heavy = ("numpy", "pandas", "cv2", "torch", "PIL")
    code = f"import sys, tryon.dataset.fingerprint; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, who may read everything: so the refusal is played."""
    root = make_folder(tmp_path / "data", {"anna": None}, ["shirt"])
    real = files.sha256_file

    def refuse(path: str) -> str:
        if str(path).endswith("anna.jpg"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(files, "sha256_file", refuse)
    locked = folder_digest(root, tmp_path / "cache.json", READER.watched)
    monkeypatch.undo()
    assert folder_digest(root, tmp_path / "cache.json", READER.watched) != locked, "read again once it may be read"


def test_a_link_out_of_the_folder_and_a_copy_of_its_file_are_two_contents(root: Path, tmp_path: Path) -> None:
    """Else the run after the copy that the reason asks for would find nothing to do."""
    plain = folder_digest(root, tmp_path / "cache.json", READER.watched)
    photo = root / "person/anna.jpg"
    photo.rename(tmp_path / "anna.jpg")
    photo.symlink_to(tmp_path / "anna.jpg")
    assert folder_digest(root, tmp_path / "cache.json", READER.watched) != plain
    photo.unlink()
    (tmp_path / "anna.jpg").rename(photo)
    assert folder_digest(root, tmp_path / "cache.json", READER.watched) == plain
    (root / "person/.kept.jpg").write_bytes(photo.read_bytes())
    photo.unlink()
    photo.symlink_to(root / "person/.kept.jpg")
    assert folder_digest(root, tmp_path / "cache.json", READER.watched) == plain, "a link inside is as good as a file"
