"""What the stages of TryOnDiffusion share: loss, guidance, and the sampling loop around any denoiser."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from tryon.config import SamplingConfig, StageConfig
from tryon.diffusion.clipping import scaled_into_range
from tryon.diffusion.guidance import guided_x0
from tryon.diffusion.noising import add_lowres_noise, per_sample, q_sample
from tryon.diffusion.sampling import PICTURE_SD, sample
from tryon.diffusion.schedules import Schedule
from tryon.diffusion.targets import target_of, to_x0
from tryon.diffusion.weighting import weight_of_steps
from tryon.methods.interface import Conditions, Stage
from tryon.methods.seeds import integers_B, normal_B, uniform_B

GARMENT_SD, AROUND_SD = 0.1, 0.33
"""Typical errors of the first guess, in [-1, 1]: of the pasted garment where a garment is worn (0.107 on the studio's
unpaired validation pairs at 64x48, by benchmarks/bench_guess.py), and of what fills the region around it (0.354)."""
ENLARGED_SD = 0.2
"""Typical error of an enlarged picture, in [-1, 1]."""
TEXTURE_SD, COLOUR_SD = 0.6, 0.6
"""Colour differences, in [-1, 1], at which the warped garment lends an enlarged picture no more texture, colour."""

SHORT_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Of each precision below fp32."""


@dataclass(frozen=True)
class Known:
    """What a network is given besides the noised picture.

    Attributes:
        conditions: of the batch.
        low_B3HW: the stage before's picture, noised and enlarged to the canvas; None for a first stage.
        level_B: its noise level; zeros for a first stage.
        guess_B3HW: the picture that a residual network corrects; equal to the person outside the region.
        spread_B1HW: how far from the truth the guess is, typically: the unit of a residual network's output.
    """

    conditions: Conditions
    low_B3HW: torch.Tensor | None
    level_B: torch.Tensor
    guess_B3HW: torch.Tensor
    spread_B1HW: torch.Tensor

    def corrected(self, output_B3HW: torch.Tensor) -> torch.Tensor:
        """The picture that a residual network's output stands for."""
        return self.guess_B3HW + self.spread_B1HW * output_B3HW


class DenoisingStage(Stage):
    """A stage that learns to denoise and samples by denoising; subclasses call their network."""

    def __init__(self, name: str, cfg: StageConfig) -> None:
        super().__init__(name, cfg)
        diffusion = cfg.diffusion
        self.schedule = Schedule(
            diffusion.schedule,
            diffusion.shift,
            diffusion.num_timesteps,
            zero_terminal=diffusion.target != "eps",
        )

    @abstractmethod
    def predict(
        self,
        network: nn.Module,
        x_BCHW: torch.Tensor,
        steps_B: torch.Tensor,
        known: Known,
        cache: dict[str, object],
    ) -> torch.Tensor:
        """The network's output [B, 3, H, W], float32.

        Args:
            network: what `build` returned, possibly wrapped.
            x_BCHW: noised pictures.
            steps_B: int64 steps in 0 … T-1.
            known: conditions of the same samples.
            cache: lives as long as one sampling run of these conditions; holds what does not depend on time.
        """

    def loss_B(
        self,
        network: nn.Module,
        target_B3HW: torch.Tensor,
        conditions: Conditions,
        seeds_B: torch.Tensor,
        *,
        condition_dropout: bool,
        worn_B1HW: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Weighted squared error of the target, averaged over the picture; see `Stage.loss_B`."""
        diffusion = self.cfg.diffusion
        if condition_dropout:
            conditions = self._dropped(conditions, seeds_B)
        level_B = uniform_B(seeds_B, "level") * diffusion.low_noise_max
        known = self._known(self._with_true_low(target_B3HW, conditions), level_B, seeds_B)
        steps_B, eps_B3HW = self._draw(seeds_B, target_B3HW)
        x_B3HW = self._noised(target_B3HW, eps_B3HW, steps_B)
        weight_B1HW = self._weight_of_pixels(conditions.region_B1HW, worn_B1HW)
        planes, known = self._cropped((x_B3HW, target_B3HW, eps_B3HW, weight_B1HW), known, seeds_B)
        x_B3HW, target_B3HW, eps_B3HW, weight_B1HW = planes
        output_B3HW = self.predict(network, self._seen(x_B3HW, steps_B, known), steps_B, known, {})
        if self.cfg.network.residual:
            output_B3HW = known.corrected(output_B3HW)
        wanted_B3HW = target_of(diffusion.target, target_B3HW, eps_B3HW, steps_B, self.schedule)
        error_B1HW = (output_B3HW - wanted_B3HW).square().mean(dim=1, keepdim=True)
        # per picture, so that a small region counts as much as a large one
        error_B = (weight_B1HW * error_B1HW).sum((1, 2, 3)) / weight_B1HW.sum((1, 2, 3)).clamp(min=1e-6)
        weight_B = weight_of_steps(
            diffusion.loss_weight, diffusion.target, steps_B, self.schedule, gamma=diffusion.min_snr_gamma
        )
        return weight_B.to(error_B) * error_B

    @torch.no_grad()
    def sample(
        self, network: nn.Module, conditions: Conditions, seeds_B: torch.Tensor, cfg: SamplingConfig
    ) -> torch.Tensor:
        """Denoise from noise under guidance; see `Stage.sample`."""

        @cache
        def given(is_guided: bool) -> tuple[Known, dict[str, object]]:
            """What the network is given in guided or in other steps, and what is kept between them."""
            return self._known_for_sampling(conditions, seeds_B, cfg.guidance if is_guided else 1.0), {}

        def predict_x0(x_B3HW: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
            known, kept = given(len(x_B3HW) > len(seeds_B))
            output_B3HW = self.predict(network, self._seen(x_B3HW, steps_B, known), steps_B, known, kept)
            if self.cfg.network.residual:
                return known.corrected(output_B3HW)
            return to_x0(self.cfg.diffusion.target, output_B3HW, x_B3HW, steps_B, self.schedule)

        def guided(x_B3HW: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
            x0_B3HW = guided_x0(
                predict_x0, x_B3HW, steps_B, cfg.guidance, interval=cfg.guidance_interval, schedule=self.schedule
            )
            if cfg.clip == "dynamic":
                x0_B3HW = scaled_into_range(x0_B3HW, conditions.region_B1HW, cfg.clip_percentile)
            return self._pasted(x0_B3HW, conditions)

        picture_B3HW = sample(
            guided,
            (3, *self.size_hw),
            seeds_B,
            self.schedule,
            cfg.sampler,
            cfg.num_steps,
            device=conditions.agnostic_B3HW.device,
        )
        return self._pasted(picture_B3HW, conditions)

    def _known_for_sampling(self, conditions: Conditions, seeds_B: torch.Tensor, guidance: float) -> Known:
        """Conditions, followed by null conditions of the same samples if there is guidance."""
        if guidance != 1.0:
            everything_B = torch.ones(len(conditions), dtype=torch.bool, device=conditions.agnostic_B3HW.device)
            conditions = Conditions.cat([conditions, conditions.without_garment(everything_B)])
            seeds_B = torch.cat([seeds_B, seeds_B])
        level_B = torch.full((len(seeds_B),), self.cfg.diffusion.low_noise_sample, dtype=torch.float64)
        return self._known(conditions, level_B, seeds_B)

    def _dropped(self, conditions: Conditions, seeds_B: torch.Tensor) -> Conditions:
        """The conditions of a training batch, some of them nulled: all of a garment at once, or each by itself."""
        diffusion, device = self.cfg.diffusion, conditions.agnostic_B3HW.device
        drop_B = uniform_B(seeds_B, "drop") < diffusion.condition_dropout
        conditions = conditions.without_garment(drop_B.to(device))
        if diffusion.independent_dropout == 0:
            return conditions
        each = [
            (uniform_B(seeds_B, "drop", part) < diffusion.independent_dropout).to(device)
            for part in ("garment", "garment pose", "person pose")
        ]
        return conditions.without_each(*each)

    def _with_true_low(self, target_B3HW: torch.Tensor, conditions: Conditions) -> Conditions:
        if self.low_size_hw is None or conditions.low_B3hw is not None:
            return conditions
        return conditions.with_low(F.interpolate(target_B3HW, size=self.low_size_hw, mode="area"))

    def _known(self, conditions: Conditions, level_B: torch.Tensor, seeds_B: torch.Tensor) -> Known:
        device = conditions.agnostic_B3HW.device
        if self.low_size_hw is None:
            no_level_B = torch.zeros(len(conditions), device=device)
            is_garment_B1HW = conditions.prealigned_mask_B1HW
            spread_B1HW = AROUND_SD + (GARMENT_SD - AROUND_SD) * is_garment_B1HW
            return Known(conditions, None, no_level_B, pasted_garment(conditions), spread_B1HW)
        low_B3hw = conditions.low_B3hw
        if low_B3hw is None or tuple(low_B3hw.shape[-2:]) != self.low_size_hw:
            found = None if low_B3hw is None else tuple(low_B3hw.shape[-2:])
            raise ValueError(f"stage {self.name} starts from pictures of {self.low_size_hw}, got {found}")
        eps_B3hw = normal_B(seeds_B, tuple(low_B3hw.shape[1:]), "low").to(device)
        noised_B3hw = add_lowres_noise(low_B3hw, eps_B3hw, level_B.to(device))
        low_B3HW = F.interpolate(noised_B3hw, size=self.size_hw, mode="bicubic", align_corners=False)
        # the best linear guess of a picture from itself under noise
        signal_B, variance = torch.sqrt(1 - level_B**2), PICTURE_SD**2
        shrink_B = signal_B * variance / (signal_B**2 * variance + level_B**2)
        enlarged_B3HW = per_sample(shrink_B, low_B3HW) * low_B3HW
        if self.cfg.network.prealigned:
            enlarged_B3HW = enlarged_B3HW + garment_detail(conditions, enlarged_B3HW, self.low_size_hw)
        guess_B3HW = torch.lerp(conditions.agnostic_B3HW, enlarged_B3HW, conditions.region_B1HW)
        spread_B1HW = torch.full_like(conditions.region_B1HW, ENLARGED_SD)
        return Known(conditions, low_B3HW, level_B.float().to(device), guess_B3HW, spread_B1HW)

    def _draw(self, seeds_B: torch.Tensor, like_B3HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A time and the noise for each sample of a training batch."""
        steps_B = integers_B(seeds_B, self.schedule.num_timesteps, "time").to(like_B3HW.device)
        return steps_B, normal_B(seeds_B, tuple(like_B3HW.shape[1:]), "noise").to(like_B3HW.device)

    def _noised(self, x0_B3HW: torch.Tensor, eps_B3HW: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        return q_sample(x0_B3HW, eps_B3HW, steps_B, self.schedule)

    def _seen(self, x_B3HW: torch.Tensor, steps_B: torch.Tensor, known: Known) -> torch.Tensor:
        """The noised picture as a network is shown it.

        A residual network gets the Wiener estimate of its guess's error, in units of the spread: for
        x = alpha x0 + sigma eps and x0 = guess + spread n, E[n | x] = alpha spread (x - alpha guess) /
        (alpha² spread² + sigma²). Noise that says nothing about the picture is faded out instead of having to be
        unlearned, which a short training does not do.
        """
        if not self.cfg.network.residual:
            return x_B3HW
        steps_B = steps_B.cpu()
        alpha_B111 = per_sample(self.schedule.alphas[steps_B], x_B3HW)
        sigma_B111 = per_sample(self.schedule.sigmas[steps_B], x_B3HW)
        gain_B1HW = alpha_B111 * known.spread_B1HW
        gain_B1HW = gain_B1HW / (gain_B1HW.square() + sigma_B111.square()).clamp(min=1e-8)
        return gain_B1HW * (x_B3HW - alpha_B111 * known.guess_B3HW)

    def _weight_of_pixels(self, region_B1HW: torch.Tensor, worn_B1HW: torch.Tensor | None) -> torch.Tensor:
        """How much the error of each pixel counts, [B, 1, H, W]."""
        diffusion = self.cfg.diffusion
        weight_B1HW = region_B1HW + diffusion.outside_weight * (1 - region_B1HW)
        if worn_B1HW is None:
            return weight_B1HW
        # hidden arms, trousers and walls are most of the region and, as nobody could know them, most of the error:
        # counted alike, they keep a network busy while the garment, almost right from the start, gets worse
        return weight_B1HW * (1 + diffusion.garment_weight * worn_B1HW)

    def _cropped(
        self, planes: tuple[torch.Tensor, ...], known: Known, seeds_B: torch.Tensor
    ) -> tuple[tuple[torch.Tensor, ...], Known]:
        """The part of training pictures that the network sees; whole pictures unless a subclass crops."""
        return planes, known

    def _pasted(self, picture_B3HW: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """The picture inside the region, the person's own pixels outside; all in [-1, 1]."""
        region_B1HW = conditions.region_B1HW[: len(picture_B3HW)]
        agnostic_B3HW = conditions.agnostic_B3HW[: len(picture_B3HW)]
        return torch.lerp(agnostic_B3HW, picture_B3HW.clamp(-1, 1), region_B1HW)

    def _autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Short arithmetic for the network alone, where asked for; everything around it stays float32."""
        dtype = SHORT_DTYPES.get(self.cfg.train.precision)
        return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def pasted_garment(conditions: Conditions) -> torch.Tensor:
    """The warped garment on the person, and what surrounds the region where it does not reach; [B, 3, H, W].

    Without a garment (null conditions) it is the person with the region filled from its surroundings.
    """
    around_B3HW = fill_inwards(conditions.agnostic_B3HW, 1 - conditions.region_B1HW)
    bare_B3HW = around_B3HW * (1 - conditions.prealigned_mask_B1HW) + conditions.prealigned_B3HW
    return torch.lerp(conditions.agnostic_B3HW, bare_B3HW, conditions.region_B1HW)


def garment_detail(conditions: Conditions, enlarged_B3HW: torch.Tensor, low_size_hw: tuple[int, int]) -> torch.Tensor:
    """What the warped garment adds to an enlarged picture: texture too fine for the stage before, and its colours.

    Both fade where the enlarged picture shows something else than the garment: an arm, hair, a shifted hem. Where
    the two agree they are two estimates of one colour, and their mean is nearer to it than either.

    Returns:
        float32 [B, 3, H, W], to be added to `enlarged_B3HW`.
    """
    size_hw = enlarged_B3HW.shape[-2:]
    coarse_B3hw = F.interpolate(conditions.prealigned_B3HW, size=low_size_hw, mode="area")
    coarse_B3HW = F.interpolate(coarse_B3hw, size=size_hw, mode="bicubic", align_corners=False)
    difference_B3HW = coarse_B3HW - enlarged_B3HW
    distance_B1HW = difference_B3HW.square().mean(dim=1, keepdim=True)
    texture_B1HW = torch.exp(-distance_B1HW / (2 * TEXTURE_SD**2)) * conditions.prealigned_mask_B1HW
    colour_B1HW = torch.exp(-distance_B1HW / (2 * COLOUR_SD**2)) * conditions.prealigned_mask_B1HW / 2
    return texture_B1HW * (conditions.prealigned_B3HW - coarse_B3HW) + colour_B1HW * difference_B3HW


def fill_inwards(picture_B3HW: torch.Tensor, known_B1HW: torch.Tensor) -> torch.Tensor:
    """Fill unknown pixels smoothly from known ones: halve until all is known, then enlarge back into the gaps.

    Gortler et al. 1996, The Lumigraph, section 3.6 (pull-push).

    Args:
        picture_B3HW: any values where known.
        known_B1HW: 1 where the picture is known, else 0.
    """
    if min(picture_B3HW.shape[-2:]) == 1:
        return picture_B3HW
    share_B1hw = F.avg_pool2d(known_B1HW, 2, ceil_mode=True)
    mean_B3hw = F.avg_pool2d(picture_B3HW * known_B1HW, 2, ceil_mode=True) / share_B1hw.clamp(min=1e-6)
    coarse_B3hw = fill_inwards(mean_B3hw, (share_B1hw > 0).to(share_B1hw))
    size_hw = picture_B3HW.shape[-2:]
    smooth_B3HW = F.interpolate(coarse_B3hw, size=size_hw, mode="bilinear", align_corners=False)
    return torch.lerp(smooth_B3HW, picture_B3HW, known_B1HW)
