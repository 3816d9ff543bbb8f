"""Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598) in one batched call, where it helps.

Guiding a part of the noise levels alone, and not those near pure noise and near the picture, makes better and cheaper
samples (Kynkäänniemi et al. 2024, arXiv 2404.07724).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from tryon.diffusion.schedules import Schedule


def guided_x0(
    predict_x0: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x_t: torch.Tensor,
    steps_B: torch.Tensor,
    scale: float,
    *,
    interval: tuple[float, float],
    schedule: Schedule,
) -> torch.Tensor:
    """Guide: null + scale * (conditioned - null), whose weights add up to 1.

    x0, eps and v are affine in one another at a given x_t, so guiding x0 is guiding any of them.

    Args:
        predict_x0: maps (x_t, steps) to x0. A guided step calls it with 2B rows: first with the conditions, then with
            the null conditions, of the same samples. Another step calls it with the B conditioned rows alone.
        x_t: [B, ...].
        steps_B: int64 [B], all the same step.
        scale: 1 means no guidance.
        interval: first and last diffusion time t = (k + 1) / T of the steps k that are guided.
        schedule: gives T.
    """
    low, high = interval
    if scale == 1.0 or not low <= (int(steps_B[0]) + 1) / schedule.num_timesteps <= high:
        return predict_x0(x_t, steps_B)
    both = predict_x0(torch.cat([x_t, x_t]), torch.cat([steps_B, steps_B]))
    conditioned, null = both.chunk(2)
    return null + scale * (conditioned - null)
