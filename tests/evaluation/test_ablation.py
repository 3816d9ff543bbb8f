"""An ablation's table, plot and page: numbers are the rows' own, differences pair by pair, and nothing is fetched."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from ablation_world import SHIFTS_DB, make, plan_of
from pages import Page
from tiny_world import World

from tryon.config import load
from tryon.evaluation import ablation_plot as plot
from tryon.evaluation import ablation_scores as scores


@pytest.fixture
def made(copied: World) -> tuple[World, Path]:
    status, page = make(copied, plan_of(copied))
    assert status == 0
    return copied, page


def lines(page: Path, **wanted: str) -> pd.DataFrame:
    table = pd.read_csv(page.with_name("table.csv"))
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table.set_index("row")


def test_the_table_has_every_rows_mean_and_its_difference_pair_by_pair(made: tuple[World, Path]) -> None:
    world, page = made
    table = lines(page, list="test_unpaired", metric="psnr")
    metrics = pd.read_parquet(world.results / "evaluate" / "metrics.parquet")
    own = metrics.query(
        "system == 'cascade' and stage == 'sr64' and size == '64x48' and list == 'test_unpaired' "
        "and metric == 'psnr' and region == 'garment'"
    )["value"]
    assert list(table.index) == list(SHIFTS_DB)
    for name, shift_db in SHIFTS_DB.items():
        assert table.loc[name, "mean"] == pytest.approx(own.mean() + shift_db)
        assert table.loc[name, "num_pairs"] == len(own)
    assert pd.isna(table.loc["guidance 1", "difference"])
    # every pair differs by the same, so the interval of the difference has no width, unlike that of the mean
    ends = ["difference", "difference_low", "difference_high"]
    assert table.loc["guidance 1.5", ends].tolist() == pytest.approx([2] * 3)
    assert table["verdict"].tolist()[1:] == ["better", "worse"]
    assert table["sample.guidance"].tolist() == [1.0, 1.5, 2.0]
    assert table.loc["guidance 2", "pictures"] == f"variants/rows/{2:016x}/sample/cascade/sr64"


def test_a_metric_whose_ideal_is_one_is_not_called_better_or_worse(made: tuple[World, Path]) -> None:
    assert lines(made[1], metric="gradient_ratio")["verdict"].isna().all()


def test_a_difference_of_rounding_is_no_verdict_however_sure(copied: World) -> None:
    plan = plan_of(copied)
    path = copied.results / "variants" / "rows" / f"{1:016x}" / "evaluate" / "metrics.parquet"
    metrics = pd.read_parquet(path)
    metrics.loc[metrics["metric"] == "psnr", "value"] -= SHIFTS_DB["guidance 1.5"] - 1e-6
    metrics.to_parquet(path)
    status, page = make(copied, plan)
    assert status == 0
    row = lines(page, list="test_unpaired", metric="psnr").loc["guidance 1.5"]
    assert 0 < row["difference_low"] < 1e-5
    assert row["verdict"] == "undecided"


def test_only_pairs_that_all_rows_have_are_compared(copied: World) -> None:
    plan = plan_of(copied)
    path = copied.results / "variants" / "rows" / f"{1:016x}" / "evaluate" / "metrics.parquet"
    metrics = pd.read_parquet(path)
    lost = metrics[metrics["list"] == "test_unpaired"]["pair_id"].iloc[0]
    metrics[metrics["pair_id"] != lost].to_parquet(path)
    status, page = make(copied, plan)
    assert status == 0
    table = lines(page, list="test_unpaired", metric="psnr")
    assert table["num_pairs"].nunique() == 1
    assert table["num_pairs"].iloc[0] == metrics[metrics["list"] == "test_unpaired"]["pair_id"].nunique() - 1
    assert table.loc["guidance 1.5", "difference"] == pytest.approx(2)


def test_the_page_says_what_wins_and_what_is_missing_in_both_languages_and_asks_nobody(
    made: tuple[World, Path],
) -> None:
    text = made[1].read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["']https?:""", text)
    assert not re.findall(r"\{\{|\{%", text), "every template mark is filled in"
    said = " ".join(Page(text).text.split())
    assert "By PSNR, better than guidance 1, beyond the interval: guidance 1.5 (+2.00 dB)." in said
    assert "区间之外胜过 guidance 1 的有：guidance 1.5" in said
    assert "Not computed here: LPIPS and FID." in said
    assert said.count("sample.guidance: 1.5") == 1
    assert set(Page(text).values("article", "data-pair"))
    assert sum(alt.endswith(": guidance 2") for alt in Page(text).values("img", "alt")) == 2, "one per pair shown"


def test_the_plot_is_one_valid_file_with_a_panel_per_list_and_metric(made: tuple[World, Path]) -> None:
    root = ET.fromstring(made[1].with_name("plot.svg").read_text(encoding="utf-8"))
    titles = [e.text for e in root.iter() if e.get("class") == "title"]
    assert titles == [f"{name} · {kind}" for kind in ("unpaired", "paired") for name in
                      ("PSNR, dB ↑", "SSIM ↑", "GMS ↑", "sharpness ")]  # fmt: skip
    assert len([e for e in root.iter() if e.get("class") == "ring"]) == len(titles), "the row compared with, in each"


def test_a_numeric_setting_is_the_x_axis_and_named_rows_stand_below_each_other(copied: World) -> None:
    config = load(copied.config)
    plan = json.loads(plan_of(copied).read_text())
    rows = scores.read_rows(plan, config, copied.results)
    numbers = [n for n in scores.numbers(rows, plan, num_resamples=100, seed=0) if n.metric == "psnr"][:3]
    along = plot.axis_of(rows, plan)
    assert (along.path, along.lines) == ("sample.guidance", [""])
    drawn = ET.fromstring(f"<g>{plot.panel(rows, numbers, along)[0]}</g>")
    (line,) = drawn.iter("polyline")
    xs, ys = zip(*(map(float, point.split(",")) for point in str(line.get("points")).split()), strict=True)
    assert list(xs) == sorted(xs)
    assert ys[1] < ys[0] < ys[2], "more is higher on the page, where y runs down"
    below = plot.axis_of(rows, {**plan, "is_grid": False})
    assert below.path is None
    drawn = ET.fromstring(f"<g>{plot.panel(rows, numbers, below)[0]}</g>")
    assert not list(drawn.iter("polyline"))
    assert [e.text for e in drawn.iter("text")][-3:] == list(SHIFTS_DB)


@pytest.mark.parametrize(("low", "high"), [(19.3, 20.1), (0.0, 1e-4), (-3.0, 900.0)])
def test_ticks_are_round_and_lie_inside(low: float, high: float) -> None:
    found = plot.ticks(low, high)
    assert 2 <= len(found) <= 7
    assert all(low <= tick <= high for tick in found)


def test_what_was_trained_for_a_row_and_what_it_cost_is_told(copied: World) -> None:
    path = plan_of(copied)
    plan = json.loads(path.read_text())
    plan["rows"][2]["train"]["base"] = "variants/train/base-x"
    (copied.results / "variants" / "train").mkdir(parents=True)
    (copied.results / "train" / "base").rename(copied.results / "variants" / "train" / "base-x")
    (copied.results / "train" / "base").symlink_to(copied.results / "variants" / "train" / "base-x")
    rows = scores.read_rows(plan, load(copied.config), copied.results)
    assert [scores.trained_again(row, rows) for row in rows] == [[], [], ["base"]]
    assert scores.cost(rows[0]) == (2 * 1234, None)


def test_metrics_that_nobody_computed_are_a_mistake_that_names_the_way_out(
    copied: World, capsys: pytest.CaptureFixture[str]
) -> None:
    status, page = make(copied, plan_of(copied, metrics=["lpips", "fid"]))
    assert status == 2
    assert not page.exists()
    assert "none of its metrics (lpips, fid) is computed" in capsys.readouterr().err


def test_a_row_that_was_not_judged_is_named(copied: World, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(copied)
    (copied.results / "variants" / "rows" / f"{2:016x}" / "evaluate" / "summary.json").unlink()
    assert make(copied, plan)[0] == 2
    assert "no such scores of row 'guidance 2'" in capsys.readouterr().err
