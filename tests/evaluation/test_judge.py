"""What is judged beside what, and pictures of other sizes."""

from __future__ import annotations

import numpy as np

from tryon.evaluation.judge import enlarged, entries


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
