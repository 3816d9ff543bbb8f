"""What a command knows of its SLURM job; the programs that it asks are small scripts with SLURM's answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tryon import cli, slurm
from tryon.errors import TryAgain


def answer(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """Put a program of this name first on the PATH."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("59:46", 3586), ("0:07", 7), ("1:02:03", 3723), ("2-01:00:00", 176400), ("UNLIMITED", None)],
)
def test_times_as_slurm_writes_them(text: str, seconds: float | None) -> None:
    assert slurm.parse_time(text) == seconds


@pytest.mark.parametrize("text", ["INVALID", "NOT_SET", "", "12"])
def test_another_answer_is_no_time(text: str) -> None:
    with pytest.raises(slurm.NoAnswer, match="for the time left"):
        slurm.parse_time(text)


def test_a_command_outside_of_a_job_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(slurm.JOB, raising=False)
    assert slurm.seconds_left() is None


def test_a_job_asks_for_its_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(slurm.JOB, "17")
    answer(tmp_path, monkeypatch, "squeue", 'test "$2" = --jobs=17 && echo 10:00')
    assert slurm.seconds_left() == 600


@pytest.mark.parametrize(
    ("script", "reason"),
    [("echo 'Unable to contact slurm controller' >&2; exit 1", "squeue: Unable to contact"), ("exit 3", "exit code 3")],
)
def test_a_controller_that_does_not_answer_is_said_so(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(slurm.JOB, "17")
    answer(tmp_path, monkeypatch, "squeue", script)
    with pytest.raises(slurm.NoAnswer, match=reason):
        slurm.seconds_left()


def test_absent_programs_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(slurm.NoAnswer, match="squeue is not on the PATH"):
        slurm.ask("squeue")


def stop_early(_: object) -> None:
    raise TryAgain("saved")


def test_a_command_that_stops_early_leaves_a_note_of_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tryon.check.run", stop_early)
    monkeypatch.setenv(slurm.JOB, "17")
    monkeypatch.setenv(slurm.NOTES, str(tmp_path / "notes"))
    assert cli.main(["check", "--config", "x"]) == 75
    assert slurm.take_note(tmp_path / "notes", "17")
    assert not slurm.take_note(tmp_path / "notes", "17"), "a note is taken once"


@pytest.mark.parametrize("absent", [slurm.JOB, slurm.NOTES])
def test_a_command_started_by_hand_leaves_none(absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tryon.check.run", stop_early)
    monkeypatch.setenv(slurm.JOB, "17")
    monkeypatch.setenv(slurm.NOTES, str(tmp_path / "notes"))
    monkeypatch.delenv(absent)
    assert cli.main(["check", "--config", "x"]) == 75
    assert list(tmp_path.iterdir()) == []
