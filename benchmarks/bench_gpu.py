"""Training steps and sampling on a GPU: samples/s, MFU, memory, latency (about 15 minutes on an H200; no CPU fallback).

    make bench-gpu        or   python benchmarks/bench_gpu.py [--config FILE …] [--stage base] [--batches 16 32 64]

For each configuration, a stage of it is trained on made-up batches through the real `Trainer.step`: noise drawn on the
CPU, copies to the GPU, forward, backward, clipping, AdamW, averaging. Eager and compiled, at several batch sizes (one
micro-batch each). Then a batch of 1 and of 16 is sampled with the configuration's sampler, guidance included.

* samples_per_s: median over the timed steps, by CUDA events round each whole step;
* mfu: samples/s x FLOPs of forward and backward pass (tryon/training/cost.py, without recomputing) over the GPU's dense
  peak (tryon/gpus.py); target at least 0.35 on an H200 for the paper's base at bf16;
* peak_gib: torch's own peak of allocated memory; planned_gib: what `tryon plan` says, without context and fragments;
* latency_s: seconds for one batch of pictures, and steps; the median of three.

Matrix products in float32 (there are few: the loss, the averages) stay exact; convolutions in float32 may use TF32,
which is torch's default and what training does. Without a GPU it says so and ends with exit code 3 and no numbers;
`--device cpu --tiny` runs a toy network through the same code, for the test of this file.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from tryon import config as configuration
from tryon.config import Config
from tryon.gpus import GPUS, Gpu
from tryon.methods import make_stage
from tryon.methods.interface import Conditions, Stage
from tryon.methods.seeds import seed_of
from tryon.ontology import KEYPOINT_NAMES
from tryon.provenance import commit, machine
from tryon.training.cost import count_compute, peak_step_bytes
from tryon.training.feed import Batch
from tryon.training.loop import Trainer

ROOT = Path(__file__).resolve().parent.parent
PRESETS = ("paper", "h200")
NO_GPU = 3
GIB = 1 << 30
TINY: dict[str, Any] = {
    "stages": {
        "base": {
            "kind": "parallel_unet",
            "size": [32, 24],
            "network": {
                "channels": [16, 32],
                "blocks": [1, 1],
                "self_attention": [False, True],
                "cross_attention": [False, True],
                "head_channels": 16,
                "embedding_channels": 32,
            },
        }
    },
    "cascade": ["base"],
    "sample": {"num_steps": 2, "guidance": 2.0},
}


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    presets = [ROOT / "config" / "presets" / f"{name}.yaml" for name in PRESETS]
    parser.add_argument("--config", type=Path, nargs="+", default=presets, help="configurations (default: presets)")
    parser.add_argument("--stage", default="base", help="stage of each")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32, 64], help="micro-batch sizes")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each batch size")
    parser.add_argument("--warmup", type=int, default=4, help="steps before them; compiling happens there")
    parser.add_argument("--modes", nargs="+", choices=("eager", "compiled"), default=["eager", "compiled"])
    parser.add_argument("--sample-batches", type=int, nargs="+", default=[1, 16], help="pictures per sampling call")
    parser.add_argument("--sample-steps", type=int, help="denoising steps (default: the configuration's)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu only with --tiny")
    parser.add_argument("--tiny", action="store_true", help="a toy network, to test this file")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        say("no CUDA device here, so nothing is measured (a CPU's numbers would say nothing about a GPU)")
        return NO_GPU
    if args.device == "cpu" and not args.tiny:
        say("--device cpu is for testing this file and needs --tiny")
        return NO_GPU
    started = time.monotonic()
    name = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    gpu = known_gpu(name, args.device)
    configs = {"tiny": configuration.parse(TINY)} if args.tiny else {path.stem: load(path) for path in args.config}
    result = {
        "benchmark": "gpu",
        "device": name,
        "peak_half_tflops": gpu.half_tflops if gpu else None,
        "by_config": {label: measure(label, config, args, gpu) for label, config in configs.items()},
        "torch": torch.__version__,
        "wall_s": round(time.monotonic() - started, 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))
    return 0


def load(path: Path) -> Config:
    """A configuration whose stages run in one process here, whatever it asks of a cluster."""
    config = configuration.load(path)
    # compiled only where the mode says so: presets for GPUs compile, and "eager" would be compiled, too
    alone = {"gpus": 0, "nodes": 1, "accumulation": 1, "strategy": "auto", "compile": False}
    stages = {
        name: cfg.model_copy(update={"train": cfg.train.model_copy(update=alone)})
        for name, cfg in config.stages.items()
    }
    return config.model_copy(update={"stages": stages})


def known_gpu(name: str, device: str) -> Gpu | None:
    """The row of `GPUS` for a device name such as "NVIDIA H200"; None where there is none (then there is no MFU)."""
    if device == "cpu":
        return None
    words = name.lower().replace("-", " ").split()
    if "h100" in words and "pcie" in words:
        return GPUS["h100_pcie"]
    if "a100" in words and any("40gb" in word for word in words):
        return GPUS["a100_40"]
    joined = "".join(words)
    return next((gpu for key, gpu in GPUS.items() if "_" not in key and key in joined), None)


def measure(label: str, config: Config, args: argparse.Namespace, gpu: Gpu | None) -> dict[str, Any]:
    """Training and sampling of one configuration's stage."""
    compute = count_compute(config, args.stage)
    stage = make_stage(args.stage, config)
    training: dict[str, dict[str, Any]] = {}
    for mode in args.modes:
        for batch in args.batches:
            say(f"{label}/{args.stage}: training, {mode}, batch {batch}")
            training[f"{mode} {batch}"] = in_memory(partial(train, config, args, mode, batch))
    for key, row in training.items():
        if "samples_per_s" in row:
            flops_per_s = row["samples_per_s"] * compute.flops
            row["tflops"] = round(flops_per_s / 1e12, 3)
            half = config.stages[args.stage].train.precision != "fp32"
            peak = (gpu.half_tflops if half else gpu.single_tflops) if gpu else None
            row["mfu"] = round(flops_per_s / (peak * 1e12), 4) if peak else None
        say(f"{label}/{args.stage}: {key}: {row}")
    sampling: dict[str, dict[str, Any]] = {}
    for mode in args.modes:
        for batch in args.sample_batches:
            say(f"{label}/{args.stage}: sampling, {mode}, batch {batch}")
            sampling[f"{mode} {batch}"] = in_memory(partial(sample, stage, config, args, mode, batch))
    rates = [row["mfu"] for row in training.values() if row.get("mfu")]
    return {
        "stage": args.stage,
        "precision": config.stages[args.stage].train.precision,
        "num_params": compute.num_params,
        "gflops_per_sample": round(compute.flops / 1e9, 1),
        "training": training,
        "sampling": sampling,
        "best_mfu": max(rates) if rates else None,
    }


def in_memory(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` measures, or that it did not fit; memory is free again afterwards."""
    try:
        return work()
    except torch.cuda.OutOfMemoryError:
        return {"out_of_memory": True}
    finally:
        gc.collect()
        torch.compiler.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def train(config: Config, args: argparse.Namespace, mode: str, batch: int) -> dict[str, Any]:
    """Steps of the real trainer on one made-up batch of this size."""
    cfg = config.stages[args.stage]
    train_cfg = cfg.train.model_copy(update={"batch_size": batch})
    own = config.model_copy(
        update={"stages": config.stages | {args.stage: cfg.model_copy(update={"train": train_cfg})}}
    )
    stage = make_stage(args.stage, own)
    trainer = Trainer(stage, Accelerator(mixed_precision="no", cpu=args.device == "cpu"))
    if mode == "compiled":
        trainer.network.compile()
    made_up = made_up_batch(stage, batch)
    for step in range(args.warmup):
        trainer.step(step, [made_up])
    reset_peak(args.device)
    steps = range(args.warmup, args.warmup + args.steps)
    seconds = [timed(partial(trainer.step, step, [made_up]), args.device) for step in steps]
    step_s = statistics.median(seconds)
    planned = peak_step_bytes(own, args.stage, batch) + 4 * 4 * count_compute(own, args.stage).num_params
    return {
        "samples_per_s": round(batch / step_s, 3),
        "step_s": round(step_s, 5),
        "step_s_worst": round(max(seconds), 5),
        "peak_gib": peak_gib(args.device),
        "planned_gib": round(planned / GIB, 3),
    }


@torch.inference_mode()
def sample(stage: Stage, config: Config, args: argparse.Namespace, mode: str, batch: int) -> dict[str, Any]:
    """Latency of one sampling call."""
    network = stage.build().eval().requires_grad_(False).to(args.device)
    if mode == "compiled":
        network.compile()
    cfg = config.sample.of_stage(stage.name)
    cfg = cfg.model_copy(update={"num_steps": args.sample_steps or cfg.num_steps})
    made_up = made_up_batch(stage, batch)
    conditions = made_up.conditions.to(args.device)
    if stage.low_size_hw is not None:
        conditions = conditions.with_low(torch.zeros(batch, 3, *stage.low_size_hw, device=args.device))
    warm = cfg.model_copy(update={"num_steps": 2})
    stage.sample(network, conditions, made_up.seeds_B, warm)
    reset_peak(args.device)
    work = partial(stage.sample, network, conditions, made_up.seeds_B, cfg)
    seconds = [timed(work, args.device) for _ in range(3)]
    return {
        "latency_s": round(statistics.median(seconds), 4),
        "num_steps": cfg.num_steps,
        "sampler": cfg.sampler,
        "guidance": cfg.guidance,
        "peak_gib": peak_gib(args.device),
    }


def made_up_batch(stage: Stage, batch: int) -> Batch:
    """Random pictures, masks and poses of a stage's shapes; the same for the same batch size."""
    draws = torch.Generator().manual_seed(batch)
    height, width = stage.size_hw

    def plane(channels: int) -> torch.Tensor:
        return torch.rand(batch, channels, height, width, generator=draws)

    def points() -> torch.Tensor:
        points_BK3 = torch.rand(batch, len(KEYPOINT_NAMES), 3, generator=draws)
        points_BK3[..., 2] = 1
        return points_BK3

    conditions = Conditions(
        agnostic_B3HW=plane(3) * 2 - 1,
        region_B1HW=plane(1).round(),
        garment_B3HW=plane(3) * 2 - 1,
        garment_mask_B1HW=plane(1).round(),
        prealigned_B3HW=plane(3) * 2 - 1,
        prealigned_mask_B1HW=plane(1),
        person_keypoints_BK3=points(),
        garment_keypoints_BK3=points(),
    )
    ids = [f"made-up-{index}" for index in range(batch)]
    seeds_B = torch.tensor([seed_of(0, "bench", id_) for id_ in ids])
    return Batch(plane(3) * 2 - 1, plane(1).round(), conditions, seeds_B, ids)


def timed(work: Callable[[], Any], device: str) -> float:
    """Seconds of one call, the GPU's work included."""
    if device == "cpu":
        started = time.perf_counter()
        work()
        return time.perf_counter() - started
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) / 1000


def reset_peak(device: str) -> None:
    """Start to watch memory anew."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def peak_gib(device: str) -> float | None:
    """Most that torch had allocated since; a CPU keeps no such count."""
    return round(torch.cuda.max_memory_allocated() / GIB, 3) if device == "cuda" else None


def say(text: str) -> None:
    """Progress goes to stderr; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
