"""Colour drift: an enlarging stage, fed with the truth, adds no tint (fashn-AI's reproduction reports one at 256)."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from mannequins import batch, stage

from tryon.config import SamplingConfig
from tryon.training.feed import Batch
from tryon.training.loop import Trainer

NUM_TRAIN, NUM_TEST, STEPS, BATCH = 48, 48, 120, 8
LEVELS = 127.5  # 8-bit levels of one unit


@pytest.mark.parametrize("kind", ["parallel_unet_sr", "imagen_sr"])
def test_a_trained_enlarging_stage_adds_no_tint(kind: str) -> None:
    """By the real trainer, on 48 pictures it does not know: in no channel as much as two 8-bit levels."""
    tiny = stage(
        kind,
        diffusion={"low_noise_max": 0.1, "low_noise_sample": 0.0},
        train={"num_steps": STEPS, "batch_size": BATCH, "lr": 2e-3, "warmup_steps": 10, "ema_decay": 0.9},
    )
    trainer = Trainer(tiny, Accelerator(cpu=True))
    target_B3HW, conditions = batch(NUM_TRAIN + NUM_TEST, tiny.size_hw)
    worn_B1HW = torch.zeros_like(conditions.region_B1HW)
    for step in range(STEPS):
        index_B = torch.arange(BATCH) + step * BATCH
        rows_B = index_B % NUM_TRAIN
        names = [str(row) for row in rows_B.tolist()]
        trainer.step(step, [Batch(target_B3HW[rows_B], worn_B1HW[rows_B], conditions.select(rows_B), index_B, names)])
    unknown = slice(NUM_TRAIN, None)
    true_B3HW, given = target_B3HW[unknown], conditions.select(unknown)
    low_B3hw = torch.nn.functional.interpolate(true_B3HW, size=tiny.low_size_hw, mode="area")
    seeds_B = torch.arange(NUM_TEST)
    made_B3HW = tiny.sample(trainer.ema.network, given.with_low(low_B3hw), seeds_B, SamplingConfig(num_steps=4))
    error_B3HW = (made_B3HW - true_B3HW) * given.region_B1HW
    drift_3 = error_B3HW.sum((0, 2, 3)) / given.region_B1HW.sum() * LEVELS
    assert drift_3.abs().max() < 2, drift_3
