"""A job does not outlive the Snakemake that started it.

Snakemake killed by SIGKILL, or by the kernel for want of memory, leaves its jobs running; the same command started
again would find them at work on the same files. The rules pass Snakemake's process id, and the job asks the kernel
to be told when that process ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

PARENT = "TRYON_PARENT"
GRACE_S = 300.0
"""Time to save after SIGTERM, in seconds: a step and a checkpoint of 18 GB, written and read back."""

PATIENCE = timedelta(days=7)
"""How long processes that work together wait for one another: their launcher ends those who wait for one that failed,
and a long save or validation is no failure."""

_stopping = threading.Event()


def let_finish() -> None:
    """Say that this process has been asked to stop and is saving: it has the grace when its Snakemake ends."""
    _stopping.set()


def follow_parent() -> None:
    """Make this process, and the workers it starts, end with the process named in the environment, if any is."""
    named = os.environ.pop(PARENT, None)  # workers follow this process, not Snakemake
    if named is None:
        return
    try:
        parent = os.pidfd_open(int(named))
    except ProcessLookupError:
        raise SystemExit("stopped: the Snakemake that started this command has ended") from None
    except OSError:
        return  # kernels before 5.3, some sandboxes: the job then runs to its end
    threading.Thread(target=_end_with, args=(parent,), daemon=True, name="leash").start()


def _end_with(parent: int) -> None:
    poll = select.poll()
    poll.register(parent, select.POLLIN)
    poll.poll()  # readable when the process has ended
    if _stopping.is_set():  # it was asked already, and a second signal would end it before it has saved
        time.sleep(GRACE_S)
    elif signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # a trainer saves first
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)
    for child in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def descendants(process: int) -> list[int]:
    """Process ids of a process's children, their children and so on."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        children.setdefault(int(after_name[1]), []).append(int(status.parent.name))
    found: list[int] = []
    queue = [process]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found
