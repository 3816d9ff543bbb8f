"""The network: what its output depends on, its attention, its FiLM, its size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mannequins import TINY, awake

from tryon.config import NetworkConfig
from tryon.methods.tryondiffusion.layers import Attention, ResBlock, attend
from tryon.methods.tryondiffusion.parallel_unet import ParallelUNet


def inputs(num: int = 2, size_hw: tuple[int, int] = (16, 12)) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(num, *shape, generator=draws)

    return {
        "person_BCHW": random(7, *size_hw),
        "garment_B4HW": random(4, *size_hw),
        "person_keypoints_BK3": random(17, 3),
        "garment_keypoints_BK3": random(17, 3),
        "t_B": random(),
        "level_B": random(),
    }


def network(**settings: object) -> ParallelUNet:
    torch.manual_seed(0)
    return awake(ParallelUNet(NetworkConfig.model_validate({**TINY, **settings}), 7))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "settings", [{}, {"garment_sees_time": True}, {"attention_positions": "none"}, {"attention_positions": "pose"}]
)
@torch.no_grad()
def test_output_depends_on_every_input(settings: dict[str, Any]) -> None:
    net, given = network(**settings), inputs()
    before = net(**given)
    assert before.shape == (2, 3, 16, 12)
    assert before.dtype == torch.float32
    for name, tensor in given.items():
        changed = tensor.clone()
        changed[0] = changed[0] * 0.5 + 0.2
        after = net(**{**given, name: changed})
        assert (after[0] - before[0]).abs().max() > 1e-3, name
        torch.testing.assert_close(after[1], before[1], rtol=1e-4, atol=1e-5, msg=f"{name} leaks to its neighbour")


@torch.no_grad()
def test_a_fresh_network_says_nothing() -> None:
    net = ParallelUNet(NetworkConfig.model_validate(TINY), 7)
    assert torch.equal(net(**inputs()), torch.zeros(2, 3, 16, 12))


@torch.no_grad()
def test_garment_features_ignore_the_time_unless_told() -> None:
    given = inputs()
    arguments = [given[name] for name in ("garment_B4HW", "person_keypoints_BK3", "garment_keypoints_BK3")]
    for sees_time in (False, True):
        net = network(garment_sees_time=sees_time)
        early = net.garment_features(*arguments, torch.zeros(2), given["level_B"])
        late = net.garment_features(*arguments, torch.ones(2), given["level_B"])
        assert early.keys() == late.keys() == {1}
        assert torch.equal(early[1], late[1]) is not sees_time


@torch.no_grad()
def test_given_features_are_those_it_would_compute() -> None:
    net, given = network(), inputs()
    features = net.garment_features(*list(given.values())[1:4], given["t_B"], given["level_B"])
    assert torch.equal(net(**given, features=features), net(**given))


@torch.no_grad()
def test_garment_decoder_stops_where_nobody_attends() -> None:
    levels = {"channels": [8, 8, 8], "blocks": [1, 1, 1], "self_attention": [False] * 3, "head_channels": 8}
    for cross, expected in (([False, False, True], {2}), ([False, True, True], {1, 2}), ([False] * 3, set())):
        net = network(**levels, cross_attention=cross)
        assert net(**inputs()).shape == (2, 3, 16, 12)
        arguments = list(inputs().values())
        assert set(net.garment_features(*arguments[1:])) == expected


@torch.no_grad()
def test_attention_keeps_the_unnormalised_map_and_has_wide_heads() -> None:
    """Prior systems: heads of one channel, and the map replaced by what attention returned."""
    block = Attention(32, 32, 8, positions=True)
    assert block.num_heads == 4
    x = 5 + 3 * torch.randn(2, 32, 4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x, None, None), x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_attention_in_half_precision_rounds_its_result_alone(dtype: torch.dtype) -> None:
    """So do its gradients: on a CPU it is computed in float32, under autocast too."""
    draws = torch.Generator().manual_seed(0)
    halves = [torch.randn(2, 3, num, 8, generator=draws).to(dtype).requires_grad_() for num in (5, 7, 7)]
    wholes = [half.detach().float().requires_grad_() for half in halves]
    with torch.autocast("cpu", torch.bfloat16):
        attended = attend(*halves)
    expected = torch.nn.functional.scaled_dot_product_attention(*wholes)
    assert attended.dtype == dtype
    assert torch.equal(attended, expected.to(dtype))
    weights = torch.randn(expected.shape, generator=draws).to(dtype)
    (attended * weights).sum().backward()
    (expected * weights.float()).sum().backward()
    for half, whole in zip(halves, wholes, strict=True):
        assert half.grad is not None
        assert whole.grad is not None
        assert torch.equal(half.grad, whole.grad.to(dtype))


@torch.no_grad()
def test_film_has_one_shift_and_one_unclamped_scale_per_channel() -> None:
    """Prior systems: one shift for all channels, and a scale behind a ReLU without 1 +."""
    block = ResBlock(8, 8, 4)
    block.film.weight.zero_()
    block.film.bias.copy_(torch.linspace(-2, 2, 16))
    torch.nn.init.dirac_(block.conv_out.weight)
    x = torch.randn(1, 8, 6, 5, generator=torch.Generator().manual_seed(0))
    normed = block.norm_out(block.conv_in(torch.nn.functional.silu(block.norm_in(x))))
    gamma, beta = block.film.bias.chunk(2)
    expected = x + torch.nn.functional.silu(normed * (1 + gamma[:, None, None]) + beta[:, None, None])
    torch.testing.assert_close(block(x, torch.ones(1, 4)), expected)


def test_a_canvas_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="16x13 is not a multiple of 2"):
        network()(**inputs(size_hw=(16, 13)))


def test_every_weight_gets_a_gradient() -> None:
    """DDP waits for weights that never get one."""
    net = network().train()
    net(**inputs()).square().mean().backward()
    without = [name for name, weights in net.named_parameters() if weights.grad is None]
    assert without == []
