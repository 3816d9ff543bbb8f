"""What goes wrong on clusters, done to running jobs: the result is the same bytes, or a clear failure."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from chain import make
from cluster import Cluster, wait_for
from conftest import Finished
from drill import SLICES, change, events, forget, jobs_of, names, saved, start, weights

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def push_out(cluster: Cluster, job: str) -> None:
    """Make a job give way to a short one of the partition that goes first."""
    nodes = cluster.job(job)["NodeList"]
    text = ("--partition=urgent", f"--nodelist={nodes}", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    cluster.run("sbatch", *text)


def test_at_the_time_limit_training_saves_and_goes_on_in_a_new_job(
    tree: Path, finished: Finished, cluster: Cluster
) -> None:
    """A margin that leaves one step per job cuts the training into as many jobs; none counts as a failure."""
    forget(tree, "direct")
    change(tree, "direct", runtime_min=4, margin_s=239)
    running = start(tree, cluster, weights("direct"), "--retries", "0")
    assert running.finish().check().text.count("stopped early and saved; it goes on in a new job") == SLICES - 1
    assert (tree / weights("direct")).read_bytes() == (finished.tree / weights("direct")).read_bytes()
    found = events(tree, "direct")
    assert names(found) == ["started", "stopped"] + ["resumed", "stopped"] * (SLICES - 2) + ["resumed", "finished"]
    assert {event["reason"] for event in found if event["event"] == "stopped"} == {"the scheduler's time limit is near"}
    jobs = jobs_of(cluster, running)
    assert [job["state"] for job in jobs] == ["FAILED"] * (SLICES - 1) + ["COMPLETED"]
    assert {cluster.job(job["id"])["MinMemoryNode"] for job in jobs} == {"4000M"}, "a new job asks for no more"
    assert "saved at step 1 of" in (tree / f".snakemake/slurm_logs/rule_train/direct/{jobs[0]['id']}.log").read_text()


def test_a_preempted_training_is_queued_again_and_continues(tree: Path, finished: Finished, cluster: Cluster) -> None:
    forget(tree, "base")
    running = start(tree, cluster, weights("base"), "--retries", "0")
    running.wait_for(lambda: saved(tree, "base"), "checkpoint")
    (job,) = jobs_of(cluster, running)
    push_out(cluster, job["id"])
    running.finish().check()
    assert cluster.job(job["id"])["Restarts"] == "1"
    log = (tree / f".snakemake/slurm_logs/rule_train/base/{job['id']}.log").read_text()
    assert log.splitlines().count("rule train:") == 2, "what the job logged before it was queued again is kept"
    assert [(one["id"], one["state"]) for one in jobs_of(cluster, running)] == [(job["id"], "COMPLETED")]
    assert names(events(tree, "base")) == ["started", "stopped", "resumed", "finished"]
    assert (tree / weights("base")).read_bytes() == (finished.tree / weights("base")).read_bytes()


def test_a_preempted_training_that_slurm_ends_is_submitted_again(
    tree: Path, finished: Finished, cluster: Cluster
) -> None:
    """PreemptMode=CANCEL: the plugin alone would wait for the job for ever."""
    forget(tree, "base")
    change(tree, gpu_partition="spare")
    running = start(tree, cluster, weights("base"), "--retries", "0")
    running.wait_for(lambda: saved(tree, "base"), "checkpoint")
    (job,) = jobs_of(cluster, running)
    push_out(cluster, job["id"])
    running.finish().check()
    assert [one["state"] for one in jobs_of(cluster, running)] == ["PREEMPTED", "COMPLETED"]
    assert names(events(tree, "base"))[-2:] == ["resumed", "finished"]
    assert (tree / weights("base")).read_bytes() == (finished.tree / weights("base")).read_bytes()


def test_training_continues_on_another_node_when_its_own_dies(tree: Path, finished: Finished, cluster: Cluster) -> None:
    forget(tree, "base")
    running = start(tree, cluster, weights("base"), "--retries", "0")
    running.wait_for(lambda: saved(tree, "base"), "checkpoint")
    (job,) = jobs_of(cluster, running)
    cluster.kill_node(job["nodes"])
    try:
        running.finish().check()
    finally:
        cluster.start_node(job["nodes"])
    (after,) = jobs_of(cluster, running)
    assert (after["id"], after["state"]) == (job["id"], "COMPLETED")
    assert after["nodes"] != job["nodes"]
    assert names(events(tree, "base")) == ["started", "resumed", "finished"]
    assert (tree / weights("base")).read_bytes() == (finished.tree / weights("base")).read_bytes()


def test_two_nodes_preempted_together_meet_again_and_equal_two_processes_of_one(
    tree: Path, cluster: Cluster, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    shutil.copytree(tree, here, symlinks=True)
    forget(here, "base")
    change(here, "base", nodes=1, gpus=2)
    assert make(here, weights("base")) == {"train": 1}

    forget(tree, "base")
    change(tree, "base", nodes=2, gpus=1)
    running = start(tree, cluster, weights("base"), "--retries", "0")
    running.wait_for(lambda: saved(tree, "base"), "checkpoint")
    (job,) = jobs_of(cluster, running)
    assert job["nodes"] == "n[1-2]"
    push_out(cluster, job["id"])
    running.finish().check()
    assert cluster.job(job["id"])["Restarts"] == "1"
    for folder in (here, tree):
        starts = [event for event in events(folder, "base") if event["event"] in ("started", "resumed")]
        assert {event["num_processes"] for event in starts} == {2}
    assert names(events(tree, "base"))[-2:] == ["resumed", "finished"]
    assert (tree / weights("base")).read_bytes() == (here / weights("base")).read_bytes()


def test_a_job_that_always_fails_is_reported_with_its_log_and_the_rest_is_done(tree: Path, cluster: Cluster) -> None:
    forget(tree, "direct", "sr64")
    change(tree, "direct", lr=1e30)
    running = start(tree, cluster, weights("direct"), weights("sr64"))
    ran = running.finish()
    assert ran.status != 0
    assert (tree / weights("sr64")).is_file()
    assert not (tree / weights("direct")).exists()
    failed = [job["id"] for job in jobs_of(cluster, running) if job["state"] == "FAILED"]
    assert len(failed) == 2, "tried twice, as the profile's retries say"
    log = tree / f".snakemake/slurm_logs/rule_train/direct/{failed[-1]}.log"
    assert str(log) in ran.text
    assert "results/logs/train/direct.log" in ran.text
    assert "is not finite" in log.read_text()


def test_an_interrupt_cancels_every_job_of_the_run(tree: Path, cluster: Cluster) -> None:
    forget(tree, "base", "sr64")
    change(tree, "sr64", num_steps=10000)
    other = cluster.run("sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 600").strip()
    running = start(tree, cluster, weights("base"), weights("sr64"))
    running.wait_for(lambda: saved(tree, "base") and saved(tree, "sr64"), "two trainings at work")
    assert len(jobs_of(cluster, running)) == 2
    running.process.send_signal(signal.SIGINT)
    assert running.finish(200).status != 0
    wait_for(lambda: [job["id"] for job in cluster.jobs()] == [other], "end of this run's jobs")
    assert {job["state"] for job in jobs_of(cluster, running)} == {"CANCELLED"}


def test_a_job_that_can_never_start_is_a_clear_failure(tree: Path, cluster: Cluster) -> None:
    """Its partition allows an hour; SLURM would keep the job pending for ever."""
    forget(tree, "direct")
    change(tree, max_runtime_min=None)
    running = start(tree, cluster, weights("direct"), "--retries", "0")
    ran = running.finish()
    assert ran.status != 0
    assert "could never start (PartitionTimeLimit)" in ran.text
    assert {job["state"] for job in jobs_of(cluster, running)} == {"CANCELLED"}
