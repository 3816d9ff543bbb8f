"""Checkpoints that are whole or absent, verified before use, and never pickled.

    RUN/checkpoints/step-00001200/weights.safetensors    one file per group of tensors, or several of a gigabyte:
                                  ema.safetensors        weights.safetensors, weights-00001.safetensors, …
                                  optimizer.safetensors
                                  state.json             step, identity, scalars
                                  manifest.json          size and sha256 of each file; written last

A save goes into a hidden temporary folder beside; every file and the folder are fsynced, then one
rename publishes it. Neither torch.load nor safetensors notices a flipped bit, hence the hashes: a
folder that fails them is set aside as ``damaged-…``, said so, and the one before is used. Nothing but
safetensors and JSON is ever read: a pickle, which could run code, counts as damage under any name.

The newest ones stay, the one with the lowest validation loss, and milestones; the rest is rotated out.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from tryon.errors import UserError
from tryon.files import FULL, read_json, sha256_file, sync_folder

Say = Callable[..., None]
"""Receives one event: ``say("saved", step=1200)``."""

_MANIFEST = "manifest.json"
_STATE = "state.json"
_TENSORS = re.compile(r"([a-z]+)(-\d{5})?\.safetensors")
PART_BYTES = 1 << 30
"""Of tensors in one file: files are written and hashed side by side, and a group of 10 GB on one core takes a while."""
NUM_THREADS = min(16, len(os.sched_getaffinity(0)))


@dataclass(frozen=True)
class Snapshot:
    """One checkpoint in memory.

    Attributes:
        step: optimizer steps done.
        tensors: groups of named tensors, e.g. ``{"weights": {...}, "ema": {...}, "optimizer": {...}}``.
        scalars: whatever else the trainer needs, as JSON.
    """

    step: int
    tensors: dict[str, dict[str, torch.Tensor]]
    scalars: dict[str, Any] = field(default_factory=dict)


class RunLock:
    """An exclusive hold on a run directory; the kernel releases it however the process ends.

    A POSIX record lock: unlike flock, worker processes do not inherit it, so those that outlive a
    killed trainer by some seconds cannot block the restart.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock_file = self.path.open("a+")
        try:
            fcntl.lockf(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock_file.seek(0)
            holder = lock_file.read().strip() or "another process"
            lock_file.close()
            raise UserError(
                f"the run directory {self.path.parent} is in use by {holder}; "
                "one run per directory: wait for it to end, or stop it, and start this command again"
            ) from error
        job = os.environ.get("SLURM_JOB_ID")
        text = f"process {os.getpid()} on {socket.gethostname()}" + (f", SLURM job {job}" if job else "")
        try:
            os.truncate(lock_file.fileno(), 0)
            os.write(lock_file.fileno(), text.encode())
        except OSError as error:
            lock_file.close()
            if error.errno not in FULL:
                raise
            raise UserError(f"no space left for {self.path}; free some space and start again") from error
        self._file = lock_file
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Checkpoints:
    """The checkpoints of one run directory.

    Args:
        run_dir: the run directory.
        identity: digests and names (as the agnostic rule) that a checkpoint must share with this run; a difference is
            refused by name.
        keep_last: how many to keep. Nothing is rotated out before the new one is whole on the disk, hashed as it is
            read back from there, and published, so the last good one is never deleted.
        milestone_every: steps between checkpoints that are kept for ever; None: none.
        say: receives events.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        identity: Mapping[str, str],
        keep_last: int,
        milestone_every: int | None = None,
        say: Say,
    ) -> None:
        if keep_last < 1:
            raise ValueError(f"keep_last is {keep_last}, but at least one checkpoint must be kept")
        self.folder = run_dir / "checkpoints"
        self.identity = dict(identity)
        self.keep_last = keep_last
        self.milestone_every = milestone_every
        self.say = say

    def steps(self) -> list[int]:
        """Steps of the published checkpoints, oldest first (not verified)."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.folder.glob("step-[0-9]*"))

    def save(self, snapshot: Snapshot, best_step: int | None = None) -> Path:
        """Publish a checkpoint, then rotate. When this returns, the checkpoint survives a power cut.

        Args:
            snapshot: what to keep.
            best_step: step with the lowest validation loss so far, this one included; its checkpoint stays.

        Raises:
            UserError: the disk is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self._path(snapshot.step)
        temporary = self.folder / f".{target.name}.{os.getpid()}"
        temporary.mkdir()
        try:
            self._write(temporary, snapshot)
            temporary.rename(target)
        except OSError as error:
            if error.errno in FULL:
                raise UserError(
                    f"no space left for the checkpoint of step {snapshot.step} in {self.folder}; "
                    f"checkpoints of steps {self.steps()} are untouched: free some space and start again"
                ) from error
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_folder(self.folder)
        self._rotate(best_step)
        kept = {str(step): ", ".join(self._why_kept(step, best_step)) for step in self.steps()}
        self.say("saved", step=snapshot.step, kept_as=kept[str(snapshot.step)], checkpoints=kept)
        return target

    def newest(self) -> int | None:
        """Step of the newest checkpoint that verifies, or None; damaged ones are set aside and said so."""
        self.remove_leftovers()
        for step in reversed(self.steps()):
            problem = damage(self._path(step))
            if problem is None:
                self._refuse_foreign(step)
                return step
            self.say("damaged_checkpoint", step=step, reason=problem, action="set aside; using the one before")
            aside = self.folder / f"damaged-{step:08d}"
            shutil.rmtree(aside, ignore_errors=True)
            self._path(step).rename(aside)
        return None

    def load(self, step: int) -> Snapshot:
        """Read a checkpoint that `newest` verified, onto the CPU."""
        folder = self._path(step)
        state = read_json(folder / _STATE)
        tensors: dict[str, dict[str, torch.Tensor]] = {}
        for path in sorted(folder.iterdir()):
            match = _TENSORS.fullmatch(path.name)
            if match:
                tensors.setdefault(match[1], {}).update(load_file(path))
        return Snapshot(step=state["step"], tensors=tensors, scalars=state["scalars"])

    def remove_leftovers(self) -> None:
        """Delete temporary folders of saves that were killed. Call only while holding the run's lock."""
        for leftover in self.folder.glob(".step-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _write(self, folder: Path, snapshot: Snapshot) -> None:
        files = {
            f"{group}{f'-{index:05d}' if index else ''}.safetensors": part
            for group, tensors in snapshot.tensors.items()
            for index, part in enumerate(_parts(tensors))
        }
        state = {"step": snapshot.step, "identity": self.identity, "scalars": snapshot.scalars}
        (folder / _STATE).write_text(json.dumps(state, indent=1, sort_keys=True, allow_nan=False))
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            list(pool.map(_write_tensors, [folder / name for name in files], files.values()))
            paths = sorted(folder.iterdir())
            entries = dict(zip((path.name for path in paths), pool.map(_sync_and_hash, paths), strict=True))
        (folder / _MANIFEST).write_text(json.dumps(entries, indent=1, sort_keys=True))
        _sync_file(folder / _MANIFEST)
        sync_folder(folder)

    def _refuse_foreign(self, step: int) -> None:
        """A checkpoint of another run must not be continued, however well its shapes fit."""
        found = read_json(self._path(step) / _STATE)["identity"]
        differences = [
            f"{name} (checkpoint {found.get(name, 'absent')}, this run {self.identity.get(name, 'absent')})"
            for name in sorted(found.keys() | self.identity.keys())
            if found.get(name) != self.identity.get(name)
        ]
        if differences:
            raise UserError(
                f"the checkpoint {self._path(step)} belongs to another run: "
                f"different {', '.join(differences)}; "
                "give this run a directory of its own, or restore the settings of that checkpoint"
            )

    def _why_kept(self, step: int, best_step: int | None) -> list[str]:
        """Any of "last", "best" and "milestone"; nothing for one to rotate out."""
        is_milestone = self.milestone_every is not None and step % self.milestone_every == 0
        reasons = {
            "last": step in self.steps()[-self.keep_last :],
            "best": step == best_step,
            "milestone": is_milestone,
        }
        return [reason for reason, holds in reasons.items() if holds]

    def _rotate(self, best_step: int | None) -> None:
        outdated = [self._path(step) for step in self.steps() if not self._why_kept(step, best_step)]
        for path in [*outdated, *self.folder.glob("damaged-*")]:
            # Renamed first: a kill inside rmtree leaves a temporary name, never half of a published one.
            doomed = self.folder / f".step-doomed-{path.name}"
            path.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def damage(folder: Path) -> str | None:
    """What is wrong with a published checkpoint folder; None if every byte is as it was written."""
    try:
        manifest = read_json(folder / _MANIFEST)
        listed = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{_MANIFEST} cannot be read: {error}"
    present = {path.name for path in folder.iterdir()} - {_MANIFEST}
    strangers = sorted(name for name in present | listed.keys() if name != _STATE and not _TENSORS.fullmatch(name))
    if strangers:
        return f"{', '.join(strangers)}: no part of a checkpoint, which is safetensors and JSON alone; left unopened"
    if present != listed.keys() or _STATE not in listed:
        return f"files {sorted(present)} found, {sorted(listed)} listed in {_MANIFEST}"
    for name, (num_bytes, _) in listed.items():
        found_bytes = (folder / name).stat().st_size
        if found_bytes != num_bytes:
            return f"{name} has {found_bytes} bytes, {num_bytes} were written"
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        found = pool.map(sha256_file, [folder / name for name in listed])
        for (name, (_, sha256)), found_sha256 in zip(listed.items(), found, strict=True):
            if found_sha256 != sha256:
                return f"the content of {name} has changed since it was written (sha256)"
    return _not_ours(folder, listed)


def _not_ours(folder: Path, names: Iterable[str]) -> str | None:
    """What in a folder that fits its manifest no trainer has written, whoever wrote the manifest."""
    for name in names:
        if _TENSORS.fullmatch(name):
            try:
                with safe_open(folder / name, framework="pt"):
                    pass
            except SafetensorError as error:
                return f"{name} is no safetensors file ({error}); whatever it holds is left unopened"
    try:
        state = read_json(folder / _STATE)
        is_state = isinstance(state["step"], int) and isinstance(state["identity"], dict)
        is_state = is_state and isinstance(state["scalars"], dict)
    except (ValueError, KeyError, TypeError):
        is_state = False
    return None if is_state else f"{_STATE} is not what a trainer writes"


def _parts(tensors: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """Tensors in their order, cut into groups of about `PART_BYTES`; a larger one stands alone."""
    parts: list[dict[str, torch.Tensor]] = [{}]
    room = PART_BYTES
    for name, tensor in tensors.items():
        if parts[-1] and tensor.nbytes > room:
            parts.append({})
            room = PART_BYTES
        parts[-1][name] = tensor
        room -= tensor.nbytes
    return parts


def _write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    with full_disk_is_an_os_error(path):
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


@contextmanager
def full_disk_is_an_os_error(path: Path) -> Iterator[None]:
    """Safetensors raises an error of its own, which tells a full disk by its text alone."""
    try:
        yield
    except SafetensorError as error:
        if f"os error {errno.ENOSPC}" in str(error) or f"os error {errno.EDQUOT}" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(path)) from error
        raise


def _sync_and_hash(path: Path) -> dict[str, int | str]:
    """Make a file durable; its entry in the manifest."""
    _sync_file(path)
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _sync_file(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
