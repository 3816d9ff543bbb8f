"""Scores: known answers planted as pictures, honest verdicts, and reasons where a number would mean nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_world import World

from tryon.config import DatasetConfig, load
from tryon.dataset import formats
from tryon.evaluation.baselines import BASELINES
from tryon.evaluation.metrics import METRIC
from tryon.evaluation.pair_lists import listed_pairs
from tryon.evaluation.pictures import write_picture
from tryon.evaluation.statistics import Estimate
from tryon.evaluation.summary import verdict
from tryon.evaluation.truths import read_truth
from tryon.packed import PackedPhotos

ISAT = formats.reader(DatasetConfig())

METRIC_CAP = 60.0


def summary_of(world: World) -> dict[str, Any]:
    return json.loads((world.results / "evaluate" / "summary.json").read_text())


def metrics_of(world: World) -> pd.DataFrame:
    return pd.read_parquet(world.results / "evaluate" / "metrics.parquet")


def value(summary: dict[str, Any], **about: str) -> dict[str, Any]:
    found = [row for row in summary["means"] if about.items() <= row.items()]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def sampled(world: World, judged: World) -> World:
    """A copy of the judged world's pictures, not yet evaluated."""
    import shutil

    shutil.copytree(judged.results / "sample", world.results / "sample")
    return world


def plant_truths(world: World) -> None:
    """Make the cascade's final pictures the true ones, as a canvas shows them."""
    for pair in listed_pairs(world.pairs, ["test_paired", "test_unpaired"]):
        truth_HWC, _ = read_truth(world.data, pair, ISAT).on_canvas(pair.category, (64, 48), 255)
        write_picture(world.results / "sample" / "cascade" / "sr64" / f"{pair.pair_id}.png", truth_HWC, "planted")


def test_keeping_the_person_is_perfect_where_the_person_already_wears_it(judged: World) -> None:
    """In a paired list the truth is the person's own photo: a check of geometry, lists and regions at once."""
    summary = summary_of(judged)
    for size in ("32x24", "64x48"):
        for region in ("whole", "garment"):
            keep = {"list": "test_paired", "size": size, "system": "keep", "region": region}
            assert value(summary, metric="psnr", **keep)["mean"] == METRIC_CAP
            assert value(summary, metric="ssim", **keep)["mean"] == pytest.approx(1)
            assert value(summary, metric="gms", **keep)["mean"] == pytest.approx(1)
    assert (
        value(summary, metric="psnr", list="test_unpaired", size="64x48", system="keep", region="garment")["mean"] < 40
    )


def test_a_perfect_cascade_scores_perfectly_and_beats_everybody(sampled: World) -> None:
    plant_truths(sampled)
    assert sampled.evaluate() == 0
    summary = summary_of(sampled)
    perfect = {"psnr": METRIC_CAP, "ssim": 1.0, "gms": 1.0, "delta_e": 0.0, "mean_delta_e": 0.0, "gradient_ratio": 1.0}
    for metric, expected in perfect.items():
        for list_name in ("test_paired", "test_unpaired"):
            row = value(summary, list=list_name, size="64x48", stage="sr64", metric=metric, region="garment")
            assert row["mean"] == pytest.approx(expected, abs=1e-9)
            assert row["num"] == 2
    duels = [
        row
        for row in summary["differences"]
        if row["stage"] == "sr64" and row["list"] == "test_unpaired" and row["region"] == "garment"
        and row["metric"] == "psnr"
    ]  # fmt: skip
    assert {row["opponent"] for row in duels} == {*BASELINES, "regression"}
    assert {row["verdict"] for row in duels} == {"better"}
    for row in duels:
        other = value(
            summary, list="test_unpaired", size="64x48", system=row["opponent"], metric="psnr", region="garment"
        )
        assert row["mean"] == pytest.approx(METRIC_CAP - other["mean"])


def test_untrained_stages_lose_and_the_summary_says_so(judged: World) -> None:
    duels = [
        row["verdict"]
        for row in summary_of(judged)["differences"]
        if row["list"] == "test_paired" and row["opponent"] == "keep" and row["metric"] in ("psnr", "ssim")
        and row["system"] == "cascade"
    ]  # fmt: skip
    assert duels
    assert set(duels) == {"worse"}


def test_pictures_leave_the_person_alone(judged: World) -> None:
    kept = metrics_of(judged).query("metric == 'outside_error'")
    assert set(kept["region"]) == {"kept"}
    assert len(kept) == 4 * (7 + 8)  # pairs x (lines at 32x24 + lines at 64x48)
    assert (kept["value"] == 0).all()


def test_a_changed_background_is_seen_outside_and_not_inside(sampled: World, judged: World) -> None:
    for row in pd.read_parquet(sampled.results / "sample/cascade/index.parquet").query("stage == 'sr64'").itertuples():
        image_HWC = np.array(Image.open(sampled.results / row.file))
        image_HWC[:3, :3] = 255 - image_HWC[:3, :3]  # a corner, far from any garment
        write_picture(sampled.results / row.file, image_HWC, "changed")
    assert sampled.evaluate() == 0
    keys = ["system", "stage", "size", "list", "pair_id", "metric", "region"]
    before, after = (metrics_of(w).set_index(keys)["value"] for w in (judged, sampled))
    moved = after.index[~np.isclose(before.reindex(after.index), after)]
    assert {name[:3] for name in moved} == {("cascade", "sr64", "64x48")}
    assert {(name[5], name[6]) for name in moved} >= {("outside_error", "kept"), ("psnr", "whole"), ("ssim", "whole")}
    assert not any(name[6] in ("garment", "expected") for name in moved)


def test_the_same_pictures_give_the_same_bytes_with_any_number_of_workers(sampled: World, judged: World) -> None:
    sampled.configure(evaluate={"jobs": 2})
    assert sampled.evaluate() == 0
    for name in ("metrics.parquet", "summary.json"):
        expected = (judged.results / "evaluate" / name).read_bytes()
        assert (sampled.results / "evaluate" / name).read_bytes() == expected


def test_without_truth_only_numbers_that_need_none(sampled: World) -> None:
    pairs = pd.read_parquet(sampled.pairs)
    pairs.loc[pairs["kind"] == "unpaired", ["truth", "truth_annotation"]] = None
    pairs.to_parquet(sampled.pairs, index=False)
    assert sampled.evaluate() == 0
    metrics, summary = metrics_of(sampled), summary_of(sampled)
    assert set(metrics[metrics["list"] == "test_unpaired"]["metric"]) == {"outside_error", "garment_delta_e"}
    assert "psnr" in set(metrics[metrics["list"] == "test_paired"]["metric"])
    assert summary["lists"]["test_unpaired"] == {"num_judged": 2, "num_with_truth": 0, "num_dropped": 0}
    assert {row["against"] for row in summary["sets"] if row["list"] == "test_unpaired"} == {"person photos"}


def test_a_truth_without_annotation_is_judged_as_a_whole(sampled: World) -> None:
    pairs = pd.read_parquet(sampled.pairs)
    pairs.loc[pairs["kind"] == "unpaired", "truth_annotation"] = None
    pairs.to_parquet(sampled.pairs, index=False)
    assert sampled.evaluate() == 0
    unpaired = metrics_of(sampled).query("list == 'test_unpaired' and metric == 'psnr'")
    assert set(unpaired["region"]) == {"whole"}


def test_missing_weights_give_reasons_and_no_numbers(judged: World) -> None:
    summary = summary_of(judged)
    reason = "not computed: weights not given"
    assert summary["not_computed"] == {"lpips": reason, "fid": reason, "kid": reason}
    assert "lpips" not in set(metrics_of(judged)["metric"])
    assert {row["value"] for row in summary["sets"]} == {reason}


def test_given_weights_are_used(sampled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import torchvision

    from tryon.evaluation import learned

    torch.manual_seed(0)
    features = torchvision.models.alexnet(weights=None).features
    torch.save({f"features.{k}": v for k, v in features.state_dict().items()}, tmp_path / "alexnet.pth")

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.AvgPool2d(99), torch.nn.Flatten())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x)

    torch.jit.script(Flat()).save(str(tmp_path / "inception.pt"))
    monkeypatch.setattr(learned, "MIN_PICTURES_KID", 2)
    sampled.configure(
        evaluate={"lpips_weights": str(tmp_path / "alexnet.pth"), "inception_weights": str(tmp_path / "inception.pt")}
    )
    plant_truths(sampled)
    assert sampled.evaluate() == 0
    summary = summary_of(sampled)
    planted = {"list": "test_unpaired", "size": "64x48", "stage": "sr64"}
    assert value(summary, metric="lpips", region="garment", **planted)["mean"] == 0
    assert value(summary, metric="lpips", region="whole", **planted)["mean"] == 0
    kept = {"list": "test_unpaired", "size": "64x48", "system": "keep", "metric": "lpips", "region": "garment"}
    assert value(summary, **kept)["mean"] > 0.005
    unpaired = [row for row in summary["sets"] if row["metric"] == "kid" and row["list"] == "test_unpaired"]
    kid = {row["system"]: row["value"] for row in unpaired if row["stage"] in ("sr64", "")}
    inception, keep, true = learned.Inception(tmp_path / "inception.pt"), [], []
    for pair in listed_pairs(sampled.pairs, ["test_unpaired"]):
        keep.append(PackedPhotos(sampled.packs).read(pair.person, (64, 48)).image_HWC)
        true.append(read_truth(sampled.data, pair, ISAT).on_canvas(pair.category, (64, 48), 255)[0])
    assert kid["keep"] == pytest.approx(learned.kid(inception.features(keep), inception.features(true), seed=0))
    assert kid["cascade"] == pytest.approx(learned.kid(inception.features(true), inception.features(true), seed=0))
    assert set(summary["not_computed"]) == {"fid", "lpips at 32x24"}
    assert "FID needs" in summary["not_computed"]["fid"]
    assert set(metrics_of(sampled).query("metric == 'lpips'")["size"]) == {"64x48"}


def test_dropped_pairs_leave_every_system(sampled: World) -> None:
    path = sampled.results / "sample" / "regression" / "index.parquet"
    index = pd.read_parquet(path)
    pair_id = index["pair_id"][0]
    index.loc[index["pair_id"] == pair_id, ["status", "reason"]] = ["dropped", "no cut-out"]
    index.to_parquet(path, index=False)
    assert sampled.evaluate() == 0
    assert pair_id not in set(metrics_of(sampled)["pair_id"])
    assert [(row["pair_id"], row["reason"]) for row in summary_of(sampled)["dropped"]] == [(pair_id, "no cut-out")]


def test_missing_pictures_are_told_before_any_number(sampled: World, capsys: pytest.CaptureFixture[str]) -> None:
    path = sampled.results / "sample" / "cascade" / "index.parquet"
    index = pd.read_parquet(path)
    index[index["pair_id"] != index["pair_id"][0]].to_parquet(path, index=False)
    assert sampled.evaluate() == 2
    assert f"no picture of stage base for 1 of 4 pairs ({index['pair_id'][0]})" in capsys.readouterr().err
    path.unlink()
    assert sampled.evaluate() == 2
    assert not (sampled.results / "evaluate").exists()


def test_a_damaged_picture_is_named(sampled: World, capsys: pytest.CaptureFixture[str]) -> None:
    picture = next((sampled.results / "sample" / "cascade" / "sr64").glob("*.png"))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture)
    assert sampled.evaluate() == 2
    message = capsys.readouterr().err
    assert picture.name in message
    assert "8x8 (height x width), but its stage makes 64x48" in message


@pytest.mark.parametrize(
    ("low", "high", "better", "expected"),
    [
        (0.1, 0.5, "higher", "better"),
        (0.1, 0.5, "lower", "worse"),
        (-0.5, -0.1, "lower", "better"),
        (-0.5, 0.1, "higher", "undecided"),
        (None, None, "higher", "undecided"),
    ],
)
def test_verdicts(low: float | None, high: float | None, better: str, expected: str) -> None:
    mean = (low + high) / 2 if low is not None and high is not None else 1.0
    assert verdict(Estimate(mean, low, high, 9), better) == expected


def test_every_number_belongs_to_a_described_metric(judged: World) -> None:
    assert set(metrics_of(judged)["metric"]) <= set(METRIC)
    assert load(judged.config).evaluate.num_bootstrap == summary_of(judged)["protocol"]["num_resamples"]
