"""How good the averaged network is on pairs it does not learn from.

A loss whose noise never changes, and pictures of a few fixed pairs to look at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tryon import images
from tryon.config import SamplingConfig
from tryon.methods.interface import Stage
from tryon.training.feed import Batch, CanvasPhotos, Pair, fixed_batches

NUM_DRAWS = 4  # noise levels and noises per pair; one would leave the loss to the luck of its level
NUM_PICTURED = 4
BORDER_PX = 2


class Validation:
    """Validation of one stage.

    Args:
        stage: says what the loss is and how to sample.
        pairs: paired, so that the truth is known: the person's own photo.
        photos: their pictures at the stage's size.
        sample_cfg: sampler of the pictures.
        seed: same seed, same noise.
        batch_size: pairs at once.
    """

    def __init__(
        self,
        stage: Stage,
        pairs: Sequence[Pair],
        photos: CanvasPhotos,
        sample_cfg: SamplingConfig,
        *,
        seed: int,
        batch_size: int,
    ) -> None:
        self._stage, self._pairs, self._photos = stage, list(pairs), photos
        self._sample_cfg, self._seed, self._batch_size = sample_cfg, seed, batch_size

    @torch.no_grad()
    def loss(self, network: nn.Module, device: torch.device) -> float:
        """Mean loss over the pairs; no condition dropout, the same noise every time."""
        losses = [
            self._stage.loss_B(
                network,
                batch.target_B3HW.to(device),
                batch.conditions.to(device),
                batch.seeds_B,
                condition_dropout=False,
                worn_B1HW=batch.worn_B1HW.to(device),
            )
            for draw in range(NUM_DRAWS)
            for batch in self._batches(self._pairs, f"validation {draw}")
        ]
        return float(torch.cat(losses).double().mean())

    @torch.no_grad()
    def grid_HWC(self, network: nn.Module, device: torch.device) -> np.ndarray:
        """Rows of person | garment | agnostic | result | truth for the first few pairs, uint8."""
        rows = []
        for batch in self._batches(self._pairs[:NUM_PICTURED], "pictures"):
            conditions = batch.conditions.to(device)
            if self._stage.low_size_hw is not None:
                low_B3hw = functional.interpolate(batch.target_B3HW, size=self._stage.low_size_hw, mode="area")
                conditions = conditions.with_low(low_B3hw.to(device))
            result_B3HW = self._stage.sample(network, conditions, batch.seeds_B, self._sample_cfg).float().cpu()
            rows += [
                _row(columns)
                for columns in zip(
                    batch.target_B3HW,
                    batch.conditions.garment_B3HW,
                    batch.conditions.agnostic_B3HW,
                    result_B3HW,
                    batch.target_B3HW,
                    strict=True,
                )
            ]
        return np.concatenate(rows, axis=0)

    def _batches(self, pairs: Sequence[Pair], purpose: str) -> list[Batch]:
        return list(fixed_batches(pairs, self._photos, seed=self._seed, purpose=purpose, batch_size=self._batch_size))


def _row(columns: Sequence[torch.Tensor]) -> np.ndarray:
    """Pictures [3, H, W] in [-1, 1] side by side with a white border, uint8 [H', W', 3]."""
    framed = [
        np.pad(
            images.from_network(column_3HW.permute(1, 2, 0).numpy()),
            ((BORDER_PX, BORDER_PX), (BORDER_PX, BORDER_PX), (0, 0)),
            constant_values=255,
        )
        for column_3HW in columns
    ]
    return np.concatenate(framed, axis=1)
