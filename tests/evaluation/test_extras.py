"""OKS, preserved regions, CLIP-I and DINO on a run's pictures: the given models are the ones that are asked."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_world import World

from tryon import files, images
from tryon.config import load
from tryon.errors import UserError
from tryon.evaluation import extras
from tryon.evaluation.embeddings import Embedding
from tryon.evaluation.pair_lists import listed_pairs
from tryon.packed import PackedPhotos
from tryon.prepare.pose_model import Pose


def metrics_of(world: World) -> pd.DataFrame:
    return pd.read_parquet(world.results / "evaluate" / "metrics.parquet")


@pytest.fixture
def sampled(world: World, judged: World) -> World:
    """A copy of the judged world's pictures, not yet evaluated."""
    shutil.copytree(judged.results / "sample", world.results / "sample")
    return world


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny seeded networks of the right kinds, as save_pretrained writes them."""
    from transformers import (
        BitImageProcessor,
        CLIPImageProcessor,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
        Dinov2Config,
        Dinov2Model,
    )

    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    clip = CLIPVisionModelWithProjection(CLIPVisionConfig(**size, intermediate_size=32, projection_dim=8))
    dino = Dinov2Model(Dinov2Config(**size, mlp_ratio=2))
    square = {"height": 32, "width": 32}
    for name, network, processor in (
        ("clip", clip, CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=square)),
        ("dino", dino, BitImageProcessor(size={"shortest_edge": 32}, crop_size=square)),
    ):
        network.save_pretrained(folder / name)
        processor.save_pretrained(folder / name)
    return {name: folder / name for name in ("clip", "dino")}


@pytest.mark.parametrize("kind", ["clip", "dino"])
def test_an_embedding_is_the_networks_own(kind: Any, models: dict[str, Path]) -> None:
    from transformers import AutoImageProcessor, CLIPVisionModelWithProjection, Dinov2Model

    image_HWC = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    other_HWC = 255 - image_HWC
    network = Embedding(kind, models[kind])
    pixels = AutoImageProcessor.from_pretrained(models[kind])(images=image_HWC, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        if kind == "clip":
            expected = CLIPVisionModelWithProjection.from_pretrained(models[kind]).eval()(pixels).image_embeds[0]
        else:
            expected = Dinov2Model.from_pretrained(models[kind]).eval()(pixels).last_hidden_state[0, 0]
    np.testing.assert_allclose(network(image_HWC), expected / expected.norm(), atol=1e-5)
    assert network.similarity(image_HWC, image_HWC) == pytest.approx(1)
    assert network.similarity(image_HWC, other_HWC) < 0.999


@pytest.mark.parametrize("kind", ["clip", "dino"])
def test_a_folder_without_a_model_is_named(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"evaluate.{kind}_model: .*no such folder"):
        Embedding(kind, tmp_path / "gone")
    with pytest.raises(UserError, match=f"evaluate.{kind}_model: .*not a {kind} model"):
        Embedding(kind, tmp_path)


class Drifting:
    """A pose model whose points drift with the mean brightness of the picture."""

    def __init__(self) -> None:
        self.boxes: set[tuple[float, ...]] = set()

    def predict(self, pictures: list[np.ndarray], boxes: list[tuple[float, ...]]) -> list[Pose]:
        self.boxes.update(map(tuple, boxes))
        return [Pose(np.full((17, 2), float(image_HWC.mean())), np.ones(17)) for image_HWC in pictures]


def test_every_extra_number_of_a_run(
    sampled: World, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = pd.read_parquet(sampled.results / "sample/cascade/index.parquet")
    packed = PackedPhotos(sampled.packs)
    labels = tmp_path / "labels"
    for pair in listed_pairs(sampled.pairs, ["test_paired", "test_unpaired"]):
        person = packed.read(pair.person, (64, 48))
        for system, stage in (("cascade", "sr64"), ("cascade", "base"), ("regression", "regression")):
            found_HW = person.labels_HW if stage != "base" else np.zeros_like(person.labels_HW)
            files.write_bytes(labels / system / stage / f"{pair.pair_id}.png", images.encode_labels(found_HW))
    model = Drifting()
    monkeypatch.setattr(extras, "load_model", lambda _cfg: model)
    sampled.configure(
        keypoints={"source": "given_else_mmpose"},
        evaluate={
            "keypoint_consistency": True, "result_labels": str(labels), "clip_model": str(models["clip"]),
            "dino_model": str(models["dino"]),
        },
    )  # fmt: skip
    assert sampled.evaluate() == 0
    metrics = metrics_of(sampled)
    new = metrics[metrics["metric"].isin(["oks", "preserved_iou", "clip_i", "dino"])]
    assert set(new["size"]) == {"64x48"}
    lines = 9
    counts = new.groupby("metric").size().to_dict()
    assert counts == {"oks": 4 * lines, "clip_i": 4 * lines, "dino": 4 * lines, "preserved_iou": 4 * 3}
    found = new[new["metric"] == "oks"].set_index("system")["value"]
    assert (found["keep"] == 1).all()
    assert (found["mean_colour"] < 1).all()
    people = index["pair_id"].str.split("__").str[0].nunique()
    assert len(model.boxes) == people, "the person's box serves the results, too"
    iou = new[new["metric"] == "preserved_iou"].set_index("stage")["value"]
    assert (iou[["sr64", "regression"]] == 1).all()
    assert (iou["base"] == 0).all()
    for metric in ("clip_i", "dino"):
        values = new[new["metric"] == metric]["value"]
        assert values.between(-1, 1.000001).all()
        assert values.nunique() > 4
    summary = files.read_json(sampled.results / "evaluate" / "summary.json")
    assert set(summary["not_computed"]) == {"lpips", "fid", "kid"}


def test_a_result_without_label_map_is_named(
    sampled: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels").mkdir()
    sampled.configure(evaluate={"result_labels": str(tmp_path / "labels")})
    assert sampled.evaluate() == 2
    message = capsys.readouterr().err
    assert "evaluate.result_labels" in message
    assert "not a label map" in message


def test_what_is_off_says_why(sampled: World) -> None:
    sampled.configure(keypoints={"source": "given_else_mmpose"})
    reasons = extras.not_given(load(sampled.config))
    assert reasons["oks"] == "not computed: evaluate.keypoint_consistency is off"
    assert extras.open_extras(load(sampled.config)) is None
