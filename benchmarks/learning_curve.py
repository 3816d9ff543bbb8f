"""How good a first stage's averaged weights are at each kept checkpoint; for bench_learning.py and bench_guess.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from tryon import files
from tryon.config import Config
from tryon.dataset import formats
from tryon.evaluation.metrics import compare
from tryon.evaluation.pair_lists import Pair, listed_pairs
from tryon.evaluation.sample import sample_batch
from tryon.evaluation.trained import Trained
from tryon.evaluation.truths import read_truth
from tryon.methods import make_stage
from tryon.methods.conditions import packed_arrays
from tryon.packed import PackedPhotos


def curve_of(results: Path, cfg: Config, name: str, list_name: str) -> list[list[float]]:
    """Mean PSNR inside the garment, sampled from noise as `tryon sample` does, at every checkpoint of a stage's run.

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
    pairs = pairs_with_truth(results, packed, list_name)
    truths = list(truths_of(results, cfg, pairs, stage.size_hw))
    arrays = [packed_arrays(packed, pair, stage.size_hw, stage.garment_hw) for pair in pairs]
    run_dir = results / files.read_json(results / "train" / name / "summary.json")["run_dir"]
    network = stage.build().eval().requires_grad_(False)
    points = []
    for folder in sorted((run_dir / "checkpoints").glob("step-*")):
        network.load_state_dict(load_file(folder / "average.safetensors"))
        link, size = Trained(stage, folder, folder.name), cfg.sample.batch_size
        psnr = []
        for at in range(0, len(pairs), size):
            ids = [pair.pair_id for pair in pairs[at : at + size]]
            made = sample_batch(link, network, arrays[at : at + size], None, ids, cfg.sample, torch.device("cpu"))
            here = truths[at : at + size]
            psnr += [compare(picture, *truth)["psnr", "garment"] for picture, truth in zip(made, here, strict=True)]
        points.append([float(folder.name.removeprefix("step-")), round(float(np.mean(psnr)), 3)])
    return points


def pairs_with_truth(results: Path, packed: PackedPhotos, list_name: str) -> list[Pair]:
    """Those of a list whose photos were packed and whose true picture is known."""
    listed = listed_pairs(results / "pairs" / "pairs.parquet", [list_name])
    return [pair for pair in listed if pair.truth and pair.person in packed and pair.garment in packed]


def truths_of(
    results: Path, cfg: Config, pairs: Sequence[Pair], size_hw: tuple[int, int]
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """The true picture of each pair on the canvas, and where the garment is seen."""
    data = Path(cfg.data) if cfg.data else results / "data"
    reader = formats.reader(cfg.dataset)
    for pair in pairs:
        truth = read_truth(data, pair, reader)
        assert truth is not None, pair.pair_id
        yield truth.on_canvas(pair.category, size_hw, cfg.pack.fill)
