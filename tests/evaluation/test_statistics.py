"""Intervals hold the truth about as often as they say, and repeat from their seed."""

from __future__ import annotations

import numpy as np
import pytest

from tryon.evaluation.statistics import estimate


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(200):
        found = estimate(rng.normal(5.0, 2.0, size=40), num_resamples=400, seed=trial)
        hits += found.low <= 5.0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99  # 95 %, give and take the bootstrap's own bias at n = 40 and 200 trials


def test_interval_width_is_that_of_the_standard_error() -> None:
    values_N = np.random.default_rng(0).normal(0, 1, 400)
    found = estimate(values_N, num_resamples=4000, seed=1)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values_N.std() / 20, rel=0.05)


def test_same_seed_same_interval() -> None:
    values_N = np.arange(20.0)
    assert estimate(values_N, num_resamples=200, seed=7) == estimate(values_N, num_resamples=200, seed=7)
    assert estimate(values_N, num_resamples=200, seed=7) != estimate(values_N, num_resamples=200, seed=8)


def test_one_pair_has_no_interval() -> None:
    assert estimate(np.array([2.5]), num_resamples=200, seed=0).as_dict() == {
        "mean": 2.5,
        "low": None,
        "high": None,
        "num": 1,
    }


def test_infinite_values_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        estimate(np.array([1.0, np.inf]), num_resamples=200, seed=0)
