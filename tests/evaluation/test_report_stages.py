"""The table of stages points at the stage that is at fault, and says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tryon.evaluation import summary as summaries
from tryon.evaluation.judge import Entry, entries, shown
from tryon.evaluation.report_stages import Stages, stages

CASCADE = {"base": (16, 12), "sr32": (32, 24), "sr64": (64, 48)}
BASELINE_DB = {"keep": 10.0, "paste": 16.0, "paste_limbs": 17.0, "mean_colour": 15.0}
BASELINE_DB |= {"paste_mean_fill": 16.0, "limbs_mean_fill": 18.0}


def judged(chain_db: dict[str, float], own_db: dict[str, float], true_db: dict[str, float]) -> Stages:
    """The table of made-up numbers.

    Args:
        chain_db: PSNR after each stage at the final size.
        own_db: at the stage's own size.
        true_db: the same on true input; empty where that was not judged.
    """
    table = [entry for entry in entries(CASCADE, {}) if entry.kind != "oracle"]
    table += [Entry("oracle", "oracle", stage, CASCADE[stage], CASCADE[stage]) for stage in true_db]
    noise_N = np.random.default_rng(0).normal(size=30)
    rows: list[tuple[Any, ...]] = []
    for entry in table:
        is_final = entry.judged_hw == CASCADE["sr64"]
        mean = {
            "baseline": BASELINE_DB.get(entry.system),
            "oracle": true_db.get(entry.stage),
        }.get(entry.kind, chain_db.get(entry.stage) if is_final else own_db.get(entry.stage))
        assert mean is not None
        for pair, noise in enumerate(noise_N):
            about = (entry.system, entry.stage, shown(entry.judged_hw), "test_unpaired", f"p{pair}", "up")
            values = {"psnr": mean + noise + 0.1 * np.sin(pair + mean), "gms": mean / 40}
            rows += [(*about, metric, "garment", value) for metric, value in values.items()]
    names = ["system", "stage", "size", "list", "pair_id", "category", "metric", "region", "value"]
    metrics = pd.DataFrame(rows, columns=names)
    lines = [
        {"kind": e.kind, "system": e.system, "stage": e.stage, "made": shown(e.made_hw), "judged": shown(e.judged_hw)}
        for e in table
    ]
    summary = {
        "final_size": "64x48",
        "table": lines,
        "means": summaries.means(metrics, num_resamples=200, seed=0),
        "protocol": {"num_resamples": 200, "seed": 0},
    }
    return stages(summary, metrics, "test_unpaired")


GOOD = {"base": 20.0, "sr32": 21.0, "sr64": 22.0}


def test_a_stage_that_makes_its_input_worse_is_at_fault() -> None:
    found = judged({"base": 20.0, "sr32": 17.5, "sr64": 17.0}, GOOD, {})
    assert found.fault == "sr32"
    assert "makes its input worse: −2.5" in found.finding.plain("en")
    assert [row.stage for row in found.rows] == ["base", "sr32", "sr64"]
    steps = [row.steps["psnr"] for row in found.rows]
    assert steps[0] is None
    assert [step.verdict for step in steps[1:] if step] == ["worse", "worse"]


def test_without_harm_the_first_stage_that_an_untrained_baseline_beats_is() -> None:
    found = judged(GOOD, {"base": 20.0, "sr32": 16.0, "sr64": 22.0}, {})
    assert found.fault == "sr32"
    assert "loses to paste, limbs + mean fill already at its own 32 × 24" in found.finding.plain("en")
    assert not found.has_oracle


def test_nothing_is_blamed_where_nothing_points_at_a_stage() -> None:
    found = judged(GOOD, GOOD, {})
    assert found.fault is None
    assert "No stage stands out" in found.finding.plain("en")


@pytest.mark.parametrize(
    ("true_db", "fault"),
    [
        ({"sr32": 26.0, "sr64": 27.0}, "base"),  # both do better on the truth: what they miss is inherited
        ({"sr32": 21.0, "sr64": 27.0}, "sr32"),  # the truth does not help it: its own loss
        ({"sr32": 26.0, "sr64": 22.0}, "sr64"),
    ],
)
def test_true_input_tells_what_is_inherited(true_db: dict[str, float], fault: str) -> None:
    found = judged(GOOD, GOOD, true_db)
    assert found.has_oracle
    assert found.fault == fault
    last = found.rows[-1]
    assert float(last.oracle["psnr"].mean) == pytest.approx(true_db["sr64"], abs=1)
    gain = last.inherited["psnr"]
    assert gain is not None
    assert gain.mean == pytest.approx(GOOD["sr64"] - true_db["sr64"], abs=0.2)
    assert found.rows[0].inherited["psnr"] is None


def test_values_lie_on_one_scale_for_all_stages() -> None:
    rows = judged(GOOD, GOOD, {}).rows
    places = [row.after["psnr"].place for row in rows]
    assert places == sorted(places)
    assert min(row.after["psnr"].low for row in rows) == pytest.approx(0)
    assert max(row.after["psnr"].high for row in rows) == pytest.approx(1)
