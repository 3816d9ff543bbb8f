"""What each number is meant to see moves it, and what it is meant to ignore does not; equal sets are perfect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageDraw
from stand_ins import draw

from tryon.evaluation import metrics
from tryon.evaluation.embeddings import garment_crop
from tryon.evaluation.learned import Lpips
from tryon.evaluation.protocols import catalogue, scoring
from tryon.evaluation.protocols.interface import Protocol, Weights
from tryon.evaluation.protocols.scoring import Case, Scorer

SIZE_HW = (96, 72)
NUM = 12
Change = Callable[[np.ndarray], np.ndarray]


def garment_mask() -> np.ndarray:
    mask_HW = np.zeros(SIZE_HW, bool)
    mask_HW[32:72, 20:52] = True
    return mask_HW


def repaint_region() -> np.ndarray:
    """Where a try-on may paint: the garment and some pixels round it."""
    region_HW = np.zeros(SIZE_HW, bool)
    region_HW[28:76, 16:56] = True
    return region_HW


def person(index: int) -> np.ndarray:
    """A person in a striped garment before a soft background."""
    picture = draw(SIZE_HW, index)
    brush = ImageDraw.Draw(picture)
    brush.rectangle((20, 32, 51, 71), fill=(170, 60, 50))
    for y in range(34, 72, 6):
        brush.line((20, y, 51, y), fill=(230, 215, 190), width=2)
    return np.asarray(picture)


def nothing(image_HWC: np.ndarray) -> np.ndarray:
    return image_HWC.copy()


def shift(image_HWC: np.ndarray) -> np.ndarray:
    """The garment moves down by three pixels, half a stripe, inside its own outline."""
    moved_HWC = image_HWC.copy()
    mask_HW = garment_mask()
    rows = image_HWC[32:72, 20:52]
    moved_HWC[mask_HW] = np.roll(rows, 3, axis=0).reshape(-1, 3)
    return moved_HWC


def tint(image_HWC: np.ndarray) -> np.ndarray:
    """A colour cast on the garment: same structure."""
    cast_HWC = image_HWC.astype(np.int16)
    cast_HWC[garment_mask()] += np.array([-14, 0, 18], np.int16)
    return np.clip(cast_HWC, 0, 255).astype(np.uint8)


def swap(image_HWC: np.ndarray) -> np.ndarray:
    """Another garment: green with dots, in the same place."""
    picture = Image.fromarray(image_HWC)
    brush = ImageDraw.Draw(picture)
    brush.rectangle((20, 32, 51, 71), fill=(40, 120, 70))
    for y in range(36, 72, 10):
        for x in range(24, 52, 10):
            brush.ellipse((x, y, x + 4, y + 4), fill=(20, 30, 90))
    return np.asarray(picture)


def background(image_HWC: np.ndarray) -> np.ndarray:
    """Twenty levels more in a corner that nobody was asked to paint."""
    changed_HWC = image_HWC.astype(np.int16)
    changed_HWC[:16, :16] += 20
    return np.clip(changed_HWC, 0, 255).astype(np.uint8)


def numbers(change: Change, lpips: Lpips) -> dict[str, float]:
    """Means over pictures of everything that is known of a result with a truth."""
    found: dict[str, list[float]] = {}
    for index in range(4):
        truth_HWC = person(index)
        result_HWC = change(truth_HWC)
        regions = {"garment": garment_mask()}
        values: dict[tuple[str, str], float | None] = {
            **metrics.compare(result_HWC, truth_HWC, regions),
            **lpips(result_HWC, truth_HWC, regions),
            ("outside_error", "kept"): metrics.outside_error(result_HWC, truth_HWC, repaint_region()),
            ("garment_delta_e", "expected"): metrics.garment_delta_e(
                result_HWC, garment_mask(), truth_HWC, garment_mask()
            ),
        }
        for (metric, region), value in values.items():
            assert value is not None
            found.setdefault(f"{metric} {region}", []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


PERFECT = {
    "psnr whole": 60.0, "ssim whole": 1.0, "lpips whole": 0.0, "psnr garment": 60.0, "ssim garment": 1.0,
    "lpips garment": 0.0, "delta_e garment": 0.0, "mean_delta_e garment": 0.0, "outside_error kept": 0.0,
    "garment_delta_e expected": 0.0, "gms garment": 1.0, "gradient_ratio garment": 1.0,
}  # fmt: skip


class Row(NamedTuple):
    """A change, what must see it (by at least so much), and what must not (by at most so much)."""

    change: Change
    sees: dict[str, float]
    ignores: dict[str, float]


TABLE = [
    Row(nothing, {}, dict.fromkeys(PERFECT, 1e-6)),
    Row(
        shift,
        {"ssim garment": 0.3, "lpips garment": 0.01, "psnr garment": 30, "delta_e garment": 5},
        {
            "mean_delta_e garment": 0.7, "garment_delta_e expected": 0.7, "outside_error kept": 0,
            "gradient_ratio garment": 0.1,
        },
    ),
    Row(
        tint,
        {"mean_delta_e garment": 4, "delta_e garment": 4, "garment_delta_e expected": 4, "psnr garment": 25},
        {"ssim garment": 0.1, "gms garment": 0.02, "outside_error kept": 0},
    ),
    Row(
        swap,
        {"ssim garment": 0.5, "lpips garment": 0.02, "mean_delta_e garment": 30, "garment_delta_e expected": 30},
        {"outside_error kept": 0},
    ),
    Row(
        background,
        {"outside_error kept": 0.5, "psnr whole": 15},
        {"psnr garment": 1e-6, "ssim garment": 1e-6, "delta_e garment": 1e-6, "garment_delta_e expected": 1e-6},
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def lpips(weights: dict[Weights, Path]) -> Lpips:
    return Lpips(weights["lpips_weights"])


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.change.__name__)
def test_a_change_moves_what_is_meant_to_see_it_and_nothing_else(row: Row, lpips: Lpips) -> None:
    found = numbers(row.change, lpips)
    for name, least in row.sees.items():
        assert abs(found[name] - PERFECT[name]) >= least, (name, found[name])
    for name, most in row.ignores.items():
        assert abs(found[name] - PERFECT[name]) <= most, (name, found[name])


def few(protocol: Protocol) -> Protocol:
    """The same for a handful of pictures."""
    fid = replace(protocol.fid, min_pictures=2) if protocol.fid else None
    kid = replace(protocol.kid, min_pictures=2, subset_size=NUM) if protocol.kid else None
    features = protocol.features
    if features is not None and features.package != "clean-fid":
        features = replace(features, num=64)
    return replace(protocol, fid=fid, kid=kid, features=features, result_sizes=None)


@pytest.mark.parametrize("protocol", catalogue.PROTOCOLS.values(), ids=catalogue.PROTOCOLS)
def test_identical_sets_are_perfect_in_every_protocol(protocol: Protocol, weights: dict[Weights, Path]) -> None:
    protocol = few(protocol)
    if protocol.name in ("ladi", "tpd"):  # they would enlarge these small pictures to 512x384: slow, and no other path
        protocol = replace(
            protocol,
            compared_hw=SIZE_HW if protocol.compared_hw else None,
            truth=replace(protocol.truth, size_hw=SIZE_HW),
        )
    scorer = Scorer(protocol, weights)
    asked = sorted({*protocol.paired, *protocol.unpaired})
    seen = [scorer.look_all([Case([person(index)], person(index), ".png", "")], asked)[0] for index in range(NUM)]
    values = {metric: [row.values[0][metric] for row in seen] for metric in seen[0].values[0]}
    # torchmetrics computes in 32 bit, where a difference of two large means leaves 2e-5
    assert values["ssim"] == pytest.approx([1.0] * NUM, abs=1e-4)
    assert values["lpips"] == pytest.approx([0.0] * NUM, abs=1e-6)
    for metric in ("fid", "kid"):
        if metric in asked:
            features = np.stack([row.features[0] for row in seen]), np.stack([row.true_features for row in seen])
            number = scoring.set_score(protocol, metric, *features, seed=0)
            # KID leaves each picture's likeness to itself out, so of identical sets it is below zero, not zero
            assert number["value"] <= 1e-3, (metric, number)
            if metric == "fid":
                assert number["value"] == pytest.approx(0, abs=1e-3)


def test_fid_sees_other_pictures_and_not_their_order(weights: dict[Weights, Path]) -> None:
    protocol = few(catalogue.TRYON)
    scorer = Scorer(protocol, weights)
    people = [person(index) for index in range(NUM)]
    seen = [
        scorer.look_all([Case([image_HWC, swap(image_HWC)], image_HWC, ".png", "")], ("fid",))[0]
        for image_HWC in people
    ]
    true_ND = np.stack([row.true_features for row in seen])
    same_ND, swapped_ND = (np.stack([row.features[position] for row in seen]) for position in (0, 1))
    fid = {
        name: scoring.set_score(protocol, "fid", rows_ND, true_ND, seed=0)["value"]
        for name, rows_ND in (("same", same_ND), ("shuffled", same_ND[::-1].copy()), ("swapped", swapped_ND))
    }
    assert fid["same"] == pytest.approx(0, abs=1e-3)
    assert fid["shuffled"] == pytest.approx(fid["same"], abs=1e-3)
    assert fid["swapped"] > 20 * abs(fid["same"])


def test_a_crop_shows_the_garment_on_white() -> None:
    image_HWC = person(0)
    crop_HWC = garment_crop(image_HWC, garment_mask())
    assert crop_HWC.shape == (40, 32, 3)
    assert (crop_HWC == image_HWC[32:72, 20:52]).all()
    holed_HW = garment_mask()
    holed_HW[40:44, 30:34] = False
    assert (garment_crop(image_HWC, holed_HW)[8:12, 10:14] == 255).all()
    assert garment_crop(image_HWC, np.zeros(SIZE_HW, bool)) is None
