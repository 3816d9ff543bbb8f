"""The last stage: imagen-pytorch's efficient U-Net, trained on crops without attention, sampled whole.

Zhu et al. 2023, section 3.1: the 256 → 1024 stage is a super-resolution network trained on random crops (the
Efficient U-Net of Saharia et al. 2022, arXiv 2205.11487, Appendix B), without attention, so that it works at any size.
Network from imagen-pytorch, diffusion mathematics ours.

Differs from the paper, whose network sees the low-resolution picture alone: it is also given what is known of the
person, and by a setting the warped garment.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tryon.methods.interface import Conditions
from tryon.methods.seeds import uniform_B
from tryon.methods.tryondiffusion.denoising import DenoisingStage, Known

COND_CHANNELS = 4  # agnostic 3, region 1
PREALIGNED_CHANNELS = 4  # warped garment 3, its coverage 1


class ImagenSRStage(DenoisingStage):
    """Super-resolution by imagen_pytorch.Unet.

    The low-resolution input is the enlarged picture with the person's own pixels pasted outside the region.
    """

    def build(self) -> nn.Module:
        """An imagen_pytorch.Unet with fresh weights."""
        from tryon import shims

        imagen_pytorch = shims.import_imagen()
        network = self.cfg.network
        width = network.channels
        unet = imagen_pytorch.Unet(
            dim=width[0],
            dim_mults=tuple(channels // width[0] for channels in width),
            num_resnet_blocks=tuple(network.blocks),
            lowres_cond=True,
            cond_images_channels=COND_CHANNELS + PREALIGNED_CHANNELS * network.prealigned,
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
        if self.cfg.train.channels_last:
            for module in unet.modules():
                if isinstance(module, nn.Conv2d):
                    # the rearrangements between its levels lose the order of what `predict` gives it
                    module.register_forward_pre_hook(_in_channels_last)
        if self.cfg.train.gradient_checkpointing:
            for module in unet.modules():
                if isinstance(module, imagen_pytorch.imagen_pytorch.ResnetBlock):
                    # no wrapper module, which would change the names of the weights; and no `forward` of the instance,
                    # which the copies of strategy dp would share, with the first GPU's weights
                    module.__class__ = _recomputing(imagen_pytorch.imagen_pytorch.ResnetBlock)
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
        planes = [conditions.agnostic_B3HW, conditions.region_B1HW]
        if self.cfg.network.prealigned:
            planes += [conditions.prealigned_B3HW, conditions.prealigned_mask_B1HW]

        with self._autocast(x_BCHW.device):
            return network(
                self.laid_out(x_BCHW),
                self.schedule.unit_time(steps_B),
                lowres_cond_img=self.laid_out(known.guess_B3HW),
                lowres_noise_times=known.level_B,
                cond_images=self.laid_out(torch.cat(planes, dim=1)),
            ).float()

    def _cropped(
        self, planes: tuple[torch.Tensor, ...], known: Known, seeds_B: torch.Tensor
    ) -> tuple[tuple[torch.Tensor, ...], Known]:
        """One crop per sample, at the same place in everything that has the canvas's size."""
        if self.cfg.train.crop is None:
            return planes, known
        height, width = self.cfg.train.crop
        slack = self.size_hw[0] - height, self.size_hw[1] - width
        tops = (uniform_B(seeds_B, "crop", "top") * (slack[0] + 1)).long().tolist()
        lefts = (uniform_B(seeds_B, "crop", "left") * (slack[1] + 1)).long().tolist()

        def crop(plane_BCHW: torch.Tensor) -> torch.Tensor:
            places = zip(plane_BCHW, tops, lefts, strict=True)
            return torch.stack([sample[:, top : top + height, left : left + width] for sample, top, left in places])

        assert known.low_B3HW is not None
        known = replace(
            known,
            conditions=_cropped_conditions(known.conditions, crop),
            low_B3HW=crop(known.low_B3HW),
            guess_B3HW=crop(known.guess_B3HW),
            spread_B1HW=crop(known.spread_B1HW),
        )
        return tuple(crop(plane_BCHW) for plane_BCHW in planes), known


@cache
def _recomputing(block: type[nn.Module]) -> type[nn.Module]:
    """The same block, but with `gradient_checkpointing`."""

    class RecomputingBlock(block):  # type: ignore[misc, valid-type]
        def forward(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 (as the block has it)
            return checkpoint(super().forward, *given, use_reentrant=False, preserve_rng_state=False, **named)

    return RecomputingBlock


def _in_channels_last(_module: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (given[0].contiguous(memory_format=torch.channels_last), *given[1:])


def _cropped_conditions(conditions: Conditions, crop: Any) -> Conditions:  # noqa: ANN401 (a local function)
    planes = {
        field.name: crop(getattr(conditions, field.name)) for field in fields(conditions) if field.name.endswith("HW")
    }
    return replace(conditions, **planes)
