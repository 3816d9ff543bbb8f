"""What the demo's cascade reaches inside the garment on unpaired test pairs, beside the baselines (after make demo).

    make bench-demo          or   python benchmarks/bench_demo.py [--results results/demo] [--pictures docs/images]

Reads the scores that `make demo` left, prints the table of README.md, and one JSON object as its last line. With
--pictures it also draws the pictures of README.md from the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tryon import files
from tryon.config import ORACLE
from tryon.evaluation.baselines import BASELINES
from tryon.provenance import commit, machine

LIST = "test_unpaired"
METRICS = ("psnr", "gms")


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results/demo"), help="results folder of the demo")
    parser.add_argument("--pictures", type=Path, help="folder to draw README.md's pictures into")
    args = parser.parse_args()
    summary = args.results / "evaluate" / "summary.json"
    if not summary.is_file():
        sys.exit(f"error: {summary}: no such file; run `make demo` first")
    facts = files.read_json(summary)
    table = scores(pd.read_parquet(args.results / "evaluate" / "metrics.parquet"), facts)
    print(markdown(table))
    for line in [*intervals(facts), *drifts(facts)]:
        print(line)
    if args.pictures is not None:
        draw_demo(args.results, args.pictures / "demo.jpg")
        draw_studio(args.results / "data", args.pictures / "studio.jpg")
    values = {
        f"{row.name}_{metric}_{'db' if metric == 'psnr' else 'mean'}": round(float(row[metric]), 3)
        for _, row in table.iterrows()
        for metric in METRICS
    }
    about = {"benchmark": "demo", "list": LIST, "region": "garment", "num_pairs": int(table["n"].iloc[0])}
    stamp = {"machine": machine(), "date": datetime.now(UTC).date().isoformat(), "commit": commit()}
    print(json.dumps({**about, **values, **stamp}))


def scores(metrics: pd.DataFrame, summary: dict) -> pd.DataFrame:
    """Mean PSNR and gradient-magnitude similarity at the final size, one row per system, in the report's order."""
    final = summary["final_size"]
    rows = metrics[(metrics["list"] == LIST) & (metrics["region"] == "garment") & (metrics["size"] == final)]
    rows = rows[rows["metric"].isin(METRICS)]
    means = rows.pivot_table(index=["system", "stage"], columns="metric", values="value", aggfunc="mean", sort=False)
    means["n"] = rows.groupby(["system", "stage"])["pair_id"].nunique()
    means = means.reset_index()
    last = next(entry["stage"] for entry in summary["table"] if entry["kind"] == "cascade")
    is_last = means["system"].eq("cascade") & means["stage"].eq(last)
    means.insert(0, "shown", [_shown(row, last) for row, last in zip(means.itertuples(), is_last, strict=True)])
    means.index = pd.Index(
        ["cascade" if last else _key(row) for row, last in zip(means.itertuples(), is_last, strict=True)]
    )
    return means


def _key(row: object) -> str:
    system, stage = row.system, row.stage  # type: ignore[attr-defined]
    return f"stage_{stage}" if system == "cascade" else str(system)


def _shown(row: object, is_last: bool) -> str:
    system, stage = row.system, row.stage  # type: ignore[attr-defined]
    if system == "cascade":
        return "**cascade**" if is_last else f"cascade up to `{stage}`, enlarged"
    if system == ORACLE:
        return f"`{stage}` alone, fed with the truth"
    return BASELINES[system][0] if system in BASELINES else f"`{system}`, enlarged"


def markdown(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    lines = ["| | PSNR, dB | gradient similarity |", "|---|---|---|"]
    lines += [f"| {row.shown} | {row.psnr:.2f} | {row.gms:.3f} |" for row in table.itertuples()]
    return "\n".join(lines)


def intervals(summary: dict) -> list[str]:
    """What the cascade's lead over each opponent is, pair by pair, with its 95 % interval."""
    last = next(entry["stage"] for entry in summary["table"] if entry["kind"] == "cascade")
    about = {"list": LIST, "region": "garment", "size": summary["final_size"], "system": "cascade", "stage": last}
    return [
        f"cascade - {row['opponent']}, {row['metric']}: {row['mean']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
        for row in summary["differences"]
        if row["metric"] in METRICS and all(row[key] == value for key, value in about.items())
    ]


def drifts(summary: dict) -> list[str]:
    """The tint that each stage adds, fed with the truth: mean signed error of red, green, blue in 8-bit levels."""
    return [
        f"drift of {title['en']}, {list_name}: " + ", ".join(f"{cell['mean']:+.2f}" for cell in cells)
        for table in summary["tables"]
        if table["name"] == "drift"
        for title, list_name, *cells in table["rows"]
        if "true input" in title["en"]
    ]


def draw_demo(results: Path, out: Path, num_pairs: int = 5, height: int = 256) -> None:
    """Person | garment | result | truth of the first unpaired test pairs by id: not the best ones."""
    pairs = pd.read_parquet(results / "pairs" / "pairs.parquet")
    index = pd.read_parquet(results / "sample" / "cascade" / "index.parquet")
    index = index[
        (index["list"] == LIST) & (index["size"] == files.read_json(results / "evaluate/summary.json")["final_size"])
    ]
    chosen = pairs.merge(index[["pair_id", "file"]], on="pair_id").sort_values("pair_id").head(num_pairs)
    data = results / "data"
    columns = []
    for pair in chosen.itertuples():
        paths = [data / f"{pair.person}.jpg", data / f"{pair.garment}.jpg", results / pair.file, data / pair.truth]
        columns.append(np.hstack([_scaled(path, height) for path in paths]))
    files.write_atomic(out, lambda path: Image.fromarray(np.vstack(columns)).save(path, quality=88))


def draw_studio(data: Path, out: Path, num_columns: int = 8, height: int = 220) -> None:
    """The first people by name, and below each the shop photo of the garment worn."""
    photos = pd.read_csv(data / "photos.csv", dtype=str)
    worn = photos[photos["photo"].str.startswith("person/")].sort_values("photo").head(num_columns)
    people = np.hstack([_scaled(data / photo, height) for photo in worn["photo"]])
    garments = np.hstack([_scaled(data / f"garment/{name}.jpg", height) for name in worn["garment"]])
    files.write_atomic(out, lambda path: Image.fromarray(np.vstack([people, garments])).save(path, quality=88))


def _scaled(path: Path, height: int) -> np.ndarray:
    with Image.open(path) as picture:
        width = round(picture.width * height / picture.height)
        return np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
