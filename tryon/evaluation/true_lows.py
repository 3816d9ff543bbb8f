"""What a later stage of a cascade would be given if the stage before made no mistake: the truth at the smaller size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

from tryon import images
from tryon.errors import BadItem, UserError
from tryon.evaluation.pair_lists import Pair
from tryon.geometry import Letterbox
from tryon.methods.interface import Stage


@dataclass(frozen=True)
class TrueLows:
    """The true pictures of pairs, as stages are given them.

    Attributes:
        data: the data folder, which the truths' paths are relative to.
        fill: grey level of borders, as packed.
    """

    data: Path
    fill: int

    def low(self, pair: Pair, stage: Stage) -> np.ndarray:
        """The truth at the stage's low size, uint8 RGB [h, w, 3], shrunk as in training (area).

        Raises:
            UserError: the true picture cannot be read.
        """
        assert pair.truth is not None, pair.pair_id
        assert stage.low_size_hw is not None, stage.name
        try:
            image_HWC = images.read_rgb(self.data / pair.truth)
        except BadItem as reason:
            raise UserError(f"pair {pair.pair_id}: its true picture cannot be used: {reason}") from None
        canvas_HWC = Letterbox(image_HWC.shape[:2], stage.size_hw).image(image_HWC, self.fill)
        canvas_13HW = torch.from_numpy(images.to_network(canvas_HWC)).permute(2, 0, 1)[None]
        low_3hw = F.interpolate(canvas_13HW, size=stage.low_size_hw, mode="area")[0]
        return images.from_network(low_3hw.permute(1, 2, 0).numpy())
