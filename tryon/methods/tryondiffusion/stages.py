"""The stages of TryOnDiffusion: Parallel-UNet base, Parallel-UNet super-resolution, direct regression."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from tryon.config import SamplingConfig
from tryon.methods.interface import Conditions, Stage
from tryon.methods.tryondiffusion.denoising import DenoisingStage, Known
from tryon.methods.tryondiffusion.limb_planes import LIMBS, limb_planes
from tryon.methods.tryondiffusion.parallel_unet import ParallelUNet
from tryon.methods.tryondiffusion.superres import ImagenSRStage


class ParallelUNetStage(DenoisingStage):
    """A Parallel-UNet: a first stage, or super-resolution where `low_size` is set."""

    @property
    def person_channels(self) -> int:
        """Noised picture, agnostic person, region; then what `_person_planes` adds."""
        network = self.cfg.network
        low = self.low_size_hw is not None
        return 7 + 4 * network.prealigned + 3 * low + 3 * network.residual + len(LIMBS) * network.limb_planes

    def build(self) -> nn.Module:
        """A network with fresh weights."""
        network = ParallelUNet(self.cfg.network, self.person_channels)
        network.set_checkpointing(self.cfg.train.gradient_checkpointing)
        return network

    def predict(
        self,
        network: nn.Module,
        x_BCHW: torch.Tensor,
        steps_B: torch.Tensor,
        known: Known,
        cache: dict[str, object],
    ) -> torch.Tensor:
        """One call of the network, which in sampling computes of garments only what it has to.

        That is nothing of a garment that is left out (the null half of guidance), and, where the garment branch
        ignores the time, its features once per cache.
        """
        conditions = known.conditions
        person_BCHW = torch.cat(self._person_planes(x_BCHW, known), dim=1)
        garment_B4HW = torch.cat([conditions.garment_B3HW, conditions.garment_mask_B1HW], dim=1)
        person_BCHW, garment_B4HW = self.laid_out(person_BCHW), self.laid_out(garment_B4HW)
        pictures = person_BCHW, garment_B4HW
        poses = conditions.person_keypoints_BK3, conditions.garment_keypoints_BK3
        times = self.schedule.unit_time(steps_B), known.level_B
        with self._autocast(x_BCHW.device):
            if torch.is_grad_enabled() or not isinstance(network, ParallelUNet):
                return network(*pictures, *poses, *times, conditions.is_null_B).float()
            if "num_garments" not in cache:
                cache["num_garments"] = num_garments(conditions)
            num = cast("int | None", cache["num_garments"])
            if num is None:
                return network(*pictures, *poses, *times, conditions.is_null_B).float()
            if not network.sees_time and "features" not in cache:
                cache["features"] = network.garment_features(garment_B4HW, *poses, *times, num_garments=num)
            features = cast("dict[int, torch.Tensor] | None", cache.get("features"))
            return network(*pictures, *poses, *times, num_garments=num, features=features).float()

    def _person_planes(self, x_BCHW: torch.Tensor, known: Known) -> list[torch.Tensor]:
        conditions, network = known.conditions, self.cfg.network
        planes = [x_BCHW, conditions.agnostic_B3HW, conditions.region_B1HW]
        if network.prealigned:
            planes += [conditions.prealigned_B3HW, conditions.prealigned_mask_B1HW]
        if known.low_B3HW is not None:
            planes.append(known.low_B3HW)
        if network.residual:
            planes.append(known.guess_B3HW)
        if network.limb_planes:
            planes.append(limb_planes(conditions.person_keypoints_BK3, self.size_hw))
        return planes


class RegressionStage(ParallelUNetStage):
    """The same body without diffusion: one call at t = 1 on an empty picture, trained on squared error.

    The reference that says what the diffusion itself is worth.
    """

    def _draw(self, seeds_B: torch.Tensor, like_B3HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        last = self.schedule.num_timesteps - 1
        return torch.full((len(seeds_B),), last, device=like_B3HW.device), torch.zeros_like(like_B3HW)

    def _noised(self, x0_B3HW: torch.Tensor, eps_B3HW: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x0_B3HW)

    @torch.no_grad()
    def sample(
        self, network: nn.Module, conditions: Conditions, seeds_B: torch.Tensor, cfg: SamplingConfig
    ) -> torch.Tensor:
        """One call; sampler, steps and guidance have no meaning here."""
        known = self._known_for_sampling(conditions, seeds_B, guidance=1.0)
        empty_B3HW = torch.zeros_like(conditions.agnostic_B3HW)
        steps_B, _ = self._draw(seeds_B, empty_B3HW)
        output_B3HW = self.predict(network, empty_B3HW, steps_B, known, {})
        if self.cfg.network.residual:
            output_B3HW = known.corrected(output_B3HW)
        return self._pasted(output_B3HW, conditions)


def num_garments(conditions: Conditions) -> int | None:
    """How many samples have a garment, if they stand before all that have none; None if they do not."""
    is_null = conditions.nulls_B.tolist()
    num = is_null.index(True) if True in is_null else len(is_null)
    return num if num > 0 and all(is_null[num:]) else None


STAGES: dict[str, type[Stage]] = {
    "parallel_unet": ParallelUNetStage,
    "parallel_unet_sr": ParallelUNetStage,
    "imagen_sr": ImagenSRStage,
    "regression": RegressionStage,
}
"""Stage class of each `kind`."""
