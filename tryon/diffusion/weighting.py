"""How much each noise level counts in the loss.

Min-SNR-gamma of Hang et al. 2023 (arXiv 2303.09556, section 3.4): the squared error of x0 is weighted by
min(SNR, gamma). At a given x_t an error of x0 is an error of eps SNR times as large, squared, and one of v SNR + 1
times as large; so the weights of the three targets differ by these factors and all mean the same loss.
"""

from __future__ import annotations

from typing import Literal

import torch

from tryon.diffusion.schedules import Schedule
from tryon.diffusion.targets import Target

LossWeight = Literal["none", "min_snr"]


def weight_of_steps(
    weight: LossWeight, target: Target, steps_B: torch.Tensor, schedule: Schedule, *, gamma: float
) -> torch.Tensor:
    """What to multiply the squared error of a target with.

    Args:
        weight: "none" (1 everywhere) or "min_snr".
        target: what the error is an error of.
        steps_B: int64 steps in 0 … T-1.
        schedule: gives the signal-to-noise ratio of each step.
        gamma: largest weight of an error of x0.

    Returns:
        float64 [B] on the CPU. Where nothing of the picture is left (alpha = 0) min_snr is 0 for x0 and v: that
        step is learnt from its neighbours alone.
    """
    steps_B = steps_B.cpu()
    if weight == "none":
        return torch.ones(len(steps_B), dtype=torch.float64)
    alpha_bar_B = schedule.alpha_bars[steps_B]
    snr_B = alpha_bar_B / (1 - alpha_bar_B)
    if target == "eps":  # min(SNR, gamma) / SNR, which has a limit where the SNR has none
        return (gamma / snr_B).clamp(max=1)
    weight_B = snr_B.clamp(max=gamma)
    return weight_B if target == "x0" else weight_B / (snr_B + 1)
