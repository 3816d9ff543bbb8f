"""How far the first guess is from the truth: the units of a residual network's output (a minute).

    make bench-guess ARGS="--results results/studio"   or   python benchmarks/bench_guess.py --results results/studio

Root mean square error in [-1, 1] of the guess that a residual network corrects, on the canvas of the cascade's first
stage, over an unpaired list with true pictures; the folder need not be trained. `garment`: of the pasted garment, where
a garment is worn; `around`: of what fills the region where nothing is pasted. `GARMENT_SD` and `AROUND_SD` of
tryon/methods/tryondiffusion/denoising.py were chosen near them. Prints one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch
from learning_curve import pairs_with_truth, truths_of

from tryon import config as configuration
from tryon.config import Config
from tryon.images import to_network
from tryon.methods import make_stage
from tryon.methods.conditions import collate, packed_arrays
from tryon.methods.tryondiffusion.denoising import AROUND_SD, GARMENT_SD, pasted_garment
from tryon.packed import PackedPhotos
from tryon.provenance import commit, machine


def main() -> None:
    """Measure, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="results folder whose photos are packed")
    parser.add_argument("--preset", default="config/presets/studio.yaml", help="its configuration")
    parser.add_argument("--list", default="val_unpaired", help="unpaired list with true pictures")
    args = parser.parse_args()
    cfg = configuration.load(args.preset)
    if not list(args.results.glob("pack/*.safetensors")):
        sys.exit(
            f"error: {args.results}/pack: no packed photos; run snakemake inspect --configfile {args.preset} first"
        )
    result = {
        "benchmark": "guess",
        "list": args.list,
        "error": errors_of_guess(args.results, cfg, args.list),
        "in_use": {"garment": GARMENT_SD, "around": AROUND_SD},
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
    }
    print(json.dumps(result))


def errors_of_guess(results: Path, cfg: Config, list_name: str) -> dict[str, float]:
    """Root mean square error of the first stage's guess, by part of the repainted region."""
    stage = make_stage(cfg.cascade[0], cfg)
    packed = PackedPhotos(sorted(results.glob("pack/*.safetensors")))
    pairs = pairs_with_truth(results, packed, list_name)
    conditions = collate([packed_arrays(packed, pair, stage.size_hw, stage.garment_hw) for pair in pairs])
    truths = list(truths_of(results, cfg, pairs, stage.size_hw))
    true_B3HW = torch.stack([torch.from_numpy(to_network(true_HWC)).permute(2, 0, 1) for true_HWC, _ in truths])
    worn_B1HW = torch.stack([torch.from_numpy(regions["garment"])[None] for _, regions in truths])
    error_B1HW = (pasted_garment(conditions) - true_B3HW).square().mean(dim=1, keepdim=True)
    pasted_B1HW, region_B1HW = conditions.prealigned_mask_B1HW, conditions.region_B1HW > 0
    parts = {"garment": region_B1HW & worn_B1HW & (pasted_B1HW == 1), "around": region_B1HW & (pasted_B1HW == 0)}
    return {name: round(float(error_B1HW[part].mean().sqrt()), 3) for name, part in parts.items()}


if __name__ == "__main__":
    main()
