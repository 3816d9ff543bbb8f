"""Leaving early without losing a step: signals of a scheduler, its time limit, Ctrl-C, and a time budget."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType
from typing import Any, Self

import torch
from accelerate import Accelerator

from tryon import leash

REPEAT_S = 5.0


class StopRequest:
    """Why to leave after the current step: a signal, the time budget, or the scheduler's time limit.

    A later signal gets its usual effect, for whoever will not wait for the save. One within REPEAT_S does not:
    SLURM signals every process of a step, and torchrun, one of them, passes the signal on.

    Args:
        budget_s: seconds from now after which to leave; None: no budget.
        limit_s: seconds from now after which a step might not be done and saved in time; None: no limit.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

    def __init__(self, budget_s: float | None, limit_s: float | None = None) -> None:
        self._asked = time.monotonic()
        self._budget_end = float("inf") if budget_s is None else self._asked + budget_s
        self._limit = float("inf") if limit_s is None else self._asked + limit_s
        self._longest_s = 0.0
        self._signal: str | None = None
        self._signalled = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in self.SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self._signal is None:
            self._signal, self._signalled = signal.Signals(number).name, now
            leash.let_finish()
        elif now - self._signalled >= REPEAT_S:
            signal.signal(number, self._previous[number])
            os.kill(os.getpid(), number)

    def reason(self, accelerator: Accelerator) -> str | None:
        """The reason, agreed on by all processes; None to go on."""
        own = self._signal or self._end_of_time()
        if accelerator.num_processes == 1:
            return own
        asked = accelerator.gather(torch.tensor([own is not None], device=accelerator.device))
        return (own or "another process was asked to stop") if bool(asked.any()) else None

    def _end_of_time(self) -> str | None:
        now = time.monotonic()
        self._longest_s = max(self._longest_s, now - self._asked)  # steps differ: some validate and save
        self._asked = now
        if now >= self._budget_end:
            return "time budget used up"
        return "the scheduler's time limit is near" if now + self._longest_s >= self._limit else None
