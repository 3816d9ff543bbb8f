"""The page of the data: made without training, complete, and refused where too much is quarantined."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tiny_world import World


def page_of(world: World) -> tuple[int, Path]:
    out = world.results / "inspect" / "data.html"
    return world.tryon("inspect", "--data", world.data, "--results", world.results, "--out", out), out


def refuse(world: World, photo: str) -> None:
    for table in (world.results / "pack").glob("*.parquet"):
        rows = pd.read_parquet(table)
        hit = rows["id"] == photo
        rows.loc[hit, ["status", "stage", "reason"]] = ["quarantined", "cutouts", "planted reason"]
        rows.to_parquet(table)


def test_the_page_needs_no_training_and_nothing_from_anywhere(world: World) -> None:
    shutil.rmtree(world.results / "train")
    status, out = page_of(world)
    assert status == 0
    text = out.read_text(encoding="utf-8")
    assert not re.findall(r"https?://", text)
    assert not re.findall(r"\{\{|\{%", text), "every template mark is filled in"
    files = [path for role in ("person", "garment") for path in (world.data / role).iterdir()]
    photos = sorted(f"{path.parent.name}/{path.stem}" for path in files)
    assert sorted(re.findall(r'data-photo="([^"]+)"', text)) == photos
    assert "every photo went through every stage" in text


def test_a_refused_photo_stands_there_with_its_reason(world: World) -> None:
    photo = sorted(path.stem for path in (world.data / "person").iterdir())[0]
    refuse(world, f"person/{photo}")
    world.configure(max_quarantined=0.9)
    status, out = page_of(world)
    assert status == 0
    text = out.read_text(encoding="utf-8")
    assert "planted reason" in text
    assert f"person/{photo}" in text


def test_too_much_quarantine_is_refused_with_all_names(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(path.stem for path in (world.data / "person").iterdir())[:2]
    for name in names:
        refuse(world, f"person/{name}")
    world.configure(max_quarantined=0.0)
    status, out = page_of(world)
    assert status == 2
    assert not out.exists()
    told = capsys.readouterr().err
    assert all(f"person/{name}: cutouts: planted reason" in told for name in names)
