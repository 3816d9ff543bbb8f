"""Forward diffusion: the picture is in it, with the right moments."""

from __future__ import annotations

import pytest
import torch

from tryon.diffusion.noising import add_lowres_noise, q_sample
from tryon.diffusion.schedules import Schedule
from tryon.diffusion.targets import Target, target_of
from tryon.methods.seeds import normal_B

SCHEDULES = [
    Schedule(kind, shift, zero_terminal=zero_terminal)
    for kind in ("cosine", "linear")
    for shift in (1.0, 2.0)
    for zero_terminal in (True, False)
]
TARGETS: list[Target] = ["x0", "eps", "v"]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("step", [0, 300, 700, 990, 999])
def test_moments_have_their_closed_form(schedule: Schedule, step: int) -> None:
    """Of x_t and of every target: mean, variance, and covariance with the picture.

    160 000 pictures of one number, x0 ~ N(0.6, 0.5²): standard errors are 1 / 400 of each deviation; 4 of them pass.
    """
    seeds = torch.arange(8)
    x0 = 0.6 + 0.5 * normal_B(seeds, (20_000,), "x0")
    eps = normal_B(seeds, (20_000,), "eps")
    steps = torch.full((8,), step)
    alpha, sigma = float(schedule.alphas[step]), float(schedule.sigmas[step])
    # as a x0 + b eps
    parts = {"x_t": (alpha, sigma), "x0": (1.0, 0.0), "eps": (0.0, 1.0), "v": (-sigma, alpha)}
    drawn = {"x_t": q_sample(x0, eps, steps, schedule)}
    drawn |= {target: target_of(target, x0, eps, steps, schedule) for target in TARGETS}
    for name, (a, b) in parts.items():
        numbers, pictures = drawn[name].double().flatten(), x0.double().flatten()
        variance = a**2 * 0.25 + b**2
        assert numbers.mean().item() == pytest.approx(a * 0.6, abs=0.01 * variance**0.5 + 1e-9)
        assert numbers.var().item() == pytest.approx(variance, rel=0.015)
        covariance = torch.cov(torch.stack([numbers, pictures]))[0, 1].item()
        assert covariance == pytest.approx(a * 0.25, abs=0.015 * (0.25 * variance) ** 0.5)


def test_the_picture_reaches_x_t() -> None:
    """Two prior systems noised the noise: x_t did not depend on the picture."""
    schedule, eps = Schedule("cosine"), normal_B(torch.arange(2), (3, 8, 6))
    steps_B = torch.tensor([100, 900])
    dark, light = (q_sample(torch.full_like(eps, value), eps, steps_B, schedule) for value in (-1.0, 1.0))
    difference = (light - dark).double().mean(dim=(1, 2, 3))
    torch.testing.assert_close(difference, 2 * schedule.alphas[steps_B])


def test_at_the_last_step_only_noise_is_left() -> None:
    eps = normal_B(torch.arange(2), (3, 8, 6))
    assert torch.equal(q_sample(torch.ones_like(eps), eps, torch.tensor([999, 999]), Schedule("cosine")), eps)


def test_wrong_shapes_are_refused_instead_of_broadcast() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        q_sample(torch.zeros(2, 3), torch.zeros(2, 1), torch.zeros(2).long(), Schedule())
    with pytest.raises(ValueError, match="do not fit"):
        add_lowres_noise(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(1))


def test_lowres_noise_has_the_level_it_is_told() -> None:
    low = torch.full((3, 40_000), 0.5)
    levels = torch.tensor([0.0, 0.4, 1.0])
    noised = add_lowres_noise(low, normal_B(torch.arange(3), (40_000,)), levels)
    assert torch.equal(noised[0], low[0])
    assert noised[1].std().item() == pytest.approx(0.4, rel=0.02)
    assert noised[1].mean().item() == pytest.approx(0.5 * (1 - 0.4**2) ** 0.5, abs=0.01)
    assert noised[2].mean().item() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("level", [-0.1, 1.1, float("nan")])
def test_a_level_outside_its_range_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        add_lowres_noise(torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([level]))
