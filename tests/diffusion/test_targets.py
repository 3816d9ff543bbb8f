"""x0, eps and v say the same thing."""

from __future__ import annotations

import pytest
import torch

from tryon.diffusion.noising import q_sample
from tryon.diffusion.schedules import Schedule
from tryon.diffusion.targets import Target, target_of, to_eps, to_x0
from tryon.methods.seeds import normal_B

TARGETS: list[Target] = ["x0", "eps", "v"]
STEPS = torch.arange(1000)
SCHEDULES = [Schedule(kind, shift) for kind in ("cosine", "linear") for shift in (1.0, 2.0)]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("target", ["x0", "eps", "v"])
def test_each_target_leads_back_to_picture_and_noise_at_every_step(target: Target, schedule: Schedule) -> None:
    steps = STEPS[:-1] if target == "eps" else STEPS  # at zero signal eps says nothing about the picture
    x0 = normal_B(steps, (3, 4, 4), "x0").double().clamp(-1, 1)
    eps = normal_B(steps, (3, 4, 4), "eps").double()
    x_t = q_sample(x0, eps, steps, schedule)
    output = target_of(target, x0, eps, steps, schedule)
    found = to_x0(target, output, x_t, steps, schedule)
    torch.testing.assert_close(found, x0, rtol=1e-9, atol=1e-9)
    # eps is divided by sigma, which is small at step 0
    torch.testing.assert_close(to_eps(found, x_t, steps, schedule), eps, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_three_targets_say_the_same_picture_and_noise(schedule: Schedule) -> None:
    """v = alpha eps - sigma x0, and through it from any target to any other."""
    steps = STEPS[:-1]
    x0, eps = (normal_B(steps, (3, 2, 2), name).double() for name in ("x0", "eps"))
    x_t = q_sample(x0, eps, steps, schedule)
    pictures = [to_x0(t, target_of(t, x0, eps, steps, schedule), x_t, steps, schedule) for t in TARGETS]
    for picture in pictures:
        torch.testing.assert_close(picture, pictures[0], rtol=1e-9, atol=1e-9)
        v = target_of("v", picture, to_eps(picture, x_t, steps, schedule), steps, schedule)
        torch.testing.assert_close(v, target_of("v", x0, eps, steps, schedule), rtol=1e-5, atol=1e-8)


def test_v_at_pure_noise_is_the_negative_picture() -> None:
    x0, eps = torch.full((1, 3), 0.7), torch.ones(1, 3)
    last = torch.tensor([999])
    assert torch.equal(target_of("v", x0, eps, last, Schedule()), -x0)
    assert torch.equal(to_x0("v", -x0, eps, last, Schedule()), x0)


def test_eps_at_zero_signal_is_refused() -> None:
    with pytest.raises(ValueError, match="zero signal"):
        to_x0("eps", torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([999]), Schedule())
