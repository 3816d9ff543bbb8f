"""What a step is said to cost is what it costs on a real device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from tryon.config import Config, parse
from tryon.methods import make_stage
from tryon.methods.interface import Conditions, Stage, num_params
from tryon.training.cost import LiveBytes, count_compute, peak_step_bytes

ATTENTIVE = {
    "channels": [32, 64],
    "blocks": [2, 1],
    "self_attention": [False, True],
    "cross_attention": [False, True],
    "head_channels": 16,
    "embedding_channels": 64,
}
PLAIN = {"channels": [32, 64], "blocks": [2, 1], "self_attention": [False, False], "cross_attention": [False, False]}
STAGES = {
    "base": {"kind": "parallel_unet", "size": [64, 48], "network": ATTENTIVE},
    "sr": {"kind": "parallel_unet_sr", "size": [128, 96], "low_size": [64, 48], "network": ATTENTIVE},
    "crops": {
        "kind": "imagen_sr", "size": [256, 192], "low_size": [128, 96], "network": PLAIN,
        "train": {"crop": [64, 48]},
    },
}  # fmt: skip


def settings(**train: Any) -> Config:
    stages = {name: {**stage, "train": {**stage.get("train", {}), **train}} for name, stage in STAGES.items()}
    return parse({"stages": stages, "cascade": list(STAGES)})


def training_batch(stage: Stage, batch: int) -> tuple[torch.Tensor, Conditions]:
    height, width = stage.size_hw

    def plane(channels: int) -> torch.Tensor:
        return torch.rand(batch, channels, height, width)

    points = torch.rand(batch, 17, 3)
    return plane(3), Conditions(plane(3), plane(1), plane(3), plane(1), plane(3), plane(1), points, points)


def train_step(stage: Stage, network: torch.nn.Module, batch: int) -> None:
    target, conditions = training_batch(stage, batch)
    seeds = torch.arange(batch)
    stage.loss_B(network, target, conditions, seeds, condition_dropout=True).sum().backward()


@pytest.mark.parametrize("name", STAGES)
def test_flops_and_parameters_are_those_of_a_real_step(name: str) -> None:
    config = settings()
    stage = make_stage(name, config)
    network = stage.build().train()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        train_step(stage, network, batch=3)
    counted = count_compute(config, name)
    assert counter.get_total_flops() == 3 * counted.flops > 0
    assert counted.executed_flops == counted.flops
    assert counted.num_params == num_params(network)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        stage.loss_B(network, *training_batch(stage, 2), torch.arange(2), condition_dropout=False)
    assert counter.get_total_flops() == 2 * counted.forward_flops


def measured_peak(stage: Stage, network: torch.nn.Module, batch: int, folder: Path) -> int:
    """Bytes that the CPU allocator handed out at most during a step, by the profiler's own bookkeeping."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        train_step(stage, network, batch)
    profiler.export_chrome_trace(str(folder / "trace.json"))
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    changes = [event["args"]["Bytes"] for event in sorted(
        (event for event in events if event["name"] == "[memory]"), key=lambda event: event["ts"]
    )]  # fmt: skip
    held = peak = 0
    for change in changes:
        held += change
        peak = max(peak, held)
    return peak


@pytest.mark.parametrize("name", STAGES)
def test_memory_of_a_step_is_within_a_fifth_of_what_the_allocator_hands_out(name: str, tmp_path: Path) -> None:
    """The loss's own planes and a kernel's workspace are not part of the plan."""
    config = settings()
    stage = make_stage(name, config)
    measured = measured_peak(stage, stage.build().train(), 4, tmp_path)
    planned = peak_step_bytes(config, name, 4)
    assert 0.8 * measured <= planned <= 1.2 * measured


def test_memory_grows_with_the_micro_batch_and_shrinks_with_half_precision() -> None:
    one, four = (peak_step_bytes(settings(), "base", batch) for batch in (1, 4))
    assert 3 * one < four < 5 * one
    half = peak_step_bytes(settings(precision="bf16"), "base", 4)
    assert 0.4 * four < half < 0.9 * four


def test_gradients_of_an_earlier_micro_batch_count() -> None:
    config = settings(accumulation=2, batch_size=16)
    gradients = 4 * count_compute(config, "base").num_params
    assert peak_step_bytes(config, "base", 1) >= peak_step_bytes(settings(), "base", 1) + gradients // 4


def test_live_bytes_are_the_peak_not_the_sum() -> None:
    given = torch.zeros(1000)
    with LiveBytes([given]) as live:
        a = given + 1
        b = a * 2
        del a
        c = b + 1
        del b, c
        given.add_(1)
    assert live.peak_bytes == 2 * 4000
    assert live.now_bytes == 0


def test_a_huge_network_is_planned_without_being_made() -> None:
    """16 billion parameters would be 64 GB of weights alone."""
    wide = {**ATTENTIVE, "channels": [2048, 16384], "head_channels": 64}
    config = parse({"stages": {"base": {**STAGES["base"], "network": wide}}, "cascade": ["base"]})
    assert count_compute(config, "base").num_params > 10**10
