"""A training step of the Parallel-UNet on one CPU thread, against the machine's own convolution (about 10 minutes).

    make bench-train-step   or   python benchmarks/bench_train_step.py [--nets NAME ...] [--repeats N] [--compiled]

A step is forward, backward and fused AdamW in fp32. `tiny32`, `tiny64` and `small64` have the channels and depth of the
configurations that the fashn-AI reproduction was measured on (30, 48 and 67 % of the forward convolution, on another
processor), `mid128` is the largest of ours at 128 px that leaves room for other work. Each network runs as the stages
run it by default, with `train.channels_last` and, with --compiled (needs a C++ compiler), with `train.compile`. Prints
one JSON object as its last line; per network and way to run:

* gflop_per_s: operations of a step, attention included, over its CPU seconds;
* of_conv: that over the rate of a 3x3 convolution, 128 channels at 128 px, forward, as the goal has it;
* of_conv_step: over the rate of the same convolution forward and backward, which is what a training step is made of;
* of_own_convs: CPU seconds of the network's own convolutions, each alone in a loop, forward and backward, over those of
  the step: 1 would be a network in which nothing else takes time.

CPU seconds, the least of several repetitions. The reference convolution takes turns with the network and runs about as
long, so that neither gets the quieter moments.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from tryon.config import NetworkConfig
from tryon.methods.interface import num_params
from tryon.methods.tryondiffusion.parallel_unet import ParallelUNet
from tryon.provenance import commit, machine

PERSON_CHANNELS = 7
LAYOUTS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}
COMPILED = "compiled"
"""The default layout, with `train.compile`."""
GOALS = {"of_conv at 32 and 64 px": 0.8}
aten = torch.ops.aten


@dataclass(frozen=True)
class Net:
    """A configuration to measure: channels, blocks, attention per level, side in px, batch."""

    channels: list[int]
    blocks: list[int]
    attention: list[bool]
    size_px: int
    batch: int

    @property
    def cfg(self) -> NetworkConfig:
        """The paper's choices, at this width and depth."""
        return NetworkConfig(
            channels=self.channels,
            blocks=self.blocks,
            self_attention=self.attention,
            cross_attention=self.attention,
            stem_stride=1,
            prealigned=False,
            garment_sees_time=True,
            attention_positions="none",
            residual=False,
        )


NETS = {
    "toy": Net([8, 16], [1, 1], [False, True], 16, 2),
    "tiny32": Net([32, 64, 128, 256], [1, 1, 1, 1], [False, False, True, True], 32, 4),
    "tiny64": Net([32, 64, 128, 256], [1, 1, 1, 1], [False, False, True, True], 64, 4),
    "small64": Net([64, 128, 256, 512], [1, 1, 1, 1], [False, False, True, True], 64, 4),
    "mid128": Net([128, 256, 512], [1, 1, 1], [False, False, True], 128, 1),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=sorted(NETS), default=["tiny32", "tiny64", "small64", "mid128"])
    parser.add_argument("--repeats", type=int, default=6, help="of which the fastest counts")
    parser.add_argument("--compiled", action="store_true", help="also with train.compile (a minute more per network)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        "benchmark": "train_step",
        "nets": {name: measure(name, args.repeats, is_compiled=args.compiled) for name in args.nets},
        "torch": torch.__version__,
        "goals": GOALS,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))


def measure(name: str, repeats: int, *, is_compiled: bool) -> dict[str, Any]:
    """Numbers of one network in both layouts and, if asked for, compiled."""
    net = NETS[name]
    steps = {layout: training_step(net, memory_format) for layout, memory_format in LAYOUTS.items()}
    if is_compiled:
        steps[COMPILED] = training_step(net, LAYOUTS["default"], is_compiled=True)
    flops = count_flops(next(iter(steps.values()))[1])
    least_s = {layout: float("inf") for layout in steps}
    conv, conv_step = reference_convolution(backward=False), reference_convolution(backward=True)
    conv_rate = conv_step_rate = 0.0
    for _ in range(repeats):
        for layout, (_, step) in steps.items():
            seconds = cpu_seconds(step)
            least_s[layout] = min(least_s[layout], seconds)
            conv_rate = max(conv_rate, sustained_rate(conv, seconds / 2))
            conv_step_rate = max(conv_step_rate, sustained_rate(conv_step, seconds / 2))
    found: dict[str, Any] = {
        "params_m": round(num_params(steps["default"][0]) / 1e6, 2),
        "size_px": net.size_px,
        "batch": net.batch,
        "gflop_per_step": round(flops / 1e9, 2),
        "conv_gflop_per_s": round(conv_rate / 1e9, 1),
        "conv_step_gflop_per_s": round(conv_step_rate / 1e9, 1),
    }
    cases = convolutions(steps["default"][0], net)
    for layout, seconds in least_s.items():
        own_s = sum(count * conv_s(case, layout, repeats) for case, count in cases.items())
        found[layout] = {
            "cpu_s_per_step": round(seconds, 4),
            "gflop_per_s": round(flops / seconds / 1e9, 1),
            "of_conv": round(flops / seconds / conv_rate, 3),
            "of_conv_step": round(flops / seconds / conv_step_rate, 3),
            "of_own_convs": round(own_s / seconds, 3),
        }
    say(f"{name}: {json.dumps(found)}")
    return found


def training_step(
    net: Net, memory_format: torch.memory_format, *, is_compiled: bool = False
) -> tuple[ParallelUNet, Callable[[], None]]:
    """A network, and a function that trains it by one step; called once already."""
    torch.manual_seed(0)
    network = ParallelUNet(net.cfg, PERSON_CHANNELS).train()
    if is_compiled:
        network.compile()
    given = [part.to(memory_format=memory_format) if part.ndim == 4 else part for part in inputs(net)]
    target_B3HW = torch.randn(net.batch, 3, net.size_px, net.size_px)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        (network(*given) - target_B3HW).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    return network, step


def inputs(net: Net) -> list[torch.Tensor]:
    """Arguments of the network's forward."""
    planes = [torch.rand(net.batch, channels, net.size_px, net.size_px) for channels in (PERSON_CHANNELS, 4)]
    return [*planes, *torch.rand(2, net.batch, 17, 3), *torch.rand(2, net.batch)]


def count_flops(step: Callable[[], None]) -> int:
    """Operations of a step, a multiplication and an addition as two; what a backward pass computes again counts not."""

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401 (shapes)
        return sdpa_flop_count(query, key, value)

    def attention_backward(_grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401
        return 2 * sdpa_flop_count(query, key, value)

    # torch counts the attention of GPUs alone
    mapping = {
        aten._scaled_dot_product_flash_attention_for_cpu: attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward,
    }
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        step()
    return counter.get_total_flops()


def reference_convolution(*, backward: bool) -> tuple[Callable[[], object], float]:
    """The goal's 3x3 convolution of 128 channels at 128 px, and its operations."""
    run = convolution((1, 128, 128, 128), 128, 3, torch.contiguous_format, backward=backward)
    return run, (3 if backward else 1) * 2 * 9 * 128 * 128 * 128 * 128


def convolution(
    shape: tuple[int, ...], out_channels: int, kernel: int, memory_format: torch.memory_format, *, backward: bool
) -> Callable[[], object]:
    """A function that runs one convolution."""
    conv = nn.Conv2d(shape[1], out_channels, kernel, padding=kernel // 2)
    x_BCHW = torch.randn(shape).to(memory_format=memory_format).requires_grad_(backward)
    if not backward:
        return torch.no_grad()(lambda: conv(x_BCHW))
    grad_BDHW = torch.randn_like(conv(x_BCHW))
    return lambda: torch.autograd.grad(conv(x_BCHW), [x_BCHW, conv.weight, conv.bias], grad_BDHW)


def convolutions(network: ParallelUNet, net: Net) -> Counter[tuple[tuple[int, ...], int]]:
    """How often the network runs each 3x3 convolution: (shape of the input, channels of the output)."""
    cases: Counter[tuple[tuple[int, ...], int]] = Counter()

    def note(conv: nn.Conv2d, given: tuple[torch.Tensor, ...], _out: torch.Tensor) -> None:
        cases[tuple(given[0].shape), conv.out_channels] += 1

    threes = [part for part in network.modules() if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)]
    hooks = [conv.register_forward_hook(note) for conv in threes]
    with torch.no_grad():
        network(*inputs(net))
    for hook in hooks:
        hook.remove()
    return cases


def conv_s(case: tuple[tuple[int, ...], int], layout: str, repeats: int) -> float:
    """CPU seconds of one of the network's convolutions, forward and backward."""
    run = convolution(*case, 3, LAYOUTS.get(layout, LAYOUTS["default"]), backward=True)
    run()
    return min(cpu_seconds(run) for _ in range(repeats))


def sustained_rate(reference: tuple[Callable[[], object], float], seconds: float) -> float:
    """Operations per CPU second of a reference that runs for about so many seconds."""
    run, flops = reference
    started, count = time.process_time(), 0
    while count == 0 or time.process_time() - started < seconds:
        run()
        count += 1
    return flops * count / (time.process_time() - started)


def cpu_seconds(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    run()
    return time.process_time() - started


def say(text: str) -> None:
    """Progress goes to stderr; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
