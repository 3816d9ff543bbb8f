"""What a network predicts (x0, eps or v) and how one is turned into the others.

v = alpha eps - sigma x_0 (Salimans & Ho 2022, arXiv 2202.00512, section 4 and Appendix D). With
alpha² + sigma² = 1: x_0 = alpha x_t - sigma v and eps = sigma x_t + alpha v.
"""

from __future__ import annotations

from typing import Literal

import torch

from tryon.diffusion.noising import per_sample
from tryon.diffusion.schedules import Schedule

Target = Literal["x0", "eps", "v"]


def target_of(
    target: Target, x0: torch.Tensor, eps: torch.Tensor, steps_B: torch.Tensor, schedule: Schedule
) -> torch.Tensor:
    """What the network should say, given the clean picture and the noise.

    Args:
        target: "x0", "eps" or "v".
        x0: pictures in [-1, 1], [B, ...].
        eps: the noise in x_t, same shape.
        steps_B: int64 steps in 0 … T-1.
        schedule: the schedule that made x_t.
    """
    if target == "x0":
        return x0
    if target == "eps":
        return eps
    alpha, sigma = _alpha_sigma(x0, steps_B, schedule)
    return alpha * eps - sigma * x0


def to_x0(
    target: Target, output: torch.Tensor, x_t: torch.Tensor, steps_B: torch.Tensor, schedule: Schedule
) -> torch.Tensor:
    """The clean picture that a network's output stands for.

    Raises:
        ValueError: the output is eps and a step has alpha = 0, where eps says nothing about the picture.
    """
    if target == "x0":
        return output
    alpha, sigma = _alpha_sigma(x_t, steps_B, schedule)
    if target == "v":
        return alpha * x_t - sigma * output
    if bool((schedule.alphas[steps_B.cpu()] == 0).any()):
        raise ValueError("eps cannot be turned into x0 at zero signal: predict x0 or v, or clip the schedule")
    return (x_t - sigma * output) / alpha


def to_eps(x0: torch.Tensor, x_t: torch.Tensor, steps_B: torch.Tensor, schedule: Schedule) -> torch.Tensor:
    """The noise in x_t if the clean picture is x0."""
    alpha, sigma = _alpha_sigma(x_t, steps_B, schedule)
    return (x_t - alpha * x0) / sigma


def _alpha_sigma(like: torch.Tensor, steps_B: torch.Tensor, schedule: Schedule) -> tuple[torch.Tensor, torch.Tensor]:
    steps_B = steps_B.cpu()
    return per_sample(schedule.alphas[steps_B], like), per_sample(schedule.sigmas[steps_B], like)
