"""`tryon plan`: what each training stage will cost, before anything starts; allocates nothing and needs no GPU.

    tryon plan --config config/presets/paper.yaml --gpu h200

Per stage: parameters, memory of one GPU and whether it fits, FLOPs of a step, GPU hours, disk for checkpoints. How
FLOPs and activations are counted stands in tryon/training/cost.py. Hours are FLOPs over the GPU's peak rate times
`--mfu`, the share of it that training reaches; its default is what this project asks of itself on an H200
(benchmarks/README.md), so give what `make bench-gpu` measured on your machine instead. Rendering, preparing and
sampling are not part of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tryon import config as configuration
from tryon.config import Config, TrainConfig
from tryon.errors import UserError
from tryon.gpus import GPUS, Gpu

DEFAULT_GPU = "h200"
DEFAULT_MFU = 0.35
CONTEXT_GIB = 1.0  # CUDA's own and the libraries' workspaces
FRAGMENTS = 0.08  # share of the rest that the caching allocator cannot use
GIB = 1 << 30
FLOAT = 4  # bytes; weights, gradients, moments and average are float32 at every precision


@dataclass(frozen=True)
class StagePlan:
    """Of one training stage; memory is that of one GPU, bytes are powers of 1024 in the table.

    Attributes:
        stage: its name.
        num_params: trained parameters.
        num_gpus: over all machines.
        processes: one on each GPU, or one on all with strategy dp.
        micro_batch: samples of one forward pass on one GPU.
        weights_bytes, gradients_bytes, optimizer_bytes, average_bytes: float32; under fsdp one process's share.
        exchange_bytes: copies of the gradients that GPUs exchange; under fsdp weights and gradients that are whole
            for a while.
        activations_bytes: what a step holds beside all these at its peak.
        activation_bytes_per_sample: how much one more sample in the micro-batch adds.
        total_bytes: sum of them.
        fits: whether the GPU's usable memory holds that.
        advice: settings to change, where it does not fit.
        forward_flops_per_sample: of the network.
        flops_per_step: forward and backward pass of the whole batch, over all GPUs, without recomputing.
        executed_flops_per_step: with what gradient checkpointing computes again.
        steps: optimizer steps.
        gpu_hours: of the whole training at the given MFU.
        checkpoint_bytes: of one checkpoint.
        disk_bytes: of all that are kept at the end, one that is being written, and the final weights.
    """

    stage: str
    num_params: int
    num_gpus: int
    processes: int
    micro_batch: int
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    average_bytes: int
    exchange_bytes: int
    activations_bytes: int
    activation_bytes_per_sample: int
    total_bytes: int
    fits: bool
    advice: tuple[str, ...]
    forward_flops_per_sample: int
    flops_per_step: int
    executed_flops_per_step: int
    steps: int
    gpu_hours: float
    checkpoint_bytes: int
    disk_bytes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `tryon plan`."""
    parser.add_argument("--config", required=True, help="configuration, YAML or JSON")
    known = ", ".join(GPUS)
    parser.add_argument("--gpu", help=f"{known} (default: cluster.gpu_model, else {DEFAULT_GPU})")
    parser.add_argument("--mfu", type=float, default=DEFAULT_MFU, help="share of the peak rate that training reaches")
    parser.add_argument("--stage", action="append", help="only this stage; may be given several times")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")


def run(args: argparse.Namespace) -> int:
    """Print the plan; exit code 2 if a stage does not fit."""
    config = configuration.load(args.config)
    name = args.gpu or (config.cluster.gpu_model or DEFAULT_GPU).lower()
    if name not in GPUS:
        raise UserError(f"--gpu {name}: no such GPU{configuration.nearest(name, list(GPUS))}")
    if not 0 < args.mfu <= 1:
        raise UserError(f"--mfu {args.mfu:g}: a share of the peak rate lies above 0 and at most at 1")
    stages = args.stage or config.used_stages
    for stage in stages:
        if stage not in config.stages:
            known = configuration.nearest(stage, sorted(config.stages))
            raise UserError(f"{args.config}: no stage {stage!r} in stages{known}")
    with contextlib.redirect_stdout(sys.stderr):  # imagen-pytorch prints advice about small networks
        plans = [plan_stage(config, stage, GPUS[name], args.mfu) for stage in stages]
    print(as_json(plans, name, args.mfu) if args.json else table(plans, name, args.mfu))
    crowded = [plan for plan in plans if not plan.fits]
    for plan in crowded:
        print(
            f"error: stages.{plan.stage} needs {_gib(plan.total_bytes)} of each {name}, which has "
            f"{usable_bytes(GPUS[name]) / GIB:.1f} GiB to use: {'; or '.join(plan.advice)}",
            file=sys.stderr,
        )
    return 2 if crowded else 0


def plan_stage(config: Config, name: str, gpu: Gpu, mfu: float) -> StagePlan:
    """The plan of one stage.

    Raises:
        UserError: the GPU lacks the precision.
    """
    from tryon.training.cost import count_compute, gathered_bytes, peak_step_bytes

    train = config.stages[name].train
    if train.precision == "bf16" and not gpu.has_bf16:
        raise UserError(f"stages.{name}.train.precision is bf16, which this GPU has not; set fp16, or take another GPU")
    num_gpus = max(1, train.gpus) * train.nodes
    micro_batch = micro_batch_of(train)
    compute = count_compute(config, name)
    one = compute.num_params * FLOAT
    is_sharded = train.strategy == "fsdp"
    share = -(-one // train.num_processes) if is_sharded else one
    step_bytes = peak_step_bytes(config, name, micro_batch)
    before = peak_step_bytes(config, name, micro_batch - 1) if micro_batch > 1 else one
    resident = {
        "weights_bytes": share,
        "gradients_bytes": share,
        "optimizer_bytes": 2 * share,
        "average_bytes": share,
        "exchange_bytes": gathered_bytes(config, name) if is_sharded else one if num_gpus > 1 else 0,
    }
    # what a step makes includes its gradients, which stand in a line of their own
    activations = max(0, step_bytes - one)
    total = sum(resident.values()) + activations
    per_sample = max(0, step_bytes - before)
    tflops = gpu.half_tflops if train.precision != "fp32" else gpu.single_tflops
    executed = compute.executed_flops * train.batch_size
    checkpoint = 4 * one  # weights, average, two moments
    fits = total <= usable_bytes(gpu)
    return StagePlan(
        stage=name,
        num_params=compute.num_params,
        num_gpus=num_gpus,
        processes=train.num_processes,
        micro_batch=micro_batch,
        **resident,
        activations_bytes=activations,
        activation_bytes_per_sample=per_sample,
        total_bytes=total,
        fits=fits,
        advice=() if fits else tuple(advice(train, micro_batch, sum(resident.values()), activations, per_sample, gpu)),
        forward_flops_per_sample=compute.forward_flops,
        flops_per_step=compute.flops * train.batch_size,
        executed_flops_per_step=executed,
        steps=train.num_steps,
        gpu_hours=executed * train.num_steps / (tflops * 1e12 * mfu) / 3600,
        checkpoint_bytes=checkpoint,
        disk_bytes=(most_checkpoints(train) + 1) * checkpoint + one,
    )


def most_checkpoints(train: TrainConfig) -> int:
    """Checkpoints that a run keeps at most: the newest, the best if it is none of them, and all milestones."""
    last = train.num_steps
    regular = [*range(train.checkpoint_every, last, train.checkpoint_every), last]
    kept = set(regular[-train.keep_checkpoints :])
    if train.milestone_every is not None:  # a validation's checkpoint can be one, too
        saved = {*regular, *range(train.val_every, last, train.val_every)}
        kept |= {step for step in saved if step % train.milestone_every == 0}
    return len(kept) + 1


def micro_batch_of(train: TrainConfig) -> int:
    """Samples of the largest forward pass on one GPU."""
    part = -(-train.share_of_batch(train.num_processes) // train.accumulation)
    return -(-part // train.gpus) if train.strategy == "dp" else part


def usable_bytes(gpu: Gpu) -> float:
    """What a training may fill of a GPU."""
    return (gpu.memory_gib - CONTEXT_GIB) * (1 - FRAGMENTS) * GIB


def advice(
    train: TrainConfig, micro_batch: int, static_bytes: int, activations: int, per_sample: int, gpu: Gpu
) -> Iterable[str]:
    """Settings that would make it fit, cheapest first."""
    room = usable_bytes(gpu) - static_bytes
    fixed = activations - micro_batch * per_sample
    most = int((room - fixed) // per_sample) if per_sample else 0
    if 1 <= most < micro_batch:
        parts = -(-micro_batch * train.accumulation // most)
        yield f"train.accumulation {parts} (micro-batches of {most}; the same result, no slower per sample)"
    if not train.gradient_checkpointing and room > 0:
        yield "train.gradient_checkpointing: true (activations are computed twice)"
    if room <= 0:
        several = max(1, train.gpus) * train.nodes > 1
        if several and train.strategy != "fsdp":
            yield "train.strategy: fsdp (the GPUs share weights, average and optimizer out among them)"
        other = "more GPUs" if train.strategy == "fsdp" else "a GPU with more memory"
        several_gpus = "" if several else ", or several GPUs with train.strategy: fsdp"
        yield f"a smaller network.channels, or {other}{several_gpus}: weights and optimizer alone do not fit"
    elif most < 1:
        yield "a smaller size or crop: one sample alone does not fit"


def as_json(plans: list[StagePlan], gpu: str, mfu: float) -> str:
    """The plan for programs; keys are the attributes of `StagePlan`."""
    total = {"gpu_hours": sum(plan.gpu_hours for plan in plans), "disk_bytes": sum(plan.disk_bytes for plan in plans)}
    return json.dumps(
        {
            "gpu": gpu,
            "peak_source": GPUS[gpu].source,
            "mfu": mfu,
            "stages": [asdict(plan) for plan in plans],
            "total": {**total, "num_params": sum(plan.num_params for plan in plans)},
        },
        sort_keys=True,
    )


COLUMNS = (
    "stage",
    "params",
    "GPUs",
    "batch",
    "weights",
    "grads",
    "AdamW",
    "average",
    "exchange",
    "activations",
    "per sample",
    "GPU memory",
    "fits",
    "TFLOP/step",
    "steps",
    "GPU hours",
    "disk",
)


def table(plans: list[StagePlan], gpu: str, mfu: float) -> str:
    """The plan for people."""
    rows = [COLUMNS, *(_row(plan) for plan in plans)]
    hours, disk = sum(plan.gpu_hours for plan in plans), sum(plan.disk_bytes for plan in plans)
    blank = [""] * len(COLUMNS)
    blank[0], blank[1] = "total", _millions(sum(plan.num_params for plan in plans))
    blank[-2], blank[-1] = f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}", _gib(disk)
    rows.append(tuple(blank))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    peak = GPUS[gpu]
    lines += [
        "",
        f"{gpu}: {peak.memory_gib:g} GiB of memory ({usable_bytes(peak) / GIB:.1f} usable), peak {peak.half_tflops:g} "
        f"TFLOP/s in half precision, {peak.single_tflops:g} in float32 ({peak.source}); hours at an MFU of {mfu:g}.",
        "batch: samples of one forward pass on one GPU; disk: checkpoints kept at the end, one in the making.",
    ]
    return "\n".join(lines)


def _row(plan: StagePlan) -> tuple[str, ...]:
    return (
        plan.stage,
        _millions(plan.num_params),
        str(plan.num_gpus),
        str(plan.micro_batch),
        _gib(plan.weights_bytes),
        _gib(plan.gradients_bytes),
        _gib(plan.optimizer_bytes),
        _gib(plan.average_bytes),
        _gib(plan.exchange_bytes),
        _gib(plan.activations_bytes),
        _gib(plan.activation_bytes_per_sample),
        _gib(plan.total_bytes),
        "yes" if plan.fits else "NO",
        f"{plan.flops_per_step / 1e12:,.3g}" if plan.flops_per_step < 1e15 else f"{plan.flops_per_step / 1e12:,.0f}",
        f"{plan.steps:,}",
        f"{plan.gpu_hours:,.0f}" if plan.gpu_hours >= 10 else f"{plan.gpu_hours:.2g}",
        _gib(plan.disk_bytes),
    )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / GIB:.1f} GiB" if num_bytes >= GIB else f"{num_bytes / (1 << 20):.1f} MiB"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 1e5 else f"{count:,}"
