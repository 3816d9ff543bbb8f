"""The last stage: imagen-pytorch's efficient U-Net, trained on crops without attention, sampled whole.

Zhu et al. 2023, section 3.1: the 256 → 1024 stage is a super-resolution network trained on random crops (the
Efficient U-Net of Saharia et al. 2022, arXiv 2205.11487, Appendix B). Network from imagen-pytorch, diffusion
mathematics ours.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import nn

from tryon.methods.interface import Conditions
from tryon.methods.seeds import uniform_B
from tryon.methods.tryondiffusion.denoising import DenoisingStage, Known

COND_CHANNELS = 8  # agnostic 3, region 1, warped garment 3 and its coverage 1


class ImagenSRStage(DenoisingStage):
    """Super-resolution by imagen_pytorch.Unet.

    The low-resolution input is the enlarged picture with the person's own pixels pasted outside the region.
    """

    def build(self) -> nn.Module:
        """An imagen_pytorch.Unet with fresh weights."""
        from tryon import shims

        network = self.cfg.network
        width = network.channels
        unet = shims.import_imagen().Unet(
            dim=width[0],
            dim_mults=tuple(channels // width[0] for channels in width),
            num_resnet_blocks=tuple(network.blocks),
            lowres_cond=True,
            cond_images_channels=COND_CHANNELS,
            cond_on_text=False,
            attn_pool_text=False,
            layer_attns=tuple(network.self_attention),
            layer_cross_attns=False,
            attend_at_middle=False,
            attn_dim_head=network.head_channels,
            # a crop has other global statistics than a picture
            use_global_context_attn=False,
            memory_efficient=True,
            init_cross_embed=False,
            init_conv_kernel_size=3,
        )
        # made even for a U-Net without text; parameters outside the loss would hang distributed training
        unet.null_text_embed.requires_grad_(False)
        unet.null_text_hidden.requires_grad_(False)
        nn.init.zeros_(unet.final_conv.weight)
        nn.init.zeros_(unet.final_conv.bias)
        return unet

    def predict(
        self,
        network: nn.Module,
        x_BCHW: torch.Tensor,
        steps_B: torch.Tensor,
        known: Known,
        cache: dict[str, object],
    ) -> torch.Tensor:
        """One call of the network."""
        conditions = known.conditions
        planes_BCHW = torch.cat(
            [
                conditions.agnostic_B3HW,
                conditions.region_B1HW,
                conditions.prealigned_B3HW,
                conditions.prealigned_mask_B1HW,
            ],
            dim=1,
        )
        with self._autocast(x_BCHW.device):
            return network(
                x_BCHW,
                self.schedule.unit_time(steps_B),
                lowres_cond_img=known.guess_B3HW,
                lowres_noise_times=known.level_B,
                cond_images=planes_BCHW,
            ).float()

    def _cropped(
        self,
        x_B3HW: torch.Tensor,
        target_B3HW: torch.Tensor,
        eps_B3HW: torch.Tensor,
        known: Known,
        seeds_B: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Known]:
        """One crop per sample, at the same place in everything that has the canvas's size."""
        if self.cfg.train.crop is None:
            return x_B3HW, target_B3HW, eps_B3HW, known
        height, width = self.cfg.train.crop
        slack = self.size_hw[0] - height, self.size_hw[1] - width
        tops = (uniform_B(seeds_B, "crop", "top") * (slack[0] + 1)).long().tolist()
        lefts = (uniform_B(seeds_B, "crop", "left") * (slack[1] + 1)).long().tolist()

        def crop(planes: torch.Tensor) -> torch.Tensor:
            places = zip(planes, tops, lefts, strict=True)
            return torch.stack([plane[:, top : top + height, left : left + width] for plane, top, left in places])

        assert known.low_B3HW is not None
        known = replace(
            known,
            conditions=_cropped_conditions(known.conditions, crop),
            low_B3HW=crop(known.low_B3HW),
            guess_B3HW=crop(known.guess_B3HW),
            spread_B1HW=crop(known.spread_B1HW),
        )
        return crop(x_B3HW), crop(target_B3HW), crop(eps_B3HW), known


def _cropped_conditions(conditions: Conditions, crop: Any) -> Conditions:  # noqa: ANN401 (a local function)
    planes = {
        field.name: crop(getattr(conditions, field.name)) for field in fields(conditions) if field.name.endswith("HW")
    }
    return replace(conditions, **planes)
