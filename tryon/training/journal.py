"""What a run says while it works: metrics.jsonl, events.jsonl, TensorBoard, and a progress line on stderr.

    metrics.jsonl   {"kind": "train", "step", "loss", "lr", "grad_norm", "images_per_s"} and, on a GPU,
                    "max_memory_gb", with fp16 "loss_scale"; grad_norm is the one before clipping
                    {"kind": "val", "step", "loss"}; append-only, `step` = optimizer steps done
    events.jsonl    {"event", "time", …}: started, resumed, saved, damaged_checkpoint, not_finite, stopped,
                    finished

A restart repeats the lines between its checkpoint and the kill; `read_metrics` lets the last one count. The numbers
of metrics.jsonl also go to the trackers that the settings name.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from tryon import files, images
from tryon.errors import UserError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

METRICS = "metrics.jsonl"
EVENTS = "events.jsonl"
PLAIN_EVERY_S = 10.0  # between progress lines in a log file
TERMINAL_EVERY_S = 0.5

Track = Callable[[dict[str, float], int], None]
"""Receives what metrics.jsonl gets: numbers by "kind/name", and their step."""


def read_metrics(run_dir: Path | str, kind: str) -> list[dict[str, Any]]:
    """The lines of one kind ("train" or "val") in the order of their steps; of a repeated step, the last.

    A line that a power cut tore is skipped: its step was not saved either, so a restart wrote it again.
    """
    path = Path(run_dir) / METRICS
    by_step: dict[int, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get("kind") == kind:
            by_step[row["step"]] = row
    return [by_step[step] for step in sorted(by_step)]


class Journal:
    """Writes the journals of one run; silent on every process but the first.

    Args:
        run_dir: the run directory.
        num_steps: steps of the whole run, for the estimate of the time left.
        stage: shown in progress lines.
        active: False on the other processes of a distributed run.
        track: also receives each line of numbers.
        stream: where progress and events are shown.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        num_steps: int,
        stage: str,
        active: bool = True,
        track: Track | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run_dir, self._num_steps, self._stage, self._active = run_dir, num_steps, stage, active
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._track = track
        self._writer: SummaryWriter | None = None
        self._shown_at = -float("inf")
        self._line_open = False
        if active:
            for name in (METRICS, EVENTS):
                _end_torn_line(run_dir / name)

    def open_curves(self, first_step: int) -> None:
        """Start TensorBoard's event file; points of an interrupted run after first_step are taken back."""
        if self._active:
            from torch.utils.tensorboard import SummaryWriter

            _leave_kept_errors_to_who_writes_next()
            with self._disk():
                self._writer = SummaryWriter(str(self.run_dir / "tensorboard"), purge_step=first_step + 1)

    def close(self) -> None:
        """Flush the curves."""
        self._end_line()
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with self._disk():
                writer.close()

    def say(self, event: str, **facts: object) -> None:
        """Record an event and show it."""
        if not self._active:
            return
        with self._disk():
            files.append_jsonl(
                self.run_dir / EVENTS, {"event": event, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **facts}
            )
        self._end_line()
        shown = ", ".join(f"{name} {value}" for name, value in facts.items() if not isinstance(value, (list, dict)))
        self._print(f"{self._stage}: {event.replace('_', ' ')}{': ' if shown else ''}{shown}\n")

    def metrics(self, kind: str, step: int, **values: float) -> None:
        """Append one line of numbers and its points on the curves."""
        if not self._active:
            return
        with self._disk():
            files.append_jsonl(self.run_dir / METRICS, {"kind": kind, "step": step, **values})
            if self._writer is not None:
                for name, value in values.items():
                    self._writer.add_scalar(f"{kind}/{name}", value, step)
        if self._track is not None:
            self._track({f"{kind}/{name}": value for name, value in values.items()}, step)

    def picture(self, name: str, step: int, image_HWC: np.ndarray) -> None:
        """Keep a picture (uint8 RGB) as PNG in the run directory and on TensorBoard."""
        if not self._active:
            return
        with self._disk():
            files.write_bytes(self.run_dir / name / f"step-{step:08d}.png", images.encode_png(image_HWC))
            if self._writer is not None:
                self._writer.add_image(name, image_HWC, step, dataformats="HWC")

    def progress(self, step: int, loss: float, images_per_s: float, seconds_per_step: float) -> None:
        """Show where the run is: one line that renews itself on a terminal, a line now and then in a log."""
        terminal = self._stream.isatty()
        now = self._clock()
        if not self._active or now - self._shown_at < (TERMINAL_EVERY_S if terminal else PLAIN_EVERY_S):
            return
        self._shown_at = now
        left = duration((self._num_steps - step) * seconds_per_step)
        text = (
            f"{self._stage}: step {step}/{self._num_steps} ({100 * step / self._num_steps:.0f} %)  "
            f"loss {loss:.4f}  {images_per_s:.1f} images/s  {left} left"
        )
        self._print(f"\r\x1b[K{text}" if terminal else f"{text}\n")
        self._line_open = terminal

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Says what to do where the disk is full."""
        try:
            yield
        except OSError as error:
            if error.errno not in files.FULL:
                raise
            raise UserError(
                f"no space left for the journals in {self.run_dir}; its checkpoints are untouched: free some space "
                "and start again"
            ) from error

    def _end_line(self) -> None:
        if self._line_open:
            self._print("\n")
            self._line_open = False

    def _print(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _leave_kept_errors_to_who_writes_next() -> None:
    """Print no traceback of a thread that keeps its error for its owner, as TensorBoard's does where a disk is full."""
    others = threading.excepthook

    def hook(died: threading.ExceptHookArgs) -> None:
        if died.exc_value is None or getattr(died.thread, "exception", None) is not died.exc_value:
            others(died)

    threading.excepthook = hook


def _end_torn_line(path: Path) -> None:
    """End the line that a power cut or a full disk tore, so that it does not spoil the next one."""
    if path.exists() and path.stat().st_size:
        with path.open("rb+") as stream:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")


@dataclass
class Meter:
    """Means since the last line of metrics, and the speed of this process's steps.

    The open window travels in checkpoints, so that a resumed run writes the same means.
    """

    batch_size: int
    window: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0
    num_timed: int = 0
    _started: float = field(default_factory=time.perf_counter)

    def start(self) -> None:
        """A step begins (with waiting for its data)."""
        self._started = time.perf_counter()

    def add(self, loss: float, grad_norm: float) -> None:
        """A step has ended."""
        self.seconds += time.perf_counter() - self._started
        self.num_timed += 1
        self.window.append([loss, grad_norm])

    def means(self) -> dict[str, float]:
        """Loss and gradient norm over the window, images per second over the steps timed."""
        losses, norms = zip(*self.window, strict=True)
        return {
            "loss": sum(losses) / len(losses),
            "grad_norm": sum(norms) / len(norms),
            "images_per_s": self.batch_size * self.num_timed / max(self.seconds, 1e-9),
        }

    def reset(self) -> None:
        """Start a new window."""
        self.window, self.seconds, self.num_timed = [], 0.0, 0


def duration(seconds: float) -> str:
    """`1:02:03` or `02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
