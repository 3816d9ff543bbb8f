"""No SLURM job keeps Snakemake waiting for ever: what its executor plugin leaves open, closed.

The plugin (2.8) waits without end for a job that a higher partition pushed out (state PREEMPTED), that the controller
has forgotten, or that can never start. Its cancellation misses jobs whose state is being asked at that moment, and
those whose submission is under way. `install` puts the answers in front of the plugin's own methods:

    pushed out, or stopped early and saved  →  submitted again, not counted as a failure
    forgotten, held after a failed launch, beyond what its partition allows  →  failed, with the reason
    interrupted  →  every job of this run is cancelled, found by the run's name
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tryon import slurm

PLUGIN = "snakemake_executor_plugin_slurm"

# Ends that say nothing against the job. A node's failure and a time limit count, unless the job saved before.
PUSHED_OUT = frozenset({"PREEMPTED", "REVOKED"})
ENDED_FROM_OUTSIDE = frozenset({"FAILED", "TIMEOUT", "NODE_FAIL"})

# Reasons for which a pending job would stay one until somebody changes the job or the cluster.
NEVER_STARTS = frozenset(
    {
        "BadConstraints",
        "DependencyNeverSatisfied",
        "InvalidAccount",
        "InvalidQOS",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
        "QOSMaxWallDurationPerJobLimit",
        "AssocMaxWallDurationPerJobLimit",
        "launch failed requeued held",
        "JobHoldMaxRequeue",
    }
)

MISSING_S = 60.0  # a new job, or one of a controller that restarts, may be unlisted for a moment
MISSING_CHECKS = 3
CHECK_FACTOR = 3  # the plugin waits longer and longer between checks; at most so many first waits


@dataclass(frozen=True)
class Listed:
    """A job as squeue lists it."""

    state: str
    reason: str


@dataclass(frozen=True)
class End:
    """A job that Snakemake is to stop waiting for."""

    message: str
    is_failure: bool = True
    cancel: bool = False


@dataclass
class Watch:
    """What is known of one run's jobs.

    Args:
        notes: folder in which jobs note that they stopped early.
        now: clock in seconds.
    """

    notes: Path
    now: Callable[[], float] = time.monotonic
    _missing: dict[str, tuple[float, int]] = field(default_factory=dict)

    def judge(self, job: str, listed: Listed | None) -> End | None:
        """Whether and how a job has ended in a way that the plugin does not see; None leaves it to the plugin."""
        if listed is None:
            return self._judge_missing(job)
        self._missing.pop(job, None)
        if listed.state == "PENDING":
            slurm.take_note(self.notes, job)  # of a run before SLURM queued the job again: it says nothing of the next
        if listed.state in PUSHED_OUT | ENDED_FROM_OUTSIDE and slurm.take_note(self.notes, job):
            return End(f"SLURM job {job} stopped early and saved; it goes on in a new job.", is_failure=False)
        if listed.state in PUSHED_OUT:
            return End(f"SLURM job {job} was {listed.state.lower()}; it starts again in a new job.", is_failure=False)
        if listed.state == "NODE_FAIL":
            return End(f"SLURM job {job}: its node failed.")
        if listed.state == "PENDING" and listed.reason.strip("()") in NEVER_STARTS:
            reason = listed.reason.strip("()")
            return End(
                f"SLURM job {job} was cancelled because it could never start ({reason}): compare what the rule asks "
                "with `scontrol show partition`, set cluster.max_runtime_min, or run `tryon doctor`.",
                cancel=True,
            )
        return None

    def _judge_missing(self, job: str) -> End | None:
        since, checks = self._missing.get(job, (self.now(), 0))
        self._missing[job] = (since, checks + 1)
        if checks + 1 < MISSING_CHECKS or self.now() - since < MISSING_S:
            return None
        del self._missing[job]
        # should it run after all, unseen, it must not write beside its successor
        return End(f"SLURM job {job} is not known to squeue any more; how it ended cannot be found out.", cancel=True)


def read_squeue(text: str) -> dict[str, Listed]:
    """Jobs by id from lines ``id|state|reason``."""
    rows = (line.split("|", 2) for line in text.splitlines() if line.count("|") >= 2)
    return {id_.strip(): Listed(state.strip(), reason.strip()) for id_, state, reason in rows}


def install(notes: Path) -> None:
    """Put the watch in front of the plugin's methods, where the plugin is there.

    Snakemake loads its plugins before it reads the Snakefile and offers no other place to extend one.

    Args:
        notes: folder in which jobs note that they stopped early.
    """
    plugin = sys.modules.get(PLUGIN)
    if plugin is None or hasattr(plugin.Executor, "tryon_watch"):
        return
    os.environ.setdefault("SBATCH_OPEN_MODE", "append")  # a job that is queued again keeps what it had logged
    plugin.Executor.tryon_watch = Watch(notes)
    plugin.Executor.check_active_jobs = _watched(plugin.Executor.check_active_jobs)
    plugin.Executor.cancel_jobs = _complete(plugin.Executor.cancel_jobs)
    plugin.Executor.cancel = _complete(plugin.Executor.cancel)


def _watched(check: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    @functools.wraps(check)
    async def check_active_jobs(self: Any, active_jobs: list[Any]) -> AsyncIterator[Any]:  # noqa: ANN401 (plugin)
        if not active_jobs:
            # The thread that asks starts before the plugin has set itself up. On a busy machine it comes first, and one
            # error (there is no `run_uuid` yet) would end it: nobody would ever see a job end.
            return
        try:
            listed = read_squeue(
                slurm.ask("squeue", "--noheader", "--states=all", f"--name={self.run_uuid}", "--format=%i|%T|%r")
            )
        except slurm.NoAnswer:
            listed = None  # nothing is known, so nothing is judged
        left = []
        for job in active_jobs:
            end = None
            if listed is not None:
                end = self.tryon_watch.judge(job.external_jobid, listed.get(job.external_jobid))
            if end is None:
                left.append(job)
                continue
            if end.cancel:
                cancel(job.external_jobid)
            if not end.is_failure:
                # without its setter, which would have the resources that are to be freed computed anew
                job.job._attempt -= 1
            self.report_job_error(job, msg=end.message + " ", aux_logs=[str(job.aux["slurm_logfile"])])
        async for job in check(self, left):
            yield job
        longest = CHECK_FACTOR * self.workflow.executor_settings.init_seconds_before_status_checks
        self.next_seconds_between_status_checks = min(self.next_seconds_between_status_checks, longest)

    return check_active_jobs


def _complete(cancel_some: Callable[..., None]) -> Callable[..., None]:
    """The plugin's cancellation, and after it that of every job of the run which it missed."""

    @functools.wraps(cancel_some)
    def cancel_all(self: Any, *arguments: Any) -> None:  # noqa: ANN401 (plugin)
        try:
            cancel_some(self, *arguments)
        finally:
            cancel(f"--name={self.run_uuid}")

    return cancel_all


def cancel(jobs: str) -> None:
    """Cancel a job, or those of ``--name=NAME``; says so where that fails."""
    try:
        slurm.ask("scancel", jobs)
    except slurm.NoAnswer as error:
        print(f"warning: SLURM jobs may be left over: {error}; see squeue --me", file=sys.stderr)
