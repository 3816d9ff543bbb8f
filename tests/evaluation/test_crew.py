"""Several processes share a sampling run; what they make is what one process makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch
from tiny_world import World

from tryon.evaluation.crew import Crew

ROOT = Path(__file__).resolve().parents[2]


def launch(world: World, *, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """`tryon sample` as the rule starts it with `sample.gpus: 2`; without GPUs the processes work on the CPU."""
    weights = [world.results / "train" / stage / "weights.safetensors" for stage in ("base", "sr64")]
    command = [
        *(sys.executable, "-m", "tryon.launch", "--gpus", processes, "--threads", 1, "--", "sample"),
        *("--config", world.config, "--system", "cascade", "--pairs", world.pairs, "--packs", *world.packs),
        *("--weights", *weights, "--results", world.results),
        *("--out", world.results / "sample" / "cascade" / "index.parquet"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def pictures(world: World) -> dict[str, bytes]:
    folder = world.results / "sample" / "cascade"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_two_processes_make_the_bytes_of_one_and_go_on_where_they_were_cut_off(world: World, judged: World) -> None:
    ran = launch(world)
    assert ran.returncode == 0, ran.stderr
    assert "2 processes" in ran.stderr
    assert {"[1/2]", "[2/2]"} <= set(ran.stderr.split()) | {word.rstrip(":") for word in ran.stderr.split()}
    assert pictures(world) == pictures(judged)
    index = world.results / "sample" / "cascade" / "index.parquet"
    pd.testing.assert_frame_equal(
        pd.read_parquet(index), pd.read_parquet(judged.results / "sample" / "cascade" / "index.parquet")
    )
    times = {path: path.stat().st_mtime_ns for path in (world.results / "sample").rglob("*.png")}
    lost = sorted(times)[0]
    lost.unlink()
    assert launch(world).returncode == 0
    assert pictures(world) == pictures(judged)
    kept = [path for path in times if path.stat().st_mtime_ns == times[path]]
    assert len(times) - 3 <= len(kept) < len(times), "only the chunk of the lost picture was made again"


def test_the_error_of_one_process_ends_the_job(world: World) -> None:
    """The network of the second stage cannot be loaded; nobody waits for ever and no index appears."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = world.results / "train" / "sr64" / "weights.safetensors"
    metadata = safe_open(path, "pt").metadata()
    save_file({"w": torch.zeros(1)}, path, metadata=metadata)
    ran = launch(world)
    assert ran.returncode == 2, ran.stderr
    assert "does not fit the network of stage sr64" in ran.stderr
    assert not (world.results / "sample" / "cascade" / "index.parquet").exists()


def test_shares_are_disjoint_and_complete() -> None:
    items = list(range(11))
    shares = [Crew(rank, 3, torch.device("cpu")).share(items) for rank in range(3)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
