"""What the training tests share: packed photos of noise, a stage with a network of two convolutions, child processes.

Children are forks of a server that has imported torch and done nothing else: a kill -9 test does not pay for the
import again, and no child starts from a copy of whatever the threads of earlier tests were at.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from argparse import Namespace
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn import functional

from tryon.config import Config, SamplingConfig, StageConfig, parse
from tryon.errors import TryAgain, UserError
from tryon.methods.interface import Conditions, Stage
from tryon.methods.seeds import normal_B, uniform_B
from tryon.packed import METADATA_KEY

SIZE_HW, LARGE_HW = (24, 16), (48, 32)
NUM_TRAIN, NUM_VAL = 7, 3

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["rig", "tryon.training.train", "torch._dynamo", "torch.utils.tensorboard", "pyarrow.dataset"]
)  # the last three are what a training imports on its way
torch.set_num_threads(1)  # neither this pool of threads …
cv2.setNumThreads(1)  # … nor this one would survive a fork


class TinyStage(Stage):
    """Denoises with two convolutions; `poison` makes the loss of that pair's seed not finite."""

    dropout = 0.0

    def build(self) -> nn.Module:
        return TinyNetwork(self.dropout)

    def loss_B(
        self,
        network: nn.Module,
        target_B3HW: torch.Tensor,
        conditions: Conditions,
        seeds_B: torch.Tensor,
        *,
        condition_dropout: bool,
        worn_B1HW: torch.Tensor | None = None,
    ) -> torch.Tensor:
        assert target_B3HW.min() >= -1
        assert target_B3HW.max() <= 1
        time_B = uniform_B(seeds_B, "time").float()[:, None, None, None]
        noise_B3HW = normal_B(seeds_B, tuple(target_B3HW.shape[1:]), "noise")
        if condition_dropout:
            conditions = conditions.without_garment(uniform_B(seeds_B, "drop") < 0.1)
        noisy_B3HW = (1 - time_B) * target_B3HW + time_B * noise_B3HW
        with autocast(self.cfg.train.precision):
            made_B3HW = network(noisy_B3HW, conditions.agnostic_B3HW, conditions.garment_B3HW).float()
        return (made_B3HW - target_B3HW).square().mean(dim=(1, 2, 3))

    def sample(
        self, network: nn.Module, conditions: Conditions, seeds_B: torch.Tensor, cfg: SamplingConfig
    ) -> torch.Tensor:
        noise_B3HW = normal_B(seeds_B, (3, *self.size_hw), "start")
        return network(noise_B3HW, conditions.agnostic_B3HW, conditions.garment_B3HW).clamp(-1, 1)


def autocast(precision: str) -> AbstractContextManager[object]:
    """Arithmetic of the network alone, as the real stages have it."""
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
    return torch.autocast("cpu", dtypes[precision]) if precision in dtypes else nullcontext()


class TinyNetwork(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.into = nn.Conv2d(9, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Conv2d(8, 3, 3, padding=1)

    def forward(
        self, noisy_B3HW: torch.Tensor, agnostic_B3HW: torch.Tensor, garment_B3HW: torch.Tensor
    ) -> torch.Tensor:
        features = self.into(torch.cat([noisy_B3HW, agnostic_B3HW, garment_B3HW], dim=1))
        return self.out(self.dropout(functional.silu(self.norm(features))))


def tiny_stage(name: str, config: Config) -> Stage:
    return TinyStage(name, config.stages[name])


class DroppingStage(TinyStage):
    dropout = 0.2


def dropping_stage(name: str, config: Config) -> Stage:
    return DroppingStage(name, config.stages[name])


class StackedNetwork(nn.Module):
    """A network with a list of blocks, which fsdp gathers one by one, and a part that is used by another name."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Conv2d(9, 8, 3, padding=1)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.out = nn.Conv2d(8, 3, 3, padding=1)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(
        self, noisy_B3HW: torch.Tensor, agnostic_B3HW: torch.Tensor, garment_B3HW: torch.Tensor
    ) -> torch.Tensor:
        features = self.begin(noisy_B3HW, agnostic_B3HW, garment_B3HW)
        for block in self.blocks:
            features = block(features)
        return self.out(features)

    def begin(self, *planes: torch.Tensor) -> torch.Tensor:
        return self.into(torch.cat(planes, dim=1))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 8)
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.conv(functional.silu(self.norm(features)))


class StackedStage(TinyStage):
    """Samples by a method of the network beside its forward, as the Parallel-UNet's cache does."""

    def build(self) -> nn.Module:
        return StackedNetwork()

    def sample(self, network: nn.Module, conditions: Conditions, seeds_B: torch.Tensor, cfg: SamplingConfig) -> Any:
        noise_B3HW = normal_B(seeds_B, (3, *self.size_hw), "start")
        features = network.begin(noise_B3HW, conditions.agnostic_B3HW, conditions.garment_B3HW)
        assert features.isfinite().all()
        return super().sample(network, conditions, seeds_B, cfg)


def stacked_stage(name: str, config: Config) -> Stage:
    return StackedStage(name, config.stages[name])


class SlowStage(TinyStage):
    """Leaves a test the time to send a signal."""

    def loss_B(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        time.sleep(0.05)
        return super().loss_B(*args, **kwargs)


def slow_stage(name: str, config: Config) -> Stage:
    return SlowStage(name, config.stages[name])


class PoisonedStage(TinyStage):
    """The loss of a white person is infinite."""

    def loss_B(self, network: nn.Module, target_B3HW: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss_B = super().loss_B(network, target_B3HW, *args, **kwargs)
        is_poisoned_B = (target_B3HW == 1).flatten(1).all(dim=1)
        return torch.where(is_poisoned_B, loss_B / 0, loss_B)


def poisoned_stage(name: str, config: Config) -> Stage:
    return PoisonedStage(name, config.stages[name])


class SteepStage(TinyStage):
    """The loss is finite, its gradient is not: the slope of a square root at 0."""

    def loss_B(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return (super().loss_B(*args, **kwargs) * 0).sqrt()


def steep_stage(name: str, config: Config) -> Stage:
    return SteepStage(name, config.stages[name])


def write_data(folder: Path, *, white_person: int | None = None, num_shards: int = 2, agnostic: str = "limbs") -> None:
    """pairs.parquet and pack/*.{safetensors,parquet} of random pictures in `folder`."""
    num = NUM_TRAIN + NUM_VAL
    rng = np.random.default_rng(5)
    height, width = SIZE_HW
    image_NHWC = rng.integers(0, 256, (2 * num, height, width, 3), dtype=np.uint8)
    if white_person is not None:
        image_NHWC[white_person] = 255
    bits_NHW = np.zeros((2 * num, height, width), np.uint8)
    bits_NHW[:, 4:12, 3:9] = 1
    keypoints_NK3 = rng.uniform(0.2, 0.8, (2 * num, 17, 3)).astype(np.float32)
    keypoints_NK3[..., 2] = 1
    larger = LARGE_HW[0] // height
    planes = {}
    for size_hw, factor in ((SIZE_HW, 1), (LARGE_HW, larger)):
        bits = bits_NHW.repeat(factor, axis=1).repeat(factor, axis=2)
        image = image_NHWC.repeat(factor, axis=1).repeat(factor, axis=2)
        of_size = {"image": image, "keypoints": keypoints_NK3, "labels": bits, "garments": bits, "regions": bits}
        planes |= {f"{size_hw[0]}x{size_hw[1]}/{name}": plane for name, plane in of_size.items()}
    ids = [f"person/p{i}" for i in range(num)] + [f"garment/p{i}" for i in range(num)]
    for shard in range(num_shards):
        rows = np.arange(shard, 2 * num, num_shards)
        header = {
            "ids": [ids[row] for row in rows],
            "roles": [ids[row].split("/")[0] for row in rows],
            "sizes": [list(SIZE_HW), list(LARGE_HW)],
            "agnostic": agnostic,
            "fill": 255,
        }
        (folder / "pack").mkdir(parents=True, exist_ok=True)
        save_file(
            {name: np.ascontiguousarray(plane[rows]) for name, plane in planes.items()},
            folder / "pack" / f"shard{shard}.safetensors",
            metadata={METADATA_KEY: json.dumps(header)},
        )
        verdicts = pd.DataFrame({"id": header["ids"], "status": "ok", "stage": None, "reason": None}, dtype="str")
        verdicts.to_parquet(folder / "pack" / f"shard{shard}.parquet")
    rows = [
        {
            "pair_id": f"p{i}__p{i}",
            "person": f"person/p{i}",
            "garment": f"garment/p{i}",
            "category": "up",
            "split": "train" if i < NUM_TRAIN else "val",
            "kind": "paired",
        }
        for i in range(num)
    ]
    pd.DataFrame(rows).to_parquet(folder / "pairs.parquet")


def settings(**train: Any) -> dict[str, Any]:
    """A configuration with one small stage."""
    values = {
        "num_steps": 10,
        "batch_size": 4,
        "lr": 1e-2,
        "warmup_steps": 2,
        "checkpoint_every": 3,
        "val_every": 5,
        "log_every": 1,
        "device": "cpu",
        "augment": {"flip": 0.5},
    }
    stage = {"kind": "parallel_unet", "size": list(SIZE_HW), "train": {**values, **train}}
    return {"stages": {"base": stage}, "cascade": ["base"]}


def stage_config(**train: Any) -> StageConfig:
    return parse(settings(**train)).stages["base"]


def arguments(data: Path, results: Path, **train: Any) -> Namespace:
    """What `tryon train` gets, for a run that keeps everything under `results`."""
    results.mkdir(parents=True, exist_ok=True)
    config = results / "config.json"
    config.write_text(json.dumps(settings(**train)))
    return Namespace(
        config=config,
        stage="base",
        pairs=data / "pairs.parquet",
        pack=sorted((data / "pack").glob("*.safetensors")),
        results=results,
        run_dir=results / "run",
        weights=results / "weights.safetensors",
        summary=results / "summary.json",
    )


def train_here(args: Namespace, make_stage: Callable[[str, Config], Stage] = tiny_stage) -> None:
    """Run the stage `train` in this process with one of the stages above."""
    from accelerate.state import AcceleratorState, PartialState

    from tryon.training import train

    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()
    original = train.make_stage
    train.make_stage = make_stage
    try:
        train.run(args)
    finally:
        train.make_stage = original


def start(
    args: Namespace,
    make_stage: Callable[[str, Config], Stage] = tiny_stage,
    *,
    setup: Callable[[], None] | None = None,
    environment: dict[str, str] | None = None,
) -> BaseProcess:
    """Start the stage `train` in a child; its exit code is the command line's."""
    child = processes.Process(target=_child, args=(args, make_stage, setup, environment or {}))
    child.start()
    return child


def start_ranks(
    args: Namespace,
    num: int,
    port: int,
    make_stage: Callable[[str, Config], Stage] = tiny_stage,
    setup: Callable[[], None] | None = None,
) -> list[BaseProcess]:
    """Start `num` processes that train together over gloo, as torchrun would."""
    common = {
        "WORLD_SIZE": str(num),
        "LOCAL_WORLD_SIZE": str(num),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "DUMP_WEIGHTS_OF_RANKS": str(args.results),
    }
    return [
        start(args, make_stage, setup=setup, environment={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(num)
    ]


def _child(
    args: Namespace,
    make_stage: Callable[[str, Config], Stage],
    setup: Callable[[], None] | None,
    environment: dict[str, str],
) -> None:
    os.environ.update(environment)
    if setup is not None:
        setup()
    try:
        if "DUMP_WEIGHTS_OF_RANKS" in os.environ:
            _dump_weights_of_ranks(Path(os.environ["DUMP_WEIGHTS_OF_RANKS"]))
        train_here(args, make_stage)
    except (UserError, TryAgain) as stop:
        print(f"{type(stop).__name__}: {stop}", flush=True)
        os._exit(75 if isinstance(stop, TryAgain) else 2)


def _dump_weights_of_ranks(folder: Path) -> None:
    """Make the trainer of each process write its own weights: only the first one's become a result."""
    from tryon.training import parallel, train

    original = train.train

    def train_and_dump(*args: Any) -> Any:
        trainer = original(*args)
        weights = parallel.whole(trainer.network.state_dict(), keep=True)
        save_torch_file(weights, folder / f"rank{os.environ['RANK']}.safetensors")
        own = [p.to_local() if isinstance(p, DTensor) else p for p in trainer.network.parameters()]
        own += [p.to_local() if isinstance(p, DTensor) else p for p in trainer.ema.network.parameters()]
        (folder / f"rank{os.environ['RANK']}.params").write_text(str(sum(tensor.numel() for tensor in own)))
        return trainer

    train.train = train_and_dump


def finish(children: Iterable[BaseProcess], timeout_s: float = 60) -> list[int | None]:
    """Wait for children; their exit codes."""
    codes = []
    for child in children:
        child.join(timeout_s)
        codes.append(child.exitcode)
        if child.exitcode is None:
            child.kill()
            child.join()
    return codes
