"""x0, eps and v say the same thing."""

from __future__ import annotations

import pytest
import torch

from tryon.diffusion.noising import q_sample
from tryon.diffusion.schedules import Schedule
from tryon.diffusion.targets import Target, target_of, to_eps, to_x0
from tryon.methods.seeds import normal_B

STEPS = torch.tensor([0, 200, 600, 990])


@pytest.mark.parametrize("kind", ["cosine", "linear"])
@pytest.mark.parametrize("target", ["x0", "eps", "v"])
def test_each_target_leads_back_to_picture_and_noise(target: Target, kind: str) -> None:
    schedule = Schedule(kind)
    x0 = normal_B(torch.arange(4), (3, 4, 4), "x0").double().clamp(-1, 1)
    eps = normal_B(torch.arange(4), (3, 4, 4), "eps").double()
    x_t = q_sample(x0, eps, STEPS, schedule)
    output = target_of(target, x0, eps, STEPS, schedule)
    found = to_x0(target, output, x_t, STEPS, schedule)
    torch.testing.assert_close(found, x0)
    # eps is divided by sigma, which is small at step 0
    torch.testing.assert_close(to_eps(found, x_t, STEPS, schedule), eps, rtol=1e-5, atol=1e-9)


def test_v_at_pure_noise_is_the_negative_picture() -> None:
    x0, eps = torch.full((1, 3), 0.7), torch.ones(1, 3)
    last = torch.tensor([999])
    assert torch.equal(target_of("v", x0, eps, last, Schedule()), -x0)
    assert torch.equal(to_x0("v", -x0, eps, last, Schedule()), x0)


def test_eps_at_zero_signal_is_refused() -> None:
    with pytest.raises(ValueError, match="zero signal"):
        to_x0("eps", torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([999]), Schedule())
