"""Every way in which a SLURM job can end or never start has an answer; and the plugin's methods get it first."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tryon import slurm, slurm_watch
from tryon.slurm_watch import MISSING_CHECKS, MISSING_S, End, Listed, Watch, read_squeue


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(tmp_path: Path, clock: Clock) -> Watch:
    return Watch(tmp_path, clock)


@pytest.mark.parametrize("state", ["PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "COMPLETED"])
def test_what_goes_on_or_is_done_is_the_plugins_business(state: str, watch: Watch) -> None:
    assert watch.judge("7", Listed(state, "None")) is None


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "CANCELLED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"])
def test_ends_that_the_plugin_knows_are_left_to_it(state: str, watch: Watch) -> None:
    assert watch.judge("7", Listed(state, "None")) is None


@pytest.mark.parametrize("state", ["PREEMPTED", "REVOKED"])
def test_a_job_that_was_pushed_out_starts_again_uncounted(state: str, watch: Watch) -> None:
    end = watch.judge("7", Listed(state, "None"))
    assert end is not None
    assert not end.is_failure


def test_a_failed_node_is_a_failure(watch: Watch) -> None:
    end = watch.judge("7", Listed("NODE_FAIL", "None"))
    assert end == End("SLURM job 7: its node failed.")


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"])
def test_a_job_that_saved_goes_on_uncounted(state: str, watch: Watch) -> None:
    (watch.notes / "7").touch()
    end = watch.judge("7", Listed(state, "None"))
    assert end == End("SLURM job 7 stopped early and saved; it goes on in a new job.", is_failure=False)
    assert not (watch.notes / "7").exists()


def test_a_job_that_a_person_cancelled_counts_even_if_it_saved(watch: Watch) -> None:
    (watch.notes / "7").touch()
    assert watch.judge("7", Listed("CANCELLED", "None")) is None


def test_a_note_from_before_a_requeue_excuses_no_later_failure(watch: Watch) -> None:
    (watch.notes / "7").touch()
    assert watch.judge("7", Listed("PENDING", "BeginTime")) is None
    assert watch.judge("7", Listed("FAILED", "NonZeroExitCode")) is None


@pytest.mark.parametrize("reason", ["PartitionTimeLimit", "(launch failed requeued held)", "BadConstraints"])
def test_a_job_that_can_never_start_is_cancelled_and_says_why(reason: str, watch: Watch) -> None:
    end = watch.judge("7", Listed("PENDING", reason))
    assert end is not None
    assert end.cancel
    assert end.is_failure
    assert reason.strip("()") in end.message


@pytest.mark.parametrize("reason", ["Resources", "Priority", "BeginTime", "JobHeldUser", "QOSMaxJobsPerUserLimit"])
def test_a_job_that_waits_for_its_turn_is_left_alone(reason: str, watch: Watch) -> None:
    assert watch.judge("7", Listed("PENDING", reason)) is None


def test_a_forgotten_job_fails_after_a_while(watch: Watch, clock: Clock) -> None:
    for check in range(MISSING_CHECKS):
        clock.now = check * MISSING_S / MISSING_CHECKS
        assert watch.judge("7", None) is None, "a moment may be enough"
    clock.now = MISSING_S
    end = watch.judge("7", None)
    assert end is not None
    assert end.is_failure
    assert end.cancel, "should it run after all, it must not write beside its successor"


def test_a_long_wait_between_two_checks_is_not_enough_to_forget_a_job(watch: Watch, clock: Clock) -> None:
    assert watch.judge("7", None) is None
    clock.now = 10 * MISSING_S
    assert watch.judge("7", None) is None


def test_a_job_that_is_listed_again_was_not_forgotten(watch: Watch, clock: Clock) -> None:
    for _ in range(MISSING_CHECKS - 1):
        assert watch.judge("7", None) is None
    clock.now = MISSING_S
    assert watch.judge("7", Listed("RUNNING", "None")) is None
    assert watch.judge("7", None) is None


def test_lines_of_squeue() -> None:
    text = "12|RUNNING|None\n13|PENDING|launch failed requeued held\n\nslurm_load_jobs warning\n"
    assert read_squeue(text) == {
        "12": Listed("RUNNING", "None"),
        "13": Listed("PENDING", "launch failed requeued held"),
    }


class Plugin:
    """Stands for the plugin: its executor reports and yields as Snakemake's interface says."""

    def __init__(self) -> None:
        class Executor:
            run_uuid = "the-run"
            next_seconds_between_status_checks = 180
            workflow = SimpleNamespace(executor_settings=SimpleNamespace(init_seconds_before_status_checks=20))

            def __init__(self) -> None:
                self.errors: dict[str, str] = {}

            def report_job_error(self, job: Any, msg: str, aux_logs: list[str]) -> None:
                self.errors[job.external_jobid] = f"{msg}{aux_logs}"

            async def check_active_jobs(self, active_jobs: list[Any]) -> Any:
                for job in active_jobs:
                    yield job

            def cancel_jobs(self, active_jobs: list[Any]) -> None:
                raise RuntimeError("the first scancel failed")

            def cancel(self) -> None:
                pass

        self.Executor = Executor


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Commands that SLURM was asked; squeue lists three jobs."""
    calls = []

    def ask(*command: str) -> str:
        calls.append(command)
        return "1|RUNNING|None\n2|PREEMPTED|None\n3|PENDING|PartitionTimeLimit\n" if command[0] == "squeue" else ""

    monkeypatch.setattr(slurm, "ask", ask)
    return calls


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    plugin = Plugin()
    monkeypatch.setitem(sys.modules, slurm_watch.PLUGIN, plugin)
    slurm_watch.install(tmp_path)
    slurm_watch.install(tmp_path)  # a Snakefile may be read twice
    return plugin.Executor()


def jobs() -> list[SimpleNamespace]:
    return [
        SimpleNamespace(external_jobid=id_, aux={"slurm_logfile": f"{id_}.log"}, job=SimpleNamespace(_attempt=1))
        for id_ in ("1", "2", "3")
    ]


async def still_active(executor: Any, active: list[SimpleNamespace]) -> list[str]:
    return [job.external_jobid async for job in executor.check_active_jobs(active)]


def test_the_watch_answers_before_the_plugin(executor: Any, asked: list[tuple[str, ...]]) -> None:
    active = jobs()
    assert asyncio.run(still_active(executor, active)) == ["1"]
    assert set(executor.errors) == {"2", "3"}
    assert "3.log" in executor.errors["3"]
    assert [job.job._attempt for job in active] == [1, 0, 1], "being pushed out is no failed attempt"
    assert [command for command in asked if command[0] == "scancel"] == [("scancel", "3")]
    assert executor.next_seconds_between_status_checks == 60


def test_the_thread_that_asks_may_start_before_the_plugin_is_set_up(
    executor: Any, asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(type(executor), "run_uuid")  # what the plugin's __post_init__ sets
    assert asyncio.run(still_active(executor, [])) == []
    assert asked == []


def test_nothing_is_judged_while_the_controller_is_silent(executor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: str) -> str:
        raise slurm.NoAnswer("busy")

    monkeypatch.setattr(slurm, "ask", ask)
    assert asyncio.run(still_active(executor, jobs())) == ["1", "2", "3"]
    assert executor.errors == {}


def test_cancellation_reaches_every_job_of_the_run(executor: Any, asked: list[tuple[str, ...]]) -> None:
    with pytest.raises(RuntimeError, match="first scancel"):
        executor.cancel_jobs([])
    executor.cancel()
    assert asked == [("scancel", "--name=the-run")] * 2


def test_the_real_plugin_has_what_the_watch_takes_hold_of() -> None:
    plugin = pytest.importorskip(slurm_watch.PLUGIN)
    for name in ("check_active_jobs", "cancel_jobs", "cancel", "report_job_error"):
        assert callable(getattr(plugin.Executor, name))
    assert "init_seconds_before_status_checks" in plugin.ExecutorSettings.__dataclass_fields__
    from snakemake.jobs import Job

    assert "_attempt" in Job.__slots__
