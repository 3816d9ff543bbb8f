"""`tryon compare`: planted differences are found again, and numbers that mean something else are not compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pages import Page
from tiny_world import World, write_training

from tryon import cli
from tryon.config import load
from tryon.evaluation.compare_runs import open_run
from tryon.evaluation.compare_scores import common_pairs
from tryon.evaluation.recorded import record_settings


def compared(first: Path, second: Path, folder: Path, code: int = 0) -> dict[str, Any]:
    out = folder / "compared.json"
    assert cli.main(["compare", str(first), str(second), "--json", str(out)]) == code
    return json.loads(out.read_text())


def score(found: dict[str, Any], metric: str, region: str = "garment", **about: str) -> dict[str, Any]:
    wanted = {"system": "cascade", "stage": "", "list": "test_unpaired", "size": "64x48", "metric": metric, **about}
    rows = [row for row in found["scores"] if {**wanted, "region": region}.items() <= row.items()]
    assert len(rows) == 1, rows
    return rows[0]


def change(world: World, how: Callable[[pd.DataFrame], pd.Series], **where: str) -> None:
    """Other values in metrics.parquet where all of these hold."""
    path = world.results / "evaluate" / "metrics.parquet"
    table = pd.read_parquet(path)
    here = pd.Series(True, index=table.index)
    for name, value in where.items():
        here &= table[name] == value
    assert here.any()
    table.loc[here, "value"] = how(table[here])
    table.to_parquet(path)


def edit(world: World, name: str, how: Callable[[Any], object]) -> None:
    """Change a JSON file in place."""
    path = world.results / name
    value = json.loads(path.read_text())
    how(value)
    path.write_text(json.dumps(value))


CASCADE = {"system": "cascade", "stage": "sr64", "size": "64x48", "list": "test_unpaired", "region": "garment"}


def test_a_run_beside_its_copy_shows_no_difference(
    judged: World, copied: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compared(judged.results, copied.results, tmp_path)
    said = capsys.readouterr().out
    assert {row["verdict"] for row in found["scores"]} == {"undecided"}
    assert {row["mean"] for row in found["scores"]} == {0.0}
    assert {row["system"] for row in found["scores"]} == {"cascade", "oracle", "regression"}
    assert not found["not_compared"]
    assert not found["protocols"]
    assert not any(found["settings"].values())
    assert not any(found["made"].values())
    assert found["data"]["same_photos"] == found["data"]["photos"][0] == found["data"]["photos"][1]
    assert "settings that shape numbers: the same" in said
    assert "▲" not in said
    assert "▼" not in said
    assert "test_unpaired: 2 pairs compared" in said


def test_planted_differences_are_found_with_their_direction(judged: World, copied: World, tmp_path: Path) -> None:
    change(copied, lambda rows: rows["value"] + 1.5, **CASCADE, metric="psnr")
    change(copied, lambda rows: rows["value"] + 2, **CASCADE, metric="delta_e")
    change(copied, lambda rows: rows["value"] + 1e-13, **CASCADE, metric="ssim")
    change(copied, lambda rows: rows["value"] ** 0 * 0.99, **CASCADE, metric="gradient_ratio")
    repainted = {**CASCADE, "region": "repainted"}
    change(copied, lambda rows: -rows["value"], **repainted, metric="drift_red")
    change(copied, lambda rows: rows["value"] * 0 + 40, **repainted, metric="drift_blue")
    found = compared(judged.results, copied.results, tmp_path)
    psnr = score(found, "psnr")
    assert psnr["mean"] == pytest.approx(1.5)
    assert psnr["low"] == pytest.approx(psnr["high"])
    assert (psnr["verdict"], psnr["num"]) == ("better", 2)
    assert psnr["second"] - psnr["first"] == pytest.approx(1.5)
    assert score(found, "delta_e")["verdict"] == "worse"
    assert score(found, "gradient_ratio")["verdict"] == "better"  # nearer to 1
    assert score(found, "drift_red", "repainted")["verdict"] == "undecided"  # the other way, and as far from 0
    assert score(found, "drift_blue", "repainted")["verdict"] == "worse"
    assert score(found, "gms")["verdict"] == "undecided"
    assert score(found, "ssim")["verdict"] == "undecided"  # another order of sums is no gain
    swapped = compared(copied.results, judged.results, tmp_path)
    assert score(swapped, "psnr")["verdict"] == "worse"


def test_other_weights_are_told_with_what_they_change(judged: World, copied: World, tmp_path: Path) -> None:
    """By real sampling and scoring."""
    write_training(copied, "sr64", seed=5)
    assert copied.sample("cascade", "base", "sr64") == 0
    assert copied.sample("oracle", "sr64") == 0
    assert copied.evaluate() == 0
    found = compared(judged.results, copied.results, tmp_path)
    assert [row["name"] for row in found["made"]["trainings"]] == ["sr64: weights_sha256"]
    assert score(found, "psnr")["mean"] != 0
    assert score(found, "psnr", stage="base")["mean"] == 0
    assert score(found, "psnr", size="32x24", system="regression", stage="regression")["mean"] == 0
    assert not found["not_compared"]


def test_settings_are_recorded_and_told_apart_by_what_they_decide(
    judged: World, copied: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied.configure(sample={"num_steps": 7, "threads": 2}, report={"title": "Other"}, results="elsewhere")
    record_settings(load(copied.config), copied.results / "evaluate")
    settings = compared(judged.results, copied.results, tmp_path)["settings"]
    assert [row["name"] for row in settings["science"]] == ["sample.num_steps"]
    assert settings["science"][0] == {"name": "sample.num_steps", "first": 2, "second": 7}
    assert {row["name"] for row in settings["machine"]} == {"sample.threads", "report.title", "results"}
    assert "sample.num_steps  2 → 7" in capsys.readouterr().out
    (copied.results / "evaluate" / "settings.json").unlink()
    settings = compared(judged.results, copied.results, tmp_path)["settings"]
    assert settings["not_recorded"] == [str(copied.results / "evaluate" / "settings.json")]
    assert not settings["science"]
    assert "settings: not known" in capsys.readouterr().out


def test_numbers_of_another_protocol_are_not_compared(
    judged: World, copied: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(copied, "evaluate/summary.json", lambda summary: summary["protocol"].update(psnr_cap_db=50.0))
    found = compared(judged.results, copied.results, tmp_path, code=2)
    told = capsys.readouterr()
    assert found["scores"] == []
    assert "psnr_cap_db differs: 60.0 and 50.0; evaluate both runs alike" in told.out
    assert "can be compared; the reasons stand above" in told.err


def test_other_weights_of_a_metric_leave_that_metric_out_alone(judged: World, copied: World, tmp_path: Path) -> None:
    worlds = [copied, World(copied.data, tmp_path / "other", copied.config)]
    shutil.copytree(copied.results, worlds[1].results)
    for world, digest in zip(worlds, ("a" * 64, "b" * 64), strict=True):
        edit(
            world,
            "evaluate/summary.json",
            lambda summary, digest=digest: summary["protocols"][0]["weights_sha256"].update(lpips_weights=digest),
        )
        path = world.results / "evaluate" / "metrics.parquet"
        table = pd.read_parquet(path)
        pd.concat([table, table[table["metric"] == "gms"].assign(metric="lpips")]).to_parquet(path)
    found = compared(worlds[0].results, worlds[1].results, tmp_path)
    assert not [row for row in found["scores"] if row["metric"] == "lpips"]
    assert score(found, "gms")["verdict"] == "undecided"
    assert [row["what"] for row in found["not_compared"]] == ["lpips of protocol tryon"]
    assert "weights_sha256.lpips_weights differs" in found["not_compared"][0]["reason"]


def test_other_packages_are_a_remark_only(judged: World, copied: World, tmp_path: Path) -> None:
    edit(copied, "evaluate/summary.json", lambda summary: summary["protocols"][0]["packages"].update(torch="9.9"))
    found = compared(judged.results, copied.results, tmp_path)
    assert [(row["field"], row["second"], row["refuses"]) for row in found["protocols"]] == [("torch", "9.9", False)]
    assert found["scores"]


def test_a_moved_control_leaves_out_what_it_controls(judged: World, copied: World, tmp_path: Path) -> None:
    """The person photo itself scores otherwise inside the garment: another region or other code, whatever is said."""
    here = {"system": "keep", "size": "64x48", "list": "test_unpaired"}
    change(copied, lambda rows: rows["value"] + 0.01, **here, metric="psnr", region="garment")
    change(copied, lambda rows: rows["value"] + 0.01, **here, metric="drift_red", region="repainted")
    found = compared(judged.results, copied.results, tmp_path)
    left = {row["what"]: row["reason"] for row in found["not_compared"]}
    assert "scores otherwise on 2 pairs" in left["psnr (garment), test_unpaired at 64x48"]
    # outside_error of the person is 0 by definition; the drift in the repainted region controls its complement
    assert "outside_error (kept), test_unpaired at 64x48" in left
    rest = {(row["metric"], row["region"]) for row in found["scores"] if row["list"] == "test_unpaired"}
    assert ("psnr", "whole") in rest
    assert score(found, "psnr", list="test_paired")["num"] == 2


def test_only_pairs_of_both_count_and_the_others_are_told(
    judged: World, copied: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied.results / "evaluate" / "metrics.parquet"
    table = pd.read_parquet(path)
    lost, other = sorted(table[table["list"] == "test_unpaired"]["pair_id"].unique())
    table[table["pair_id"] != lost].to_parquet(path)
    found = compared(judged.results, copied.results, tmp_path)
    assert found["pairs"]["test_unpaired"] == {"pairs": [other], "left_out": {"only the first run judged them": 1}}
    assert (score(found, "psnr")["num"], score(found, "psnr")["low"]) == (1, None)
    said = capsys.readouterr().out
    assert "test_unpaired: 1 pairs compared; 1 left out: only the first run judged them" in said
    assert "one pair only" in said


def test_a_pair_of_the_same_name_with_another_truth_is_another_pair(judged: World, copied: World) -> None:
    path = copied.results / "pairs" / "pairs.parquet"
    table = pd.read_parquet(path)
    here = (table["split"] == "test") & (table["kind"] == "unpaired")
    table.loc[here, "truth_sha256"] = "0" * 64
    table.to_parquet(path)
    edit(copied, "evaluate/metrics.parquet.provenance.json", lambda origin: origin["inputs"].pop("pairs"))
    found = common_pairs(open_run(judged.results), open_run(copied.results))
    assert found["test_unpaired"] == {"pairs": [], "left_out": {"photos, garment type or truth differ": 2}}
    assert len(found["test_paired"]["pairs"]) == 2


def test_lists_that_do_not_meet_are_refused(judged: World, copied: World, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied.results / "evaluate" / "metrics.parquet"
    table = pd.read_parquet(path)
    table.assign(list="val_" + table["list"].str.removeprefix("test_")).to_parquet(path)
    assert cli.main(["compare", str(judged.results), str(copied.results)]) == 2
    told = capsys.readouterr().err
    assert "have no judged pair in common" in told
    assert "test_paired: 2 only the first run judged them" in told
    assert "sample.lists" in told


def test_other_data_are_told_photo_by_photo(judged: World, copied: World, tmp_path: Path) -> None:
    manifest = copied.results / "dataset" / "manifest.parquet"
    table = pd.read_parquet(manifest)
    changed, gone = table["id"].iloc[0], table["id"].iloc[1]
    table.loc[table["id"] == changed, "pixels"] = "other"
    table[table["id"] != gone].to_parquet(manifest)
    (copied.results / "dataset" / "quarantine.csv").write_text(f"id,stage,reason\n{gone},dataset,torn\n")
    key = (copied.results / "pairs" / "shards.txt").read_text().split()[0]
    edit(
        copied,
        f"pack/{key}.safetensors.provenance.json",
        lambda origin: origin["inputs"].update(keypoints="1" * 64),
    )
    data = compared(judged.results, copied.results, tmp_path)["data"]
    assert data["photos"] == [len(table), len(table) - 1]
    assert (data["changed_photos"], data["only_first"], data["only_second"]) == ([changed], [gone], [])
    assert data["refused"] == [{"name": gone, "first": "–", "second": "torn"}]
    assert [row["name"] for row in data["packs"]] == [f"{key}: keypoints"]
    assert [row["name"] for row in data["tables"]] == ["dataset/manifest.parquet"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda root: shutil.rmtree(root), "no such folder; give the results folder of a finished run"),
        (lambda root: (shutil.rmtree(root), root.write_text("")), "a file, not a folder"),
        (lambda root: (shutil.rmtree(root), root.mkdir()), "not a results folder, it has neither"),
        (lambda root: shutil.rmtree(root / "evaluate"), "this run is not finished (stage `evaluate`)"),
        (lambda root: shutil.rmtree(root / "sample" / "cascade"), "this run is not finished (stage `sample`)"),
        (
            lambda root: (root / "evaluate" / "summary.json").write_text('{"means": ['),
            "summary.json: cannot be read",
        ),
        (
            lambda root: (root / "evaluate" / "metrics.parquet").write_bytes(b"PAR1 torn"),
            "metrics.parquet: cannot be read",
        ),
        (lambda root: (root / "evaluate" / "protocols.parquet").unlink(), "protocols.parquet: no such file"),
        (
            lambda root: (
                pd.read_parquet(root / "sample/cascade/index.parquet")
                .assign(key="new")
                .to_parquet(root / "sample/cascade/index.parquet")
            ),
            "the run went on after its scores",
        ),
    ],
)
def test_a_folder_that_is_no_finished_run_is_refused_with_the_way_out(
    copied: World,
    judged: World,
    spoil: Callable[[Path], object],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(copied.results)
    assert cli.main(["compare", str(judged.results), str(copied.results)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert str(copied.results) in error


def test_the_folder_above_a_run_names_the_run(judged: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(judged.results.parent), str(judged.results)]) == 2
    assert f"did you mean {judged.results}?" in capsys.readouterr().err


def test_the_page_stands_alone_in_both_languages(judged: World, copied: World, tmp_path: Path) -> None:
    change(copied, lambda rows: rows["value"] + 1.5, **CASCADE, metric="psnr")
    copied.configure(sample={"num_steps": 7})
    record_settings(load(copied.config), copied.results / "evaluate")
    out = tmp_path / "page.html"
    arguments = ["compare", str(judged.results), str(copied.results), "--html", str(out), "--language", "zh"]
    assert cli.main(arguments) == 0
    text = out.read_text()
    page = Page(text)
    assert 'lang="zh-CN"' in text
    assert "▲ +1.50 dB" in page.text
    assert "sample.num_steps" in page.text
    assert "Two runs compared" in page.text
    assert "两次运行的比较" in page.text
    assert not [link for link in page.values("a", "href") if not link.startswith("#")]
    assert all(link.startswith("data:") for link in page.values("link", "href"))
    assert not page.values("img", "src")
    assert not page.values("script", "src")
