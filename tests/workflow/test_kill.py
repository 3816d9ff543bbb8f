"""kill -9 in the middle of stages, then the same command again: the same result files as an undisturbed run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from chain import command, digests, environment, make, plan

pytestmark = [pytest.mark.xdist_group("workflow"), pytest.mark.timeout(1200)]

# A file whose appearance shows that the stage is at work, with more of it to come.
MOMENTS = {
    "keypoints": "items/keypoints/*/*.json",
    "train": "runs/base-*/checkpoints/step-00000002",
    "sample": "sample/cascade/base/*.png",
}


def start(tree: Path, *targets: str) -> subprocess.Popen[bytes]:
    with (tree / "killed.log").open("ab") as log:
        return subprocess.Popen(
            command("--cores", "2", *targets),
            cwd=tree,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for(process: subprocess.Popen[bytes], tree: Path, pattern: str, timeout_s: float = 400) -> None:
    """Wait until a result file of this pattern is there, while the run goes on."""
    deadline = time.monotonic() + timeout_s
    while not any((tree / "results").glob(pattern)):
        assert process.poll() is None, (tree / "killed.log").read_text()[-3000:]
        assert time.monotonic() < deadline, f"{pattern} did not appear"
        time.sleep(0.01)


def test_killed_in_three_stages_the_same_command_ends_with_the_same_files(
    prepared: Path, finished: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(prepared, tree, symlinks=True)
    for stage, pattern in MOMENTS.items():
        process = start(tree)
        wait_for(process, tree, pattern)
        if stage == "train":
            # Snakemake alone: its jobs must not go on beside those of the same command started again
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"the run ended before {stage} could be killed"
        assert not (tree / "results" / "report" / "index.html").exists()
    make(tree)
    assert digests(tree) == digests(finished)
    assert plan(tree) == {}


def test_training_was_continued_not_repeated(prepared: Path, finished: Path, tmp_path: Path) -> None:
    """Weights are the same bytes after a kill in the middle, and the second process says where it went on."""
    tree = tmp_path / "tree"
    shutil.copytree(finished, tree, symlinks=True)
    target = "results/train/base/weights.safetensors"
    weights = tree / target
    undisturbed = weights.read_bytes()
    shutil.rmtree(tree / "results" / "runs")
    weights.unlink()
    process = start(tree, target)  # by name: finished samples do not want their weights back
    wait_for(process, tree, "runs/base-*/checkpoints/step-00000004")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not weights.exists(), "training ended before it could be killed"
    assert make(tree, target) == {"train": 1}
    assert weights.read_bytes() == undisturbed
    (events,) = (tree / "results" / "runs").glob("base-*/events.jsonl")
    assert '"resumed"' in events.read_text()
