"""Guidance: one call, weights that add up to 1, and only where it is asked for."""

from __future__ import annotations

import pytest
import torch

from tryon.diffusion.guidance import guided_x0
from tryon.diffusion.schedules import Schedule

X_T = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
CONDITIONED, NULL = 0.9 * X_T, 0.5 * X_T


def guided(step: int, scale: float, interval: tuple[float, float] = (0.0, 1.0)) -> tuple[torch.Tensor, list[int]]:
    """The guided picture at a step of 1000, and the rows of each call."""
    calls: list[int] = []

    def predict_x0(x_t: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        assert steps_B.tolist() == [step] * len(x_t)
        calls.append(len(x_t))
        return torch.tensor([0.9] * 3 + [0.5] * 3)[: len(x_t), None] * x_t

    steps_B = torch.full((3,), step)
    return guided_x0(predict_x0, X_T, steps_B, scale, interval=interval, schedule=Schedule()), calls


def test_guidance_in_one_call_equals_two_calls() -> None:
    found, calls = guided(500, 2.0)
    torch.testing.assert_close(found, NULL + 2.0 * (CONDITIONED - NULL))
    assert calls == [6]


def test_a_scale_of_one_asks_for_no_null_rows() -> None:
    found, calls = guided(500, 1.0)
    assert torch.equal(found, CONDITIONED)
    assert calls == [3]


@pytest.mark.parametrize(
    ("step", "is_guided"), [(0, False), (198, False), (199, True), (500, True), (799, True), (800, False), (999, False)]
)
def test_outside_the_interval_only_the_conditioned_rows_are_asked(step: int, is_guided: bool) -> None:
    """Step k stands for t = (k + 1) / 1000, and both ends belong to the interval."""
    found, calls = guided(step, 3.0, (0.2, 0.8))
    assert calls == [6 if is_guided else 3]
    torch.testing.assert_close(found, NULL + 3.0 * (CONDITIONED - NULL) if is_guided else CONDITIONED)
