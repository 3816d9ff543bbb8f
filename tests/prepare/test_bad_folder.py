"""A folder with one photo of every bad kind: each is told, every good one is processed, and always the same way."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bad_folder
import pandas as pd
import pytest
from bad_folder import BadFolder

from tryon import cli
from tryon.errors import UserError
from tryon.packed import PackedPhotos, check_quarantined

ROOT = Path(__file__).resolve().parents[2]
TELLING_TIME = (".provenance.json", ".jsonl")


@pytest.fixture(scope="module")
def folder(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> BadFolder:
    return bad_folder.make(rendered, tmp_path_factory.mktemp("bad") / "data")


def settings(place: Path, **changes: object) -> Path:
    path = place / "config.json"
    path.write_text(json.dumps({**bad_folder.CONFIG, **changes}))
    return path


def begin(config: Path, folder: BadFolder, results: Path, jobs: int) -> list[str]:
    """The stages over the whole folder; the keys of its shards."""
    for command in bad_folder.commands(config, folder.root, results, jobs):
        bad_folder.run(*command)
    return (results / "pairs" / "shards.txt").read_text().split()


def job(config: Path, folder: BadFolder, results: Path, key: str) -> subprocess.Popen[bytes]:
    """One shard's stages in a process of their own."""
    script = [sys.executable, str(ROOT / "tests" / "bad_folder.py"), str(config), str(folder.root), str(results), key]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(script, cwd=ROOT, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def finished(folder: BadFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one job at a time, undisturbed."""
    place = tmp_path_factory.mktemp("one_job")
    config, results = settings(place), place / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # the shipped models are named relative to the clone
        for key in begin(config, folder, results, jobs=1):
            bad_folder.run_shard(config, folder.root, results, key)
    return results


def digests(results: Path) -> dict[str, str]:
    """SHA-256 of every table, item and pack; what tells time, and what a kill left beside its target, is none."""
    return {
        path.relative_to(results).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file() and not path.name.endswith(TELLING_TIME) and not path.name.startswith(".")
        if not path.is_relative_to(results / "cache")
    }


def test_every_bad_photo_is_told_with_its_reason_and_nothing_else_is(folder: BadFolder, finished: Path) -> None:
    table = pd.read_csv(finished / "dataset" / "quarantine.csv", dtype=str, keep_default_na=False)
    told = {row.id: (row.stage, row.reason) for row in table.itertuples()}
    packs = pd.concat([pd.read_parquet(path) for path in sorted((finished / "pack").glob("*.parquet"))])
    told |= {row.id: (row.stage, row.reason) for row in packs[packs["status"] != "ok"].itertuples()}
    assert sorted(told) == sorted(folder.refused)
    for id_, (stage, reason) in folder.refused.items():
        assert told[id_][0] == stage, (id_, told[id_])
        assert reason in told[id_][1], (id_, told[id_])


def test_every_good_and_every_mended_photo_is_packed(folder: BadFolder, finished: Path) -> None:
    packed = PackedPhotos(sorted((finished / "pack").glob("*.safetensors")))
    assert set(packed.ids) == folder.good | set(folder.mended)


def test_every_repair_is_recorded(folder: BadFolder, finished: Path) -> None:
    table = pd.read_csv(finished / "dataset" / "repairs.csv", dtype=str, keep_default_na=False)
    kinds = table.assign(kind=table["repair"].str.partition(":")[0]).groupby("id")["kind"].agg(list).to_dict()
    assert {id_: found[0] for id_, found in kinds.items()} == folder.mended
    assert all(len(found) == 1 for found in kinds.values())


def test_a_mended_picture_is_packed_as_the_clean_one_is(folder: BadFolder, finished: Path) -> None:
    """Upright, not inverted, not dark: the small packed picture is within some grey levels of the source's."""
    packed = PackedPhotos(sorted((finished / "pack").glob("*.safetensors")))
    clean = packed.read(f"person/{folder.source}", (32, 24))
    for id_ in ("turned", "deep", "ink", "really a jpeg", "palette", "over the edge"):
        mended = packed.read(f"person/{id_}", (32, 24))
        difference = abs(mended.image_HWC.astype(int) - clean.image_HWC).mean()
        assert difference < 4, (id_, difference)
        assert (mended.garments_HW == clean.garments_HW).all(), id_


def test_with_no_share_allowed_the_stage_fails_and_names_all(
    folder: BadFolder, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = bad_folder.commands(settings(tmp_path, max_quarantined=0.0), folder.root, tmp_path / "results", 2)[0]
    assert cli.main(command) == 2
    text = capsys.readouterr().err
    for id_, (stage, reason) in folder.refused.items():
        assert (f"  {id_}: " in text and reason in text) == (stage == "dataset"), id_
    assert not (tmp_path / "results" / "dataset" / "manifest.parquet").exists()
    with pytest.raises(UserError) as later:
        check_quarantined(sorted((finished / "pack").glob("*.parquet")), 0.0)
    for id_, (stage, reason) in folder.refused.items():
        assert (f"  {id_}: {stage}: " in str(later.value) and reason in str(later.value)) == (stage != "dataset"), id_


@pytest.mark.timeout(900)
def test_many_jobs_at_a_time_give_the_same_bytes(folder: BadFolder, finished: Path, tmp_path: Path) -> None:
    config, results = settings(tmp_path), tmp_path / "results"
    jobs = [job(config, folder, results, key) for key in begin(config, folder, results, jobs=8)]
    assert len(jobs) == 3
    assert [process.wait() for process in jobs] == [0, 0, 0]
    assert digests(results) == digests(finished)


@pytest.mark.timeout(900)
def test_killed_in_the_middle_and_resumed_gives_the_same_bytes(
    folder: BadFolder, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config, results = settings(tmp_path), tmp_path / "results"
    keys = begin(config, folder, results, jobs=8)
    for key, stage in zip(keys, ("masks", "keypoints", "cutouts"), strict=True):
        before = num_items(results, stage)
        process = job(config, folder, results, key)
        while num_items(results, stage) <= before + 1:
            assert process.poll() is None, f"the job ended before {stage} could be killed"
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (results / "pack" / f"{key}.safetensors").exists()
    for key in begin(config, folder, results, jobs=1):
        bad_folder.run_shard(config, folder.root, results, key)
    assert digests(results) == digests(finished)


def num_items(results: Path, stage: str) -> int:
    return sum(1 for _ in (results / "items" / stage).glob("*/*.json"))
