"""Leaving early without losing a step: signals of a scheduler, its time limit, Ctrl-C, and a time budget."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any, Self

import torch
from accelerate import Accelerator

from tryon import leash


class StopRequest:
    """Why to leave after the current step: a signal, the time budget, or the scheduler's time limit.

    A second signal of the same kind gets its usual effect, for whoever will not wait for the save.

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
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in self.SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._signal = signal.Signals(number).name
        leash.let_finish()
        signal.signal(number, self._previous[number])

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
