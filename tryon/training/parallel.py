"""Several GPUs and processes: what each strategy makes of a network, and which ones can work where.

    auto, ddp   each process holds the whole network; gradients are averaged (accelerate wraps it)
    fsdp        weights, averages and optimizer state are shared out by torch's `fully_shard` (FSDP2)
    dp          one process, torch.nn.DataParallel over its GPUs

A tensor that is shared out is a DTensor of the whole's shape. `whole` gathers such tensors for a checkpoint and
`like` shares them out again, so a checkpoint does not tell by which strategy it was made.

fsdp is built on torch itself: accelerate's plugin for it takes no notice of processes without GPUs (accelerate 1.15),
where this must be tested, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from tryon.config import TrainConfig
from tryon.errors import UserError

UNIT_PARAMS = 1_000_000
"""Parameters from which a block is gathered by itself under fsdp; smaller ones go with what contains them."""


def check_strategy(cfg: TrainConfig, *, num_processes: int, num_gpus: int) -> None:
    """Refuse a strategy that cannot work with the processes that were started and the GPUs that they see.

    Raises:
        UserError: with the fix.
    """
    if cfg.strategy == "dp" and num_processes > 1:
        raise UserError(
            f"train.strategy dp works in one process, but {num_processes} were started; start `tryon train` without a "
            "launcher, or set train.strategy to ddp"
        )
    if cfg.strategy == "dp" and num_gpus < 2:
        raise UserError(
            f"train.strategy dp needs two or more GPUs, but this process sees {num_gpus} (CUDA_VISIBLE_DEVICES, "
            "nvidia-smi); set train.strategy to auto"
        )
    if cfg.strategy in ("ddp", "fsdp") and num_processes == 1:
        raise UserError(
            f"train.strategy {cfg.strategy} needs several processes, but this one was started alone; start it by "
            f"`python -m tryon.launch --gpus {max(2, cfg.gpus)} -- train …`, or set train.strategy to auto"
        )


def wrap(network: nn.Module, cfg: TrainConfig, accelerator: Accelerator) -> nn.Module:
    """The network as training calls it, on this process's device; fsdp changes its parameters in place.

    Args:
        network: with its weights, on the CPU; under fsdp and dp it is also what is returned or wrapped.
        cfg: names the strategy, and whether to compile.
        accelerator: device and processes.
    """
    if cfg.strategy == "fsdp":
        shard(network, accelerator.device)
    else:
        network.to(accelerator.device)
    if cfg.compile:
        network.compile()  # in place: names of weights stay what they are
    if cfg.strategy == "fsdp":
        return network
    if cfg.strategy == "dp":
        return nn.DataParallel(network)
    wrapped: nn.Module = accelerator.prepare_model(network)
    return wrapped


def shard(network: nn.Module, device: torch.device) -> None:
    """Share a network out over all processes, in place; its parameters become DTensors on `device`."""
    mesh = _mesh(device)
    for unit in units(network):
        fully_shard(unit, mesh=mesh)
    fully_shard(network, mesh=mesh)


def units(network: nn.Module) -> Iterator[nn.Module]:
    """Blocks to gather by themselves, inner ones first: elements of lists with `UNIT_PARAMS` or more parameters.

    Only elements of lists: what a network keeps under a name of its own it may use otherwise than by calling it,
    and only a call gathers weights.
    """
    yield from _units(network, set())


def _units(module: nn.Module, taken: set[nn.Parameter]) -> Iterator[nn.Module]:
    for child in module.children():
        yield from _units(child, taken)
        is_callable = type(child).forward is not nn.Module.forward
        own = [parameter for parameter in child.parameters() if parameter not in taken]
        if isinstance(module, nn.ModuleList) and is_callable and sum(p.numel() for p in own) >= UNIT_PARAMS:
            taken.update(own)
            yield child


def _mesh(device: torch.device) -> DeviceMesh:
    return init_device_mesh(device.type, (torch.distributed.get_world_size(),))


def whole(tensors: Mapping[str, torch.Tensor], *, keep: bool) -> dict[str, torch.Tensor]:
    """Tensors with their shared-out ones gathered, one after the other, onto the CPU; call it on every process.

    Args:
        tensors: by name, in the same order on every process.
        keep: False on processes that have no use for the result: they take part, and get nothing.
    """
    gathered = {}
    for name, tensor in tensors.items():
        full = tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor
        if keep:
            gathered[name] = full
    return gathered


def like(value: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """A copy of a whole tensor where the reference lives: on its device, shared out if it is."""
    value = value.to(reference.device, copy=True)
    if isinstance(reference, DTensor) and value.shape == reference.shape:
        # every process has read the same file, so each cuts out its own share
        return distribute_tensor(value, reference.device_mesh, reference.placements, src_data_rank=None)
    return value
