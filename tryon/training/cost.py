"""What a training step costs, counted on shapes alone: nothing is allocated, whatever the size of the network.

FLOPs: `torch.utils.flop_counter` over one forward and backward pass of the stage's network on the meta device, batch 1;
every sample costs the same, so a batch costs a multiple. A multiply-add counts as two; matrix products, convolutions
and attention are counted, everything else is too little to matter.

Memory: one forward and backward pass at the real micro-batch with fake tensors (they have shape and type, but no
storage), while every storage that an operation makes is counted until it is freed. So the peak holds what autograd
keeps for the backward pass, and what gradient checkpointing recomputes, as it happens. Not seen: workspaces inside one
kernel, the allocator's fragments, the optimizer step and the averaging (both work in place).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

from tryon.config import Config, StageConfig
from tryon.errors import UserError
from tryon.methods import make_stage
from tryon.methods.interface import Conditions, num_params
from tryon.methods.tryondiffusion import layers
from tryon.methods.tryondiffusion.denoising import DenoisingStage, Known
from tryon.ontology import KEYPOINT_NAMES
from tryon.training.parallel import units

BYTES = 4  # weights, gradients, moments and average are float32 at every precision


@dataclass(frozen=True)
class Compute:
    """Of one sample of a stage.

    Attributes:
        num_params: trained parameters.
        forward_flops: of one call of the network.
        flops: of forward and backward pass.
        executed_flops: the same with what gradient checkpointing computes a second time.
    """

    num_params: int
    forward_flops: int
    flops: int
    executed_flops: int


def count_compute(config: Config, name: str) -> Compute:
    """Parameters and FLOPs of a stage."""
    forward_flops, flops, parameters = _count(_with_train(config, name, gradient_checkpointing=False), name)
    executed_flops = flops
    if config.stages[name].train.gradient_checkpointing:
        executed_flops = _count(config, name)[1]
    return Compute(parameters, forward_flops, flops, executed_flops)


def peak_step_bytes(config: Config, name: str, micro_batch: int) -> int:
    """Largest number of bytes that a step of a stage has beside weights, optimizer and average; gradients included.

    Args:
        config: precision, gradient checkpointing and strategy are the stage's own; compilation is not part of it,
            which mostly saves some. Under fsdp all gradients count beside the activations of the whole pass: each
            process holds its share of them, whatever the moment.
        name: of the stage.
        micro_batch: samples of one forward pass on one process.
    """
    cfg = config.stages[name]
    stage = _stage(config, name)
    with FakeTensorMode():
        network = stage.build().train()
        # the micro-batches after the first one find gradients in place
        if cfg.train.accumulation > 1 or cfg.train.strategy == "fsdp":
            for parameter in network.parameters():
                if parameter.requires_grad:
                    parameter.grad = torch.zeros_like(parameter)
        inputs = network_inputs(stage, micro_batch, "cpu")
        live = LiveBytes([*network.parameters(), *network.buffers(), *tensors_of(inputs)])
        kept = sum(p.grad.numel() * BYTES for p in network.parameters() if p.grad is not None)
        with live, _casts_of_cuda(is_half=cfg.train.precision != "fp32"):
            one_pass(stage, network, inputs)
    return live.peak_bytes + kept


def gathered_bytes(config: Config, name: str) -> int:
    """Whole weights and gradients that a process holds at a time under fsdp: two blocks, and what is in none of them.

    One block is in work while the next one is gathered, or its gradients are handed out; what no block takes stays
    gathered from the first layer to the last.
    """
    with torch.device("meta"):
        network = _stage(config, name).build()
    taken: set[nn.Parameter] = set()
    sizes = []
    for unit in units(network):
        own = [parameter for parameter in unit.parameters() if parameter not in taken]
        taken.update(own)
        sizes.append(sum(parameter.numel() for parameter in own))
    rest = sum(parameter.numel() for parameter in network.parameters() if parameter not in taken)
    return 2 * (rest + 2 * max(sizes, default=0)) * BYTES


Inputs = tuple[torch.Tensor, torch.Tensor, Known]


def network_inputs(stage: DenoisingStage, batch: int, device: torch.device | str) -> Inputs:
    """Noised pictures, steps and knowledge of the shapes that training hands to the stage's network; all zeros."""
    height, width = stage.cfg.train.crop or stage.size_hw

    def plane(channels: int) -> torch.Tensor:
        return torch.zeros(batch, channels, height, width, device=device)

    def points() -> torch.Tensor:
        return torch.zeros(batch, len(KEYPOINT_NAMES), 3, device=device)

    conditions = Conditions(plane(3), plane(1), plane(3), plane(1), plane(3), plane(1), points(), points())
    level_B = torch.zeros(batch, device=device)
    low_B3HW = None if stage.low_size_hw is None else plane(3)
    known = Known(conditions, low_B3HW, level_B, guess_B3HW=plane(3), spread_B1HW=plane(1))
    return plane(3), torch.zeros(batch, dtype=torch.int64, device=device), known


def tensors_of(inputs: Inputs) -> list[torch.Tensor]:
    """Every tensor of `network_inputs`."""
    x_B3HW, steps_B, known = inputs
    low = [] if known.low_B3HW is None else [known.low_B3HW]
    return [
        *(x_B3HW, steps_B, known.level_B, known.guess_B3HW, known.spread_B1HW, *low),
        *known.conditions.tensors().values(),
    ]


def one_pass(
    stage: DenoisingStage, network: nn.Module, inputs: Inputs, between: Callable[[], Any] = lambda: None
) -> None:
    """Forward and backward pass of a squared error; `between` is called after the forward pass."""
    x_B3HW, steps_B, known = inputs
    loss = stage.predict(network, x_B3HW, steps_B, known, {}).square().mean()
    between()
    loss.backward()


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors from the operation that makes them until nobody holds them.

    Args:
        known: tensors that are there before and do not count.

    Attributes:
        now_bytes: held at this moment.
        peak_bytes: most that was held at any.
    """

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()
        self.now_bytes = self.peak_bytes = 0
        self._seen = WeakIdKeyDictionary()
        for tensor in known:
            self._seen[tensor.untyped_storage()] = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 (torch's operator)
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run the operation and count what it made."""
        made = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._count, made)
        return made

    def _count(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage not in self._seen:
            num_bytes = storage.nbytes()
            self._seen[storage] = num_bytes
            self.now_bytes += num_bytes
            self.peak_bytes = max(self.peak_bytes, self.now_bytes)
            weakref.finalize(storage, self._forget, num_bytes)
        return tensor

    def _forget(self, num_bytes: int) -> None:
        self.now_bytes -= num_bytes


class _NormsInFloat32(TorchFunctionMode):
    """Autocast on CUDA normalises in float32, autocast on the CPU does not; the float32 copies are what counts."""

    NORMS = (torch.group_norm, torch.layer_norm, nn.functional.group_norm, nn.functional.layer_norm)

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        if func in self.NORMS:
            args = (args[0].float(), *args[1:])
        return func(*args, **(kwargs or {}))


@contextmanager
def _casts_of_cuda(*, is_half: bool) -> Iterator[None]:
    """Types as under autocast on CUDA; half precisions are all two bytes wide."""
    if not is_half:
        yield
        return
    # attention stays in half precision there; only a CPU does better in float32
    attention_of_cuda = patch.object(layers, "attend", F.scaled_dot_product_attention)
    with torch.autocast("cpu", torch.bfloat16), _NormsInFloat32(), attention_of_cuda:
        yield


def _count(config: Config, name: str) -> tuple[int, int, int]:
    """FLOPs of a forward pass, of both passes, and trained parameters."""
    stage = _stage(config, name)
    with torch.device("meta"):
        network = stage.build().train()
    inputs = network_inputs(stage, 1, "meta")
    # attention as plain matrix products: a fused kernel's second computing is no work of the model
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        forward: list[int] = []
        one_pass(stage, network, inputs, lambda: forward.append(counter.get_total_flops()))
    return forward[0], counter.get_total_flops(), num_params(network)


def _stage(config: Config, name: str) -> DenoisingStage:
    """The stage in float32: types are set around it, since no autocast knows the meta device.

    Nor channels last, which makes no pass larger, but has products of its own on a CPU.
    """
    stage = make_stage(name, _with_train(config, name, precision="fp32", channels_last=False))
    if not isinstance(stage, DenoisingStage):
        raise UserError(f"stages.{name}: no costs are known of the kind {config.stages[name].kind}")
    return stage


def _with_train(config: Config, name: str, **changes: Any) -> Config:  # noqa: ANN401 (values of settings)
    cfg: StageConfig = config.stages[name]
    train = cfg.train.model_copy(update=changes)
    return config.model_copy(update={"stages": config.stages | {name: cfg.model_copy(update={"train": train})}})
