"""From noise to pictures with a library's samplers (diffusers), on our schedule.

A network's output is turned into x0 before the sampler sees it, so one code path serves every target and a
step at zero signal is exact. Start noise and the noise of ancestral steps are functions of (seed, step):
neither the batch nor the device changes a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch

from tryon.diffusion.schedules import Schedule
from tryon.methods.seeds import normal_B, seed_of

Sampler = Literal["ddim", "ddpm", "dpmpp", "unipc"]

MIN_ALPHA_BAR = 2.0**-24
"""What the solvers in log-SNR count a vanished signal as, since log 0 is no number. diffusers uses the same
value for its own zero-terminal schedules; a start from pure noise is then off by alpha = 2e-4."""


def make_sampler(name: Sampler, schedule: Schedule, num_steps: int) -> Any:  # noqa: ANN401 (a diffusers scheduler)
    """A diffusers scheduler on our table, set to num_steps steps that start at t = 1 ("trailing").

    Args:
        name: ddim (deterministic), ddpm (ancestral), dpmpp (DPM-Solver++ 2M) or unipc.
        schedule: the schedule that the network was trained on.
        num_steps: number of network calls, at most schedule.num_timesteps.
    """
    import diffusers

    if num_steps > schedule.num_timesteps:
        raise ValueError(f"{num_steps} sampling steps, but the schedule has {schedule.num_timesteps}")
    common = {
        "num_train_timesteps": schedule.num_timesteps,
        "trained_betas": _betas(schedule),
        "prediction_type": "sample",
        "timestep_spacing": "trailing",
    }
    library: Any = diffusers  # its constructors carry no types
    if name == "ddim":
        scheduler = library.DDIMScheduler(**common, clip_sample=False, set_alpha_to_one=True)
    elif name == "ddpm":
        scheduler = library.DDPMScheduler(**common, clip_sample=False, variance_type="fixed_small")
    elif name == "dpmpp":
        scheduler = library.DPMSolverMultistepScheduler(**common, algorithm_type="dpmsolver++", solver_order=2)
    elif name == "unipc":
        scheduler = library.UniPCMultistepScheduler(**common, solver_order=2, predict_x0=True)
    else:
        raise ValueError(f"no sampler {name!r}; there are ddim, ddpm, dpmpp, unipc")
    scheduler.set_timesteps(num_steps)
    return scheduler


def _betas(schedule: Schedule) -> list[float]:
    alpha_bars = schedule.alpha_bars.clone()
    if alpha_bars[-1] == 0:  # below the step before it, or the solvers divide by a log-SNR step of zero
        alpha_bars[-1] = min(MIN_ALPHA_BAR, float(alpha_bars[-2]) / 16)
    before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]])
    return (1 - alpha_bars / before).tolist()


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
    scheduler = make_sampler(sampler, schedule, num_steps)
    x_t = normal_B(seeds_B, shape, "sample", "start").to(device)
    for index, step in enumerate(scheduler.timesteps):
        steps_B = torch.full((len(seeds_B),), int(step), dtype=torch.int64, device=device)
        x0 = predict_x0(x_t, steps_B)
        noise: dict[str, Any] = {"generator": _generators(seeds_B, index)} if sampler == "ddpm" else {}
        x_t = scheduler.step(x0, step, x_t, **noise, return_dict=False)[0]
    return x_t


def _generators(seeds_B: torch.Tensor, index: int) -> list[torch.Generator]:
    seeds = [seed_of(seed, "sample", "step", index) for seed in seeds_B.tolist()]
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
