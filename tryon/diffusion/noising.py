"""Forward diffusion of pictures, and the noise that is put on the conditions of super-resolution."""

from __future__ import annotations

import torch

from tryon.diffusion.schedules import Schedule


def per_sample(values_B: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Values [B] shaped to multiply a batch, in the batch's dtype and on its device."""
    return values_B.to(like).reshape(-1, *[1] * (like.dim() - 1))


def q_sample(x0: torch.Tensor, eps: torch.Tensor, steps_B: torch.Tensor, schedule: Schedule) -> torch.Tensor:
    """A noised picture: x_t = alpha x_0 + sigma eps (Ho et al. 2020, Eq. 4).

    Args:
        x0: pictures in [-1, 1], [B, ...].
        eps: standard normal noise, same shape.
        steps_B: int64 steps in 0 … T-1.
        schedule: gives alpha and sigma.
    """
    if x0.shape != eps.shape or len(steps_B) != len(x0):
        raise ValueError(f"x0 {tuple(x0.shape)}, eps {tuple(eps.shape)} and {len(steps_B)} steps do not fit")
    steps_B = steps_B.cpu()
    return per_sample(schedule.alphas[steps_B], x0) * x0 + per_sample(schedule.sigmas[steps_B], x0) * eps


def add_lowres_noise(low_BCHW: torch.Tensor, eps_BCHW: torch.Tensor, level_B: torch.Tensor) -> torch.Tensor:
    """Noise the low-resolution condition of a super-resolution stage.

    Ho et al. 2022, Cascaded Diffusion Models (arXiv 2106.15282), section 4.2: Gaussian conditioning
    augmentation. The network is told the level, so that sampling may choose another one.

    Args:
        low_BCHW: float32 in [-1, 1].
        eps_BCHW: standard normal noise, same shape.
        level_B: noise amplitude of each picture, 0 = clean, 1 = pure noise.

    Returns:
        sqrt(1 - level²) low + level eps; equal to the input where level is 0.

    Raises:
        ValueError: shapes differ, or a level lies outside [0, 1].
    """
    if low_BCHW.shape != eps_BCHW.shape or len(level_B) != len(low_BCHW):
        raise ValueError(
            f"low {tuple(low_BCHW.shape)}, eps {tuple(eps_BCHW.shape)} and {len(level_B)} levels do not fit"
        )
    if not bool(((level_B >= 0) & (level_B <= 1)).all()):
        raise ValueError(f"noise levels lie in [0, 1], got {level_B.min().item()} to {level_B.max().item()}")
    level_B = level_B.to(torch.float64)
    return per_sample(torch.sqrt(1 - level_B**2), low_BCHW) * low_BCHW + per_sample(level_B, low_BCHW) * eps_BCHW
