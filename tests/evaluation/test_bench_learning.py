"""`make bench-learning` reads a finished folder and says by how much the first stage leads, pair by pair."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from tiny_world import World

ROOT = Path(__file__).resolve().parents[2]


def test_leads_are_means_of_differences_between_pairs(judged: World) -> None:
    command = [
        sys.executable, str(ROOT / "benchmarks" / "bench_learning.py"), "--no-run",
        "--results", str(judged.results), "--preset", str(judged.config),
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    result = json.loads(ran.stdout.splitlines()[-1])
    assert {"benchmark", "machine", "date", "commit", "base", "ablation", "cascade"} <= set(result)
    metrics = pd.read_parquet(judged.results / "evaluate" / "metrics.parquet")
    rows = metrics[
        (metrics["list"] == "test_unpaired") & (metrics["region"] == "garment") & (metrics["size"] == "32x24")
    ]
    psnr = rows[rows["metric"] == "psnr"].pivot_table(index="pair_id", columns="system", values="value")
    for rival in ("keep", "paste_mean_fill", "regression"):
        assert result["base"][rival]["psnr_lead"][0] == pytest.approx((psnr["cascade"] - psnr[rival]).mean(), abs=1e-3)
    assert result["num_pairs"] == len(psnr)
    assert result["ablation"] == {}
    assert set(result["cascade"]) == {"base", "sr64"}


def test_a_folder_that_was_not_run_is_named(tmp_path: Path, judged: World) -> None:
    command = [
        sys.executable, str(ROOT / "benchmarks" / "bench_learning.py"), "--no-run",
        "--results", str(tmp_path), "--preset", str(judged.config),
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 1
    assert "metrics.parquet: no such file; run this command without --no-run" in ran.stderr


def test_an_ablations_rows_are_compared_pair_by_pair_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from bench_learning import ablation_table

    systems = {"full_0": 20.0, "full_1": 21.0, "less_0": 19.0, "less_1": 18.0}
    scores = pd.DataFrame(
        {"system": system, "metric": metric, "pair_id": f"p{pair}", "value": value + pair}
        for system, value in systems.items()
        for metric in ("psnr", "gms")
        for pair in range(3)
    )
    found = ablation_table(scores, SimpleNamespace(references=["regression", *systems]))
    assert found["less"]["seeds"] == [20.0, 19.0]
    assert found["less"]["psnr"][0] == 19.5
    assert found["less"]["psnr_difference"] == found["less"]["gms_difference"] == [-2.0, -2.0, -2.0]
    assert found["full"]["gms_difference"] == [0.0, 0.0, 0.0]


def test_the_first_guess_is_measured_on_a_folder_that_need_not_be_trained(prepared: World, tmp_path: Path) -> None:
    settings = json.loads(prepared.config.read_text()) | {"data": str(prepared.data)}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    script = [sys.executable, str(ROOT / "benchmarks" / "bench_guess.py"), "--preset", str(tmp_path / "config.json")]
    for results, code in ((prepared.results, 0), (tmp_path, 1)):
        command = [*script, "--results", str(results)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert ran.returncode == code, ran.stderr[-2000:]
        if code:
            assert "pack: no packed photos; run snakemake inspect --configfile" in ran.stderr
        else:
            error = json.loads(ran.stdout.splitlines()[-1])["error"]
            assert 0 < error["garment"] < error["around"] < 1
