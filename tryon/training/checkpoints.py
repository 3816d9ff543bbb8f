"""Checkpoints that are whole or absent, verified before use, and never pickled.

    RUN/checkpoints/step-00001200/weights.safetensors    one file per group of tensors
                                  ema.safetensors
                                  optimizer.safetensors
                                  state.json             step, identity, scalars
                                  manifest.json          size and sha256 of each file; written last

A save goes into a hidden temporary folder beside; every file and the folder are fsynced, then one
rename publishes it. Neither torch.load nor safetensors notices a flipped bit, hence the hashes: a
folder that fails them is set aside as ``damaged-…``, said so, and the one before is used.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import torch
from safetensors.torch import load_file, save_file

from tryon.errors import UserError
from tryon.files import read_json, sha256_file, sync_folder

Say = Callable[..., None]
"""Receives one event: ``say("saved", step=1200)``."""

_MANIFEST = "manifest.json"
_STATE = "state.json"


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
        lock_file.truncate(0)
        job = os.environ.get("SLURM_JOB_ID")
        lock_file.write(f"process {os.getpid()} on {socket.gethostname()}" + (f", SLURM job {job}" if job else ""))
        lock_file.flush()
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
        keep_last: how many to keep. The newest is always one that this process verified, so rotation
            never deletes the last good one.
        say: receives events.
    """

    def __init__(self, run_dir: Path, *, identity: Mapping[str, str], keep_last: int, say: Say) -> None:
        if keep_last < 1:
            raise ValueError(f"keep_last is {keep_last}, but at least one checkpoint must be kept")
        self.folder = run_dir / "checkpoints"
        self.identity = dict(identity)
        self.keep_last = keep_last
        self.say = say

    def steps(self) -> list[int]:
        """Steps of the published checkpoints, oldest first (not verified)."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.folder.glob("step-[0-9]*"))

    def save(self, snapshot: Snapshot) -> Path:
        """Publish a checkpoint, then rotate. When this returns, the checkpoint survives a power cut."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self._path(snapshot.step)
        temporary = self.folder / f".{target.name}.{os.getpid()}"
        temporary.mkdir()
        try:
            self._write(temporary, snapshot)
            temporary.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UserError(
                    f"no space left for the checkpoint of step {snapshot.step} in {self.folder}; "
                    f"checkpoints of steps {self.steps()} are untouched: free some space and start again"
                ) from error
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_folder(self.folder)
        self.say("saved", step=snapshot.step)
        self._rotate()
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
        tensors = {path.stem: load_file(path) for path in sorted(folder.glob("*.safetensors"))}
        return Snapshot(step=state["step"], tensors=tensors, scalars=state["scalars"])

    def remove_leftovers(self) -> None:
        """Delete temporary folders of saves that were killed. Call only while holding the run's lock."""
        for leftover in self.folder.glob(".step-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _write(self, folder: Path, snapshot: Snapshot) -> None:
        for group, tensors in snapshot.tensors.items():
            on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            save_file(on_cpu, folder / f"{group}.safetensors")
        state = {"step": snapshot.step, "identity": self.identity, "scalars": snapshot.scalars}
        (folder / _STATE).write_text(json.dumps(state, indent=1, sort_keys=True, allow_nan=False))
        manifest = {}
        for path in sorted(folder.iterdir()):
            _sync_file(path)
            manifest[path.name] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
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

    def _rotate(self) -> None:
        outdated = [self._path(step) for step in self.steps()[: -self.keep_last]]
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
    if present != listed.keys() or _STATE not in listed:
        return f"files {sorted(present)} found, {sorted(listed)} listed in {_MANIFEST}"
    for name, (num_bytes, sha256) in listed.items():
        path = folder / name
        if path.stat().st_size != num_bytes:
            return f"{name} has {path.stat().st_size} bytes, {num_bytes} were written"
        if sha256_file(path) != sha256:
            return f"the content of {name} has changed since it was written (sha256)"
    return None


def _sync_file(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
