"""FID and KID of features: known distances, spreads that mean something, and reasons instead of noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tryon.evaluation.protocols import distances
from tryon.evaluation.protocols.catalogue import CATVTON, DCI, TPD, TRYON
from tryon.evaluation.protocols.interface import Fid, Kid

FIDS = [protocol.fid for protocol in (TRYON, DCI, TPD)]
KIDS = [protocol.kid for protocol in (TRYON, CATVTON, DCI)]


def gaussian(mean: float, num: int = 400, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, (num, 8)).astype(np.float32)


@pytest.mark.parametrize("declared", FIDS, ids=lambda fid: fid.package)
def test_fid_is_the_closed_form_of_two_gaussians(declared: Fid) -> None:
    few = replace(declared, min_pictures=100)
    assert distances.fid(few, gaussian(0), gaussian(0)).value == pytest.approx(0, abs=1e-4)
    shifted = gaussian(0) + 1.5  # the same covariance, so that only |mean difference|² = 8 * 1.5² is left
    assert distances.fid(few, gaussian(0), shifted).value == pytest.approx(18, rel=1e-4)


@pytest.mark.parametrize("declared", KIDS, ids=lambda kid: f"{kid.package} x{kid.scale}")
def test_kid_tells_one_distribution_from_two(declared: Kid) -> None:
    few = replace(declared, min_pictures=100, subset_size=100)
    same = distances.kid(few, gaussian(0), gaussian(0, seed=1), seed=0)
    other = distances.kid(few, gaussian(0), gaussian(1), seed=0)
    assert abs(same.value) < 0.05 * other.value
    assert distances.kid(few, gaussian(0), gaussian(1), seed=0) == other
    assert other.spread > 0


def test_kid_carries_the_protocols_scale() -> None:
    few = replace(TRYON.kid, min_pictures=100)
    plain = distances.kid(few, gaussian(0), gaussian(1), seed=0)
    scaled = distances.kid(replace(few, scale=1000), gaussian(0), gaussian(1), seed=0)
    assert (scaled.value, scaled.spread) == pytest.approx((1000 * plain.value, 1000 * plain.spread))


def test_our_subsets_differ_and_a_subset_of_everything_has_no_spread() -> None:
    few = replace(TRYON.kid, min_pictures=100)
    assert distances.kid(few, gaussian(0), gaussian(1), seed=0).spread > 0
    whole = replace(few, subset_share=1.0)
    assert distances.kid(whole, gaussian(0), gaussian(1), seed=0).spread is None


def test_kid_leaves_numpys_global_generator_alone() -> None:
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    distances.kid(replace(TRYON.kid, min_pictures=2), gaussian(0), gaussian(1), seed=3)
    assert np.random.random() == expected


@pytest.mark.parametrize(
    ("declared", "num", "reason"),
    [
        (TRYON.fid, 1999, "not computed: 1999 pictures, FID needs 2000"),
        (TPD.fid, 999, "not computed: 999 pictures, FID needs 1000"),
        (TRYON.kid, 49, "not computed: 49 pictures, KID needs 50"),
        (DCI.kid, 16, "not computed: 16 pictures, KID needs 1000"),
        (replace(DCI.kid, min_pictures=2), 16, "not computed: 16 pictures, KID needs 1000"),
    ],
)
def test_too_few_pictures_give_a_reason_instead_of_a_number(declared: Fid | Kid, num: int, reason: str) -> None:
    features = np.zeros((num, 8), np.float32)
    enough = np.zeros((3000, 8), np.float32)
    found = (
        distances.fid(declared, features, enough)
        if isinstance(declared, Fid)
        else distances.kid(declared, features, enough, 0)
    )
    assert (found.value, found.spread, found.reason) == (None, None, reason)
