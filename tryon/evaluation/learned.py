"""LPIPS of our own protocol, on the whole picture and inside regions. Nothing is downloaded.

Used by `tryon evaluate`. The `lpips` package, whose linear layers ship with it, over torchvision's AlexNet
(Zhang et al. 2018, version 0.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from tryon.evaluation.protocols.catalogue import TRYON
from tryon.evaluation.protocols.similarity import LpipsNetwork, signed


class Lpips:
    """LPIPS as the protocol `tryon` declares it, and its spatial map averaged over regions.

    Args:
        weights: state dict of torchvision's AlexNet.

    Raises:
        UserError: not those weights.
    """

    def __init__(self, weights: Path | str) -> None:
        if TRYON.lpips is None:
            raise ValueError("the protocol tryon has no LPIPS")
        self._whole = LpipsNetwork(TRYON.lpips, weights)

    def too_small(self, size_hw: tuple[int, ...]) -> str | None:
        """Why pictures of a size cannot be compared."""
        return self._whole.too_small(size_hw)

    @torch.no_grad()
    def __call__(
        self, picture_HWC: np.ndarray, truth_HWC: np.ndarray, regions: Mapping[str, np.ndarray]
    ) -> dict[tuple[str, str], float]:
        """{("lpips", region): distance} for "whole" and each region that is not empty; uint8 RGB inputs.

        Pictures below the backbone's smallest size have no distance.
        """
        if self.too_small(truth_HWC.shape):
            return {}
        # the published number averages each layer at its own size, a map brings all layers to the picture's
        values = {("lpips", "whole"): self._whole(picture_HWC, truth_HWC)}
        inside = {region: mask_HW for region, mask_HW in regions.items() if mask_HW.any()}
        if inside:
            network = self._whole.network
            network.spatial = True
            map_HW = network(signed(picture_HWC), signed(truth_HWC))[0, 0].numpy()
            network.spatial = False
            for region, mask_HW in inside.items():
                values["lpips", region] = float(map_HW[mask_HW].mean(dtype=np.float64))
        return values
