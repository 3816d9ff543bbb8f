"""Ablations on a finished run: what rows share with it is not made again, and a changed row costs that row alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chain import SETTINGS, make, plan, snakemake, write_settings

pytestmark = [pytest.mark.xdist_group("workflow"), pytest.mark.timeout(900)]

NUM_SHARDS = 2
GUIDANCE = {"vary": {"sample.guidance": [1, 1.5, 2], "sample.sampler": ["ddim", "dpmpp"]}, "num_pairs": 2}
TARGETS = Counter(ablation=1, ablations=1)


def rows(num: int) -> Counter[str]:
    """`num` rows sampled and judged, and the page."""
    return Counter(variant_sample=num, variant_evaluate=num) + TARGETS


def configure(tree: Path, **ablations: Any) -> None:
    write_settings(tree, {**SETTINGS, "ablations": ablations})


def test_three_guidance_scales_and_two_samplers_train_nothing_and_sample_the_run_once(copy: Path) -> None:
    configure(copy, guidance=GUIDANCE)
    assert plan(copy) == {}, "who does not ask for ablations gets none"
    assert plan(copy, "ablations") == rows(5)


def test_one_command_ends_in_a_table_a_plot_and_a_page_and_a_changed_row_costs_that_row(copy: Path) -> None:
    """Two rows, to keep it short: the grid is planned above."""
    small = {"vary": {"sample.guidance": [1, 2]}, "num_pairs": 1}
    configure(copy, guidance=small)
    assert make(copy, "ablations") == rows(1)
    folder = copy / "results" / "ablation" / "guidance"
    assert {path.name for path in folder.iterdir()} == {"index.html", "table.csv", "plot.svg"}
    table = pd.read_csv(folder / "table.csv")
    assert set(table["row"]) == {"guidance 1", "guidance 2"}
    assert set(table["compared_with"].dropna()) == {"guidance 1"}
    assert (copy / "results" / table["pictures"].iloc[-1]).is_dir()

    assert plan(copy, "ablations") == {}, "nothing changed"
    assert plan(copy) == {}
    configure(copy, guidance={**small, "vary": {"sample.guidance": [1, 2, 3]}})
    assert plan(copy, "ablations") == rows(1), "a row more costs that row"
    configure(copy, guidance={**small, "vary": {"sample.guidance": [1, 3]}})
    assert plan(copy, "ablations") == rows(1), "a changed row, likewise"
    configure(copy, guidance={**small, "metrics": ["psnr"]})
    assert plan(copy, "ablations") == TARGETS, "another column judges nothing again"
    configure(copy, guidance=small, again={"rows": {"other": {"sample.guidance": 2}}})
    assert plan(copy, "ablations") == TARGETS, "a row of another ablation is the same work"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stages.base.diffusion.shift": 3.0}, Counter(variant_train=1)),
        ({"stages.sr64.train.lr": 0.5}, Counter(variant_train=1)),
        ({"stages.base.train.threads": 2, "sample.num_steps": 3}, Counter()),
        ({"cutouts.agnostic": "ootd"}, Counter(variant_cutouts=NUM_SHARDS, variant_pack=NUM_SHARDS, variant_train=2)),
    ],
    ids=["shift", "lr", "sampling", "agnostic"],
)
def test_a_row_makes_again_what_its_setting_touches_and_nothing_else(
    copy: Path, changes: dict[str, Any], expected: Counter[str]
) -> None:
    configure(copy, mine={"rows": {"run": {}, "changed": changes}})
    assert plan(copy, "ablations") == expected + rows(1)


def test_rows_that_share_a_training_train_once(copy: Path) -> None:
    vary = {"stages.base.diffusion.shift": [3.0], "sample.guidance": [1, 2]}
    configure(copy, mine={"vary": vary})
    assert plan(copy, "ablations") == Counter(variant_train=1) + rows(2)


def test_one_ablation_of_several_is_a_target_of_its_own(copy: Path) -> None:
    configure(copy, one={"rows": {"a": {"sample.guidance": 3}}}, two={"rows": {"b": {"sample.num_steps": 3}}})
    jobs = plan(copy, "results/ablation/two/index.html")
    assert jobs == Counter(variant_sample=1, variant_evaluate=1, ablation=1)


def test_asking_for_an_ablation_that_is_not_there_names_those_that_are(copy: Path) -> None:
    configure(copy, guidance=GUIDANCE)
    ran = snakemake(copy, "-n", "results/ablation/strength/index.html")
    assert ran.status != 0
    assert "ablations.strength: no such ablation (there are: guidance)" in ran.text
    assert "Traceback" not in ran.text


def test_asking_for_ablations_where_the_settings_name_none_says_so(copy: Path) -> None:
    ran = snakemake(copy, "-n", "ablations")
    assert ran.status != 0
    assert "no ablations in the settings" in ran.text
    assert "Traceback" not in ran.text
