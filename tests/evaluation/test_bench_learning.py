"""`make bench-learning` reads a finished folder and says by how much the first stage leads, pair by pair."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
