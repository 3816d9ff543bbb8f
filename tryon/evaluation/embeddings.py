"""Embedding similarity: does the garment in the result look, to a large network, like the one in the shop photo?

CLIP-I is the cosine between CLIP's image embeddings, DINO the cosine between DINO's class tokens, as OmniTry-Bench
uses them for try-on. Both pictures are cropped to the garment's box, and what lies outside the garment is white.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from tryon.errors import UserError

WHITE = 255
Kind = Literal["clip", "dino"]


def garment_crop(image_HWC: np.ndarray, mask_HW: np.ndarray) -> np.ndarray | None:
    """The box of a garment, uint8 RGB, white around it; None where the mask is empty."""
    mask_HW = mask_HW.astype(bool)
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    if not len(rows):
        return None
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return np.where(mask_HW[box][..., None], image_HWC[box], np.uint8(WHITE))


class Embedding:
    """A network of transformers, read from a folder that `save_pretrained` wrote (model and image processor).

    Args:
        kind: CLIP with its projection, or a DINO model's class token.
        folder: config.json, weights and preprocessor_config.json.

    Raises:
        UserError: there is no such model.
    """

    def __init__(self, kind: Kind, folder: Path | str) -> None:
        from transformers import AutoImageProcessor, AutoModel, CLIPVisionModelWithProjection

        setting = f"evaluate.{kind}_model"
        if not Path(folder).is_dir():
            raise UserError(f"{setting}: {folder}: no such folder; give one that save_pretrained wrote, or null")
        model: Any = CLIPVisionModelWithProjection if kind == "clip" else AutoModel
        try:
            self._network = model.from_pretrained(str(folder), local_files_only=True).eval()
            self._processor = AutoImageProcessor.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise UserError(f"{setting}: {folder}: not a {kind} model of transformers ({error})") from None
        self._kind = kind

    @torch.no_grad()
    def __call__(self, image_HWC: np.ndarray) -> np.ndarray:
        """uint8 RGB → float32 [D] of length 1."""
        pixels = self._processor(images=Image.fromarray(image_HWC), return_tensors="pt")["pixel_values"]
        found = self._network(pixel_values=pixels)
        vector = found.image_embeds[0] if self._kind == "clip" else found.last_hidden_state[0, 0]
        unit: np.ndarray = torch.nn.functional.normalize(vector.float(), dim=0).numpy()
        return unit

    def similarity(self, image_a_HWC: np.ndarray, image_b_HWC: np.ndarray) -> float:
        """Cosine of two pictures' embeddings, in [-1, 1]."""
        return float(self(image_a_HWC) @ self(image_b_HWC))
