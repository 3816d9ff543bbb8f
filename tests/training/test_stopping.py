"""When to leave: signals once and again, the time budget, the scheduler's time limit."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from tryon.training import stopping
from tryon.training.stopping import REPEAT_S, StopRequest

ALONE: Any = SimpleNamespace(num_processes=1)


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stopping, "time", clock)
    return clock


@pytest.fixture
def usual(clock: Clock) -> Any:
    """Counts the signals that get their usual effect."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)


def test_a_signal_asks_to_leave(usual: list[int]) -> None:
    with StopRequest(None) as stop:
        assert stop.reason(ALONE) is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason(ALONE) == "SIGTERM"
    assert usual == []


def test_a_signal_that_torchrun_passes_on_again_does_not_end_the_save(usual: list[int], clock: Clock) -> None:
    with StopRequest(None) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        clock.now += REPEAT_S / 2
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason(ALONE) == "SIGTERM"
        assert usual == []


def test_a_later_signal_has_its_usual_effect(usual: list[int], clock: Clock) -> None:
    with StopRequest(None):
        os.kill(os.getpid(), signal.SIGTERM)
        clock.now += REPEAT_S
        os.kill(os.getpid(), signal.SIGTERM)
        assert usual == [signal.SIGTERM]


def test_the_budget_is_used_to_its_end(clock: Clock) -> None:
    stop = StopRequest(10.0)
    clock.now += 9
    assert stop.reason(ALONE) is None
    clock.now += 1
    assert stop.reason(ALONE) == "time budget used up"


def test_another_step_as_long_as_the_longest_must_fit_before_the_limit(clock: Clock) -> None:
    stop = StopRequest(None, limit_s=100.0)
    clock.now += 30  # one that validated
    assert stop.reason(ALONE) is None
    for _ in range(39):
        clock.now += 1
        assert stop.reason(ALONE) is None
    clock.now += 1
    assert stop.reason(ALONE) == "the scheduler's time limit is near"


def test_who_has_no_time_left_at_all_leaves_after_one_step(clock: Clock) -> None:
    assert StopRequest(None, limit_s=-5.0).reason(ALONE) == "the scheduler's time limit is near"
