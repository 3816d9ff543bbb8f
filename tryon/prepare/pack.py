"""Stage `pack`: everything a trainer reads of one shard's photos, at every training size, in one file.

Each photo goes straight from its original to every canvas through one geometry per canvas, and its label map,
cut-outs, regions and keypoints with it. Borders of pictures get the setting `pack.fill`; masks are 0 there.

The file is written photo by photo into place, so memory does not grow with the shard. There is no item cache here:
decoding and resizing a photo again costs about as much as reading back a cached copy, which would double the disk.

    tryon pack --config F --shard S --masks M --keypoints K --cutouts C --data DIR --results R
               --out pack/KEY.safetensors --table pack/KEY.parquet
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tryon import config, files, images
from tryon.config import Config
from tryon.dataset.manifest import Photo, photos_of, read_shard
from tryon.digests import code_digest, config_digest
from tryon.errors import BadItem, UserError
from tryon.geometry import Letterbox, keypoints_to_unit
from tryon.packed import PackedPhoto
from tryon.prepare.pack_file import Pack
from tryon.provenance import write_provenance

STAGE = "pack"
UPSTREAM = {"masks": ("labels.png",), "keypoints": ("keypoints.json",), "cutouts": ("garments.png", "regions.png")}
"""Files that each earlier stage must have made of a photo."""


@dataclass(frozen=True)
class Original:
    """One photo and what earlier stages made of it, in the photo's own pixels.

    Attributes:
        id: photo id.
        image_HWC: uint8 RGB.
        labels_HW, garments_HW, regions_HW: uint8, as in `packed.PackedPhoto`.
        keypoints_K3: float64 x, y in pixels, 1 where visible else 0.
    """

    id: str
    image_HWC: np.ndarray
    labels_HW: np.ndarray
    garments_HW: np.ndarray
    regions_HW: np.ndarray
    keypoints_K3: np.ndarray


def on_canvas(original: Original, size_hw: tuple[int, int], fill: int) -> PackedPhoto:
    """A photo with all its planes on one canvas.

    Args:
        original: the photo.
        size_hw: height and width of the canvas in pixels.
        fill: grey level of the borders.
    """
    box = Letterbox(original.image_HWC.shape[:2], size_hw)
    points_K2 = box.points(original.keypoints_K3[:, :2])
    return PackedPhoto(
        id=original.id,
        image_HWC=box.image(original.image_HWC, fill),
        labels_HW=box.mask(original.labels_HW),
        garments_HW=box.mask(original.garments_HW),
        regions_HW=box.mask(original.regions_HW),
        keypoints_K3=keypoints_to_unit(np.column_stack([points_K2, original.keypoints_K3[:, 2]]), size_hw),
    )


def load(photo: Photo, paths: dict[str, str], data: Path, results: Path, min_score: float) -> Original:
    """Read a photo and its planes.

    Args:
        photo: a row of the shard.
        paths: file of each kind relative to the results folder.
        data: the data folder.
        results: the results folder.
        min_score: a keypoint below this score is not visible.

    Raises:
        BadItem: the photo cannot be decoded, or a plane has another size.
    """
    image_HWC = images.read_rgb(data / photo.file)
    planes = {
        "labels": images.read_labels(results / paths["labels.png"]),
        "garments": images.read_mask_bits(results / paths["garments.png"]),
        "regions": images.read_mask_bits(results / paths["regions.png"]),
    }
    for name, plane_HW in planes.items():
        if plane_HW.shape != image_HWC.shape[:2]:
            raise BadItem(
                f"{photo.file} is {image_HWC.shape[1]}x{image_HWC.shape[0]}, but its {name} are {plane_HW.shape[1]}x"
                f"{plane_HW.shape[0]}: the photo changed while stages ran; run the workflow again"
            )
    pose = files.read_json(results / paths["keypoints.json"])
    visible_K = np.asarray(pose["scores"], np.float64) >= min_score
    keypoints_K3 = np.column_stack([np.asarray(pose["keypoints"], np.float64), visible_K])
    return Original(photo.id, image_HWC, planes["labels"], planes["garments"], planes["regions"], keypoints_K3)


def pack_photos(
    photos: list[Photo],
    read: Callable[[Photo], Original],
    out: Path,
    *,
    sizes: list[tuple[int, int]],
    fill: int,
    agnostic: str,
) -> dict[str, str]:
    """Write a packed file.

    Args:
        photos: rows with id and role.
        read: the original of a row; a `BadItem` leaves the photo out.
        out: file to create.
        sizes: canvases (height, width).
        fill: grey level of borders.
        agnostic: the rule that made the regions, stored so that a trainer can refuse another one.

    Returns:
        Reasons of photos that were left out, by id.
    """
    refused: dict[str, str] = {}
    while True:
        good = [photo for photo in photos if photo.id not in refused]
        metadata = {
            "ids": [photo.id for photo in good],
            "roles": [photo.role for photo in good],
            "sizes": [list(size) for size in sizes],
            "agnostic": agnostic,
            "fill": fill,
        }
        failed: dict[str, str] = {}

        def write(path: Path, good: list[Photo] = good, metadata: dict[str, Any] = metadata) -> None:
            pack = Pack(path, len(good), sizes, metadata)
            for row, photo in enumerate(_with_progress(good, out.stem)):
                try:
                    original = read(photo)
                except BadItem as problem:
                    failed[photo.id] = str(problem)  # noqa: B023 (called before the loop goes on)
                    continue
                for size in sizes:
                    pack.put(row, on_canvas(original, size, fill))
            pack.close()

        files.write_atomic(out, write)
        if not failed:
            return refused
        # a place was kept for each photo, so a file with gaps is written again without them; a photo that goes
        # bad after the stages before read it is rare
        refused |= failed


def _with_progress(photos: list[Photo], label: str) -> Iterator[Photo]:
    started = last = time.monotonic()
    for num_done, photo in enumerate(photos, start=1):
        yield photo
        now = time.monotonic()
        if now - last > 10 or num_done == len(photos):
            last, rate = now, num_done / max(now - started, 1e-9)
            left_s = (len(photos) - num_done) / rate
            print(
                f"{STAGE} {label}: {num_done}/{len(photos)} photos, {rate:.1f} photos/s, {left_s:.0f} s left",
                file=sys.stderr,
            )


def join_stages(
    photos: pd.DataFrame, tables: dict[str, Path]
) -> tuple[dict[str, dict[str, str]], dict[str, tuple[str, str]]]:
    """What the earlier stages made of each photo.

    Args:
        photos: the shard.
        tables: table of each stage, in order of the stages.

    Returns:
        Files by kind for every photo that all stages could use, and (stage, reason) for every other one: the
        first stage that refused it.

    Raises:
        UserError: a table does not belong to this shard.
    """
    paths: dict[str, dict[str, str]] = {id_: {} for id_ in photos["id"]}
    refused: dict[str, tuple[str, str]] = {}
    for stage, path in tables.items():
        rows = pd.read_parquet(path).set_index("id")
        absent = sorted(set(photos["id"]) - set(rows.index))
        if absent:
            raise UserError(
                f"{path}: has no row for {', '.join(absent[:5])} ({len(absent)} photos of the shard); it was made from "
                f"another shard, so run `tryon {stage}` on this one"
            )
        for id_ in photos["id"]:
            row = rows.loc[id_]
            if id_ in refused:
                continue
            if row["status"] == "ok":
                paths[id_] |= {name: row[name] for name in UPSTREAM[stage]}
            else:
                refused[id_] = (stage, str(row["reason"]))
    return {id_: found for id_, found in paths.items() if id_ not in refused}, refused


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--shard", type=Path, required=True, help="pairs/shards/KEY.tsv")
    for stage in UPSTREAM:
        parser.add_argument(f"--{stage}", type=Path, required=True, help=f"{stage}/KEY.parquet of the same shard")
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    parser.add_argument("--results", type=Path, required=True, help="results folder, to which paths in tables refer")
    parser.add_argument("--out", type=Path, required=True, help="file to write: pack/KEY.safetensors")
    parser.add_argument("--table", type=Path, required=True, help="table to write: pack/KEY.parquet")


def run(args: argparse.Namespace) -> None:
    """Pack one shard."""
    started = time.monotonic()
    settings: Config = config.load(args.config)
    photos = read_shard(args.shard).sort_values("id")
    tables = {stage: getattr(args, stage) for stage in UPSTREAM}
    paths, refused = join_stages(photos, tables)
    failed = pack_photos(
        [photo for photo in photos_of(photos) if photo.id in paths],
        lambda photo: load(photo, paths[photo.id], args.data, args.results, settings.keypoints.min_score),
        args.out,
        sizes=settings.sizes,
        fill=settings.pack.fill,
        agnostic=settings.cutouts.agnostic,
    )
    refused |= {id_: (STAGE, reason) for id_, reason in failed.items()}
    verdicts = [
        {"id": id_, "status": "quarantined" if id_ in refused else "ok", "stage": stage, "reason": reason}
        for id_, (stage, reason) in ((id_, refused.get(id_, (None, None))) for id_ in photos["id"])
    ]
    files.write_parquet(args.table, pd.DataFrame(verdicts, columns=["id", "status", "stage", "reason"], dtype="str"))
    write_provenance(
        args.out,
        stage=STAGE,
        config=config_digest(settings.pack, settings.sizes),
        code=code_digest(__name__),
        inputs={stage: files.sha256_file(path) for stage, path in {"shard": args.shard, **tables}.items()},
        seconds=time.monotonic() - started,
    )
