"""Scores: known answers planted as pictures, honest verdicts, and reasons where a number would mean nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_world import World

from tryon.config import DatasetConfig, load
from tryon.dataset import formats
from tryon.evaluation import by_protocol
from tryon.evaluation.baselines import BASELINES
from tryon.evaluation.metrics import METRIC
from tryon.evaluation.pair_lists import listed_pairs
from tryon.evaluation.pictures import write_picture
from tryon.evaluation.protocols import distances
from tryon.evaluation.protocols.catalogue import CATVTON, TRYON
from tryon.evaluation.protocols.features import open_extractor
from tryon.evaluation.protocols.interface import PILLOW_JPEG
from tryon.evaluation.protocols.prepare import through_file
from tryon.evaluation.protocols.scoring import Case, Scorer
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
            row = value(
                summary, list=list_name, size="64x48", system="cascade", stage="sr64", metric=metric, region="garment"
            )
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
    assert len(kept) == 4 * (8 + 10)  # pairs x (lines at 32x24 + lines at 64x48)
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
    for name in ("metrics.parquet", "protocols.parquet", "summary.json"):
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
    assert summary["not_computed"] == {
        "lpips": reason,
        "fid": reason,
        "kid": reason,
        "oks": "not computed: keypoints are given, so there is no model that could look at the results",
        "preserved_iou": "not computed: no label maps of the results (evaluate.result_labels)",
        "clip_i": "not computed: no model given (evaluate.clip_model)",
        "dino": "not computed: no model given (evaluate.dino_model)",
    }
    assert "lpips" not in set(metrics_of(judged)["metric"])
    assert {row["value"] for row in summary["sets"]} == {reason}
    own = summary["protocols"][0]["scores"]
    missing = {row["metric"]: row["reason"] for row in own if row["value"] is None}
    settings = {"lpips": "lpips_weights", "fid": "inception_weights", "kid": "inception_weights"}
    assert missing == {metric: f"{reason} (evaluate.{setting})" for metric, setting in settings.items()}


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, str]:
    """Seeded stand-ins as settings: AlexNet and SqueezeNet of torchvision, and a flat Inception."""
    import torch
    import torchvision

    torch.manual_seed(0)
    for name, build in (("alexnet", torchvision.models.alexnet), ("squeezenet", torchvision.models.squeezenet1_1)):
        features = build(weights=None).features
        torch.save({f"features.{k}": v for k, v in features.state_dict().items()}, tmp_path / f"{name}.pth")

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.AvgPool2d(99), torch.nn.Flatten())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x)

    torch.jit.script(Flat()).save(str(tmp_path / "inception.pt"))
    files = {"lpips": "alexnet.pth", "lpips_squeeze": "squeezenet.pth", "inception": "inception.pt"}
    return {f"{name}_weights": str(tmp_path / file) for name, file in files.items()}


@pytest.fixture
def _two_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """KID of two pictures: it means nothing, but says whether the right pictures were taken."""
    few = {
        name: replace(protocol, kid=protocol.kid and replace(protocol.kid, min_pictures=2, subset_share=1.0))
        for name, protocol in by_protocol.PROTOCOLS.items()
    }
    monkeypatch.setattr(by_protocol, "PROTOCOLS", few)


def score_of(summary: dict[str, Any], name: str, **about: str) -> dict[str, Any]:
    """One number of a protocol."""
    protocol = next(row for row in summary["protocols"] if row["name"] == name)
    found = [row for row in protocol["scores"] if about.items() <= row.items()]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.usefixtures("_two_are_enough")
def test_given_weights_are_used(sampled: World, weights: dict[str, str]) -> None:
    sampled.configure(evaluate=weights)
    plant_truths(sampled)
    assert sampled.evaluate() == 0
    summary = summary_of(sampled)
    planted = {"list": "test_unpaired", "size": "64x48", "system": "cascade", "stage": "sr64"}
    assert value(summary, metric="lpips", region="garment", **planted)["mean"] == 0
    assert value(summary, metric="lpips", region="whole", **planted)["mean"] == 0
    kept = {"list": "test_unpaired", "size": "64x48", "system": "keep", "metric": "lpips"}
    assert value(summary, region="garment", **kept)["mean"] > 0.005
    assert score_of(summary, "tryon", **kept)["value"] == value(summary, region="whole", **kept)["mean"]

    network = open_extractor(TRYON.features, weights["inception_weights"])
    pairs = listed_pairs(sampled.pairs, ["test_unpaired"])
    keep = network([PackedPhotos(sampled.packs).read(pair.person, (64, 48)).image_HWC for pair in pairs])
    true = network([read_truth(sampled.data, pair, ISAT).on_canvas(pair.category, (64, 48), 255)[0] for pair in pairs])
    few = replace(TRYON.kid, min_pictures=2, subset_share=1.0)
    for system, stage, features in (("keep", "", keep), ("cascade", "sr64", true)):
        row = score_of(summary, "tryon", list="test_unpaired", metric="kid", system=system, stage=stage)
        assert row["value"] == pytest.approx(distances.kid(few, features, true, seed=0).value, abs=1e-6)
        assert row["against"] == "truth"
    assert set(summary["not_computed"]) == {"fid", "lpips at 32x24", "oks", "preserved_iou", "clip_i", "dino"}
    assert "FID needs" in summary["not_computed"]["fid"]
    assert set(metrics_of(sampled).query("metric == 'lpips'")["size"]) == {"64x48"}


@pytest.mark.usefixtures("_two_are_enough")
def test_public_protocols_see_the_runs_pictures_as_their_systems_leave_them(
    sampled: World, weights: dict[str, str]
) -> None:
    sampled.configure(evaluate={**weights, "protocols": ["catvton", "hrviton"]})
    assert sampled.evaluate() == 0
    summary = summary_of(sampled)
    paired = {"system": "keep", "list": "test_paired"}
    files = {"lpips_squeeze_weights": Path(weights["lpips_squeeze_weights"])}
    scorer = Scorer(CATVTON, {**files, "inception_weights": Path(weights["inception_weights"])})
    seen = []
    for pair in listed_pairs(sampled.pairs, ["test_paired"]):
        photo_HWC = np.asarray(Image.open(sampled.data / pair.truth).convert("RGB"))  # 256x192: no borders
        kept_HWC = PackedPhotos(sampled.packs).read(pair.person, (64, 48)).image_HWC
        seen.append(
            scorer.look_all([Case([through_file(kept_HWC, PILLOW_JPEG)], photo_HWC, ".jpg", "")], CATVTON.paired)[0]
        )
    for metric in ("ssim", "lpips"):
        expected = np.mean([row.values[0][metric] for row in seen])
        assert score_of(summary, "catvton", metric=metric, **paired)["value"] == pytest.approx(expected, abs=1e-6)
    few = replace(CATVTON.kid, min_pictures=2)
    expected_kid = distances.kid(
        few, np.stack([row.features[0] for row in seen]), np.stack([row.true_features for row in seen]), seed=0
    )
    assert score_of(summary, "catvton", metric="kid", **paired)["value"] == pytest.approx(expected_kid.value, abs=1e-3)
    assert score_of(summary, "catvton", metric="kid", **paired)["scale"] == 1000
    unpaired = [row for row in summary["protocols"][0]["scores"] if row["list"] == "test_unpaired"]
    assert {row["metric"] for row in unpaired} == {"fid", "kid"}, "nothing is compared with another garment's photo"
    assert {row["against"] for row in unpaired} == {"person photos"}
    reason = "not computed: hrviton is defined for 1024x768, 512x384, 256x192, these results are 64x48"
    assert {row["reason"] for row in summary["protocols"][1]["scores"]} == {reason}
    assert summary["not_computed"]["kid"] == "not computed: evaluate.protocols does not name tryon"
    rows = pd.read_parquet(sampled.results / "evaluate" / "protocols.parquet")
    assert set(rows["protocol"]) == {"catvton"}
    assert len(rows) == 2 * 9 * 2  # pairs of the paired list x lines at the final size x (SSIM, LPIPS)


@pytest.mark.usefixtures("_two_are_enough")
def test_persons_whose_photo_no_paired_list_names_are_told(sampled: World, weights: dict[str, str]) -> None:
    pairs = pd.read_parquet(sampled.pairs)
    pairs[pairs["kind"] == "unpaired"].to_parquet(sampled.pairs, index=False)
    sampled.configure(evaluate={**weights, "protocols": ["catvton"]}, sample={"lists": ["test_unpaired"]})
    assert sampled.evaluate() == 0
    scores = summary_of(sampled)["protocols"][0]["scores"]
    assert {row["value"] for row in scores} == {None}
    assert all("no paired list names the photo of 2 persons" in row["reason"] for row in scores)


def test_a_folder_that_protocols_know_as_truths_is_padded_not_scaled() -> None:
    image_HWC = np.random.default_rng(0).integers(0, 256, (101, 60, 3), dtype=np.uint8)
    canvas_HWC = by_protocol.on_own_canvas(image_HWC, (64, 48), fill=7)
    assert canvas_HWC.shape == (104, 78, 3)
    assert (canvas_HWC[1:102, 9:69] == image_HWC).all()
    assert (canvas_HWC[:, :9] == 7).all()
    same_HWC = by_protocol.on_own_canvas(canvas_HWC, (64, 48))
    assert (same_HWC == canvas_HWC).all()


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


def test_every_stage_on_true_input_stands_beside_the_cascade_and_tells_its_drift(judged: World) -> None:
    summary = summary_of(judged)
    assert {"kind": "oracle", "system": "oracle", "stage": "sr64", "made": "64x48", "judged": "64x48"} in summary[
        "table"
    ]
    assert value(summary, system="oracle", stage="sr64", metric="psnr", region="garment", list="test_unpaired")
    assert not [row for row in summary["sets"] if row["system"] == "oracle"]
    (table,) = [table for table in summary["tables"] if table["name"] == "drift"]
    metrics = metrics_of(judged)
    red = metrics[(metrics["metric"] == "drift_red") & (metrics["system"] == "oracle")].groupby("list")["value"].mean()
    shown = {row[1]: row[2]["mean"] for row in table["rows"] if row[0]["en"] == "sr64 on true input"}
    assert shown == pytest.approx(red.to_dict())
    assert set(shown) == {"test_paired", "test_unpaired"}


def test_a_tinted_stage_drifts_by_its_tint_and_a_sharp_one_does_not(sampled: World) -> None:
    """Planted: the truth itself as the oracle's picture, and the same three levels redder."""
    pairs, config = listed_pairs(sampled.pairs, ["test_unpaired"]), load(sampled.config)
    drifts = {}
    for tint in (0, 3):
        for pair in pairs:
            truth = read_truth(sampled.data, pair, ISAT)
            assert truth is not None
            true_HWC = truth.on_canvas(pair.category, (64, 48), config.pack.fill)[0].astype(int)
            true_HWC[..., 0] += tint
            path = sampled.results / "sample" / "oracle" / "sr64" / f"{pair.pair_id}.png"
            write_picture(path, true_HWC.clip(0, 255).astype(np.uint8), "planted")
        assert sampled.evaluate() == 0
        (table,) = [table for table in summary_of(sampled)["tables"] if table["name"] == "drift"]
        (row,) = [row for row in table["rows"] if (row[0]["en"], row[1]) == ("sr64 on true input", "test_unpaired")]
        drifts[tint] = [cell["mean"] for cell in row[2:]]
    assert drifts[0] == [0, 0, 0]
    assert drifts[3] == pytest.approx([3, 0, 0], abs=0.2)  # white stays white
