"""min-SNR: one loss, whatever the network predicts."""

from __future__ import annotations

import pytest
import torch

from tryon.diffusion.noising import q_sample
from tryon.diffusion.schedules import Schedule
from tryon.diffusion.targets import Target, target_of, to_eps
from tryon.diffusion.weighting import weight_of_steps
from tryon.methods.seeds import normal_B

SCHEDULES = [Schedule(kind, shift) for kind in ("cosine", "linear") for shift in (1.0, 2.0)]
TARGETS: list[Target] = ["x0", "eps", "v"]


@pytest.mark.parametrize("gamma", [1.0, 5.0])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_min_snr_has_its_closed_form(schedule: Schedule, gamma: float) -> None:
    """Hang et al. 2023, section 3.4: min(SNR, gamma), divided by SNR for eps and by SNR + 1 for v."""
    steps = torch.arange(999)
    snr = (schedule.alphas[steps] / schedule.sigmas[steps]) ** 2
    most = torch.full_like(snr, gamma)
    expected = {"x0": torch.minimum(snr, most), "eps": torch.minimum(snr, most) / snr}
    expected["v"] = expected["x0"] / (snr + 1)
    for target in TARGETS:
        found = weight_of_steps("min_snr", target, steps, schedule, gamma=gamma)
        torch.testing.assert_close(found, expected[target], rtol=1e-9, atol=0)
    assert (snr > gamma).any()
    assert (snr < gamma).any()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_an_error_of_x0_costs_the_same_whatever_is_predicted(schedule: Schedule) -> None:
    """At a given x_t, the same wrong picture told as x0, eps or v has the same weighted loss."""
    steps = torch.arange(0, 999)
    x0, eps, error = (normal_B(steps, (3, 2, 2), name).double() for name in ("x0", "eps", "error"))
    x_t = q_sample(x0, eps, steps, schedule)
    wrong_x0 = x0 + 0.1 * error
    wrong_eps = to_eps(wrong_x0, x_t, steps, schedule)
    losses = {}
    for target in TARGETS:
        right, wrong = (target_of(target, *told, steps, schedule) for told in ((x0, eps), (wrong_x0, wrong_eps)))
        weight_B = weight_of_steps("min_snr", target, steps, schedule, gamma=5.0)
        losses[target] = weight_B * (wrong - right).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(losses["eps"], losses["x0"], rtol=1e-5, atol=1e-12)
    torch.testing.assert_close(losses["v"], losses["x0"], rtol=1e-5, atol=1e-12)


def test_every_weight_is_finite_down_to_pure_noise() -> None:
    last = torch.tensor([999])
    weights = {t: weight_of_steps("min_snr", t, last, Schedule(), gamma=5.0).item() for t in TARGETS}
    assert weights == {"x0": 0, "eps": 1, "v": 0}


@pytest.mark.parametrize("target", TARGETS)
def test_without_weighting_every_level_counts_alike(target: Target) -> None:
    assert torch.equal(
        weight_of_steps("none", target, torch.arange(5), Schedule(), gamma=5.0), torch.ones(5, dtype=torch.float64)
    )
