"""Mistakes end before anything is planned, with what was found, where, and the fix; never with a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from chain import SETTINGS, Ran, clone, snakemake, write_settings

pytestmark = pytest.mark.xdist_group("workflow")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = clone(tmp_path_factory.mktemp("errors") / "clone")
    for role in ("person", "garment"):
        (tree / "photos" / role).mkdir(parents=True)
        (tree / "photos" / role / "a.jpg").touch()
        (tree / "photos" / "annotations" / role).mkdir(parents=True)
    (tree / "photos" / "pairs.txt").write_text("a.jpg a.jpg\n", encoding="utf-8")
    return tree


def refused(tree: Path, *arguments: str) -> str:
    """The text of a refusal, without the lines that Snakemake prints before it reads the workflow."""
    ran: Ran = snakemake(tree, "-n", *arguments)
    assert ran.status == 2, ran.text
    assert "Traceback" not in ran.text
    assert 'File "' not in ran.text, "no frames of the program either"
    assert "\nerror: " in f"\n{ran.text}"
    return ran.text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"cutouts": {"agnostik": "limbs"}}, ["cutouts.agnostik", "did you mean 'agnostic'?"]),
        ({"pairs": {"num_shards": 0}}, ["pairs.num_shards", "greater than or equal to 1", "0"]),
        ({"cascade": ["bass", "sr64"]}, ["'bass'", "did you mean 'base'?"]),
        ({"data": "photoz"}, ["photoz"]),
        ({"cutouts": {"checkpoint": "no.pth"}}, ["cutouts.checkpoint", "no.pth"]),
        ({"keypoints": {"sha256": "0" * 64}}, ["keypoints.checkpoint", "sha256", "0" * 64]),
        ({"evaluate": {"lpips_weights": "no.pth"}}, ["evaluate.lpips_weights", "no.pth"]),
    ],
    ids=["typo", "range", "unknown-stage", "no-data", "no-weights", "wrong-sha256", "no-lpips"],
)
def test_a_mistake_in_the_settings_is_named(tree: Path, change: dict[str, object], expected: list[str]) -> None:
    write_settings(tree, {**SETTINGS, **change})
    text = refused(tree)
    for part in expected:
        assert part in text


def test_all_mistakes_are_listed_at_once(tree: Path) -> None:
    write_settings(tree, {**SETTINGS, "datta": "x", "masks": {"unknown_lable": "ignore"}})
    text = refused(tree)
    assert "2 mistakes" in text
    assert "did you mean 'data'?" in text
    assert "did you mean 'unknown_label'?" in text


def test_a_pair_whose_photo_is_missing_is_named_before_the_run(tree: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(tree / "photos", photos)
    (photos / "pairs.txt").write_text("a.jpg a.jpg\na.jpg missing.jpg\n", encoding="utf-8")
    write_settings(tree, {**SETTINGS, "data": str(photos)})
    text = refused(tree)
    assert "missing" in text
    assert "pairs.txt" in text


def test_a_file_that_is_not_yaml_is_named_with_the_line(tree: Path) -> None:
    (tree / "config.yaml").write_text("data: [photos\nresults: x\n", encoding="utf-8")
    text = refused(tree)
    assert "config.yaml" in text
    assert "line 2" in text


def test_without_any_settings_the_fix_is_said(tree: Path) -> None:
    (tree / "config.yaml").unlink()
    assert "--configfile" in refused(tree)


def test_a_failing_job_shows_its_reason_and_its_log(prepared: Path, tmp_path: Path) -> None:
    """What only the run can see: photos beyond repair. The reason is on the terminal and in the named log."""
    tree = tmp_path / "tree"
    shutil.copytree(prepared, tree, symlinks=True)
    for photo in (tree / "photos").glob("*/*.jpg"):
        photo.write_bytes(photo.read_bytes()[:500])
    ran = snakemake(tree, "--cores", "2")
    assert ran.status != 0
    assert "Traceback" not in ran.text
    assert "error: " in ran.text
    assert "max_quarantined" in ran.text
    log = tree / "results" / "logs" / "dataset.log"
    assert "results/logs/dataset.log" in ran.text
    assert "max_quarantined" in log.read_text()
