"""The demo-sized chain through the shipped profile, a shard of it cancelled on the way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from chain import make, plan, snakemake
from cluster import CPU_NODES, GPU_NODES, Cluster
from conftest import Finished
from drill import PROFILE

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def rule(job: dict[str, str]) -> str:
    return job["comment"].removeprefix("rule_").partition("_wildcards")[0]


def test_every_stage_ran_as_a_slurm_job_on_its_partition(finished: Finished, cluster: Cluster) -> None:
    assert finished.ran.status == 0, finished.ran.text[-4000:]
    assert (finished.tree / "results/report/index.html").is_file()
    completed = [job for job in finished.jobs if job["state"] == "COMPLETED"]
    assert Counter(map(rule, completed)) == {
        **dict.fromkeys(("studio", "dataset", "pairs", "evaluate", "report"), 1),
        **dict.fromkeys(("masks", "keypoints", "cutouts", "pack"), 2),
        "train": 3,
        "sample": 3,  # the cascade, the reference, the oracle
    }
    for job in completed:
        asks_for_gpu = rule(job) == "train"
        assert job["partition"] == ("gpu" if asks_for_gpu else "cpu")
        assert job["nodes"] in (GPU_NODES if asks_for_gpu else CPU_NODES)
        assert (cluster.job(job["id"]).get("TresPerJob") == "gres:gpu:1") == asks_for_gpu


def test_a_cancelled_shard_was_submitted_again_with_more_memory_and_time(finished: Finished, cluster: Cluster) -> None:
    before = cluster.job(finished.cancelled)
    assert before["JobState"] == "CANCELLED"
    same = [job["id"] for job in finished.jobs if job["comment"] == before["Comment"]]
    assert same[0] == finished.cancelled
    assert len(same) == 2
    after = cluster.job(same[1])
    assert after["JobState"] == "COMPLETED"
    assert (before["MinMemoryNode"], after["MinMemoryNode"]) == ("2000M", "4000M")
    # a shard asks for 60 minutes, which the settings say is the most
    assert (before["TimeLimit"], after["TimeLimit"]) == ("01:00:00", "01:00:00")


def test_logs_are_where_a_person_finds_them(finished: Finished) -> None:
    kept = {path.stem for path in (finished.tree / ".snakemake/slurm_logs").rglob("*.log")}
    assert kept == {job["id"] for job in finished.jobs}
    assert (finished.tree / "results/logs/train/base.log").stat().st_size > 0


def test_nothing_is_planned_after_moving_between_slurm_and_this_machine(tree: Path, cluster: Cluster) -> None:
    def planned_under_slurm() -> Counter[str]:
        return snakemake(tree, "-n", *PROFILE, given=cluster.environment).check().jobs

    assert planned_under_slurm() == {}
    assert plan(tree) == {}
    page = tree / "results/report/index.html"
    page.unlink()
    assert make(tree) == {"report": 1}
    assert planned_under_slurm() == {}
