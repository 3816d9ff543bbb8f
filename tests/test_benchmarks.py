"""The benchmarks run to their end at toy sizes; how fast anything is, they are not asked here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = {
    "masks": (["--people", "6", "--prior", "1", "--height", "128"], {"speedup", "share_decode_fill_encode"}),
    "evaluate": (
        ["--pairs", "2", "--more-pairs", "3", "--height", "64", "--jobs", "2"],
        {"overhead", "again", "parallel", "peak_mb", "peak_mb_more"},
    ),
    "evaluate_memory": (["--people", "6", "--pairs", "1", "2"], {"peak_mb", "kb_per_pair"}),
    "pack": (["--people", "6", "--height", "128"], {"speedup", "by_size"}),
    "train_step": (["--nets", "toy", "--repeats", "1"], {"nets", "goals"}),
    "kill": (["--kills", "4", "--damages", "12", "--races", "1"], {"kills", "damages", "full_disk", "races", "peer"}),
    "gpu": (
        ["--device", "cpu", "--tiny", "--batches", "2", "--steps", "2", "--warmup", "1", "--modes", "eager"],
        {"by_config", "device", "peak_half_tflops"},
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_a_benchmark_ends_with_its_numbers(name: str) -> None:
    arguments, wanted = TINY[name]
    command = [sys.executable, str(ROOT / "benchmarks" / f"bench_{name}.py"), *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    result = json.loads(ran.stdout.splitlines()[-1])
    assert result["benchmark"] == name
    assert wanted <= set(result)
    assert {"date", "commit", "machine"} <= set(result)


def test_without_a_gpu_no_numbers_are_made_up() -> None:
    """Neither are they measured on the CPU instead."""
    command = [sys.executable, str(ROOT / "benchmarks" / "bench_gpu.py")]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    for options, told in (([], "no CUDA device here"), (["--device", "cpu"], "needs --tiny")):
        ran = subprocess.run(
            [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 3
        assert told in ran.stderr
        assert ran.stdout == ""
