"""Stage `studio`: the data folder it writes, and that nothing but the settings decides its bytes."""

from __future__ import annotations

import csv
import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tryon.cli import main
from tryon.config import StudioConfig
from tryon.errors import UserError
from tryon.images import read_rgb
from tryon.ontology import KEYPOINT_NAMES
from tryon.studio.plan import make_plan
from tryon.studio.studio import render_folder

CFG = StudioConfig(num_people=12, num_val=2, num_test=4, top_share=0.5, size_hw=(128, 96), jobs=1)
SETTINGS = {
    "studio": {"num_people": 12, "num_val": 2, "num_test": 4, "top_share": 0.5, "size_hw": [128, 96]},
    "stages": {"base": {"kind": "parallel_unet", "size": [64, 48]}},
    "cascade": ["base"],
}


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("studio") / "data"
    render_folder(CFG, out)
    return out


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(SETTINGS))
    return path


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "photos.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_photo_has_picture_annotation_keypoints_and_a_row(folder: Path) -> None:
    photos = {row["photo"] for row in rows(folder)}
    assert photos == {str(p.relative_to(folder)) for p in folder.glob("[pg]*/*.jpg")}
    assert len(photos) == 24
    for photo in photos:
        stem = photo.removesuffix(".jpg")
        assert read_rgb(folder / photo).shape == (128, 96, 3)
        annotation = json.loads((folder / "annotations" / f"{stem}.json").read_text())
        assert annotation["info"]["description"] == "ISAT"
        assert (annotation["info"]["height"], annotation["info"]["width"]) == (128, 96)
        [instance] = json.loads((folder / "keypoints" / f"{stem}.json").read_text())
        assert len(instance["keypoints"]) == len(instance["keypoint_scores"]) == len(KEYPOINT_NAMES)


def test_every_held_out_person_has_its_true_picture_in_another_garment(folder: Path) -> None:
    worn = {row["photo"]: row for row in rows(folder) if row["photo"].startswith("person/")}
    pairs = [line.split() for line in (folder / "pairs.txt").read_text().splitlines()]
    held_out = {photo for photo, row in worn.items() if row["split"] != "train"}
    assert {f"person/{person}" for person, _ in pairs} == held_out
    for person, garment in pairs:
        name = f"{Path(person).stem}__{Path(garment).stem}"
        assert worn[f"person/{person}"]["garment"] != Path(garment).stem
        assert read_rgb(folder / "truth" / f"{name}.jpg").shape == (128, 96, 3)
        assert json.loads((folder / "truth" / f"{name}.json").read_text())["objects"]


def test_no_person_and_no_garment_is_in_two_splits(folder: Path) -> None:
    for column in ("identity", "garment"):
        splits: dict[str, set[str]] = {}
        for row in rows(folder):
            splits.setdefault(row[column], set()).add(row["split"])
        assert all(len(found) == 1 for found in splits.values())
    by_garment = {row["garment"]: row["split"] for row in rows(folder)}
    by_person = {Path(row["photo"]).name: row["split"] for row in rows(folder)}
    for line in (folder / "pairs.txt").read_text().splitlines():
        person, garment = line.split()
        assert by_person[person] == by_garment[Path(garment).stem]


def test_bytes_do_not_depend_on_processes_or_on_what_was_rendered_before(folder: Path, tmp_path: Path) -> None:
    render_folder(CFG, tmp_path / "data", jobs=2)
    assert digests(tmp_path / "data") == digests(folder)


def test_more_people_leave_the_others_as_they_are(folder: Path, tmp_path: Path) -> None:
    more = CFG.model_copy(update={"num_people": 14, "top_share": 1.0})
    fewer = CFG.model_copy(update={"top_share": 1.0})
    render_folder(more, tmp_path / "more")
    render_folder(fewer, tmp_path / "fewer")
    same = digests(tmp_path / "more")["person/p00003.jpg"]
    assert same == digests(tmp_path / "fewer")["person/p00003.jpg"]


def test_another_seed_gives_other_pictures(folder: Path, tmp_path: Path) -> None:
    render_folder(CFG.model_copy(update={"seed": 2}), tmp_path / "data")
    assert digests(tmp_path / "data")["person/p00000.jpg"] != digests(folder)["person/p00000.jpg"]


def test_a_killed_run_is_finished_by_the_same_command(folder: Path, settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    command = [sys.executable, "-m", "tryon.cli", "studio", "--config", str(settings), "--out", str(out), "--jobs", "1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(out.glob("person/*.jpg"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (out / "person" / ".p00001.abc.tmp.jpg").write_bytes(b"half")
    assert not (out / "studio.json").exists(), "the run ended before it could be killed"
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert digests(out) == digests(folder)


def test_a_second_run_renders_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}
    render_folder(CFG, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")} == before
    assert "pictures" not in capsys.readouterr().err


def test_other_settings_replace_the_folder(tmp_path: Path) -> None:
    small = StudioConfig(num_people=5, num_val=2, num_test=2, top_share=1.0, size_hw=(64, 48), jobs=1)
    render_folder(small, tmp_path)
    render_folder(small.model_copy(update={"num_people": 6}), tmp_path)
    assert json.loads((tmp_path / "studio.json").read_text())["num_persons"] == 6
    render_folder(small, tmp_path)
    assert len(list((tmp_path / "person").glob("*.jpg"))) == 5


def test_a_folder_of_own_photos_is_left_alone(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine" / "person" / "me.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    assert main(["studio", "--config", str(settings), "--out", str(tmp_path / "mine")]) == 2
    assert mine.read_bytes() == b"mine"
    assert "no mark of the studio" in capsys.readouterr().err


def test_too_few_people_are_refused_with_the_number_that_would_do() -> None:
    with pytest.raises(UserError, match="set num_people to 49 or more"):
        make_plan(StudioConfig(num_people=20, num_val=16, num_test=32))
    with pytest.raises(UserError, match="raise num_val or lower unpaired_per_person"):
        make_plan(StudioConfig(num_people=20, num_val=2, num_test=8, unpaired_per_person=3))


def test_several_photos_of_a_person_show_one_face_in_other_clothes(tmp_path: Path) -> None:
    cfg = CFG.model_copy(update={"photos_per_person": 2})
    plan = make_plan(cfg)
    one, two = plan.photos[:2]
    assert one.identity == two.identity
    assert one.garment != two.garment
    assert plan.scene(one).person == plan.scene(two).person
    assert plan.scene(one).pose != plan.scene(two).pose
    assert len({photo.name for photo in plan.photos}) == 24


def test_shares_of_categories_are_kept() -> None:
    plan = make_plan(StudioConfig(num_people=300, num_val=20, num_test=40, top_share=0.8))
    up = np.mean([photo.category == "up" for photo in plan.photos])
    assert abs(up - 0.8) < 0.02
    assert {photo.category for photo in plan.photos if photo.split == "test"} == {"up", "down", "dress"}
