"""Shares of the final error: known errors are found again, and what is not told apart is not called clear."""

from __future__ import annotations

import numpy as np
import pytest

from tryon.evaluation.blame import Blame, blame

PAIRS = 60


def found(own: list[float], num_pairs: int = PAIRS) -> Blame:
    """The blame of stages that add these squared errors to what they are given, of pairs as hard as it comes."""
    rng = np.random.default_rng(0)
    hard_N = np.exp(rng.normal(size=num_pairs))
    chain_SN = np.cumsum([error * hard_N for error in own], axis=0)
    oracle_SN = np.array([error * hard_N for error in own])
    jitter = np.exp(0.05 * rng.normal(size=chain_SN.shape))
    chain_db_SN, oracle_db_SN = -10 * np.log10(chain_SN * jitter), -10 * np.log10(oracle_SN)
    return blame(chain_db_SN, oracle_db_SN, num_resamples=400, seed=0)


@pytest.mark.parametrize("most", [0, 1, 2])
def test_errors_that_add_up_are_shared_out_as_they_were_added(most: int) -> None:
    own = [0.2, 0.2, 0.2]
    own[most] = 0.6
    shared = found(own)
    assert (shared.most, shared.is_clear) == (most, True)
    assert [share.mean for share in shared.shares] == pytest.approx(own, abs=0.02)
    assert sum(share.mean for share in shared.shares) == pytest.approx(1)
    for share in shared.shares:
        assert share.low is not None
        assert share.high is not None
        assert share.low <= share.mean <= share.high


def test_equal_shares_are_not_told_apart() -> None:
    assert not found([1 / 3, 1 / 3, 1 / 3]).is_clear


def test_one_pair_says_nothing_for_sure() -> None:
    shared = found([0.1, 0.8, 0.1], num_pairs=1)
    assert not shared.is_clear
    assert shared.shares[1].low is None


def test_a_stage_that_does_better_on_its_input_than_on_the_truth_inherits_nothing() -> None:
    shared = blame(
        np.array([[20.0, 20.0], [22.0, 23.0]]), np.array([[0.0, 0.0], [21.0, 22.0]]), num_resamples=100, seed=0
    )
    assert [share.mean for share in shared.shares] == [0, 1]
    assert shared.is_clear


def test_numbers_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="all finite"):
        blame(np.zeros((2, 3)), np.zeros((3, 3)), num_resamples=100, seed=0)
    with pytest.raises(ValueError, match="all finite"):
        blame(np.full((2, 3), np.nan), np.zeros((2, 3)), num_resamples=100, seed=0)
