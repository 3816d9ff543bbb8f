"""`make bench-sampling` runs to its end on untrained weights; how good anything is, it is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_world import World

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def result(prepared: World) -> dict:
    command = [
        sys.executable, str(ROOT / "benchmarks" / "bench_sampling.py"), "--results", str(prepared.results),
        "--config", str(prepared.config), "--data", str(prepared.data), "--limit", "3", "--steps", "2", "20",
        "--reference-steps", "30",
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout.splitlines()[-1])


def test_it_ends_with_its_numbers(result: dict) -> None:
    assert result["benchmark"] == "sampling"
    assert {"date", "commit", "machine", "cost", "cost_paper_128", "psnr_db", "difference_db"} <= set(result)
    assert result["num_pairs"] == 3
    assert set(result["psnr_db"]) == {"ddpm 30"} | {f"{s} {n}" for s in ("ddim", "dpmpp", "unipc") for n in (2, 20)}
    assert result["best_at_goal_steps_db"] == max(
        result["difference_db"][f"{s} 20"]["mean"] for s in ("ddim", "dpmpp", "unipc")
    )


def test_what_is_left_out_of_a_step_changes_no_picture_and_costs_less(result: dict) -> None:
    cost = result["cost"]
    assert all(difference < 1e-4 for difference in cost["largest_difference"].values())
    assert cost["gflops_per_step"]["everything"] > cost["gflops_per_step"]["kept"]
    paper = result["cost_paper_128"]["fewer_flops"]
    assert 1 < paper["null_skipped"] < paper["kept"]


def test_a_folder_without_settings_here_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "bench_sampling.py"), "--results", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 1
    assert "no configuration here has it as `results`; give its own with --config" in ran.stderr
    assert "Traceback" not in ran.stderr
