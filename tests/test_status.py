"""`tryon status` says how far each stage is, while a run goes on and after it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tryon import config, files, runs, status, variants
from tryon.cli import main

SETTINGS = (
    "results: results\ncascade: [base]\nreferences: [direct]\nstages:\n"
    "  base: {kind: parallel_unet, size: [64, 48], train: {num_steps: 200, batch_size: 4}}\n"
    "  direct: {kind: regression, size: [64, 48], train: {num_steps: 100}}\n"
)
KEYS = {"a" * 16: 10, "b" * 16: 20, "c" * 16: 30}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in the middle of the stage `masks`: one shard of three is done."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(SETTINGS)
    results = tmp_path / "results"
    files.write_parquet(results / "dataset" / "manifest.parquet", pd.DataFrame({"id": [str(n) for n in range(60)]}))
    files.write_csv(
        results / "dataset" / "quarantine.csv",
        pd.DataFrame([("person/x", "dataset", "torn,\nreally"), ("person/y", "dataset", "grey")]),
    )
    for key, num in KEYS.items():
        files.write_text(results / "pairs" / "shards" / f"{key}.tsv", "id\n" + "person/p\n" * num)
    files.write_text(results / "pairs" / "shards.txt", "".join(f"{key}\n" for key in KEYS))
    table(results, "masks", "a" * 16, num_ok=8, num_bad=2)
    return results


def table(results: Path, stage: str, key: str, num_ok: int, num_bad: int = 0) -> None:
    rows = [{"id": str(n), "status": "ok" if n < num_ok else "quarantined"} for n in range(num_ok + num_bad)]
    files.write_parquet(results / stage / f"{key}.parquet", pd.DataFrame(rows))


def log(results: Path, name: str, *lines: str) -> None:
    path = results / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def lines(alive: bool) -> dict[str, status.Line]:
    return {line.name: line for line in status.gather(config.load("config.yaml"), alive)}


def test_rows_of_an_ablation_are_counted_once_it_was_asked_for(results: Path) -> None:
    path = results.parent / "config.yaml"
    path.write_text(f"{SETTINGS}ablations: {{mine: {{vary: {{sample.guidance: [1, 2, 3, 4]}}}}}}\n")
    assert "ablation mine" not in lines(alive=True)
    cfg = config.load("config.yaml")
    rows = variants.Variants(cfg, cfg.ablation_rows)
    run, judged, sampling, _ = cfg.ablation_rows["mine"].values()
    for row in (run, judged):
        files.write_text(results / rows.row(row) / "evaluate" / "summary.json", "{}")
    log(results, f"variants/sample/{variants.row_digest(sampling)}/cascade", "sample cascade/base: 16/96 pictures")
    line = lines(alive=True)["ablation mine"]
    assert (line.state, line.done, line.running, line.left) == ("running", 2, 1, 2)
    line = lines(alive=False)["ablation mine"]
    assert (line.state, line.done, line.failed, line.left) == ("failed", 2, 1, 1)


def counts(line: status.Line) -> tuple[str, int, int, int, int | None]:
    return line.state, line.done, line.quarantined, line.failed, line.left


def test_finished_shards_are_counted_by_their_tables(results: Path) -> None:
    found = lines(alive=False)
    assert counts(found["dataset"]) == ("done", 60, 2, 0, 0)
    assert counts(found["pairs"]) == ("done", 1, 0, 0, 0)
    assert counts(found["masks"]) == ("waiting", 8, 2, 0, 50)
    assert counts(found["keypoints"]) == ("waiting", 0, 0, 0, 60)


def test_a_running_shard_counts_its_items_and_gives_the_rate(results: Path) -> None:
    log(results, f"masks/{'b' * 16}", "masks b: 4/15 items, 5 reused, 2.0 items/s, 6 s left")
    log(results, f"masks/{'c' * 16}", "masks c: 5/30 items, 0 reused, 0.5 items/s, 50 s left")
    line = lines(alive=True)["masks"]
    assert counts(line) == ("running", 8 + 9 + 5, 2, 0, 11 + 25)
    assert line.running == 2
    assert line.rate_per_s == 2.5
    assert line.eta_s == 36 / 2.5


def test_pack_and_dataset_progress_is_read_too(results: Path) -> None:
    log(results, f"pack/{'b' * 16}", "pack b: 8/20 photos, 4.0 photos/s, 3 s left")
    assert counts(lines(alive=True)["pack"])[1] == 8
    (results / "dataset" / "manifest.parquet").unlink()
    log(results, "dataset", "dataset: 30/50 photos checked, 12 known, 10.0 photos/s, 2 s left")
    line = lines(alive=True)["dataset"]
    assert counts(line) == ("running", 42, 0, 0, 20)
    assert line.eta_s == 2.0


def test_without_a_run_what_was_begun_is_failed_and_an_error_is_at_once(results: Path) -> None:
    log(results, f"masks/{'b' * 16}", "masks b: 4/15 items, 5 reused, 2.0 items/s, 6 s left")
    assert counts(lines(alive=False)["masks"]) == ("failed", 8 + 9, 2, 11, 30)
    log(results, f"masks/{'b' * 16}", "warming up", "error: no space left")
    assert counts(lines(alive=True)["masks"]) == ("failed", 8, 2, 20, 30)
    table(results, "masks", "b" * 16, num_ok=20)
    table(results, "masks", "c" * 16, num_ok=30)
    assert counts(lines(alive=False)["masks"]) == ("done", 58, 2, 0, 0)


def test_the_rate_of_a_quiet_stage_is_that_of_its_last_jobs(results: Path) -> None:
    for made, seconds in ((0, 9.0), (10, 4.0), (30, 4.0)):
        files.append_jsonl(results / "journal" / "masks.jsonl", {"num_made": made, "seconds": seconds})
    with (results / "journal" / "masks.jsonl").open("a") as journal:
        journal.write('{"num_made": 5, "sec')
    assert lines(alive=False)["masks"].rate_per_s == 5.0


def test_training_steps_come_from_the_newest_run_folder(results: Path) -> None:
    for digest, step in (("0" * 12, 150), ("1" * 12, 50)):
        row = {"kind": "train", "step": step, "images_per_s": 8.0, "loss": 1.0}
        path = results / "runs" / f"base-{digest}" / "metrics.jsonl"
        files.append_jsonl(path, row)
        os.utime(path, (step, 1e9 - step))
    assert counts(lines(alive=True)["train base"]) == ("waiting", 0, 0, 0, 200), "no job has begun"
    log(results, "train/base", "base: step 50/200")
    line = lines(alive=True)["train base"]
    assert counts(line) == ("running", 50, 0, 0, 150)
    assert line.eta_s == 75.0
    assert counts(lines(alive=False)["train base"]) == ("failed", 50, 0, 150, 0)
    files.write_json(results / "train" / "base" / "summary.json", {})
    assert counts(lines(alive=False)["train base"]) == ("done", 200, 0, 0, 0)


def test_nothing_begun_yet_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(SETTINGS)
    assert {line.state for line in lines(alive=False).values()} == {"waiting"}
    assert lines(alive=True)["masks"].left is None


def test_the_command_prints_one_line_per_stage_and_whether_a_run_goes_on(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--config", "config.yaml"]) == 0
    said = capsys.readouterr().out
    names = ["masks", "keypoints", "cutouts", "pack", "train base", "train direct", "sample cascade", "sample direct"]
    assert all(f"\n{name} " in said for name in ["dataset", "pairs", *names, "evaluate", "report"])
    assert "no run is alive here" in said
    runs.STATE.mkdir(parents=True)
    with (runs.STATE / runs.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert main(["status", "--config", "config.yaml"]) == 0
        assert "a run is going on" in capsys.readouterr().out


def test_it_is_light(results: Path) -> None:
    """Someone who watches calls it again and again beside a busy run."""
    code = "import sys, json; from tryon.cli import main; main(['status', '--config', 'config.yaml']); "
    code += "print(json.dumps(sorted(sys.modules)))"
    root = str(Path(__file__).resolve().parent.parent)
    ran = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    assert not {"torch", "cv2", "scipy", "imagehash"} & set(json.loads(ran.stdout.splitlines()[-1]))


def test_another_results_folder_can_be_named_and_must_be_there(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Snakemake's `--config results=…` leaves no trace in the configuration file."""
    results.rename("elsewhere")
    assert main(["status", "--config", "config.yaml"]) == 2
    assert "results: no such results folder; start the run, or name" in capsys.readouterr().err
    log(Path("elsewhere"), "inspect", "inspect: begun")
    assert main(["status", "--config", "config.yaml", "--results", "elsewhere"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("elsewhere: no run is alive here")
    assert "inspect" in shown
