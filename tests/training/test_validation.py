"""Validation does not roll dice, and its pictures show the five columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rig
import torch

from tryon.config import SamplingConfig
from tryon.images import from_network
from tryon.packed import PackedPhotos
from tryon.training.feed import CanvasPhotos, read_pairs
from tryon.training.validation import BORDER_PX, Validation

CPU = torch.device("cpu")


class Recording(rig.TinyStage):
    """Notes whether conditions were dropped."""

    dropped: list[bool] = []

    def loss_B(self, *args: object, condition_dropout: bool, **rest: object) -> torch.Tensor:
        self.dropped.append(condition_dropout)
        return super().loss_B(*args, condition_dropout=condition_dropout, **rest)


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return rig.TinyStage("base", rig.stage_config()).build().eval()


def make(tmp_path: Path, batch_size: int, stage: rig.TinyStage | None = None) -> Validation:
    if not (tmp_path / "pairs.parquet").exists():
        rig.write_data(tmp_path)
    packed = PackedPhotos(sorted((tmp_path / "pack").glob("*.safetensors")))
    pairs, _ = read_pairs(tmp_path / "pairs.parquet", "val_paired", packed)
    stage = stage or rig.TinyStage("base", rig.stage_config())
    photos = CanvasPhotos(packed, rig.SIZE_HW)
    return Validation(stage, pairs, photos, SamplingConfig(), seed=0, batch_size=batch_size)


def test_the_loss_is_the_same_every_time_and_for_any_batch_size(tmp_path: Path, network: torch.nn.Module) -> None:
    validation = make(tmp_path, 3)
    first = validation.loss(network, CPU)
    torch.randn(7)  # whatever else drew random numbers in between
    assert validation.loss(network, CPU) == first
    assert make(tmp_path, 2).loss(network, CPU) == pytest.approx(first, rel=1e-6)


def test_no_condition_is_dropped(tmp_path: Path, network: torch.nn.Module) -> None:
    stage = Recording("base", rig.stage_config())
    make(tmp_path, 3, stage).loss(network, CPU)
    assert stage.dropped == [False] * 4


def test_the_grid_shows_person_garment_agnostic_result_truth(tmp_path: Path, network: torch.nn.Module) -> None:
    grid_HWC = make(tmp_path, 3).grid_HWC(network, CPU)
    height, width = rig.SIZE_HW
    framed_hw = height + 2 * BORDER_PX, width + 2 * BORDER_PX
    assert grid_HWC.shape == (rig.NUM_VAL * framed_hw[0], 5 * framed_hw[1], 3)
    assert grid_HWC.dtype == np.uint8

    def cell(row: int, column: int) -> np.ndarray:
        top, left = row * framed_hw[0] + BORDER_PX, column * framed_hw[1] + BORDER_PX
        return grid_HWC[top : top + height, left : left + width]

    packed = PackedPhotos(sorted((tmp_path / "pack").glob("*.safetensors")))
    for row in range(rig.NUM_VAL):
        person = packed.read(f"person/p{rig.NUM_TRAIN + row}", rig.SIZE_HW)
        garment = packed.read(f"garment/p{rig.NUM_TRAIN + row}", rig.SIZE_HW)
        grey = from_network(np.zeros((height, width, 3)))
        is_worn = garment.garments_HW[..., None] > 0
        is_repainted = person.regions_HW[..., None] > 0
        assert np.array_equal(cell(row, 0), person.image_HWC)
        assert np.array_equal(cell(row, 1), np.where(is_worn, garment.image_HWC, grey))
        assert np.array_equal(cell(row, 2), np.where(is_repainted, grey, person.image_HWC))
        assert not np.array_equal(cell(row, 3), person.image_HWC)
        assert np.array_equal(cell(row, 4), person.image_HWC)
