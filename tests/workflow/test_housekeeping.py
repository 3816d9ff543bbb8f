"""`tryon gc` and `tryon status` on a real run: gc gives space back and costs no work, status knows every stage."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from chain import digests, environment, plan
from test_rerun import TRAINED, add_garment, items_made, make_shards

pytestmark = [pytest.mark.xdist_group("workflow"), pytest.mark.timeout(900)]


def tryon(tree: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "tryon.cli", *arguments, "--config", "config.yaml"],
        cwd=tree,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_gc_of_a_finished_run_finds_nothing(copy: Path) -> None:
    before = digests(copy)
    assert "gc: removed 0 files" in tryon(copy, "gc")
    assert digests(copy) == before
    assert plan(copy) == {}


def test_after_gc_nothing_is_planned_and_a_rerun_makes_nothing_anew(copy: Path) -> None:
    add_garment(copy)
    make_shards(copy, "pack")
    planned = plan(copy)
    assert planned == TRAINED
    said = tryon(copy, "gc")
    assert "masks of former shards: " in said
    assert "settings of former runs" not in said
    assert plan(copy) == planned, "nothing more to do than before"
    # an item's table made again finds every item still there
    for name in (copy / "results" / "pairs" / "shards.txt").read_text().split():
        for stage in ("masks", "keypoints", "cutouts"):
            (copy / "results" / stage / f"{name}.parquet").unlink()
    make_shards(copy, "cutouts")
    assert items_made(copy) == {"masks": 0, "keypoints": 0, "cutouts": 0}


def test_status_of_a_finished_run(finished: Path) -> None:
    said = tryon(finished, "status")
    rows = [line.split() for line in said.splitlines()[2:]]
    assert all("done" in row for row in rows), said
    names = Counter(row[0] for row in rows)
    assert names == Counter(
        dataset=1, pairs=1, masks=1, keypoints=1, cutouts=1, pack=1, train=3, sample=3, evaluate=1, report=1
    )
