"""Scores of cut-outs: what is doubted, what is refused, and that the stability score is segment-anything's."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from segment_anything.utils.amg import calculate_stability_score

from tryon.config import CutoutsConfig
from tryon.errors import BadItem
from tryon.prepare.cutter import STABILITY_OFFSET, stability
from tryon.prepare.quality import Cut, Scores, doubts_of, facts, iou, refuse_strangers, scores_of

CFG = CutoutsConfig(doubtful_agreement=0.8, doubtful_predicted_iou=0.85, doubtful_stability=0.9)
FINE = Scores(0.95, 0.95, 0.95)


def test_the_stability_score_is_segment_anythings() -> None:
    rng = np.random.default_rng(0)
    for spread in (0.5, 3.0, 30.0):
        logits_HW = rng.normal(0.0, spread, (40, 30)).astype(np.float32)
        theirs = calculate_stability_score(torch.from_numpy(logits_HW)[None], 0.0, STABILITY_OFFSET)
        assert stability(logits_HW, 0.0) == pytest.approx(float(theirs[0]))


def test_an_empty_mask_is_not_stable() -> None:
    assert stability(np.full((4, 4), -20.0), 0.0) == 0.0
    assert stability(np.full((4, 4), 20.0), 0.0) == 1.0


def test_every_score_below_its_threshold_is_said() -> None:
    scores = {"up": Scores(0.79, 0.9, 0.95), "person": FINE, "head": Scores(0.9, 0.84, 0.2)}
    assert doubts_of(scores, CFG) == [
        "up: agreement 0.79 < 0.8",
        "head: predicted iou 0.84 < 0.85",
        "head: stability 0.2 < 0.9",
    ]
    assert doubts_of({"up": FINE}, CFG) == []
    assert doubts_of({"up": Scores(1.0, None, None)}, CFG) == [], "a trusted annotation has no scores to doubt"


def test_the_columns_are_those_of_the_worst_part() -> None:
    columns = facts({"up": Scores(0.7, 0.99, 0.97), "person": Scores(0.9, 0.91, 0.98)}, CFG)
    assert (columns["agreement"], columns["predicted_iou"], columns["stability"]) == (0.7, 0.91, 0.97)
    assert columns["doubtful"] is True
    assert columns["doubts"] == "up: agreement 0.7 < 0.8"
    assert json.loads(str(columns["quality"]))["person"] == {"agreement": 0.9, "predicted_iou": 0.91, "stability": 0.98}
    assert facts({"up": FINE}, CFG)["doubtful"] is False


def test_a_stray_garment_costs_the_photo_and_a_stray_hand_does_not() -> None:
    refuse_strangers({"up": FINE, "person": FINE, "left_hand": Scores(0.01, 0.5, 0.5)}, 0.5)
    with pytest.raises(BadItem, match="the cut-out of 'person' overlaps its annotation by IoU 0.49 only"):
        refuse_strangers({"up": FINE, "person": Scores(0.49, 0.9, 0.9)}, 0.5)


def test_agreement_is_the_overlap_with_the_annotation() -> None:
    mask_HW = np.zeros((10, 10), np.uint8)
    mask_HW[:5] = 1
    rough_HW = np.zeros_like(mask_HW)
    rough_HW[:4] = 1
    assert scores_of({"up": Cut(mask_HW, 0.9, 0.8)}, {"up": rough_HW}) == {"up": Scores(0.8, 0.9, 0.8)}
    assert iou(np.zeros((3, 3)), np.zeros((3, 3))) == 1.0
