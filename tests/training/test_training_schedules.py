"""The learning rate and the EMA decay at chosen steps, worked out by hand."""

from __future__ import annotations

import pytest

from tryon.config import TrainConfig
from tryon.training.schedules import ema_decay_at, lr_at

CFG = TrainConfig(num_steps=1000, lr=1e-3, warmup_steps=100, decay_from=0.5, decay_to=0.1, ema_decay=0.99)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 1e-5),  # 1 / 100 of lr
        (49, 5e-4),
        (99, 1e-3),  # warm-up ends
        (100, 1e-3),
        (500, 1e-3),  # decay starts
        (750, 1e-3 * 0.55),  # half way: cos = 0 -> 0.1 + 0.9 / 2
        (1000, 1e-4),  # where a longer run would be: decay_to
        (5000, 1e-4),
    ],
)
def test_lr_at_chosen_steps(step: int, expected: float) -> None:
    assert lr_at(step, CFG) == pytest.approx(expected, rel=1e-12)


def test_warmup_and_decay_multiply_where_they_overlap() -> None:
    overlapping = CFG.model_copy(update={"warmup_steps": 1000, "decay_from": 0.0})
    assert lr_at(500, overlapping) == pytest.approx(1e-3 * 0.501 * 0.55, rel=1e-12)


def test_no_warmup_and_no_decay_is_constant() -> None:
    constant = CFG.model_copy(update={"warmup_steps": 0, "decay_from": 1.0})
    assert {lr_at(step, constant) for step in range(1000)} == {1e-3}


def test_lr_never_rises_after_warmup() -> None:
    rates = [lr_at(step, CFG) for step in range(1000)]
    assert rates[:100] == sorted(rates[:100])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.0), (1, 2 / 11), (9, 10 / 19), (890, 0.99), (10_000, 0.99)])
def test_ema_decay_at_chosen_steps(step: int, expected: float) -> None:
    assert ema_decay_at(step, CFG) == pytest.approx(expected, rel=1e-12)
