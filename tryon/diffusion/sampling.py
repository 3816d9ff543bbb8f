"""From noise to pictures with a library's samplers (diffusers), on our schedule.

A network's output is turned into x0 before the sampler sees it, so one code path serves every target and a
step at zero signal is exact. Start noise and the noise of ancestral steps are functions of (seed, step):
neither the batch nor the device changes a picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch

from tryon.diffusion.schedules import Schedule
from tryon.methods.seeds import normal_B, seed_of

Sampler = Literal["ddim", "ddpm", "dpmpp", "unipc"]

MIN_ALPHA_BAR = 2.0**-24
"""What the solvers in log-SNR count a vanished signal as, since log 0 is no number. diffusers uses the same
value for its own zero-terminal schedules; a start from pure noise is then off by alpha = 2e-4."""

PICTURE_SD = 0.5
"""Standard deviation of pictures in [-1, 1] that Karras et al. 2022 (arXiv 2206.00364, Table 1) count with."""


def make_sampler(name: Sampler, schedule: Schedule, num_steps: int) -> tuple[Any, list[int]]:
    """A diffusers scheduler for num_steps steps that start at t = 1 and are even in noise.

    It is given a table of the visited levels alone. On the whole table not all of the library's samplers can be told
    which steps to take, and its DDIM goes down by T // num_steps, which is not where its next step starts.

    Args:
        name: ddim (deterministic), ddpm (ancestral), dpmpp (DPM-Solver++ 2M) or unipc.
        schedule: the schedule that the network was trained on.
        num_steps: number of network calls, at most schedule.num_timesteps.

    Returns:
        The scheduler, and the step k of our table that each of its timesteps stands for.
    """
    if num_steps > schedule.num_timesteps:
        raise ValueError(f"{num_steps} sampling steps, but the schedule has {schedule.num_timesteps}")
    steps = schedule.even_steps(num_steps)
    return _on_table(name, _with_a_trace(schedule.alpha_bars)[sorted(steps)]), steps


def _on_table(name: Sampler, alpha_bars: torch.Tensor) -> Any:  # noqa: ANN401 (a diffusers scheduler)
    import diffusers

    common = {
        "num_train_timesteps": len(alpha_bars),
        "trained_betas": _betas(alpha_bars),
        "prediction_type": "sample",
        "timestep_spacing": "trailing",
    }
    library: Any = diffusers  # its constructors carry no types
    if name == "ddim":
        scheduler = library.DDIMScheduler(**common, clip_sample=False, set_alpha_to_one=True)
    elif name == "ddpm":
        scheduler = library.DDPMScheduler(**common, clip_sample=False, variance_type="learned")
    elif name == "dpmpp":
        scheduler = library.DPMSolverMultistepScheduler(**common, algorithm_type="dpmsolver++", solver_order=2)
    elif name == "unipc":
        scheduler = library.UniPCMultistepScheduler(**common, solver_order=2, predict_x0=True)
    else:
        raise ValueError(f"no sampler {name!r}; there are ddim, ddpm, dpmpp, unipc")
    scheduler.set_timesteps(len(alpha_bars))
    return scheduler


def ancestral_variance(schedule: Schedule, step: int, next_step: int | None) -> float:
    """Variance of the noise that DDPM adds on its way from one step to the next one.

    That of q(x_s | x_t) for pictures of standard deviation PICTURE_SD (Bao et al. 2022, arXiv 2201.06503, section 3.1,
    with the denoiser's error in closed form). Differs from the paper, which adds what a single known picture asks for
    (Ho et al. 2020, section 3.2): over 250 steps that loses 2 to 6 % of the deviation of a Gaussian, this 0.1 to 0.2 %.

    Args:
        schedule: the schedule that the network was trained on.
        step: where it comes from.
        next_step: where it goes; None: to the picture, without noise.
    """
    if next_step is None:
        return 0.0
    alpha_bar, next_alpha_bar = float(schedule.alpha_bars[step]), float(schedule.alpha_bars[next_step])
    variance, next_variance, beta = 1 - alpha_bar, 1 - next_alpha_bar, 1 - alpha_bar / next_alpha_bar
    known_picture = beta * next_variance / variance
    weight_of_x0 = math.sqrt(next_alpha_bar) * beta / variance
    unknown = PICTURE_SD**2 * variance / (alpha_bar * PICTURE_SD**2 + variance)
    return known_picture + weight_of_x0**2 * unknown


def _with_a_trace(alpha_bars: torch.Tensor) -> torch.Tensor:
    """The table without a zero at its end, which stays below the step before: log-SNR has to fall at every step."""
    alpha_bars = alpha_bars.clone()
    if alpha_bars[-1] == 0:
        alpha_bars[-1] = min(MIN_ALPHA_BAR, float(alpha_bars[-2]) / 16)
    return alpha_bars


def _betas(alpha_bars: torch.Tensor) -> list[float]:
    before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]])
    # the library keeps them in float32, where a step that leaves less of the signal leaves none, whose log is no number
    return (1 - alpha_bars / before).clamp(max=1 - MIN_ALPHA_BAR).tolist()


@torch.no_grad()
def sample(
    predict_x0: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    shape: tuple[int, ...],
    seeds_B: torch.Tensor,
    schedule: Schedule,
    sampler: Sampler,
    num_steps: int,
    *,
    device: torch.device | str,
) -> torch.Tensor:
    """Denoise from pure noise.

    Args:
        predict_x0: maps (x_t float32 [B, *shape], steps int64 [B]) to the clean picture, guided and clipped
            as the caller likes. What it returns for one step is what the next step starts from.
        shape: shape of one sample.
        seeds_B: int64 [B].
        schedule: the schedule that the network was trained on.
        sampler: name of a sampler, see `make_sampler`.
        num_steps: number of steps.
        device: where predict_x0 wants its input.

    Returns:
        float32 [B, *shape].
    """
    scheduler, steps = make_sampler(sampler, schedule, num_steps)
    x_t = normal_B(seeds_B, shape, "sample", "start").to(device)
    for index, (timestep, step) in enumerate(zip(scheduler.timesteps, steps, strict=True)):
        steps_B = torch.full((len(seeds_B),), step, dtype=torch.int64, device=device)
        output = predict_x0(x_t, steps_B)
        noise: dict[str, Any] = {}
        if sampler == "ddpm":
            variance = ancestral_variance(schedule, step, steps[index + 1] if index + 1 < num_steps else None)
            output = torch.cat([output, torch.full_like(output, variance)], dim=1)  # where it takes a learned one from
            noise["generator"] = _generators(seeds_B, index)
        x_t = scheduler.step(output, timestep, x_t, **noise, return_dict=False)[0]
    return x_t


def _generators(seeds_B: torch.Tensor, index: int) -> list[torch.Generator]:
    seeds = [seed_of(seed, "sample", "step", index) for seed in seeds_B.tolist()]
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
