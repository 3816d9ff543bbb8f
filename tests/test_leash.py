import os
import signal
import subprocess
import sys
import time

import pytest

from tryon import leash

JOB = """
import os, signal, subprocess, sys, time
from tryon import leash
{handler}
leash.follow_parent()
child = subprocess.Popen(["sleep", "60"])
print(os.getpid(), child.pid, flush=True)
time.sleep(60)
"""
SAVES = """
def save(*_):
    print("saved", flush=True)
    child.kill()
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
"""


def start(handler: str = "") -> tuple[subprocess.Popen[bytes], subprocess.Popen[str], list[int]]:
    """A process that stands for Snakemake, a job that follows it, and the ids of the job and its worker."""
    parent = subprocess.Popen(["sleep", "60"])
    job = subprocess.Popen(
        [sys.executable, "-c", JOB.format(handler=handler)],
        env={**os.environ, leash.PARENT: str(parent.pid)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert job.stdout is not None
    return parent, job, [int(word) for word in job.stdout.readline().split()]


def alive(process: int) -> bool:
    try:
        return "Z" not in open(f"/proc/{process}/stat").read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_job_and_its_workers_end_with_a_killed_parent() -> None:
    parent, job, (_, worker) = start()
    assert alive(worker)
    parent.kill()
    parent.wait()
    assert job.wait(timeout=10) == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(worker)


def test_a_job_that_saves_on_sigterm_is_given_the_time() -> None:
    parent, job, _ = start(SAVES)
    parent.kill()
    parent.wait()
    assert job.wait(timeout=10) == 75
    assert job.stdout is not None
    assert job.stdout.read() == "saved\n"


def test_a_job_whose_parent_is_gone_does_not_start() -> None:
    parent = subprocess.Popen(["true"])
    parent.wait()
    job = subprocess.run(
        [sys.executable, "-c", JOB.format(handler="")],
        env={**os.environ, leash.PARENT: str(parent.pid)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert job.returncode == 1
    assert "has ended" in job.stderr


def test_without_a_parent_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(leash.PARENT, raising=False)
    leash.follow_parent()
