"""A segment-anything model at work on one photo: rough masks in, exact ones out, with what the model thinks of them.

The encoder's embedding of the photo (tryon.prepare.encoder) comes first; the decoder then answers the prompts of all
parts (tryon.prepare.prompts) in one pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from tryon.prepare.encoder import Encoder
from tryon.prepare.prompts import Prompts, mask_logits, prompts_for
from tryon.prepare.quality import Cut

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

SPECK_SHARE = 0.001  # islands and holes below this share of a mask's area are the decoder's noise
STABILITY_OFFSET = 1.0  # in logits; segment-anything's own default for its stability score


class SamCutter:
    """Cuts parts out of photos with a segment-anything model."""

    def __init__(self, sam: Sam, precision: str = "fp32") -> None:
        """Wrap a model; see `tryon.prepare.sam.load` and `encoder.DTYPES`."""
        self.sam = sam
        self.encoder = Encoder(sam, precision)

    def cut(self, image_HWC: np.ndarray, parts: dict[str, np.ndarray], keypoints_K3: np.ndarray) -> dict[str, Cut]:
        """Refine the rough masks of a photo's parts; the image encoder runs once.

        Args:
            image_HWC: uint8 RGB.
            parts: rough mask (uint8 {0, 1} [H, W], not empty) by part.
            keypoints_K3: COCO-17: x, y in the photo's pixels, visibility (<= 0: not visible).
        """
        return self.cut_encoded(self.encoder.encode([image_HWC])[0], parts, keypoints_K3)

    def cut_encoded(
        self, embedding_CGG: np.ndarray, parts: dict[str, np.ndarray], keypoints_K3: np.ndarray
    ) -> dict[str, Cut]:
        """As `cut`, for a photo that is already encoded.

        Args:
            embedding_CGG: float16, from `Encoder.encode`.
            parts: as for `cut`, in pixels of the photo that was encoded; not none.
            keypoints_K3: as for `cut`.
        """
        prompts = [prompts_for(rough_HW, keypoints_K3, part) for part, rough_HW in parts.items()]
        height, width = next(iter(parts.values())).shape
        input_hw = self.encoder.input_hw((height, width))
        with torch.no_grad():
            low_P1MM, iou_P1 = self._decode(embedding_CGG, prompts, (height, width))
            cuts = {}
            for index, part in enumerate(parts):  # at the photo's size one by one: large photos have large masks
                logits_11HW = self.sam.postprocess_masks(low_P1MM[index : index + 1], input_hw, (height, width))
                logits_HW = logits_11HW[0, 0].cpu().numpy()
                cuts[part] = Cut(
                    without_specks(logits_HW > self.sam.mask_threshold),
                    round(float(iou_P1[index, 0]), 4),
                    round(stability(logits_HW, self.sam.mask_threshold), 4),
                )
        return cuts

    def _decode(
        self, embedding_CGG: np.ndarray, prompts: list[Prompts], size_hw: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits [P, 1, M, M] in the padded square and predicted IoU [P, 1] of P prompts."""
        sam, transform = self.sam, self.encoder.transform
        input_hw, mask_px = self.encoder.input_hw(size_hw), sam.prompt_encoder.mask_input_size[0]
        image_px = sam.image_encoder.img_size
        points_PN2 = transform.apply_coords(np.stack([prompt.points_N2 for prompt in prompts]), size_hw)
        boxes_P4 = transform.apply_boxes(np.stack([prompt.box_xyxy for prompt in prompts]), size_hw)
        masks_P1MM = np.stack([mask_logits(prompt.mask_HW, input_hw, image_px, mask_px) for prompt in prompts])

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(values, dtype=torch.float32, device=sam.device)

        labels_PN = torch.as_tensor(np.stack([prompt.point_labels_N for prompt in prompts]), device=sam.device)
        sparse_PTC, dense_PCGG = sam.prompt_encoder(
            points=(tensor(points_PN2), labels_PN), boxes=tensor(boxes_P4), masks=tensor(masks_P1MM)
        )
        low_P1MM, iou_P1 = sam.mask_decoder(
            image_embeddings=tensor(embedding_CGG)[None],
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse_PTC,
            dense_prompt_embeddings=dense_PCGG,
            multimask_output=False,  # box, points and mask together leave nothing ambiguous
        )
        return low_P1MM, iou_P1


def without_specks(mask_HW: np.ndarray) -> np.ndarray:
    """uint8 {0, 1}: a boolean mask without tiny islands and holes; its largest island always stays."""
    from segment_anything.utils.amg import remove_small_regions

    smallest_px = SPECK_SHARE * float(mask_HW.sum())
    mask_HW, _ = remove_small_regions(mask_HW, smallest_px, "holes")
    mask_HW, _ = remove_small_regions(mask_HW, smallest_px, "islands")
    return mask_HW.astype(np.uint8)


def stability(logits_HW: np.ndarray, threshold: float) -> float:
    """How little a mask depends on its threshold, in [0, 1] (Kirillov et al. 2023, §5).

    As `segment_anything.utils.amg.calculate_stability_score`, but 0 for a mask that is empty even at the looser
    threshold.
    """
    loose_px = int(np.count_nonzero(logits_HW > threshold - STABILITY_OFFSET))
    strict_px = int(np.count_nonzero(logits_HW > threshold + STABILITY_OFFSET))
    return strict_px / loose_px if loose_px else 0.0
