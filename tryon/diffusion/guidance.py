"""Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598) in one batched call."""

from __future__ import annotations

from collections.abc import Callable

import torch


def guided_x0(
    predict_x0: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x_t: torch.Tensor,
    steps_B: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Guide: null + scale * (conditioned - null), whose weights add up to 1.

    x0, eps and v are affine in one another at a given x_t, so guiding x0 is guiding any of them.

    Args:
        predict_x0: maps (x_t, steps) to x0. Where scale is not 1 it is called with 2B rows: first with the
            conditions, then with the null conditions, of the same samples.
        x_t: [B, ...].
        steps_B: int64 [B].
        scale: 1 means no guidance, and then no null rows.
    """
    if scale == 1.0:
        return predict_x0(x_t, steps_B)
    both = predict_x0(torch.cat([x_t, x_t]), torch.cat([steps_B, steps_B]))
    conditioned, null = both.chunk(2)
    return null + scale * (conditioned - null)
