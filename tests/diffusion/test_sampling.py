"""Samplers against the exact denoiser of a Gaussian, and what a picture may depend on."""

from __future__ import annotations

import pytest
import torch

from tryon.diffusion.guidance import guided_x0
from tryon.diffusion.sampling import Sampler, make_sampler, sample
from tryon.diffusion.schedules import Schedule

MEAN, SD = 0.3, 0.4
SAMPLERS: list[Sampler] = ["ddim", "ddpm", "dpmpp", "unipc"]


def exact_denoiser(schedule: Schedule):  # noqa: ANN201 (a local function)
    """E[x_0 | x_t] of x_0 ~ N(MEAN, SD²)."""

    def predict_x0(x_t: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        alpha = schedule.alphas[steps_B].float()[:, None]
        sigma = schedule.sigmas[steps_B].float()[:, None]
        gain = alpha * SD**2 / (alpha**2 * SD**2 + sigma**2)
        return MEAN + gain * (x_t - alpha * MEAN)

    return predict_x0


def draw(sampler: Sampler, num_steps: int, schedule: Schedule) -> torch.Tensor:
    return sample(
        exact_denoiser(schedule), (4096,), torch.arange(4), schedule, sampler, num_steps, device="cpu"
    ).double()


@pytest.mark.parametrize("schedule", [Schedule("cosine"), Schedule("linear"), Schedule("cosine", zero_terminal=False)])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_exact_denoiser_gives_the_true_mean_and_deviation(sampler: Sampler, schedule: Schedule) -> None:
    drawn = draw(sampler, 250, schedule)
    assert drawn.mean().item() == pytest.approx(MEAN, abs=0.02)
    # the first-order samplers lose 1 to 4 % of the deviation at 250 steps, the second-order ones 0.2 %
    assert drawn.std().item() == pytest.approx(SD, rel=0.05 if sampler in ("ddim", "ddpm") else 0.02)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_more_steps_come_closer(sampler: Sampler) -> None:
    errors = [abs(draw(sampler, steps, Schedule("cosine", 2.0)).std().item() - SD) for steps in (5, 25, 125)]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampling_starts_at_pure_noise_and_ends_at_the_picture(sampler: Sampler) -> None:
    seen: list[tuple[int, torch.Tensor]] = []

    def predict_x0(x_t: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        seen.append((int(steps_B[0]), x_t.clone()))
        return torch.full_like(x_t, 0.25)

    result = sample(predict_x0, (500,), torch.arange(3), Schedule(), sampler, 8, device="cpu")
    assert [step for step, _ in seen] == [999, 874, 749, 624, 499, 374, 249, 124]
    assert seen[0][1].std().item() == pytest.approx(1, rel=0.05)
    torch.testing.assert_close(result, torch.full_like(result, 0.25), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_step_starts_from_what_the_last_one_made(sampler: Sampler) -> None:
    """Two prior systems fed the network the same noise at every step."""
    inputs: list[torch.Tensor] = []

    def predict_x0(x_t: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        inputs.append(x_t.clone())
        return torch.full_like(x_t, 0.25)

    sample(predict_x0, (500,), torch.arange(3), Schedule(), sampler, 6, device="cpu")
    distance = [(x_t - 0.25).abs().mean().item() for x_t in inputs]
    assert all(later < earlier for earlier, later in zip(distance[:-1], distance[1:], strict=True))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_does_not_depend_on_its_batch(sampler: Sampler) -> None:
    def alone_or_together(seeds: list[int]) -> torch.Tensor:
        schedule = Schedule()
        return sample(exact_denoiser(schedule), (64,), torch.tensor(seeds), schedule, sampler, 7, device="cpu")

    together = alone_or_together([5, 6, 7])
    assert torch.equal(together[1:2], alone_or_together([6]))
    assert torch.equal(together.flip(0), alone_or_together([7, 6, 5]))


def test_ancestral_noise_differs_between_seeds_and_steps() -> None:
    noise: list[torch.Tensor] = []

    def predict_x0(x_t: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        noise.append(x_t - x_t.mean())
        return torch.zeros_like(x_t)

    sample(predict_x0, (2000,), torch.tensor([1, 2]), Schedule(), "ddpm", 5, device="cpu")
    for x_t in noise[1:]:
        assert abs(torch.corrcoef(x_t)[0, 1].item()) < 0.1
    assert abs(torch.corrcoef(torch.stack([noise[1][0], noise[3][0]]))[0, 1].item()) < 0.9


def test_too_many_steps_and_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="11 sampling steps"):
        make_sampler("ddim", Schedule(num_timesteps=10), 11)
    with pytest.raises(ValueError, match="no sampler"):
        make_sampler("plms", Schedule(), 10)  # type: ignore[arg-type]


def test_guidance_in_one_call_equals_two_calls() -> None:
    calls: list[int] = []

    def predict_x0(x_t: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        calls.append(len(x_t))
        weight = torch.tensor([0.9] * 3 + [0.5] * 3)[: len(x_t), None]
        return weight * x_t + steps_B[:, None]

    x_t, steps_B = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 2, 3])
    conditioned, null = 0.9 * x_t + steps_B[:, None], 0.5 * x_t + steps_B[:, None]
    torch.testing.assert_close(guided_x0(predict_x0, x_t, steps_B, 2.0), null + 2.0 * (conditioned - null))
    assert torch.equal(guided_x0(predict_x0, x_t, steps_B, 1.0), conditioned)
    assert calls == [6, 3]
