"""One cluster for all drills, and one chain that ran through it."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))  # the tiny chain is shared

import chain
import cluster as clusters
import drill


@pytest.fixture(scope="session")
def cluster() -> Iterator[clusters.Cluster]:
    clusters.install()
    # ended from outside (a time limit of CI), pytest must take the cluster down all the same
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with clusters.Cluster() as running:
        yield running


@dataclass(frozen=True)
class Finished:
    """The chain's tree, what Snakemake said, its SLURM jobs, and the one that was cancelled on the way."""

    tree: Path
    ran: chain.Ran
    jobs: list[dict[str, str]]
    cancelled: str


@pytest.fixture(scope="session")
def finished(cluster: clusters.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The whole chain through the profile; one running shard is cancelled on the way, as a person would."""
    tree = chain.clone(tmp_path_factory.mktemp("slurm") / "finished")
    chain.write_settings(tree, drill.SETTINGS)
    running = drill.start(tree, cluster)

    def shards() -> list[str]:
        return [job["id"] for job in cluster.jobs("RUNNING") if job["comment"].startswith("rule_masks")]

    running.wait_for(shards, "a running shard")
    cancelled = shards()[0]
    cluster.run("scancel", cancelled)
    ran = running.finish()
    return Finished(tree, ran, drill.jobs_of(cluster, running), cancelled)


@pytest.fixture
def tree(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished tree to change."""
    assert finished.ran.status == 0, finished.ran.text[-4000:]
    copy = tmp_path / "tree"
    shutil.copytree(finished.tree, copy, symlinks=True)
    return copy


@pytest.fixture(autouse=True)
def no_job_left(cluster: clusters.Cluster) -> Iterator[None]:
    """Each drill starts with an empty queue and no Snakemake, also after one that failed."""
    yield
    drill.kill_started()
    cluster.run("scancel", "--user=" + clusters.getpass.getuser())
    clusters.wait_for(lambda: not cluster.jobs(), "empty queue")
