"""Leaving early without losing a step: signals of a scheduler, Ctrl-C, and a time budget."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any, Self

import torch
from accelerate import Accelerator


class StopRequest:
    """Why to leave after the current step: a signal, or the time budget.

    A second signal of the same kind gets its usual effect, for whoever will not wait for the save.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

    def __init__(self, budget_s: float | None) -> None:
        self._deadline = float("inf") if budget_s is None else time.monotonic() + budget_s
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
        signal.signal(number, self._previous[number])

    def reason(self, accelerator: Accelerator) -> str | None:
        """The reason, agreed on by all processes; None to go on."""
        own = self._signal or ("time budget used up" if time.monotonic() >= self._deadline else None)
        if accelerator.num_processes == 1:
            return own
        asked = accelerator.gather(torch.tensor([own is not None], device=accelerator.device))
        return (own or "another process was asked to stop") if bool(asked.any()) else None
