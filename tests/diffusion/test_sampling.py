"""Samplers against the exact denoiser of a Gaussian, and what a picture may depend on."""

from __future__ import annotations

import pytest
import torch

from tryon.diffusion.sampling import PICTURE_SD, Sampler, ancestral_variance, make_sampler, sample
from tryon.diffusion.schedules import Schedule
from tryon.methods.seeds import normal_B

MEAN, SD = 0.3, 0.4
SAMPLERS: list[Sampler] = ["ddim", "ddpm", "dpmpp", "unipc"]


SCHEDULES = {
    "cosine": Schedule("cosine"),
    "cosine shift 2": Schedule("cosine", 2.0),
    "linear": Schedule("linear"),
    "linear shift 2": Schedule("linear", 2.0),
    "cosine, last trace": Schedule("cosine", zero_terminal=False),
    "linear, last trace": Schedule("linear", zero_terminal=False),
}


def exact_denoiser(schedule: Schedule, sd: float | torch.Tensor = SD):  # noqa: ANN201 (a local function)
    """E[x_0 | x_t] of x_0 ~ N(MEAN, sd²)."""

    def predict_x0(x_t: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        shape = (-1, *[1] * (x_t.dim() - 1))
        alpha = schedule.alphas[steps_B].float().reshape(shape)
        sigma = schedule.sigmas[steps_B].float().reshape(shape)
        gain = alpha * sd**2 / (alpha**2 * sd**2 + sigma**2)
        return MEAN + gain * (x_t - alpha * MEAN)

    return predict_x0


def deviation_R(values_BRN: torch.Tensor) -> torch.Tensor:
    """Of each row, float64 [R]."""
    return values_BRN.double().transpose(0, 1).flatten(1).std(dim=1)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_exact_denoiser_gives_the_true_mean_and_deviation(sampler: Sampler, schedule: str) -> None:
    """65 536 numbers: the mean has a standard error of 0.5 %, the deviation of 0.3 %."""
    predict_x0 = exact_denoiser(SCHEDULES[schedule])
    drawn = sample(
        predict_x0, (16_384,), torch.arange(4), SCHEDULES[schedule], sampler, 250, device="cpu"
    ).double()  # fmt: skip
    assert drawn.mean().item() == pytest.approx(MEAN, rel=0.02)
    assert drawn.std().item() == pytest.approx(SD, rel=0.02)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_more_steps_come_closer(sampler: Sampler, schedule: str) -> None:
    """A Gaussian with another deviation in every row, so that errors of opposite sign do not pass for none.

    They come closer to what the last step leaves: it goes from the first row of the table to the expected picture,
    which on a linear schedule has 0.6 % less deviation than pictures of 0.1 have, however many steps come before. And
    a deterministic sampler stretches the noise it starts from: measured against that, its error has no chance in it,
    which after 100 steps would be the larger part.
    """
    sd_R1 = torch.tensor([0.1, 0.2, 0.4, 0.6])[:, None]
    predict_x0 = exact_denoiser(SCHEDULES[schedule], sd_R1)
    sd_R, alpha, sigma = sd_R1[:, 0], SCHEDULES[schedule].alphas[0], SCHEDULES[schedule].sigmas[0]
    left_R = sd_R * alpha / torch.hypot(alpha, sigma / sd_R)
    start_BRN = normal_B(torch.arange(4), (4, 4096), "sample", "start")
    start_R = torch.ones(4) if sampler == "ddpm" else deviation_R(start_BRN)
    errors = []
    for num_steps in (20, 50, 100, 250):
        drawn_BRN = sample(
            predict_x0, (4, 4096), torch.arange(4), SCHEDULES[schedule], sampler, num_steps, device="cpu"
        )  # fmt: skip
        found_R = deviation_R(drawn_BRN) / start_R
        errors.append((found_R / left_R - 1).square().mean().sqrt().item())
    if sampler == "ddpm":  # takes from wide pictures, adds to narrow ones, and turns over between 20 and 100 steps
        assert errors[3] == min(errors), errors
        assert errors[3] < errors[0] / 2, errors
    else:
        assert errors[0] > errors[1] > errors[2] > errors[3], errors


@pytest.mark.parametrize("schedule", [*SCHEDULES.values(), Schedule("cosine", 4.0), Schedule("linear", 4.0)])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_few_steps_from_the_faintest_signal_end_at_the_picture(sampler: Sampler, schedule: Schedule) -> None:
    """From one row of the table to the next the signal grows by more than float32 tells from nothing."""
    for num_steps in (1, 2, 3, 5):
        landed = sample(
            lambda x_t, _: torch.full_like(x_t, 0.25), (8,), torch.arange(2), schedule, sampler, num_steps, device="cpu"
        )
        torch.testing.assert_close(landed, torch.full_like(landed, 0.25), rtol=0, atol=1e-5)


@pytest.mark.parametrize("num_steps", [32, 128, 150, 256])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_step_counts_that_do_not_divide_the_schedule_are_as_exact(sampler: Sampler, num_steps: int) -> None:
    """The paper's 256, 128 and 32 of 1000: a step has to end where the next one starts.

    Where the library's DDIM was left to itself, a certain picture came out with noise on it.
    """
    schedule = Schedule()
    landed = sample(
        lambda x_t, _: torch.full_like(x_t, 0.25), (500,), torch.arange(2), schedule, sampler, num_steps, device="cpu"
    )
    torch.testing.assert_close(landed, torch.full_like(landed, 0.25), rtol=0, atol=1e-5)
    starts: list[torch.Tensor] = []

    def predict_x0(x_t: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        starts.append((x_t - schedule.alphas[steps_B][:, None] * 0.25) / schedule.sigmas[steps_B][:, None])
        return torch.full_like(x_t, 0.25)

    sample(predict_x0, (20_000,), torch.arange(2), schedule, sampler, num_steps, device="cpu")
    if sampler != "ddpm":  # its noise is that of uncertain pictures
        for noise in starts:
            torch.testing.assert_close(noise, starts[0], rtol=2e-3, atol=2e-3)


def test_ancestral_noise_is_exact_for_pictures_of_the_usual_deviation() -> None:
    """Whatever the number of steps, x_t keeps the deviation that the schedule gives it."""
    schedule = Schedule("cosine", 2.0)
    steps: list[int | None] = [999, 700, 350, 60, None]
    spread = 1.0
    for step, next_step in zip(steps[:-1], steps[1:], strict=True):
        assert step is not None
        alpha, sigma = schedule.alphas[step], schedule.sigmas[step]
        next_alpha = torch.tensor(1.0) if next_step is None else schedule.alphas[next_step]
        next_sigma = torch.tensor(0.0) if next_step is None else schedule.sigmas[next_step]
        gain = alpha * PICTURE_SD**2 / (alpha**2 * PICTURE_SD**2 + sigma**2)
        beta = 1 - (alpha / next_alpha) ** 2
        mean = next_alpha * beta / sigma**2 * gain + alpha / next_alpha * next_sigma**2 / sigma**2
        spread = ((mean * spread) ** 2 + ancestral_variance(schedule, step, next_step)) ** 0.5
        if next_step is not None:
            assert float(spread) == pytest.approx(float((next_alpha * PICTURE_SD).hypot(next_sigma)), rel=1e-9)


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
