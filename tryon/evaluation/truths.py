"""The true picture of a pair, where there is one: the photo itself for a paired pair, the studio's for others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tryon import images
from tryon.dataset.formats.interface import Reader
from tryon.errors import BadItem, UserError
from tryon.evaluation.pair_lists import Pair
from tryon.geometry import Letterbox
from tryon.ontology import LABEL_INDEX
from tryon.prepare.masks import draw_label_map


@dataclass(frozen=True)
class Truth:
    """A true picture at its own size.

    Attributes:
        image_HWC: uint8 RGB.
        labels_HW: uint8 label map, drawn from its annotation; None where it has none.
    """

    image_HWC: np.ndarray
    labels_HW: np.ndarray | None

    def on_canvas(self, category: str, size_hw: tuple[int, int], fill: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The truth as the networks' canvas shows it, through the same geometry as the person photo.

        Args:
            category: garment category of the pair.
            size_hw: canvas.
            fill: grey level of the borders, as packed.

        Returns:
            uint8 RGB [H, W, 3] and {"garment": bool [H, W]}, true where the garment is seen; no region where the
            truth has no annotation, so that nothing is guessed.
        """
        letterbox = Letterbox(self.image_HWC.shape[:2], size_hw)
        true_HWC = letterbox.image(self.image_HWC, fill)
        if self.labels_HW is None:
            return true_HWC, {}
        return true_HWC, {"garment": letterbox.mask(self.labels_HW) == LABEL_INDEX[category]}


def read_truth(data: Path, pair: Pair, reader: Reader) -> Truth | None:
    """The truth of a pair, or None where nobody knows it.

    Raises:
        UserError: the table names files that are missing or unusable.
    """
    if pair.truth is None:
        return None
    try:
        image_HWC = images.read_rgb(data / pair.truth)
        if pair.truth_annotation is None:
            return Truth(image_HWC, None)
        annotation = reader.annotate(data, pair.truth_annotation, "person")
        return Truth(image_HWC, draw_label_map(annotation, image_HWC.shape[:2]))
    except BadItem as reason:
        raise UserError(f"pair {pair.pair_id}: its true picture cannot be used: {reason}") from None
