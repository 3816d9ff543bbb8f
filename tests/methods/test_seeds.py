"""Randomness depends on the seed and the purpose, on nothing else."""

from __future__ import annotations

import pytest
import torch

from tryon.methods.seeds import integers_B, normal_B, seed_of, seeds_of, uniform_B


def test_seeds_are_the_same_on_every_machine() -> None:
    assert seed_of(0, "train", 12, 3) == 6983496427706607749
    assert len({seed_of(1, "a"), seed_of("1", "a"), seed_of("a", 1), seed_of(1, "b"), seed_of(1)}) == 5
    assert all(0 <= seed_of(number) < 2**63 for number in range(100))


def test_rows_do_not_depend_on_their_neighbours() -> None:
    alone, together = normal_B(torch.tensor([7]), (3, 4), "x"), normal_B(torch.tensor([1, 7, 9]), (3, 4), "x")
    assert torch.equal(together[1:2], alone)
    assert torch.equal(uniform_B(torch.tensor([1, 7]))[1:], uniform_B(torch.tensor([7])))
    assert seeds_of(torch.tensor([3, 4]), "low").tolist() == [seed_of(3, "low"), seed_of(4, "low")]


def test_another_purpose_gives_other_numbers() -> None:
    seeds_B = torch.tensor([7])
    assert not torch.equal(normal_B(seeds_B, (8,), "start"), normal_B(seeds_B, (8,), "step", 0))
    assert not torch.equal(normal_B(seeds_B, (8,), "step", 1), normal_B(seeds_B, (8,), "step", 0))


def test_moments() -> None:
    seeds_B = torch.arange(4000)
    drawn = normal_B(seeds_B, (20,))
    assert drawn.mean().item() == pytest.approx(0, abs=0.015)
    assert drawn.std().item() == pytest.approx(1, rel=0.01)
    uniform = uniform_B(seeds_B)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.02)
    counts = torch.bincount(integers_B(seeds_B, 4), minlength=4)
    assert counts.sum() == 4000
    assert counts.min() > 880
