"""`tryon gc` removes what no current table names, and nothing else."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tryon import config, digests, gc, runs, variants
from tryon.cli import main
from tryon.errors import UserError
from tryon.evaluation.protocols.features import FeatureCache
from tryon.items import Done, run_shard
from tryon.provenance import write_provenance

SETTINGS = "results: results\ncascade: [base]\nstages: {base: {kind: parallel_unet, size: [64, 48]}}\n"
KEY, FORMER = "0" * 16, "f" * 16


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the results of two shards, one of which is not current any more."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(SETTINGS)
    results = tmp_path / "results"
    for stage in ("masks", "keypoints", "cutouts"):
        for key, ids in ((KEY, "ab"), (FORMER, "bc")):
            make(results, stage, key, ids)
    for key in (KEY, FORMER):
        make(results, "pack", key, "")
        (results / "pack" / f"{key}.safetensors").write_bytes(b"packed")
        (results / "pack" / f"{key}.safetensors.provenance.json").write_text("{}")
    (results / "pairs").mkdir()
    (results / "pairs" / "shards.txt").write_text(f"{KEY}\n")
    return tmp_path


def make(results: Path, stage: str, key: str, ids: str) -> None:
    run_shard(
        stage=stage,
        rows=pd.DataFrame({"id": list(ids)}),
        key_of=lambda row: digests.digest([stage, row.id]),
        process=lambda rows: [
            Done({"out.bin": b"x" * 100}, {"embedding": digests.digest(["e", row.id])}) for row in rows
        ],
        store=results / "items",
        out=results / stage / f"{key}.parquet",
    )


def files_of(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


def item(stage: str, id_: str, name: str) -> str:
    key = digests.digest([stage, id_])
    return f"results/items/{stage}/{key[:2]}/{key}.{name}"


def test_items_and_shards_that_are_not_current_go_and_the_rest_stays(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(tree)
    expected = {item(stage, "c", name) for stage in ("masks", "keypoints", "cutouts") for name in ("json", "out.bin")}
    expected |= {f"results/{stage}/{FORMER}.parquet" for stage in gc.PER_SHARD}
    expected |= {f"results/pack/{FORMER}.safetensors{more}" for more in ("", ".provenance.json")}
    assert expected < before
    assert main(["gc", "--config", "config.yaml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "would remove 12 files" in said
    assert "items/masks: 2 files" in said
    lock = {".snakemake/tryon/runs.lock"}
    assert files_of(tree) - lock == before
    assert main(["gc", "--config", "config.yaml"]) == 0
    assert files_of(tree) - lock == before - expected
    assert main(["gc", "--config", "config.yaml"]) == 0
    assert "removed 0 files" in capsys.readouterr().out
    assert not [path for path in (tree / "results" / "items").rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_an_unfinished_stage_keeps_all_its_items(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "results" / "keypoints" / f"{KEY}.parquet").unlink()
    before = {name for name in files_of(tree) if name.startswith("results/items/keypoints")}
    assert main(["gc", "--config", "config.yaml"]) == 0
    assert before <= files_of(tree)
    assert item("masks", "c", "json") not in files_of(tree)
    assert "items/keypoints: all kept, keypoints lacks 1 of 1 tables" in capsys.readouterr().out


def test_embeddings_are_kept_where_a_cut_out_names_them(tree: Path) -> None:
    folder = tree / "results" / "items" / "embeddings"
    for id_ in "abc":
        key = digests.digest(["e", id_])
        (folder / key[:2]).mkdir(parents=True, exist_ok=True)
        (folder / key[:2] / f"{key}.npy").write_bytes(b"e")
    (tree / "results" / "items" / "unknown" / "00").mkdir(parents=True)
    (tree / "results" / "items" / "unknown" / "00" / "0011.bin").write_bytes(b"u")
    assert main(["gc", "--config", "config.yaml"]) == 0
    left = {path.name.split(".")[0] for path in folder.rglob("*.npy")}
    assert left == {digests.digest(["e", id_]) for id_ in "ab"}
    assert (tree / "results" / "items" / "unknown" / "00" / "0011.bin").is_file(), "nobody knows whose it is"


def test_files_of_killed_writers_go_after_an_hour(tree: Path) -> None:
    folder = tree / "results" / "items" / "masks" / "00"
    folder.mkdir(parents=True, exist_ok=True)
    old, young = folder / ".0011.labels.abcd1234.tmp.png", tree / "results" / ".x.abcd1234.tmp"
    hidden = tree / "results" / ".keep.tmpfile"
    for path in (old, young, hidden):
        path.write_bytes(b"half")
    for path in (old, hidden):
        os.utime(path, (time.time() - 3700,) * 2)
    assert main(["gc", "--config", "config.yaml"]) == 0
    assert not old.exists()
    assert young.exists()
    assert hidden.exists()


def test_settings_of_former_runs_go(tree: Path) -> None:
    state = tree / runs.STATE
    state.mkdir(parents=True)
    current = f"config-{digests.digest(config.load('config.yaml').model_dump(mode='json'))}.json"
    for name in (current, f"config-{FORMER}.json", "fingerprint-0123456789abcdef.json"):
        (state / name).write_text("{}")
    assert main(["gc", "--config", "config.yaml"]) == 0
    assert {path.name for path in state.iterdir()} == {current, "fingerprint-0123456789abcdef.json", runs.LOCK}


def test_rows_that_no_ablation_has_any_more_go_and_current_ones_keep_what_they_name(tree: Path) -> None:
    (tree / "config.yaml").write_text(f"{SETTINGS}ablations: {{mine: {{vary: {{cutouts.agnostic: [ootd, sam]}}}}}}\n")
    cfg = config.load("config.yaml")
    rows = variants.Variants(cfg, cfg.ablation_rows)
    results = tree / "results"
    make(results, "cutouts", KEY, "abc")  # items of a, b and c
    table = results / rows.cutouts(cfg.ablation_rows["mine"]["agnostic ootd"]) / f"{KEY}.parquet"
    table.parent.mkdir(parents=True)
    (results / "cutouts" / f"{KEY}.parquet").rename(table)
    make(results, "cutouts", KEY, "ab")
    current = [results / rows.row(row) for row in cfg.ablation_rows["mine"].values()]
    former = [results / "variants" / kind / FORMER for kind in ("rows", "pack", "cutouts")]
    weights = results / "variants" / "train" / f"base-{FORMER}"
    for folder in (*current, *former, weights):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    assert main(["gc", "--config", "config.yaml"]) == 0
    assert all((folder / "file").is_file() for folder in (*current, weights)), "weights took long to train"
    assert not any((folder / "file").exists() for folder in former)
    assert table.is_file()
    assert item("cutouts", "c", "out.bin") in files_of(tree), "only the row's table names it"
    assert item("masks", "c", "out.bin") not in files_of(tree)


def test_while_a_run_is_alive_nothing_is_touched(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / runs.STATE).mkdir(parents=True)
    with (tree / runs.STATE / runs.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as tryon.workflow does
        before = files_of(tree)
        assert runs.is_alive()
        assert main(["gc", "--config", "config.yaml"]) == 2
        assert main(["gc", "--config", "config.yaml", "--dry-run"]) == 2
        assert "a run is alive" in capsys.readouterr().err
        assert files_of(tree) == before
    assert not runs.is_alive()
    assert main(["gc", "--config", "config.yaml"]) == 0


def test_without_a_list_of_shards_nobody_knows_what_is_current(tree: Path) -> None:
    (tree / "results" / "pairs" / "shards.txt").unlink()
    with pytest.raises(UserError, match="nobody knows what is current"):
        gc.find(config.load("config.yaml"))


def test_features_that_the_last_evaluation_did_not_ask_for_go(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tree / "results" / "cache" / "features"
    image_HWC = np.zeros((4, 3, 3), np.uint8)
    FeatureCache(cache, "network").keep(image_HWC, np.ones(2, np.float32))
    FeatureCache(cache, "network").keep(image_HWC + 1, np.ones(2, np.float32))
    FeatureCache(cache, "former").keep(image_HWC, np.ones(2, np.float32))
    (cache / "notes.txt").write_text("mine")
    for path in cache.rglob("*.f32"):
        os.utime(path, (time.time() - 9000, time.time() - 9000))
    assert main(["gc", "--config", "config.yaml"]) == 0
    assert "cache/features: all kept, no evaluation has ended yet" in capsys.readouterr().out
    assert len(list(cache.rglob("*.f32"))) == 3
    (tree / "results" / "evaluate").mkdir()
    write_provenance(
        tree / "results" / "evaluate" / "metrics.parquet", stage="evaluate", config="", code="", inputs={}, seconds=60
    )
    assert FeatureCache(cache, "network").read(image_HWC) is not None  # as an evaluation of these 60 seconds does
    assert main(["gc", "--config", "config.yaml", "--dry-run"]) == 0
    assert "cache/features: 2 files" in capsys.readouterr().out
    assert main(["gc", "--config", "config.yaml"]) == 0
    assert FeatureCache(cache, "network").read(image_HWC) is not None
    assert FeatureCache(cache, "network").read(image_HWC + 1) is None
    assert sorted(path.name for path in cache.iterdir()) == ["network", "notes.txt"]
