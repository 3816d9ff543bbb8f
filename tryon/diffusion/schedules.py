"""Noise schedules: how much picture and how much noise there is at time t.

x_t = alpha(t) x_0 + sigma(t) eps with alpha² + sigma² = 1, t in [0, 1] from picture to noise. A schedule is a
function of continuous t and a table of it at the steps k = 0 … T-1, which stand for t = (k + 1) / T: step 0 is
almost clean, step T-1 is t = 1. Tables are float64; they become float32 where they meet a picture.

Cosine: Nichol & Dhariwal 2021 (arXiv 2102.09672), in its log-SNR form without offset. Shift: Hoogeboom et al.
2023 (arXiv 2301.11093), Eq. 6: SNR divided by shift², for larger pictures or harder conditions. Linear: the
continuous form of Ho et al. 2020, beta from 0.1 to 20 (Song et al. 2021, arXiv 2011.13456, Appendix C).
Zero terminal SNR: Lin et al. 2024 (arXiv 2305.08891): at t = 1 nothing of the picture is left, as in sampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

LINEAR_BETAS = (0.1, 20.0)
MAX_BETA = 0.999
"""Largest step of a schedule that may not reach pure noise (Nichol & Dhariwal 2021, section 3.2)."""


@dataclass(frozen=True)
class Schedule:
    """A variance-preserving schedule.

    Attributes:
        kind: "cosine" or "linear".
        shift: divides the signal-to-noise ratio by shift²; 1 leaves it.
        num_timesteps: T, rows of the tables.
        zero_terminal: whether alpha(1) = 0. A network that predicts eps cannot say what the picture is where
            alpha = 0, so its table keeps a last trace: beta is at most 0.999.
    """

    kind: Literal["cosine", "linear"] = "cosine"
    shift: float = 1.0
    num_timesteps: int = 1000
    zero_terminal: bool = True

    def alpha_sigma(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Signal and noise amplitude at times t in [0, 1], float64, same shape as t.

        This is the curve itself, which reaches alpha(1) = 0 whatever `zero_terminal` says of the table.
        """
        t = t.to(torch.float64)
        signal, noise = self._unshifted(t)
        noise = noise * self.shift
        norm = torch.hypot(signal, noise)
        return signal / norm, noise / norm

    def _unshifted(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.kind == "cosine":
            # sin(pi/2 (1 - t)) is cos(pi/2 t), but exactly 0 at t = 1
            return torch.sin(math.pi / 2 * (1 - t)), torch.sin(math.pi / 2 * t)
        low, high = LINEAR_BETAS
        decay = torch.exp(-0.5 * (low * t + 0.5 * (high - low) * t**2))
        last = math.exp(-0.25 * (low + high))
        signal = ((decay - last) / (1 - last)).where(t < 1, torch.zeros_like(t))  # Lin et al., Algorithm 1
        return signal, torch.sqrt((1 - signal**2).clamp(min=0))

    def _time_of(self, signal: torch.Tensor) -> torch.Tensor:
        """When `_unshifted` has this signal."""
        if self.kind == "cosine":
            return 1 - torch.asin(signal) * 2 / math.pi
        low, high = LINEAR_BETAS
        last = math.exp(-0.25 * (low + high))
        integral = -2 * torch.log(last + (1 - last) * signal)  # of beta from 0 to t
        return (torch.sqrt(low**2 + 2 * (high - low) * integral) - low) / (high - low)

    def even_steps(self, num_steps: int) -> list[int]:
        """Steps from t = 1 towards the picture, as even in noise as those of a cosine schedule are in time.

        Those with the noise of a cosine schedule of the same shift at t = 1, 1 - 1/n … 1/n: there, but for the shift,
        each step turns x_t by the same angle from noise into picture. Even in its own time, a linear schedule idles
        in the noise and leaps into the picture: a first-order sampler then loses twice as much of a Gaussian's
        deviation, at any number of steps (DDIM at shift 2 and 250 steps 2.9 instead of 1.3 %).

        Args:
            num_steps: n, from 1 to num_timesteps.
        """
        cosine_times = torch.arange(1, num_steps + 1, dtype=torch.float64) / num_steps
        times = self._time_of(torch.sin(math.pi / 2 * (1 - cosine_times)))
        # decimals: a cosine schedule has its own times back, and a half of a step back as a half
        steps = torch.round(torch.round(times * self.num_timesteps, decimals=6)).to(torch.int64) - 1
        # near the picture the table of a linear schedule may be too coarse to have a row for every step
        rows = torch.arange(num_steps)
        ahead = (steps - rows).cummax(dim=0).values.clamp(0, self.num_timesteps - num_steps)
        return (rows + ahead).flip(0).tolist()

    @cached_property
    def alpha_bars(self) -> torch.Tensor:
        """alpha² at steps 0 … T-1, float64 [T]."""
        steps = torch.arange(1, self.num_timesteps + 1, dtype=torch.float64) / self.num_timesteps
        alpha_bars = self.alpha_sigma(steps)[0] ** 2
        if self.zero_terminal:
            return alpha_bars
        before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]])
        return torch.cumprod((alpha_bars / before).clamp(min=1 - MAX_BETA), dim=0)

    @cached_property
    def alphas(self) -> torch.Tensor:
        """Signal amplitude at steps 0 … T-1, float64 [T]."""
        return torch.sqrt(self.alpha_bars)

    @cached_property
    def sigmas(self) -> torch.Tensor:
        """Noise amplitude at steps 0 … T-1, float64 [T]."""
        return torch.sqrt(1 - self.alpha_bars)

    @cached_property
    def log_snr(self) -> torch.Tensor:
        """log(alpha² / sigma²) at steps 0 … T-1, float64 [T]; -inf where alpha = 0."""
        return torch.log(self.alpha_bars) - torch.log1p(-self.alpha_bars)

    def unit_time(self, steps_B: torch.Tensor) -> torch.Tensor:
        """What a network is told: t = (k + 1) / T of step k, float32."""
        return ((steps_B.to(torch.float64) + 1) / self.num_timesteps).to(torch.float32)
