"""How good a first stage's averaged weights are at each kept checkpoint; for bench_learning.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from tryon import files, images
from tryon.config import Config
from tryon.dataset import formats
from tryon.evaluation.metrics import compare
from tryon.evaluation.pair_lists import Pair, listed_pairs
from tryon.evaluation.truths import read_truth
from tryon.methods import make_stage
from tryon.methods.conditions import collate, condition_arrays
from tryon.methods.interface import Conditions, Stage
from tryon.methods.seeds import seed_of
from tryon.packed import PackedPhotos

BATCH = 16


def curve_of(results: Path, cfg: Config, name: str, list_name: str) -> list[list[float]]:
    """Mean PSNR inside the garment, sampled from noise, at every checkpoint of a stage's run.

    Args:
        results: results folder.
        cfg: the configuration of that folder.
        name: a first stage (no low_size).
        list_name: an unpaired list with true pictures.

    Returns:
        Rows of (optimizer steps, PSNR in dB).
    """
    stage = make_stage(name, cfg)
    packed = PackedPhotos(sorted(results.glob("pack/*.safetensors")))
    pairs = [
        pair
        for pair in listed_pairs(results / "pairs" / "pairs.parquet", [list_name])
        if pair.truth and pair.person in packed and pair.garment in packed
    ]
    truths = _truths(results, cfg, pairs, stage.size_hw)
    run_dir = results / files.read_json(results / "train" / name / "summary.json")["run_dir"]
    network = stage.build().eval().requires_grad_(False)
    points = []
    for folder in sorted((run_dir / "checkpoints").glob("step-*")):
        network.load_state_dict(load_file(folder / "average.safetensors"))
        psnr = [
            compare(picture_HWC, *truth)["psnr", "garment"]
            for picture_HWC, truth in zip(_sampled(stage, network, packed, pairs, cfg), truths, strict=True)
        ]
        points.append([float(folder.name.removeprefix("step-")), round(float(np.mean(psnr)), 3)])
    return points


def _truths(results: Path, cfg: Config, pairs: Sequence[Pair], size_hw: tuple[int, int]) -> list[tuple]:
    data = Path(cfg.data) if cfg.data else results / "data"
    reader = formats.reader(cfg.dataset)
    found = [read_truth(data, pair, reader) for pair in pairs]
    return [
        truth.on_canvas(pair.category, size_hw, cfg.pack.fill)
        for pair, truth in zip(pairs, found, strict=True)
        if truth is not None
    ]


def _sampled(
    stage: Stage, network: torch.nn.Module, packed: PackedPhotos, pairs: Sequence[Pair], cfg: Config
) -> list[np.ndarray]:
    pictures: list[np.ndarray] = []
    for start in range(0, len(pairs), BATCH):
        chunk = pairs[start : start + BATCH]
        seeds_B = torch.tensor([seed_of(cfg.sample.seed, "sample", stage.name, pair.pair_id) for pair in chunk])
        made_B3HW = stage.sample(
            network, _conditions(packed, chunk, stage.size_hw), seeds_B, cfg.sample.of_stage(stage.name)
        )
        pictures += [images.from_network(made_3HW.permute(1, 2, 0).numpy()) for made_3HW in made_B3HW]
    return pictures


def _conditions(packed: PackedPhotos, pairs: Sequence[Pair], size_hw: tuple[int, int]) -> Conditions:
    return collate(
        [
            condition_arrays(
                packed.read(pair.person, size_hw), packed.read(pair.garment, size_hw), pair.category, size_hw
            )
            for pair in pairs
        ]
    )
