"""What a command that runs as a SLURM job knows of its job, and what it leaves for Snakemake.

Snakemake sees of a failed job that it failed. A command that stopped early and saved leaves a note named by its job,
so that the job is submitted again without counting as a failure (`tryon.slurm_watch`).
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

JOB = "SLURM_JOB_ID"
NOTES = "TRYON_NOTES"  # the folder of the notes; set by the rules, absent in a command started by hand
ANSWER_S = 60  # a controller under load answers late


class NoAnswer(Exception):
    """SLURM's commands are absent, or its controller does not answer."""


def ask(*command: str) -> str:
    """What a client command such as ``squeue --noheader`` prints.

    Raises:
        NoAnswer: saying why there is none.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_S)
    except FileNotFoundError:
        raise NoAnswer(f"{command[0]} is not on the PATH") from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{command[0]} gave no answer within {ANSWER_S} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise NoAnswer(f"{command[0]}: {said[-1]}")
    return done.stdout


def seconds_left() -> float | None:
    """Seconds until SLURM ends this job; None outside of a job and without a limit.

    Raises:
        NoAnswer: the limit cannot be found out.
    """
    job = os.environ.get(JOB)
    if job is None:
        return None
    return parse_time(ask("squeue", "--noheader", f"--jobs={job}", "--format=%L").strip())


def parse_time(text: str) -> float | None:
    """Seconds of a time as SLURM writes it, ``[days-][hours:]minutes:seconds``; None where there is no limit.

    Raises:
        NoAnswer: it is none of these.
    """
    if text == "UNLIMITED":
        return None
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if found is None:
        raise NoAnswer(f"squeue says {text!r} for the time left")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60.0 + seconds


def note_early_stop() -> None:
    """Leave the note that this job stopped early and saved; nothing where nobody asked for it."""
    folder, job = os.environ.get(NOTES), os.environ.get(JOB)
    if folder is not None and job is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / job).touch()


def take_note(folder: Path, job: str) -> bool:
    """Whether a job left its note; it is removed."""
    try:
        (folder / job).unlink()
    except FileNotFoundError:
        return False
    return True
