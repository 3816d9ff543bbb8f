"""Guidance pays for no garment that it leaves out: same bits, fewer operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mannequins import TINY, awake, batch, stage
from torch.utils.flop_counter import FlopCounterMode

from tryon.config import NetworkConfig, SamplingConfig, load
from tryon.methods.interface import Conditions
from tryon.methods.tryondiffusion import stages
from tryon.methods.tryondiffusion.parallel_unet import ParallelUNet

PRESET = Path(__file__).resolve().parents[2] / "config" / "presets" / "paper.yaml"
BOTH = pytest.mark.parametrize("sees_time", [False, True])
SEEDS = torch.tensor([11, 12, 13])


def ready(
    sees_time: bool, *, channels_last: bool = False, **settings: Any
) -> tuple[stages.ParallelUNetStage, ParallelUNet, Conditions]:
    torch.manual_seed(0)
    network = {**TINY, "garment_sees_time": sees_time, **settings}
    tiny = stage(network=network, train={"channels_last": channels_last})
    built = awake(tiny.build())
    assert isinstance(tiny, stages.ParallelUNetStage)
    assert isinstance(built, ParallelUNet)
    return tiny, built, batch(3)[1]


def given(network: ParallelUNet, num: int, size_px: int) -> list[torch.Tensor]:
    """Arguments of a network's forward, on the default device."""
    channels = network.person.stem.in_channels, network.garment.stem.in_channels
    planes = [torch.rand(num, count, size_px, size_px) for count in channels]
    return [*planes, torch.rand(num, 17, 3), torch.rand(num, 17, 3), torch.rand(num), torch.rand(num)]


@BOTH
@pytest.mark.parametrize("skips", ["level", "block"])
@torch.no_grad()
def test_leaving_the_null_garments_out_changes_no_bit(sees_time: bool, skips: str) -> None:
    _, network, _ = ready(sees_time, skips=skips)
    arguments = given(network, 6, 16)
    arguments[1][3:] = 0
    is_null_B = torch.arange(6) >= 3
    everything = network(*arguments, is_null_B)
    assert torch.equal(network(*arguments, num_garments=3), everything)
    if not sees_time:
        features = network.garment_features(*arguments[1:], num_garments=3)
        assert torch.equal(network(*arguments, features=features), everything)


@BOTH
@pytest.mark.parametrize("channels_last", [False, True])
def test_guided_samples_are_bit_equal_with_and_without_the_skip(
    sees_time: bool, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny, network, conditions = ready(sees_time, channels_last=channels_last)
    cfg = SamplingConfig(num_steps=3, guidance=2.0)
    skipped = tiny.sample(network, conditions, SEEDS, cfg)
    monkeypatch.setattr(stages, "num_garments", lambda _conditions: None)
    assert torch.equal(tiny.sample(network, conditions, SEEDS, cfg), skipped)
    assert not torch.equal(tiny.sample(network, conditions, SEEDS, SamplingConfig(num_steps=3)), skipped)


@BOTH
def test_guidance_computes_garment_features_of_conditioned_samples_alone(
    sees_time: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny, network, conditions = ready(sees_time)
    sizes: list[int] = []
    original = network.garment.forward
    monkeypatch.setattr(network.garment, "forward", lambda *args: (sizes.append(len(args[0])), original(*args))[1])
    tiny.sample(network, conditions, SEEDS, SamplingConfig(num_steps=4, guidance=2.0))
    assert sizes == ([3] * 4 if sees_time else [3])


@BOTH
def test_a_dropped_garment_is_dropped_whatever_its_pixels(sees_time: bool) -> None:
    """In training too: of a dropped row, output and gradients do not depend on the garment's picture."""
    _, network, _ = ready(sees_time)
    arguments = given(network, 3, 16)
    is_null_B = torch.tensor([False, True, False])
    before = network(*arguments, is_null_B)
    arguments[1] = arguments[1].clone()
    arguments[1][1] = torch.rand(4, 16, 16)
    arguments[1].requires_grad_()
    after = network(*arguments, is_null_B)
    assert torch.equal(after, before)
    after.square().sum().backward()
    assert arguments[1].grad is not None
    assert arguments[1].grad[1].abs().max() == 0
    assert arguments[1].grad[[0, 2]].abs().amax((1, 2, 3)).min() > 0


def test_every_weight_gets_a_gradient_though_all_garments_are_dropped() -> None:
    """Processes that drop different samples exchange the same gradients."""
    _, network, _ = ready(False)
    network(*given(network, 2, 16), torch.ones(2, dtype=torch.bool)).square().mean().backward()
    assert [name for name, weights in network.named_parameters() if weights.grad is None] == []


def test_null_rows_are_known_by_name_through_every_change_of_a_batch() -> None:
    _, conditions = batch(3)
    null = conditions.without_garment(torch.tensor([False, True, False]))
    assert null.nulls_B.tolist() == [False, True, False]
    assert null.without_garment(torch.tensor([True, False, False])).nulls_B.tolist() == [True, True, False]
    assert Conditions.cat([conditions, null]).nulls_B.tolist() == [False] * 4 + [True, False]
    assert null.select(slice(1, 3)).nulls_B.tolist() == [True, False]
    assert conditions.nulls_B.tolist() == [False] * 3
    assert stages.num_garments(conditions) == 3
    assert stages.num_garments(Conditions.cat([conditions, conditions.without_garment(torch.ones(3) > 0)])) == 3
    assert stages.num_garments(null) is None


def test_a_guided_step_of_the_papers_network_takes_1_6_times_fewer_operations() -> None:
    """1.69 times, with a garment branch that ignores the time; with the paper's own, 1.29 times."""
    cfg = load(PRESET).stages["base"].network.model_copy(update={"garment_sees_time": False})
    everything, skipped, cached = flops_of_a_guided_step(cfg, 128)
    assert everything / cached > 1.6
    assert everything / skipped > 1.25


def test_operations_of_a_guided_step_by_hand() -> None:
    """One level of one block: convolutions 2·9·C·D and projections 2·C·D per pixel, attention 4·N·M·C."""
    cfg = network_cfg(False, channels=[8], blocks=[1], self_attention=[False], cross_attention=[True])
    num, pixels, tokens, width = 2, 64, 34, 32
    pose = (
        2 * num * (2 * tokens * 3 * width + 2 * (tokens + 1) * 3 * width**2 + 4 * (tokens + 1) * width + 2 * width**2)
    )
    embedding = 2 * num * (2 * width**2 + 2 * 2 * width**2)
    film = 2 * 2 * width * 16  # of both blocks; in the garment branch of null samples too, see ResBlock
    convolutions = 2 * 2 * 9 * 8 * 8 * 2 * pixels
    attention = 4 * 2 * pixels * 8 * 8 + 4 * pixels * pixels * 8
    garment = 2 * 9 * 4 * 8 * pixels + convolutions
    person = 2 * 9 * 7 * 8 * pixels + convolutions + film + 2 * 9 * 8 * 3 * pixels
    nothing = 2 * 2 * 8 * 8  # what a map of zeros answers, once per cross-attention
    shared = pose + embedding + 2 * num * person
    timeless = 2 * num * (2 * width**2 + film)
    everything, skipped, cached = flops_of_a_guided_step(cfg, 8, num)
    assert everything == shared + timeless + 2 * num * (garment + 2 * attention)
    assert skipped == shared + timeless + num * (garment + 2 * attention) + nothing
    assert cached == shared + num * 2 * attention + nothing


def network_cfg(sees_time: bool, **settings: object) -> NetworkConfig:
    return NetworkConfig.model_validate({**TINY, "garment_sees_time": sees_time, **settings})


def flops_of_a_guided_step(cfg: NetworkConfig, size_px: int, num: int = 1) -> tuple[int, int, int]:
    """Computing everything for everyone; leaving null garments out; and with features kept besides."""
    with torch.device("meta"):
        network = ParallelUNet(cfg, 7)
        arguments = given(network, 2 * num, size_px)
        is_null_B = torch.zeros(2 * num, dtype=torch.bool)
    with torch.no_grad():
        features = network.garment_features(*arguments[1:], num_garments=num)
        counts = []
        for named in ({"is_null_B": is_null_B}, {"num_garments": num}, {"features": features}):
            with FlopCounterMode(display=False) as counter:
                network(*arguments, **named)
            counts.append(counter.get_total_flops())
    return counts[0], counts[1], counts[2]
