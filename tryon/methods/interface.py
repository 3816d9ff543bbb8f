"""What training, sampling and evaluation know of a method: conditions in, a loss or pictures out.

A method is a list of stages. A stage builds its network, returns a loss per sample, and turns conditions (plus
the picture of the stage before it) into pictures. Shapes end in axis letters: B sample, H/W canvas, h/w canvas
of the stage before, K keypoint, 3 colour or (x, y, visibility).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace

import torch
from torch import nn

from tryon.config import SamplingConfig, StageConfig


@dataclass(frozen=True)
class Conditions:
    """Everything a stage may look at, for a batch; float32.

    Attributes:
        agnostic_B3HW: the person in [-1, 1] where nothing is repainted, 0 inside the region.
        region_B1HW: 1 where the person is repainted, else 0.
        garment_B3HW: the garment's cut-out in [-1, 1], 0 outside the garment.
        garment_mask_B1HW: 1 on the garment, else 0.
        prealigned_B3HW: the garment warped to the person's pose in [-1, 1], 0 outside.
        prealigned_mask_B1HW: coverage of the warped garment in [0, 1].
        person_keypoints_BK3: x, y in [0, 1] of the canvas and visibility; invisible points are (0, 0, 0).
        garment_keypoints_BK3: the same for the garment photo.
        low_B3hw: the picture of the stage before in [-1, 1], or None.
        is_null_B: bool, true where `without_garment` has left the garment out; None: nowhere.
    """

    agnostic_B3HW: torch.Tensor
    region_B1HW: torch.Tensor
    garment_B3HW: torch.Tensor
    garment_mask_B1HW: torch.Tensor
    prealigned_B3HW: torch.Tensor
    prealigned_mask_B1HW: torch.Tensor
    person_keypoints_BK3: torch.Tensor
    garment_keypoints_BK3: torch.Tensor
    low_B3hw: torch.Tensor | None = None
    is_null_B: torch.Tensor | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.agnostic_B3HW)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The fields that are set, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def to(self, device: torch.device | str) -> Conditions:
        """The same conditions on a device."""
        return replace(self, **{name: value.to(device) for name, value in self.tensors().items()})

    def select(self, index: torch.Tensor | slice) -> Conditions:
        """The samples at `index`, in that order."""
        return replace(self, **{name: value[index] for name, value in self.tensors().items()})

    def with_low(self, low_B3hw: torch.Tensor) -> Conditions:
        """The same conditions with the picture of the stage before."""
        return replace(self, low_B3hw=low_B3hw)

    def without_garment(self, drop_B: torch.Tensor) -> Conditions:
        """Null the garment, its mask, its keypoints and its warped copy together where drop_B is true.

        All four go at once, so the state that guidance subtracts is one the network has seen in training.
        """
        keep_B = (~drop_B).to(self.garment_B3HW)
        keep_B111, keep_B11 = keep_B[:, None, None, None], keep_B[:, None, None]
        return replace(
            self,
            garment_B3HW=self.garment_B3HW * keep_B111,
            garment_mask_B1HW=self.garment_mask_B1HW * keep_B111,
            prealigned_B3HW=self.prealigned_B3HW * keep_B111,
            prealigned_mask_B1HW=self.prealigned_mask_B1HW * keep_B111,
            garment_keypoints_BK3=self.garment_keypoints_BK3 * keep_B11,
            is_null_B=self.nulls_B | drop_B,
        )

    def without_each(
        self, garment_B: torch.Tensor, garment_pose_B: torch.Tensor, person_pose_B: torch.Tensor
    ) -> Conditions:
        """Null the garment with its warped copy, its keypoints, or the person's keypoints, each where its bool [B] is.

        A sample that loses garment and garment pose is what `without_garment` makes of it.
        """
        null = self.without_garment(garment_B & garment_pose_B)
        keeps_garment_B111 = (~garment_B).to(self.garment_B3HW)[:, None, None, None]
        return replace(
            null,
            garment_B3HW=null.garment_B3HW * keeps_garment_B111,
            garment_mask_B1HW=null.garment_mask_B1HW * keeps_garment_B111,
            prealigned_B3HW=null.prealigned_B3HW * keeps_garment_B111,
            prealigned_mask_B1HW=null.prealigned_mask_B1HW * keeps_garment_B111,
            garment_keypoints_BK3=null.garment_keypoints_BK3 * (~garment_pose_B)[:, None, None],
            person_keypoints_BK3=null.person_keypoints_BK3 * (~person_pose_B)[:, None, None],
        )

    @property
    def nulls_B(self) -> torch.Tensor:
        """`is_null_B`, false everywhere where that is None."""
        if self.is_null_B is not None:
            return self.is_null_B
        return torch.zeros(len(self), dtype=torch.bool, device=self.agnostic_B3HW.device)

    @staticmethod
    def cat(parts: list[Conditions]) -> Conditions:
        """Batches one after the other."""
        if any(part.is_null_B is not None for part in parts):
            parts = [replace(part, is_null_B=part.nulls_B) for part in parts]
        names = parts[0].tensors()
        return Conditions(**{name: torch.cat([part.tensors()[name] for part in parts]) for name in names})


class Stage(ABC):
    """One trainable network of a method.

    Attributes:
        name: key of the stage in the configuration.
        cfg: its settings.
        size_hw: height and width of the pictures it makes.
        low_size_hw: height and width of the pictures it starts from; None for a first stage.
        garment_hw: height and width of the garment photo that is warped to the person.
    """

    def __init__(self, name: str, cfg: StageConfig) -> None:
        self.name = name
        self.cfg = cfg
        self.size_hw: tuple[int, int] = cfg.size
        self.low_size_hw: tuple[int, int] | None = cfg.low_size
        self.garment_hw: tuple[int, int] = cfg.garment_size or cfg.size

    def laid_out(self, planes_BCHW: torch.Tensor) -> torch.Tensor:
        """Pictures in the order in memory that the network is to work in.

        Convolutions take the order of what they are given, so weights need no order of their own. They had better
        not: FSDP refuses such weights, and AdamW would pair them with moments read from a checkpoint in another order.
        """
        order = torch.channels_last if self.cfg.train.channels_last else torch.contiguous_format
        return planes_BCHW.contiguous(memory_format=order)

    @abstractmethod
    def build(self) -> nn.Module:
        """A network with fresh weights, drawn from torch's global generator (seed it for a fixed start)."""

    @abstractmethod
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
        """Loss of each sample.

        A super-resolution stage shrinks the target to its low size where `conditions.low_B3hw` is None, so
        that it learns from true low-resolution pictures.

        Args:
            network: what `build` returned, possibly wrapped (DDP); only its forward is called.
            target_B3HW: the true picture, float32 in [-1, 1].
            conditions: of the same samples, on the same device.
            seeds_B: int64 [B]; all randomness is drawn from them, on the CPU.
            condition_dropout: False for validation.
            worn_B1HW: 1 where the true picture shows the garment, which a loss may weigh more, else 0; None: unknown.
                It belongs to the truth: no network sees it.

        Returns:
            float32 [B].
        """

    @abstractmethod
    def sample(
        self, network: nn.Module, conditions: Conditions, seeds_B: torch.Tensor, cfg: SamplingConfig
    ) -> torch.Tensor:
        """Pictures made from noise.

        Args:
            network: unwrapped, in eval mode.
            conditions: with `low_B3hw` for a super-resolution stage.
            seeds_B: int64 [B]; a picture depends on its own seed alone, not on the rest of the batch.
            cfg: sampler, steps, guidance.

        Returns:
            float32 [B, 3, H, W] in [-1, 1], equal to the person outside the region.
        """


def num_params(network: nn.Module) -> int:
    """Number of trainable parameters (works on the meta device too)."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
