"""Options of a stage's network that change its speed or memory and not what it computes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from mannequins import TINY, awake, batch, stage
from torch import nn

from tryon.config import NetworkConfig, SamplingConfig
from tryon.methods.interface import Conditions, Stage
from tryon.methods.tryondiffusion.parallel_unet import ParallelUNet

SEEDS = torch.tensor([11, 12, 13])
KINDS = pytest.mark.parametrize("kind", ["parallel_unet", "imagen_sr"])


def ready(kind: str, **train: Any) -> tuple[Stage, nn.Module, torch.Tensor, Conditions]:
    torch.manual_seed(0)
    tiny = stage(kind, train=train)
    target_B3HW, conditions = batch(3, tiny.size_hw)
    if tiny.low_size_hw:
        conditions = conditions.with_low(F.interpolate(target_B3HW, size=tiny.low_size_hw, mode="area"))
    return tiny, awake(tiny.build()).train(), target_B3HW, conditions


def gradients(kind: str, **train: Any) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients of the summed loss by name, and bytes of activations that the backward pass was kept waiting with."""
    tiny, network, target_B3HW, conditions = ready(kind, **train)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = sum(parameter.untyped_storage().nbytes() for parameter in network.parameters())
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = tiny.loss_B(network, target_B3HW, conditions, SEEDS, condition_dropout=True).sum()
    loss.backward()
    found = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    return found, sum(kept.values()) - weights


@KINDS
def test_checkpointing_keeps_less_and_gives_the_same_gradients(kind: str) -> None:
    plain, plain_bytes = gradients(kind)
    saving, saving_bytes = gradients(kind, gradient_checkpointing=True)
    assert plain.keys() == saving.keys()
    for name, gradient in plain.items():
        assert torch.equal(saving[name], gradient), name
    assert saving_bytes < 0.7 * plain_bytes


@KINDS
def test_a_dataparallel_copy_recomputes_with_its_own_weights(kind: str) -> None:
    """DataParallel's copies share what stands in a module's __dict__, a method bound to the original, too."""
    _, network, _, _ = ready(kind, gradient_checkpointing=True)
    for module in network.modules():
        copied = module._replicate_for_data_parallel().__dict__.values()
        assert module not in [getattr(value, "__self__", None) for value in copied]
        assert module not in [getattr(arg, "__self__", None) for value in copied for arg in getattr(value, "args", ())]


@KINDS
def test_checkpointing_changes_no_name_of_a_weight(kind: str) -> None:
    """Weights of a run with it load into a network without, and the average's copy is independent."""
    tiny, saving, target, conditions = ready(kind, gradient_checkpointing=True)
    _, plain, _, _ = ready(kind)
    assert list(saving.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in saving.named_parameters()] == [name for name, _ in plain.named_parameters()]
    plain.load_state_dict(saving.state_dict())
    copy = deepcopy(saving)
    with torch.no_grad():
        for weights in copy.parameters():
            weights.mul_(0.5)
    losses = [
        tiny.loss_B(network, target, conditions, SEEDS, condition_dropout=False) for network in (saving, plain, copy)
    ]
    assert torch.equal(losses[0], losses[1])
    assert not torch.isclose(losses[2], losses[0]).any()


@KINDS
def test_channels_last_reaches_every_convolution_and_changes_no_more_than_rounding(
    kind: str,
) -> None:
    tiny, network, target, conditions = ready(kind)
    other, turned, _, _ = ready(kind, channels_last=True)
    seen: list[bool] = []
    for module in turned.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            assert module.weight.is_contiguous()
            module.register_forward_hook(
                lambda _m, given, _o: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
            )
    losses = [
        part.loss_B(net, target, conditions, SEEDS, condition_dropout=True)
        for part, net in ((tiny, network), (other, turned))
    ]
    assert seen
    assert all(seen)
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-5)
    for net, loss_B in zip((network, turned), losses, strict=True):
        loss_B.sum().backward()
        assert all(weight.grad is not None for weight in net.parameters() if weight.requires_grad)
    for (name, weight), other_weight in zip(network.named_parameters(), turned.parameters(), strict=True):
        if weight.grad is not None and other_weight.grad is not None:
            torch.testing.assert_close(other_weight.grad, weight.grad, rtol=1e-2, atol=1e-4, msg=name)
    cfg = SamplingConfig(num_steps=2, guidance=2.0)
    pictures = [part.sample(net.eval(), conditions, SEEDS, cfg) for part, net in ((tiny, network), (other, turned))]
    torch.testing.assert_close(pictures[1], pictures[0], rtol=1e-3, atol=1e-3)


def test_the_parallel_unet_compiles_as_one_graph() -> None:
    """`fullgraph` refuses a break; the backend that only traces is enough to tell."""
    torch.manual_seed(0)
    levels = {"channels": [8], "blocks": [1], "self_attention": [True], "cross_attention": [True]}
    network = awake(ParallelUNet(NetworkConfig.model_validate({**TINY, **levels, "skips": "block"}), 7))
    given = [torch.rand(2, 7, 8, 8), torch.rand(2, 4, 8, 8), *torch.rand(2, 2, 17, 3), *torch.rand(2, 2)]
    is_null_B = torch.tensor([False, True])
    expected = network(*given, is_null_B)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    try:
        torch.testing.assert_close(compiled(*given, is_null_B), expected)
    finally:
        torch.compiler.reset()
