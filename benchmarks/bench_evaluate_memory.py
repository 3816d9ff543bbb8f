"""Memory of `tryon evaluate` over the number of pairs (minutes; a quarter of an hour for 2 032 pairs).

    make bench-evaluate-memory    or   python benchmarks/bench_evaluate_memory.py [--pairs 64 512 2032] [--height H]
        [--jobs J] [--networks]

A few people are rendered and prepared by the real stages; their held-out pairs are listed again and again under other
names, and a person photo stands for every result. Then `tryon evaluate` runs as in any run, truths and all metrics
that need no weights included, in a process of its own whose memory is watched: the sum over it and its workers of the
proportional set size (shared pages count once), every fifth of a second. --networks adds LPIPS and, by the protocol
dci, FID and KID, with random weights (needs a height of 256, 512 or 1024). Prints one JSON object as its last line:
peak_mb by number of pairs, and kb_per_pair, the slope between the smallest and the largest number.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from tryon.cli import main as tryon
from tryon.config import StudioConfig
from tryon.evaluation.pair_lists import listed_pairs
from tryon.evaluation.pictures import write_picture
from tryon.packed import PackedPhotos
from tryon.provenance import commit, machine
from tryon.studio.studio import render_folder

GOALS = {"peak_mb": 2048}
LIST = "test_unpaired"
EVERY_S = 0.2
NAMES = ("pair_id", "list", "stage", "size", "file", "key", "status", "reason")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[64, 512, 2032])
    parser.add_argument("--height", type=int, default=64, help="of a picture in pixels; width is 3/4 of it")
    parser.add_argument("--people", type=int, default=12, help="people rendered")
    parser.add_argument("--jobs", type=int, default=1, help="judging processes")
    parser.add_argument("--networks", action="store_true", help="with LPIPS, FID and KID")
    args = parser.parse_args()
    size_hw = (args.height, args.height * 3 // 4)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        prepare(root, args.people, size_hw, args.jobs, networks=args.networks)
        runs = {num: evaluate(root, num, size_hw) for num in sorted(args.pairs)}
    few, many = min(runs), max(runs)
    slope = (runs[many]["peak_mb"] - runs[few]["peak_mb"]) * 1024 / max(many - few, 1)
    result = {
        "benchmark": "evaluate_memory",
        "peak_mb": {str(num): run["peak_mb"] for num, run in runs.items()},
        "seconds": {str(num): run["seconds"] for num, run in runs.items()},
        "kb_per_pair": round(slope, 1),
        "size_hw": size_hw,
        "jobs": args.jobs,
        "networks": args.networks,
        "goals": GOALS,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))


def prepare(root: Path, people: int, size_hw: tuple[int, int], jobs: int, *, networks: bool) -> None:
    """Photos, every stage up to the packed shards, and one result per held-out pair."""
    studio = StudioConfig(num_people=people, num_val=2, num_test=people // 2, size_hw=size_hw, jobs=1)
    render_folder(studio, root / "data")
    settings: dict[str, Any] = {
        "pairs": {"unpaired_strategy": "given", "num_shards": 1},
        "keypoints": {"source": "given"},
        "cutouts": {"source": "annotations"},
        "stages": {"base": {"kind": "parallel_unet", "size": size_hw}},
        "cascade": ["base"],
        "sample": {"lists": [LIST]},
        "evaluate": {"jobs": jobs},
    }
    if networks:
        settings["evaluate"] |= {"protocols": ["tryon", "dci"], **write_weights(root)}
    (root / "config.json").write_text(json.dumps(settings))
    results = root / "results"
    common = ["--config", root / "config.json", "--data", root / "data"]
    manifest = results / "dataset" / "manifest.parquet"
    run("dataset", *common, "--out", manifest, "--quarantine", results / "dataset" / "quarantine.csv")
    run("pairs", *common, "--manifest", manifest, "--out-dir", results / "pairs")
    key = (results / "pairs" / "shards.txt").read_text().split()[0]
    shard = [*common, "--results", results, "--shard", results / "pairs" / "shards" / f"{key}.tsv"]
    masks, keypoints, cutouts = (results / name / f"{key}.parquet" for name in ("masks", "keypoints", "cutouts"))
    upstream = ["--masks", masks, "--keypoints", keypoints]
    run("masks", *shard, "--out", masks)
    run("keypoints", *shard, "--masks", masks, "--out", keypoints)
    run("cutouts", *shard, *upstream, "--out", cutouts)
    packed = results / "pack" / f"{key}.safetensors"
    run("pack", *shard, *upstream, "--cutouts", cutouts, "--out", packed, "--table", packed.with_suffix(".parquet"))
    photos = PackedPhotos([packed])
    for pair in listed_pairs(results / "pairs" / "pairs.parquet", [LIST]):
        image_HWC = photos.read(pair.person, size_hw).image_HWC
        write_picture(results / "sample" / "cascade" / "base" / f"{pair.pair_id}.png", image_HWC, "benchmark")


def write_weights(root: Path) -> dict[str, str]:
    """Random networks in the form of the published files."""
    from bench_evaluate import write_weights as write

    write(root)
    return {"lpips_weights": str(root / "alexnet.pth"), "fid_inception_weights": str(root / "inception.pth")}


def evaluate(root: Path, num: int, size_hw: tuple[int, int]) -> dict[str, float]:
    """Memory and seconds of `tryon evaluate` on some pairs: the held-out ones, again and again."""
    results, folder = root / "results", root / f"{num}"
    table = pd.read_parquet(results / "pairs" / "pairs.parquet")
    listed = table[(table["split"] + "_" + table["kind"]) == LIST]
    copies = listed.iloc[[index % len(listed) for index in range(num)]]
    names = [f"{name}__{index:05d}" for index, name in enumerate(copies["pair_id"])]
    folder.mkdir()
    paired = table[table["kind"] == "paired"]  # protocols look the persons' photos up there
    pd.concat([copies.assign(pair_id=names), paired]).to_parquet(folder / "pairs.parquet")
    size = f"{size_hw[0]}x{size_hw[1]}"
    rows = [
        (name, LIST, "base", size, f"sample/cascade/base/{pair}.png", "benchmark", "ok", None)
        for name, pair in zip(names, copies["pair_id"], strict=True)
    ]
    index = folder / "cascade" / "index.parquet"
    index.parent.mkdir()
    pd.DataFrame(rows, columns=list(NAMES)).to_parquet(index)
    command = [
        sys.executable, "-m", "tryon.cli", "evaluate", "--config", root / "config.json", "--data", root / "data",
        "--pairs", folder / "pairs.parquet", "--packs", *(results / "pack").glob("*.safetensors"), "--samples", index,
        "--results", results, "--out", folder / "metrics.parquet", "--protocols", folder / "protocols.parquet",
        "--summary", folder / "summary.json",
    ]  # fmt: skip
    started = time.monotonic()
    judging = subprocess.Popen(list(map(str, command)), stdout=sys.stderr)
    peak_kb = 0
    while judging.poll() is None:
        peak_kb = max(peak_kb, sum(map(pss_kb, family(judging.pid))))
        time.sleep(EVERY_S)
    if judging.returncode:
        raise RuntimeError(f"tryon evaluate ended with exit code {judging.returncode}")
    return {"peak_mb": round(peak_kb / 1024), "seconds": round(time.monotonic() - started, 1)}


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        for task in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            try:
                queue += map(int, task.read_text().split())
            except OSError:
                continue  # it has just ended
    return found


def pss_kb(pid: int) -> int:
    """Memory of a process, with its share of pages that others hold, too; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def run(*arguments: object) -> None:
    """A stage, as the command line runs it; its lines go to stderr."""
    from contextlib import redirect_stdout

    with redirect_stdout(sys.stderr):
        if tryon(list(map(str, arguments))) != 0:
            raise RuntimeError(f"tryon {arguments[0]} failed")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
