"""segment-anything's image encoder over batches of photos of any size; tryon.prepare.embeddings keeps its answers.

What it imports is part of a kept answer's key, so prompts, masks and rules stay out of here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from tryon.errors import UserError

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""Arithmetic of the encoder by the name that `cutouts.precision` gives; the decoder stays in float32."""


class Encoder:
    """A Sam's image encoder for pictures of any size."""

    def __init__(self, sam: Sam, precision: str = "fp32") -> None:
        """Wrap a model.

        Args:
            sam: see `tryon.prepare.sam.load`.
            precision: key of `DTYPES`.

        Raises:
            UserError: fp16 on a CPU, which computes it slowly or not at all.
        """
        from segment_anything.utils.transforms import ResizeLongestSide

        self.sam = sam
        self.precision = precision
        self.transform = ResizeLongestSide(sam.image_encoder.img_size)
        if precision == "fp16" and sam.device.type == "cpu":
            raise UserError(
                "cutouts.precision: fp16 needs a GPU, but the encoder runs on the CPU; set bf16 or fp32 (or "
                "cutouts.device: cuda)"
            )

    def encode(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        """One encoder pass over a batch.

        Args:
            pictures: uint8 RGB [H, W, 3], of any sizes.

        Returns:
            float16 [C, G, G] per picture: C channels on a grid over the padded square. They are rounded whether they
            are kept or not, so that masks do not depend on it.

        Raises:
            UserError: the numbers overflowed.
        """
        sam = self.sam
        with torch.no_grad(), torch.autocast(sam.device.type, DTYPES[self.precision], enabled=self.precision != "fp32"):
            features_BCGG = sam.image_encoder(torch.cat([self._square(picture) for picture in pictures]))
        half_BCGG = features_BCGG.to(torch.float16).cpu()
        if not bool(torch.isfinite(half_BCGG).all()):
            raise UserError(
                f"cutouts.precision {self.precision}: the image encoder's answer is not finite; set fp32 or bf16, and "
                "if it stays so check cutouts.checkpoint"
            )
        return list(half_BCGG.numpy())

    def input_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Size of a picture after its longer side is scaled to the encoder's square."""
        height, width = self.transform.get_preprocess_shape(*size_hw, self.transform.target_length)
        return int(height), int(width)

    def _square(self, picture_HWC: np.ndarray) -> torch.Tensor:
        scaled_HWC = torch.as_tensor(self.transform.apply_image(picture_HWC), device=self.sam.device)
        square_13SS: torch.Tensor = self.sam.preprocess(scaled_HWC.permute(2, 0, 1)[None])
        return square_13SS
