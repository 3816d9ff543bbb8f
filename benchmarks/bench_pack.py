"""Feeding batches from packed shards, against reading the originals and their masks each time (about 1 minute).

    make bench-pack        or   python benchmarks/bench_pack.py [--people N] [--height H]

Rendered photos go through the real stages (keypoints and cut-outs as annotated). Then the same photos are read in
the same shuffled order, in one process with one thread, warm page cache, CPU seconds, best of several passes:

* originals: `tryon.prepare.pack.load` and `on_canvas`: decode the JPEG and three PNGs, read the keypoints, resize;
* packed: `tryon.packed.PackedPhotos.read`: five planes copied out of a mapped file;
* batches: both photos of a pair stacked into uint8 batches, from either source.

Prints one JSON object as its last line, by training size; `share_of_memcpy` says how near reading comes to copying the
same bytes from memory to memory.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from tryon import config
from tryon.cli import main as tryon
from tryon.config import StudioConfig
from tryon.dataset import manifest
from tryon.packed import PackedPhoto, PackedPhotos
from tryon.prepare import pack
from tryon.provenance import commit, machine
from tryon.studio.studio import render_folder
from tryon.training.feed import planes_of

REPEATS = 5
BATCH_PAIRS = 8
SIZES_HW = ([128, 96], [256, 192])
GOAL = 20.0
SETTINGS = {
    "pairs": {"num_shards": 2},
    "keypoints": {"source": "given"},
    "cutouts": {"source": "annotations"},
    "stages": {
        "base": {"kind": "parallel_unet", "size": SIZES_HW[0]},
        "sr": {"kind": "parallel_unet_sr", "size": SIZES_HW[1], "low_size": SIZES_HW[0]},
    },
    "cascade": ["base", "sr"],
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=24, help="people rendered, each with a garment photo")
    parser.add_argument("--height", type=int, default=1024, help="of a photo in pixels; width is 3/4 of it")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        prepare(root, args.people, (args.height, args.height * 3 // 4))
        settings = config.load(root / "config.json")
        by_size = {f"{size[0]}x{size[1]}": measure(root, settings, (size[0], size[1])) for size in SIZES_HW}
    result = {
        "benchmark": "pack",
        "speedup": min(row["speedup"] for row in by_size.values()),
        "by_size": by_size,
        "goal": GOAL,
        "photo_hw": [args.height, args.height * 3 // 4],
        "num_people": args.people,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))


def prepare(root: Path, num_people: int, size_hw: tuple[int, int]) -> None:
    """Render, and run every stage up to the packed shards."""
    (root / "config.json").write_text(json.dumps(SETTINGS))
    data, results = root / "data", root / "results"
    render_folder(StudioConfig(seed=32, num_people=num_people, size_hw=size_hw, num_val=2, num_test=2), data, jobs=2)

    def stage(name: str, **options: Path) -> None:
        flags = [text for key, value in options.items() for text in (f"--{key.replace('_', '-')}", str(value))]
        if tryon([name, "--config", str(root / "config.json"), *flags]) != 0:
            raise RuntimeError(f"tryon {name} failed")

    table = results / "dataset" / "manifest.parquet"
    stage("dataset", data=data, out=table, quarantine=results / "dataset" / "quarantine.csv")
    stage("pairs", manifest=table, data=data, out_dir=results / "pairs")
    for key in (results / "pairs" / "shards.txt").read_text().split():
        made = {name: results / name / f"{key}.parquet" for name in ("masks", "keypoints", "cutouts")}
        common = {"shard": results / "pairs" / "shards" / f"{key}.tsv", "data": data, "results": results}
        stage("masks", **common, out=made["masks"])
        stage("keypoints", **common, masks=made["masks"], out=made["keypoints"])
        stage("cutouts", **common, masks=made["masks"], keypoints=made["keypoints"], out=made["cutouts"])
        out = results / "pack" / f"{key}.safetensors"
        stage("pack", **common, **made, out=out, table=out.with_suffix(".parquet"))


def measure(root: Path, settings: config.Config, size_hw: tuple[int, int]) -> dict[str, float]:
    """Photos per second of one core at one training size."""
    results = root / "results"
    packed = PackedPhotos(sorted((results / "pack").glob("*.safetensors")))
    read_original = originals(root, settings, size_hw)

    def read_packed(id_: str) -> PackedPhoto:
        return packed.read(id_, size_hw)

    check_equal(packed.ids, read_original, read_packed)
    pairs = pd.read_parquet(results / "pairs" / "pairs.parquet")
    pairs = pairs[pairs["person"].isin(packed.ids) & pairs["garment"].isin(packed.ids)]
    wanted = [id_ for row in pairs.itertuples() for id_ in (str(row.person), str(row.garment))]
    random.Random(0).shuffle(wanted)
    original_s, packed_s = seconds_of(read_original, wanted, 2), seconds_of(read_packed, wanted, REPEATS)
    batch_original_s = seconds_of_batches(read_original, wanted, 2)
    batch_packed_s = seconds_of_batches(read_packed, wanted, REPEATS)
    num_bytes = sum(plane.nbytes for plane in planes_of(read_packed(wanted[0])).values())
    copy_s = seconds_of_copy(num_bytes)
    row = {
        "speedup": batch_original_s / batch_packed_s,
        "read_speedup": original_s / packed_s,
        "originals_images_per_s_core": 1 / batch_original_s,
        "packed_images_per_s_core": 1 / batch_packed_s,
        "packed_read_images_per_s_core": 1 / packed_s,
        "memcpy_images_per_s_core": 1 / copy_s,
        "memcpy_gb_per_s": num_bytes / copy_s / 1e9,
        "share_of_memcpy": copy_s / packed_s,
        "kb_per_photo": num_bytes / 1000,
    }
    say(f"{size_hw}: {row}")
    return {name: round(value, 3) for name, value in row.items()}


def originals(root: Path, settings: config.Config, size_hw: tuple[int, int]) -> Callable[[str], PackedPhoto]:
    """A reader of originals: what the stage `pack` does to a photo, for one size."""
    results = root / "results"
    photos: dict[str, manifest.Photo] = {}
    paths: dict[str, dict[str, str]] = {}
    for key in (results / "pairs" / "shards.txt").read_text().split():
        shard = manifest.read_shard(results / "pairs" / "shards" / f"{key}.tsv")
        photos |= {photo.id: photo for photo in manifest.photos_of(shard)}
        paths |= pack.join_stages(shard, {stage: results / stage / f"{key}.parquet" for stage in pack.UPSTREAM})[0]

    def read(id_: str) -> PackedPhoto:
        original = pack.load(photos[id_], paths[id_], root / "data", results, settings.keypoints.min_score)
        return pack.on_canvas(original, size_hw, settings.pack.fill)

    return read


def check_equal(ids: list[str], one: Callable[[str], PackedPhoto], other: Callable[[str], PackedPhoto]) -> None:
    """Both ways must give the same photos, or their speeds mean nothing."""
    for id_ in ids:
        for name, plane in planes_of(one(id_)).items():
            if not np.array_equal(plane, planes_of(other(id_))[name]):
                raise RuntimeError(f"{id_}: {name} of the pack is not what the originals give")


def seconds_of(read: Callable[[str], PackedPhoto], ids: list[str], repeats: int) -> float:
    """CPU seconds per photo, best pass."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        for id_ in ids:
            read(id_)
        best = min(best, (time.process_time() - started) / len(ids))
    return best


def seconds_of_batches(read: Callable[[str], PackedPhoto], ids: list[str], repeats: int) -> float:
    """As `seconds_of`, with the photos stacked plane by plane."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        for start in range(0, len(ids), 2 * BATCH_PAIRS):
            planes = [planes_of(read(id_)) for id_ in ids[start : start + 2 * BATCH_PAIRS]]
            for name in planes[0]:
                np.stack([photo[name] for photo in planes])
        best = min(best, (time.process_time() - started) / len(ids))
    return best


def seconds_of_copy(num_bytes: int) -> float:
    """CPU seconds of copying that many bytes, from place to place in 256 MB, to a buffer that numpy reuses."""
    num_copies = max(16, (256 << 20) // num_bytes)
    source = np.ones((num_copies, num_bytes), np.uint8)
    best = float("inf")
    for _ in range(REPEATS):
        started = time.process_time()
        for row in source:
            row.copy()
        best = min(best, (time.process_time() - started) / num_copies)
    return best


def say(text: str) -> None:
    """Progress goes to stderr; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
