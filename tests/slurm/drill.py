"""What the drills share: Snakemake under the profile, watched while it runs, and the tiny chain's settings."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chain
import yaml
from chain import Ran
from cluster import Cluster, wait_for

# The profile as it is shipped; only waiting is made shorter. Each job starts two Snakemakes of its own, so two cores
# are busy with three.
PROFILE = (
    *("--profile", "workflow/profiles/slurm", "--jobs", "3", "--latency-wait", "15", "--retries", "1"),
    *("--slurm-init-seconds-before-status-checks", "2"),
)
PATIENCE_S = 400  # for one job to start and do something, on a loaded machine

# One pretend GPU per training stage. `base` trains for long enough to be interrupted.
SLICES = 2
STEPS = {"base": 400, "sr64": 10, "direct": SLICES}
STAGES = {
    name: {**stage, "train": {**stage["train"], "gpus": 1, "mem_mb": 4000, "num_steps": STEPS[name]}}
    for name, stage in chain.SETTINGS["stages"].items()
}
STAGES["base"]["train"]["checkpoint_every"] = 10
SETTINGS = {
    **chain.SETTINGS,
    "data": None,
    "stages": STAGES,
    "cluster": {"partition": "cpu", "gpu_partition": "gpu", "max_runtime_min": 60},
}


_started: list[subprocess.Popen[bytes]] = []


@dataclass
class Running:
    """A Snakemake that works in a tree."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        """What it printed up to now."""
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for something to happen while it runs."""

        def holds() -> bool:
            ended = self.process.poll() is not None
            return bool(condition()) or (ended and self._fail(what))

        wait_for(holds, what, PATIENCE_S, detail=lambda: self.text[-4000:])

    def finish(self, timeout_s: float = 800) -> Ran:
        """Wait for its end."""
        self.process.wait(timeout_s)
        return Ran(self.process.returncode, self.text)

    def _fail(self, what: str) -> bool:
        raise AssertionError(f"the run ended without {what}:\n{self.text[-4000:]}")


def start(tree: Path, cluster: Cluster, *targets: str) -> Running:
    """Snakemake under the profile in the background; later options win over the profile's."""
    log = tree / "run.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *PROFILE, *targets],
            cwd=tree,
            env=chain.environment({**cluster.environment, "OMP_NUM_THREADS": "1"}),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # who starts these tests in the background has Ctrl-C ignored, and a child would inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
    _started.append(process)
    return Running(process, log)


def kill_started() -> None:
    """Kill every Snakemake that still runs."""
    while _started:
        process = _started.pop()
        process.kill()
        process.wait()


def weights(stage: str) -> str:
    """The file that a training stage makes, as a target."""
    return f"results/train/{stage}/weights.safetensors"


def forget(tree: Path, *stages: str) -> None:
    """Undo trainings, what they saved included."""
    for stage in stages:
        for run_dir in (tree / "results" / "runs").glob(f"{stage}-*"):
            run_dir.rename(tree / f"forgotten-{run_dir.name}")
        for path in (tree / "results" / "train" / stage).iterdir():
            path.unlink()


def change(tree: Path, stage: str | None = None, **values: Any) -> None:
    """Change settings of one stage's training, or of the cluster."""
    settings = yaml.safe_load((tree / "config.yaml").read_text(encoding="utf-8"))
    section = settings["cluster"] if stage is None else settings["stages"][stage]["train"]
    section.update(values)
    chain.write_settings(tree, settings)


def events(tree: Path, stage: str) -> list[dict[str, Any]]:
    """What a training wrote into its journal of events."""
    (path,) = (tree / "results" / "runs").glob(f"{stage}-*/events.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def names(found: Iterable[dict[str, Any]]) -> list[str]:
    """Kinds of events in order, without the saves."""
    return [event["event"] for event in found if event["event"] != "saved"]


def saved(tree: Path, stage: str) -> bool:
    """Whether a training has saved a checkpoint."""
    return any((tree / "results" / "runs").glob(f"{stage}-*/checkpoints/step-*"))


def jobs_of(cluster: Cluster, running: Running) -> list[dict[str, str]]:
    """All SLURM jobs of a run, in order."""
    run_id = running.text.partition("SLURM run ID: ")[2].partition("\n")[0]
    found = [job for job in cluster.jobs("all") if job["name"] == run_id] if run_id else []
    return sorted(found, key=lambda job: int(job["id"]))
