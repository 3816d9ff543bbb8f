"""What the base stage learns on rendered people, beside baselines, regression and an ablation (hours; `--help`).

    make bench-learning          or   python benchmarks/bench_learning.py [--no-run] [--pictures docs/images]

Runs config/presets/studio.yaml to its report (what is there already is not made again), then prints the tables of
benchmarks/README.md, all on unpaired test pairs, inside the true garment, sampled from noise, and one JSON object as
its last line. --pictures also draws the curve and the grid of README.md; --no-run reads what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from learning_curve import curve_of
from PIL import Image

from tryon import config as configuration
from tryon import files
from tryon.config import Config
from tryon.evaluation.baselines import BASELINES
from tryon.evaluation.statistics import estimate
from tryon.provenance import commit, machine

PRESET = "config/presets/studio.yaml"
LIST, CURVE_LIST = "test_unpaired", "val_unpaired"
DIGITS = {"psnr": 2, "gms": 4}
"""The two metrics that systems are compared in, and how many digits their tables show."""
SEEDED = re.compile(r"(?P<row>.+)_(?P<seed>\d+)")
RIVALS = ("keep", "paste", "mean_colour", "paste_mean_fill")
"""The baselines that the base stage is to beat by 3 dB; those with bent sleeves, its own first guess, stand beside."""


def main() -> None:
    """Run, print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="results folder (default: the preset's)")
    parser.add_argument("--preset", default=PRESET, help="configuration; references named NAME_SEED are the ablation")
    parser.add_argument("--cores", default="all", help="of snakemake")
    parser.add_argument("--pictures", type=Path, help="folder to draw the curve and the grid into")
    parser.add_argument("--no-run", action="store_true", help="read what is there")
    args = parser.parse_args()
    cfg = configuration.load(args.preset)
    results = args.results or Path(cfg.results)
    if not args.no_run:
        command = ["snakemake", "--cores", args.cores, "--configfile", args.preset, "--config", f"results={results}"]
        subprocess.run(command, check=True, stdout=sys.stderr)
    table = results / "evaluate" / "metrics.parquet"
    if not table.is_file():
        sys.exit(f"error: {table}: no such file; run this command without --no-run")
    scores = at_base_size(pd.read_parquet(table), cfg)
    about = {"benchmark": "learning", "list": LIST, "region": "garment", "num_pairs": scores["pair_id"].nunique()}
    numbers = {
        "base": base_table(scores, cfg),
        "ablation": ablation_table(scores, cfg),
        "cascade": cascade_table(pd.read_parquet(table), cfg),
    }
    if args.pictures is not None:
        curve = learning_curve(results, args.preset)
        draw_curve(curve, scores, args.pictures / "learning.png")
        draw_grid(results, cfg, args.pictures / "learning.jpg")
        numbers["curve"] = curve
    stamp = {"machine": machine(), "date": datetime.now(UTC).date().isoformat(), "commit": commit()}
    print(json.dumps({**about, **numbers, **stamp}))


def at_base_size(metrics: pd.DataFrame, cfg: Config) -> pd.DataFrame:
    """Scores inside the garment of every system at the base stage's own size."""
    size = "x".join(map(str, cfg.stages[cfg.cascade[0]].size))
    rows = metrics[(metrics["list"] == LIST) & (metrics["region"] == "garment")]
    rows = rows[(rows["size"] == size)].copy()
    rows["system"] = rows["system"].where(rows["system"] != "cascade", cfg.cascade[0])
    return rows


def values_of(scores: pd.DataFrame, system: str, metric: str) -> pd.Series:
    """One value per pair of one system, by pair id."""
    rows = scores[(scores["system"] == system) & (scores["metric"] == metric)]
    return rows.set_index("pair_id")["value"].sort_index()


def with_interval(values: pd.Series, digits: int, sign: str = "") -> tuple[str, list[float]]:
    """A mean and its 95 % bootstrap interval over pairs, as text and as numbers."""
    result = estimate(values.to_numpy(), num_resamples=2000, seed=0)
    numbers = [result.mean, *(result.mean if end is None else end for end in (result.low, result.high))]
    mean, low, high = (f"{number:{sign}.{digits}f}" for number in numbers)
    return f"{mean} ({low} to {high})", [round(number, 4) for number in numbers]


def base_table(scores: pd.DataFrame, cfg: Config) -> dict[str, dict[str, list[float]]]:
    """Print the base stage, its rivals, and its lead over each, pair by pair."""
    base = cfg.cascade[0]
    print("| | PSNR, dB | gradient similarity | lead of the base, dB | lead, similarity | sharpness (truth: 1) |")
    print("|---|---|---|---|---|---|")
    found: dict[str, dict[str, list[float]]] = {}
    for system in [base, *BASELINES, *(name for name in cfg.references if not SEEDED.fullmatch(name))]:
        cells, found[system] = [], {}
        for metric, digits in DIGITS.items():
            text, found[system][metric] = with_interval(values_of(scores, system, metric), digits)
            cells.append(text)
        for metric, digits in DIGITS.items():
            if system == base:
                cells.append("–")
                continue
            lead = values_of(scores, base, metric) - values_of(scores, system, metric)
            text, found[system][f"{metric}_lead"] = with_interval(lead, digits, "+")
            cells.append(text)
        text, found[system]["sharpness"] = with_interval(values_of(scores, system, "gradient_ratio"), 2)
        print(f"| {system} | {' | '.join([*cells, text])} |")
    rivals = [found[name]["psnr_lead"] for name in RIVALS]
    print(f"\nsmallest lead over {', '.join(RIVALS)}: {min(lead[0] for lead in rivals):+.2f} dB\n")
    return found


def ablation_table(scores: pd.DataFrame, cfg: Config) -> dict[str, dict[str, object]]:
    """Print each row's mean over its seeds, and its difference to the first row, pair by pair; in dB each seed, too."""
    rows: dict[str, list[str]] = {}
    for name in cfg.references:
        if match := SEEDED.fullmatch(name):
            rows.setdefault(match["row"], []).append(name)
    if not rows:
        return {}
    first = next(iter(rows))
    mean_of = {
        (row, metric): pd.concat([values_of(scores, name, metric) for name in names], axis=1).mean(axis=1)
        for row, names in rows.items()
        for metric in DIGITS
    }
    print(f"| | PSNR, dB | each seed | to {first}, dB | gradient similarity | to {first} |\n|---|---|---|---|---|---|")
    found: dict[str, dict[str, object]] = {}
    for row, names in rows.items():
        seeds = [round(float(values_of(scores, name, "psnr").mean()), 3) for name in names]
        found[row], cells = {"seeds": seeds}, []
        for metric, digits in DIGITS.items():
            text, found[row][metric] = with_interval(mean_of[row, metric], digits)
            difference = mean_of[row, metric] - mean_of[first, metric]
            change, found[row][f"{metric}_difference"] = with_interval(difference, digits, "+")
            cells += [text, change]
        cells.insert(1, ", ".join(f"{seed:.2f}" for seed in seeds))
        print(f"| {row} | {' | '.join(cells)} |")
    print()
    return found


def cascade_table(metrics: pd.DataFrame, cfg: Config) -> dict[str, dict[str, list[float]]]:
    """Print what each stage of the cascade adds at the final size; earlier stages are enlarged by bicubic."""
    size = "x".join(map(str, cfg.stages[cfg.cascade[-1]].size))
    rows = metrics[(metrics["system"] == "cascade") & (metrics["list"] == LIST) & (metrics["region"] == "garment")]
    rows = rows[(rows["size"] == size)].assign(system=rows["stage"])
    if len(cfg.cascade) == 1:
        return {}
    print(f"| at {size} | PSNR, dB | gradient similarity |\n|---|---|---|")
    found: dict[str, dict[str, list[float]]] = {}
    for stage in cfg.cascade:
        psnr, gms = (with_interval(values_of(rows, stage, metric), digits) for metric, digits in DIGITS.items())
        print(f"| up to {stage} | {psnr[0]} | {gms[0]} |")
        found[stage] = {"psnr": psnr[1], "gms": gms[1]}
    for metric, digits in DIGITS.items():
        gain = values_of(rows, cfg.cascade[-1], metric) - values_of(rows, cfg.cascade[0], metric)
        text, found[cfg.cascade[-1]][f"{metric}_over_bicubic"] = with_interval(gain, digits, "+")
        print(f"last stage - bicubic of the first, {metric}: {text}")
    print()
    return found


def learning_curve(results: Path, preset: str) -> dict[str, list[list[float]]]:
    """PSNR inside the garment on unpaired validation pairs of the averaged weights in every kept checkpoint."""
    cfg = configuration.load(preset)
    return {name: curve_of(results, cfg, name, CURVE_LIST) for name in ("base", "regression") if name in cfg.stages}


def draw_curve(curves: dict[str, list[list[float]]], scores: pd.DataFrame, out: Path) -> None:
    """PSNR over optimizer steps, with the strongest baseline as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for name, points in curves.items():
        axes.plot(*np.array(points).T, marker="o", label=name)
    best = max(float(values_of(scores, name, "psnr").mean()) for name in RIVALS)
    axes.axhline(best, color="grey", linestyle="--", label="best baseline (test pairs)")
    axes.set(xlabel="optimizer steps", ylabel="PSNR inside the garment, dB", title="Unpaired validation pairs")
    axes.legend()
    files.write_atomic(out, lambda path: figure.savefig(path, dpi=120, format="png"))


def draw_grid(results: Path, cfg: Config, out: Path, num_pairs: int = 6, height: int = 192) -> None:
    """Person | garment | base | regression | (cascade) | truth of the first unpaired test pairs by id: not the best."""
    pairs = pd.read_parquet(results / "pairs" / "pairs.parquet")
    systems = list(
        dict.fromkeys([("cascade", cfg.cascade[0]), ("regression", "regression"), ("cascade", cfg.cascade[-1])])
    )
    indices = {name: pd.read_parquet(results / "sample" / name / "index.parquet") for name, _ in systems}
    chosen = pairs[(pairs["split"] == "test") & (pairs["kind"] == "unpaired")].sort_values("pair_id").head(num_pairs)
    data = Path(cfg.data) if cfg.data else results / "data"

    def row(pair: object) -> Iterator[np.ndarray]:
        yield _scaled(data / f"{pair.person}.jpg", height)  # type: ignore[attr-defined]
        yield _scaled(data / f"{pair.garment}.jpg", height)  # type: ignore[attr-defined]
        for system, stage in systems:
            table = indices[system]
            file = table[(table["stage"] == stage) & (table["pair_id"] == pair.pair_id)]["file"].iloc[0]  # type: ignore[attr-defined]
            yield _scaled(results / file, height)
        yield _scaled(data / pair.truth, height)  # type: ignore[attr-defined]

    grid_HWC = np.vstack([np.hstack(list(row(pair))) for pair in chosen.itertuples()])
    files.write_atomic(out, lambda path: Image.fromarray(grid_HWC).save(path, quality=90, format="JPEG"))


def _scaled(path: Path, height: int) -> np.ndarray:
    with Image.open(path) as picture:
        picture_HWC = np.asarray(picture.convert("RGB"))
    width = round(picture_HWC.shape[1] * height / picture_HWC.shape[0])
    is_smaller = picture_HWC.shape[0] < height
    method = cv2.INTER_CUBIC if is_smaller else cv2.INTER_AREA
    return cv2.resize(picture_HWC, (width, height), interpolation=method)


if __name__ == "__main__":
    torch.set_num_threads(os.cpu_count() or 1)
    main()
