"""The exponential moving average of the weights, which is what gets validated, sampled and shipped."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tryon.config import TrainConfig
from tryon.training.schedules import ema_decay_at

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]


class Ema:
    """average <- d * average + (1 - d) * weights after each optimizer step, d = `ema_decay_at(step)`.

    Buffers are copied, not averaged.

    Attributes:
        network: the averaged network, in eval mode.
    """

    def __init__(self, network: nn.Module, cfg: TrainConfig) -> None:
        self._cfg = cfg
        self._decay = 0.0
        # the count of averages stays on the CPU: reading it from a GPU would wait for the GPU at each step
        self._averaged = AveragedModel(network, multi_avg_fn=self._average)
        self._averaged.n_averaged = self._averaged.n_averaged.cpu()
        self._averaged.requires_grad_(False)
        self.network: nn.Module = self._averaged.module.eval()

    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights that optimizer step `step` (0-based) has made."""
        self._decay = ema_decay_at(step, self._cfg)
        self._averaged.n_averaged.fill_(step)
        self._averaged.update_parameters(network)

    @torch.no_grad()
    def _average(self, average: Tensors, weights: Tensors, _: torch.Tensor | int) -> None:
        torch._foreach_lerp_(average, weights, 1.0 - self._decay)
