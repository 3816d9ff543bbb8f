"""How far a cut-out can be trusted: the model's own scores and how well it agrees with the annotation.

A garment or person far from its annotation takes the photo out (`cutouts.min_agreement`); any cut-out below one of the
`cutouts.doubtful_…` thresholds marks the photo for the report's review sheet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from tryon.config import CutoutsConfig
from tryon.errors import BadItem
from tryon.items import Scalar
from tryon.ontology import CATEGORIES

REQUIRED = (*CATEGORIES, "person")  # what later stages rely on; a hand that went wrong costs no photo


@dataclass(frozen=True)
class Cut:
    """One part's mask.

    Attributes:
        mask_HW: uint8 {0, 1} in pixels of the photo.
        predicted_iou: the model's own estimate of its IoU with the truth; None where the annotation is trusted.
        stability: IoU of the mask at a stricter and a looser threshold, as segment-anything defines it; None likewise.
    """

    mask_HW: np.ndarray
    predicted_iou: float | None = None
    stability: float | None = None


@dataclass(frozen=True)
class Scores:
    """Of one part: IoU with the annotation, and the model's own two as in `Cut`."""

    agreement: float
    predicted_iou: float | None
    stability: float | None


MEASURES = ("agreement", "predicted_iou", "stability")


def iou(a_HW: np.ndarray, b_HW: np.ndarray) -> float:
    """Intersection over union of two {0, 1} masks; 1 where both are empty."""
    union_px = np.count_nonzero(np.logical_or(a_HW, b_HW))
    return float(np.count_nonzero(np.logical_and(a_HW, b_HW)) / union_px) if union_px else 1.0


def scores_of(cuts: Mapping[str, Cut], rough: Mapping[str, np.ndarray]) -> dict[str, Scores]:
    """Scores by part.

    Args:
        cuts: the model's answers.
        rough: uint8 {0, 1} [H, W], what the annotation says, for the same parts.
    """
    return {
        part: Scores(round(iou(cut.mask_HW, rough[part]), 4), cut.predicted_iou, cut.stability)
        for part, cut in cuts.items()
    }


def refuse_strangers(scores: Mapping[str, Scores], min_agreement: float) -> None:
    """Take out a photo whose garment or person was mistaken for something else.

    Raises:
        BadItem: the worst of them, with the ways to mend it.
    """
    worst = min((part for part in scores if part in REQUIRED), key=lambda part: scores[part].agreement)
    if scores[worst].agreement < min_agreement:
        raise BadItem(
            f"the cut-out of {worst!r} overlaps its annotation by IoU {scores[worst].agreement:.2f} only, expected at "
            f"least {min_agreement} (cutouts.min_agreement); correct the annotation, use a larger model (cutouts."
            "model_type), or set cutouts.source: annotations"
        )


def facts(scores: Mapping[str, Scores], cfg: CutoutsConfig) -> dict[str, Scalar]:
    """Columns of the stage's table.

    Returns:
        agreement, predicted_iou, stability: of the worst part in each; doubtful and doubts: what is below its
        threshold, in words; quality: JSON, scores by part.
    """
    doubts = doubts_of(scores, cfg)
    return {
        **{measure: _lowest(scores, measure) for measure in MEASURES},
        "doubtful": bool(doubts),
        "doubts": "; ".join(doubts),
        "quality": json.dumps({part: asdict(value) for part, value in scores.items()}, sort_keys=True),
    }


def doubts_of(scores: Mapping[str, Scores], cfg: CutoutsConfig) -> list[str]:
    """Every score below its threshold, such as ``"up: agreement 0.7132 < 0.8"``."""
    found = []
    for part, value in scores.items():
        for measure in MEASURES:
            score, limit = getattr(value, measure), getattr(cfg, f"doubtful_{measure}")
            if score is not None and score < limit:
                found.append(f"{part}: {measure.replace('_', ' ')} {score:g} < {limit:g}")
    return found


def _lowest(scores: Mapping[str, Scores], measure: str) -> float | None:
    values = [getattr(value, measure) for value in scores.values() if getattr(value, measure) is not None]
    return min(values) if values else None
