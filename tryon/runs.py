"""Whether a Snakemake run of a working directory is alive on this machine, by the lock that every run holds.

`tryon.workflow` takes the lock (shared) for as long as its process lives; the kernel drops it with the process,
however it dies. Standard library alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tryon.errors import UserError

if TYPE_CHECKING:
    from tryon.config import Config

STATE = Path(".snakemake") / "tryon"
LOCK = "runs.lock"


def of_results(cfg: Config, results: str | None) -> Config:
    """The settings of a run whose results lie in another folder than the configuration names.

    Args:
        cfg: the configuration.
        results: that folder, as it was given to Snakemake; None: the configuration's own.

    Raises:
        UserError: there is no such folder.
    """
    found = cfg if results is None else cfg.model_copy(update={"results": results})
    if not Path(found.results).is_dir():
        raise UserError(
            f"{found.results}: no such results folder; start the run, or name the folder of the run with --results"
        )
    return found


def is_alive(state: Path = STATE) -> bool:
    """Whether a run of this working directory is alive; False where the lock cannot be asked."""
    try:
        descriptor = os.open(state / LOCK, os.O_RDWR)
    except OSError:
        return False  # no run has ever started here
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)  # this drops the lock, too
    return False


@contextmanager
def no_run(purpose: str, state: Path = STATE) -> Iterator[None]:
    """Keep runs of this working directory away: one that starts meanwhile waits.

    Args:
        purpose: what must not meet a run, for the message.
        state: folder of the lock.

    Raises:
        UserError: a run is alive, or the file system knows no locks.
    """
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(
            f"a run is alive in {Path.cwd()}, and {purpose} could take files away from under it; wait for its end"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise UserError(
            f"{state / LOCK} cannot be locked ({error.strerror}), so nobody knows whether a run is alive; "
            f"call `tryon {purpose}` from a working directory on a local disk"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
