"""What a guided sampling step costs, and how few steps are enough, on trained weights (minutes, by the network's size).

    make bench-sampling ARGS="--results results/studio"
    python benchmarks/bench_sampling.py --results DIR [--config FILE] [--limit N] [--steps 4 10 20 50]

Cost: FLOPs and CPU seconds of one guided step of the first stage, three ways in turn: with the garment branch computed
for every row, with what the null rows do not need left out, and with what does not depend on time kept between steps as
well. The same by counting alone for the paper's network at 128 px.

Steps: PSNR inside the true garment on the unpaired val and test pairs, DDPM with many steps against every sampler with
few, same start noise, with the interval of the paired difference. Prints one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from tryon import config as configuration
from tryon.config import Config, SampleConfig, SamplingConfig
from tryon.dataset import formats
from tryon.dataset.formats.interface import Reader
from tryon.errors import UserError
from tryon.evaluation.crew import Crew
from tryon.evaluation.metrics import compare
from tryon.evaluation.pair_lists import Pair, listed_pairs, reasons_to_drop
from tryon.evaluation.pictures import read_picture
from tryon.evaluation.sample import ChainSampler
from tryon.evaluation.statistics import estimate
from tryon.evaluation.trained import Trained, read_trained
from tryon.evaluation.truths import read_truth
from tryon.methods import make_stage
from tryon.methods.conditions import collate, packed_arrays
from tryon.methods.interface import Conditions
from tryon.methods.tryondiffusion.branches import GARMENT_CHANNELS
from tryon.methods.tryondiffusion.denoising import DenoisingStage
from tryon.methods.tryondiffusion.parallel_unet import ParallelUNet
from tryon.ontology import KEYPOINT_NAMES
from tryon.packed import PackedPhotos, tables_beside
from tryon.provenance import commit, machine

ROOT = Path(__file__).resolve().parent.parent
LISTS = ["val_unpaired", "test_unpaired"]
SAMPLERS = ("dpmpp", "unipc", "ddim")
GOAL_FLOPS, GOAL_DB, GOAL_STEPS = 1.6, 0.3, 20
GUIDANCE = 2.0
TIMED_STEPS, TIMED_ROWS, REPEATS = 10, 4, 5

Predict = Callable[..., torch.Tensor]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results/studio"), help="folder of a finished run")
    parser.add_argument("--config", type=Path, help="its settings (default: the file here whose `results` it is)")
    parser.add_argument("--data", type=Path, help="its data folder (default: as set, or the rendered one)")
    parser.add_argument("--limit", type=int, help="judge so many pairs (default: all)")
    parser.add_argument(
        "--steps", type=int, nargs="*", default=[4, 10, GOAL_STEPS, 50], help="few steps; none: cost alone"
    )
    parser.add_argument("--reference-steps", type=int, default=250, help="of DDPM")
    args = parser.parse_args()
    torch.set_num_threads(1)
    try:
        config = configuration.load(args.config or config_of(args.results))
        run = Run(config, args.results, args.data or Path(config.data or args.results / "data"), args.limit)
    except UserError as error:
        sys.exit(f"error: {error}")
    cost = measure_cost(run)
    result = {
        "benchmark": "sampling",
        "stage": run.link.stage.name,
        "size_hw": list(run.link.stage.size_hw),
        "weights_sha256": run.link.sha256,
        "cost": cost,
        "cost_paper_128": paper_cost(),
        **(measure_steps(run, args.steps, args.reference_steps) if args.steps else {}),
        "goals": {"flops": GOAL_FLOPS, "db": GOAL_DB, "steps": GOAL_STEPS},
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))


def config_of(results: Path) -> Path:
    """The configuration of this clone that makes a results folder."""
    for path in [ROOT / "config.yaml", *sorted((ROOT / "config" / "presets").glob("*.yaml"))]:
        if (ROOT / configuration.load(path).results).resolve() == results.resolve():
            return path
    raise UserError(f"{results}: no configuration here has it as `results`; give its own with --config")


class Run:
    """A finished run: its first stage with weights, and the pairs that have a truth."""

    def __init__(self, config: Config, results: Path, data: Path, limit: int | None) -> None:
        packs = sorted((results / "pack").glob("*.safetensors"))
        if not packs:
            raise UserError(f"{results}: no packed photos in pack/; run the workflow up to its end first")
        self.config, self.data = config, data
        self.packed = PackedPhotos(packs)
        first = config.cascade[0]
        weights = [results / "train" / first / "weights.safetensors"]
        self.link: Trained = read_trained(config, [first], weights, self.packed.agnostic)[0]
        pairs = listed_pairs(results / "pairs" / "pairs.parquet", LISTS)
        dropped = reasons_to_drop(pairs, self.packed, tables_beside(packs))
        judged = [pair for pair in pairs if pair.pair_id not in dropped and pair.truth_annotation is not None]
        if not judged:
            raise UserError(f"{results}: no unpaired pair has a true picture with its garment outlined")
        self.pairs = judged[:limit]
        self.reader: Reader = formats.reader(config.dataset)

    @property
    def stage(self) -> DenoisingStage:
        """The first stage."""
        stage = self.link.stage
        if not isinstance(stage, DenoisingStage):
            raise UserError(f"stages.{stage.name}: only stages that denoise can be measured here")
        return stage

    def conditions(self, num: int) -> Conditions:
        """Of the first pairs."""
        stage = self.link.stage
        return collate([packed_arrays(self.packed, pair, stage.size_hw, stage.garment_hw) for pair in self.pairs[:num]])


# ---- what a step costs


def measure_cost(run: Run) -> dict[str, Any]:
    """FLOPs and CPU seconds per guided step and picture, by what is left out."""
    stage, network = run.stage, run.link.network(torch.device("cpu"))
    conditions = run.conditions(TIMED_ROWS)
    seeds_B = torch.arange(len(conditions))
    sampling = SamplingConfig(num_steps=TIMED_STEPS, guidance=GUIDANCE)
    ways = ways_to_predict(stage.predict)
    num = TIMED_STEPS * len(conditions)

    def sample_once(way: str) -> torch.Tensor:
        stage.predict = ways[way]  # type: ignore[method-assign]
        return stage.sample(network, conditions, seeds_B, sampling)

    flops, pictures = {}, {}
    for way in ways:
        with FlopCounterMode(display=False) as counter:
            pictures[way] = sample_once(way)
        flops[way] = counter.get_total_flops() / num
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(REPEATS):
        for way in ways:
            started = time.process_time()
            sample_once(way)
            seconds[way] = min(seconds[way], (time.process_time() - started) / num)
    del stage.predict  # the class's own again
    say(f"cost of a guided step: {flops}, {seconds}")
    everything = "everything"
    return {
        "gflops_per_step": {way: round(value / 1e9, 4) for way, value in flops.items()},
        "cpu_ms_per_step": {way: round(1000 * value, 3) for way, value in seconds.items()},
        "fewer_flops": {way: round(flops[everything] / value, 3) for way, value in flops.items()},
        "speedup": {way: round(seconds[everything] / value, 3) for way, value in seconds.items()},
        "largest_difference": {
            way: float((pictures[way] - pictures[everything]).abs().max()) for way in ways if way != everything
        },
        "num_steps": TIMED_STEPS,
        "batch_size": len(conditions),
        "guidance": GUIDANCE,
    }


def ways_to_predict(predict: Predict) -> dict[str, Predict]:
    """`DenoisingStage.predict` as training calls it, as one sampling step does, and as a whole sampling run does."""

    def everything(network: Any, x: Any, steps: Any, known: Any, _: Any) -> torch.Tensor:  # noqa: ANN401
        with torch.enable_grad():  # the weights want no gradient, so no graph is kept; nothing is left out either
            return predict(network, x, steps, known, {})

    def null_skipped(network: Any, x: Any, steps: Any, known: Any, _: Any) -> torch.Tensor:  # noqa: ANN401
        return predict(network, x, steps, known, {})

    return {"everything": everything, "null_skipped": null_skipped, "kept": predict}


def paper_cost() -> dict[str, Any]:
    """The same by counting, for the paper's 128 px network with a garment branch that ignores the time; no weights."""
    cfg = configuration.load(ROOT / "config" / "presets" / "paper.yaml")
    settings = cfg.stages["base"].network.model_copy(update={"garment_sees_time": False})
    base = cfg.stages["base"].model_copy(update={"network": settings})
    stage = make_stage("base", cfg.model_copy(update={"stages": {**cfg.stages, "base": base}}))
    with torch.device("meta"):
        network = stage.build().requires_grad_(False)
        assert isinstance(network, ParallelUNet)
        channels = network.person.stem.in_channels // network.person.stem_stride**2
        person = torch.zeros(1, channels, *stage.size_hw)
        garment = torch.zeros(1, GARMENT_CHANNELS, *stage.size_hw)
        pose, one = torch.zeros(1, len(KEYPOINT_NAMES), 3), torch.zeros(1)
        with FlopCounterMode(display=False) as of_garment:
            features = network.garment_features(garment, pose, pose, one, one)
        with FlopCounterMode(display=False) as of_person:
            network(person, garment, pose, pose, one, one, features=features)
    garment_flops, person_flops = of_garment.get_total_flops(), of_person.get_total_flops()
    everything = 2 * (person_flops + garment_flops)
    return {
        "gflops_person": round(person_flops / 1e9, 1),
        "gflops_garment": round(garment_flops / 1e9, 1),
        "fewer_flops": {
            "null_skipped": round(everything / (2 * person_flops + garment_flops), 3),
            "kept": round(everything / (2 * person_flops), 3),
        },
    }


# ---- how few steps are enough


def measure_steps(run: Run, num_steps: Sequence[int], reference_steps: int) -> dict[str, Any]:
    """PSNR of every sampler and step count, and its difference from DDPM with many steps."""
    bootstrap = {"num_resamples": run.config.evaluate.num_bootstrap, "seed": run.config.evaluate.seed}
    reference = psnr_of(run, "ddpm", reference_steps)
    means = {f"ddpm {reference_steps}": estimate(reference, **bootstrap).as_dict()}
    differences: dict[str, dict[str, float | int | None]] = {}
    for steps in num_steps:
        for sampler in SAMPLERS:
            name = f"{sampler} {steps}"
            psnr = psnr_of(run, sampler, steps)
            means[name] = estimate(psnr, **bootstrap).as_dict()
            differences[name] = estimate(psnr - reference, **bootstrap).as_dict()
            say(f"{name}: {means[name]['mean']:.2f} dB, {differences[name]['mean']:+.2f} to the reference")
    few = [differences[f"{sampler} {GOAL_STEPS}"] for sampler in SAMPLERS if GOAL_STEPS in num_steps]
    return {
        "psnr_db": means,
        "difference_db": differences,
        "best_at_goal_steps_db": max((row["mean"] for row in few if row["mean"] is not None), default=None),
        "num_pairs": len(run.pairs),
        "lists": LISTS,
    }


def psnr_of(run: Run, sampler: str, num_steps: int) -> np.ndarray:
    """PSNR in dB inside the true garment of each pair, sampled and judged as the workflow does."""
    name, size_hw = run.link.stage.name, run.link.stage.size_hw
    asked = run.config.sample
    cfg = SampleConfig.model_validate(
        {
            **asked.of_stage(name).model_dump(),
            "sampler": sampler,
            "num_steps": num_steps,
            "seed": asked.seed,
            "batch_size": asked.batch_size,
        }
    )
    say(f"{len(run.pairs)} pairs with {sampler}, {num_steps} steps")
    values = []
    with tempfile.TemporaryDirectory() as folder:
        chain = ChainSampler(run.packed, run.pairs, cfg, Path(folder), "bench", [], Crew.assemble())
        chain.run_stage(run.link)
        for pair in run.pairs:
            picture_HWC = read_picture(Path(folder) / "sample" / "bench" / name / f"{pair.pair_id}.png", size_hw)
            values.append(psnr_in_garment(run, pair, picture_HWC))
    return np.array(values)


def psnr_in_garment(run: Run, pair: Pair, picture_HWC: np.ndarray) -> float:
    """As `tryon evaluate` judges it."""
    truth = read_truth(run.data, pair, run.reader)
    assert truth is not None
    true_HWC, regions = truth.on_canvas(pair.category, run.link.stage.size_hw, run.config.pack.fill)
    return compare(picture_HWC, true_HWC, regions)["psnr", "garment"]


def say(text: str) -> None:
    """Progress goes to stderr; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
