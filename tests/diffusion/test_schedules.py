"""Identities of the noise schedules."""

from __future__ import annotations

import pytest
import torch

from tryon.diffusion.schedules import Schedule

SCHEDULES = [Schedule(kind, shift) for kind in ("cosine", "linear") for shift in (1.0, 2.0)]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_variance_is_preserved(schedule: Schedule) -> None:
    total = schedule.alphas**2 + schedule.sigmas**2
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)
    alpha, sigma = schedule.alpha_sigma(torch.rand(100, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha), rtol=0, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_signal_to_noise_falls_at_every_step_down_to_zero(schedule: Schedule) -> None:
    log_snr = schedule.log_snr
    assert bool((log_snr[1:] < log_snr[:-1]).all())
    assert schedule.alphas[-1] == 0
    assert schedule.sigmas[-1] == 1
    assert schedule.alphas[0] > 0.99


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_table_is_the_continuous_curve(schedule: Schedule) -> None:
    steps = torch.tensor([0, 10, 499, 999])
    alpha, sigma = schedule.alpha_sigma((steps + 1.0) / 1000)
    torch.testing.assert_close(schedule.alphas[steps], alpha)
    torch.testing.assert_close(schedule.sigmas[steps], sigma)
    torch.testing.assert_close(schedule.unit_time(steps), ((steps + 1) / 1000).float())


def test_curve_ends_are_picture_and_noise() -> None:
    for schedule in SCHEDULES:
        alpha, sigma = schedule.alpha_sigma(torch.tensor([0.0, 1.0]))
        assert alpha.tolist() == [1, 0]
        assert sigma.tolist() == [0, 1]


def test_cosine_has_its_closed_form() -> None:
    t = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    alpha, sigma = Schedule("cosine").alpha_sigma(t)
    torch.testing.assert_close(alpha, torch.cos(torch.pi / 2 * t))
    torch.testing.assert_close(sigma, torch.sin(torch.pi / 2 * t))


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_shift_divides_the_signal_to_noise_ratio_by_its_square(kind: str) -> None:
    plain, shifted = Schedule(kind), Schedule(kind, shift=3.0)
    inner = slice(0, 999)
    difference = plain.log_snr[inner] - shifted.log_snr[inner]
    torch.testing.assert_close(difference, torch.full_like(difference, 9.0).log(), rtol=1e-6, atol=1e-6)


def test_a_schedule_for_eps_keeps_a_trace_of_the_picture() -> None:
    schedule = Schedule("cosine", zero_terminal=False)
    assert 0 < schedule.alphas[-1] < 1e-3
    torch.testing.assert_close(schedule.alphas[:990], Schedule("cosine").alphas[:990])


@pytest.mark.parametrize("num_steps", [1, 2, 5, 7, 10, 16, 20, 50, 250, 256, 1000])
def test_steps_of_a_cosine_schedule_are_even_in_time(num_steps: int) -> None:
    for shift in (1.0, 4.0):
        even = (1000 - torch.arange(num_steps, dtype=torch.float64) * 1000 / num_steps).round().to(torch.int64) - 1
        assert Schedule("cosine", shift).even_steps(num_steps) == even.tolist()


@pytest.mark.parametrize("shift", [1.0, 4.0])
def test_steps_of_a_linear_schedule_have_the_noise_of_a_cosine_one(shift: float) -> None:
    linear, cosine = Schedule("linear", shift), Schedule("cosine", shift)
    found, wanted = linear.sigmas[linear.even_steps(20)], cosine.sigmas[cosine.even_steps(20)]
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0)  # half a row of the table, near the picture


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_step_is_visited_twice(schedule: Schedule) -> None:
    for num_steps in (1, 3, 250, 600, 999, 1000):
        steps = schedule.even_steps(num_steps)
        assert len(steps) == num_steps
        assert steps[0] == 999
        assert all(later < earlier for earlier, later in zip(steps[:-1], steps[1:], strict=True))
        assert steps[-1] >= 0
