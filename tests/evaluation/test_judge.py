"""What is judged beside what, and pictures of other sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tryon.evaluation.judge import Entry, Judge, enlarged, entries
from tryon.evaluation.pair_lists import Pair
from tryon.packed import PackedPhoto


def test_every_stage_is_judged_at_its_size_and_everything_at_the_final_one() -> None:
    table = entries({"base": (32, 24), "sr": (64, 48)}, {"regression": (32, 24)})
    lines = [(e.kind, e.system, e.stage, e.made_hw[0], e.judged_hw[0]) for e in table if e.kind != "baseline"]
    assert lines == [
        ("stage", "cascade", "base", 32, 32),
        ("reference", "regression", "regression", 32, 32),
        ("cascade", "cascade", "sr", 64, 64),
        ("stage", "cascade", "base", 32, 64),
        ("oracle", "oracle", "sr", 64, 64),
        ("reference", "regression", "regression", 32, 64),
    ]
    for size in (32, 64):
        names = [e.system for e in table if e.kind == "baseline" and e.judged_hw[0] == size]
        assert names == ["keep", "paste", "paste_limbs", "mean_colour", "paste_mean_fill", "limbs_mean_fill"]


def test_enlarging_paints_the_region_and_keeps_the_person() -> None:
    person_HWC = np.full((16, 12, 3), 50, np.uint8)
    region_HW = np.zeros((16, 12), np.float32)
    region_HW[4:12] = 1
    result_HWC = enlarged(np.full((8, 6, 3), 200, np.uint8), person_HWC, region_HW)
    assert (result_HWC == np.where(region_HW[..., None] > 0, 200, 50)).all()


def test_a_picture_of_the_right_size_is_judged_as_it_is() -> None:
    """Should a stage fail to keep the person, that must show."""
    picture_HWC = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    assert enlarged(picture_HWC, np.zeros_like(picture_HWC), np.zeros((16, 12))) is picture_HWC


class Blank:
    """Packed photos of one grey, all garment and all region, at any size; remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[int, int]]] = []

    def read(self, id_: str, size_hw: tuple[int, int]) -> PackedPhoto:
        self.asked.append((id_, size_hw))
        ones_HW = np.ones(size_hw, np.uint8)
        image_HWC = np.full((*size_hw, 3), 128, np.uint8)
        return PackedPhoto(id_, image_HWC, 0 * ones_HW, ones_HW, ones_HW, np.zeros((17, 3), np.float32))


@pytest.mark.parametrize("garment_hw", [(32, 24), (64, 48)])
def test_baselines_warp_the_garment_photo_that_the_networks_are_given(garment_hw: tuple[int, int]) -> None:
    size_hw = (32, 24)
    paste = Entry("baseline", "paste", "", size_hw, size_hw)
    pair = Pair("p__g", "test_unpaired", "person/p", "garment/g", "up", None, None)
    packed: Any = Blank()
    judge = Judge([paste], packed, {}, Path(), packed, 255, {size_hw: garment_hw})
    assert judge.view(pair, size_hw).pictures[paste].shape == (*size_hw, 3)
    assert {size for id_, size in packed.asked if id_ == "garment/g"} == {size_hw, garment_hw}
    assert {size for id_, size in packed.asked if id_ == "person/p"} == {size_hw}
