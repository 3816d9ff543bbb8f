"""What a result must share with the person it was made from: where the joints are, and what no garment covers."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tryon.ontology import LABEL_INDEX

PRESERVED = ("hair", "face", "left_arm", "right_arm", "up", "down", "dress", "person")
"""Labels whose regions a try-on of another garment keeps, where they lie outside the repainted region."""


def oks(keypoints_K3: np.ndarray, found_K2: np.ndarray, area_px: float, min_score: float) -> float | None:
    """Object keypoint similarity of COCO: mean over the visible points of exp(-d² / (2 s² k²)).

    Args:
        keypoints_K3: the person's points: x, y in pixels and a score.
        found_K2: the result's points in the same frame and order.
        area_px: s²: the person's silhouette.
        min_score: points of the person that score less are not visible.

    Returns:
        In [0, 1]; None where no point is visible.
    """
    visible_K = keypoints_K3[:, 2] >= max(min_score, 1e-4)
    if not visible_K.any() or area_px <= 0:
        return None
    squared_K = ((keypoints_K3[:, :2] - found_K2) ** 2).sum(axis=1)
    exponent_K = squared_K / (2 * area_px * (2 * coco_sigmas()) ** 2)
    return float(np.exp(-exponent_K)[visible_K].mean())


def coco_sigmas() -> np.ndarray:
    """COCO's constants of the 17 points: how far annotators disagree, relative to the person's size (k = 2 sigma)."""
    from pycocotools.cocoeval import Params

    sigmas: np.ndarray = Params("keypoints").kpt_oks_sigmas
    return sigmas


def preserved_iou(
    labels_HW: np.ndarray, found_HW: np.ndarray, region_HW: np.ndarray, labels: Collection[str] = PRESERVED
) -> float | None:
    """Mean over labels of |A ∩ B| / |A ∪ B| outside the repainted region.

    Args:
        labels_HW: label map of the person photo.
        found_HW: label map of the result, made by any parser.
        region_HW: where the picture was repainted; nothing there counts.
        labels: names of the labels to compare; one that neither map shows does not count.

    Returns:
        In [0, 1]; None where no label is left to compare.
    """
    if labels_HW.shape != found_HW.shape:
        raise ValueError(f"label maps of two sizes: {labels_HW.shape} and {found_HW.shape}")
    kept_HW = ~region_HW.astype(bool)
    shares = []
    for name in labels:
        wanted_HW, seen_HW = ((plane_HW == LABEL_INDEX[name]) & kept_HW for plane_HW in (labels_HW, found_HW))
        union = int((wanted_HW | seen_HW).sum())
        if union:
            shares.append(int((wanted_HW & seen_HW).sum()) / union)
    return float(np.mean(shares)) if shares else None
