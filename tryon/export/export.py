"""`tryon export`: label maps, keypoints and cut-outs as annotations or as a data set that other trainers read.

    tryon export --config F --results R --format isat|labelme|coco --out DIR [--cutouts]
    tryon export --config F --results R --format viton_hd --out DIR [--category up]

The first three write a data folder in this project's own layout (photos, annotations, keypoints, photos.csv), the last
one the layout of VITON-HD. Photos that a stage quarantined are left out and named on stderr.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pandas as pd

from tryon import config, files
from tryon.errors import BadItem, UserError
from tryon.export.annotations import AnnotationWriter
from tryon.export.coco import CocoWriter
from tryon.export.finished import Results
from tryon.export.isat import IsatWriter
from tryon.export.labelme import LabelmeWriter
from tryon.export.viton_hd import VitonHdWriter
from tryon.ontology import CATEGORIES

PROGRESS_S = 10.0
WRITERS: dict[str, type[AnnotationWriter]] = {"isat": IsatWriter, "labelme": LabelmeWriter, "coco": CocoWriter}
VITON_HD = "viton_hd"

Job = TypeVar("Job")


def export_annotations(results: Results, writer: AnnotationWriter) -> dict[str, str]:
    """Write every finished photo.

    Returns:
        Reasons of photos that could not be written, by id.
    """
    failed = _each(results.photos, lambda id_: writer.add(results.load(id_)), key=str)
    writer.close()
    lines = [
        {
            "photo": f"{photo.id}{Path(photo.file).suffix}",
            "identity": photo.identity,
            "garment": photo.garment,
            "split": photo.split,
        }
        for id_, photo in results.photos.items()
        if id_ not in failed
    ]
    files.write_csv(writer.out / "photos.csv", pd.DataFrame(lines, columns=["photo", "identity", "garment", "split"]))
    return failed


def export_viton_hd(writer: VitonHdWriter) -> dict[str, str]:
    """Write every pair of the category; returns reasons of what was left out, by photo id."""
    failed = _each(writer.jobs, lambda job: writer.write(*job), key=lambda job: job[1])
    writer.close(set(failed))
    return writer.left_out | failed


def _each(jobs: Iterable[Job], do: Callable[[Job], None], key: Callable[[Job], str]) -> dict[str, str]:
    """Do every job; returns reasons of those that a photo's fault ended, by its id."""
    failed: dict[str, str] = {}
    for job in _with_progress(list(jobs)):
        try:
            do(job)
        except BadItem as problem:
            failed[key(job)] = str(problem)
    return failed


def _with_progress(jobs: list[Job]) -> Iterator[Job]:
    started = last = time.monotonic()
    for num_done, job in enumerate(jobs, start=1):
        yield job
        now = time.monotonic()
        if now - last > PROGRESS_S or num_done == len(jobs):
            last, rate = now, num_done / max(now - started, 1e-9)
            left_s = (len(jobs) - num_done) / rate
            print(f"export: {num_done}/{len(jobs)}, {rate:.1f}/s, {left_s:.0f} s left", file=sys.stderr, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file of the run (YAML or JSON)")
    parser.add_argument("--results", type=Path, help="results folder (default: the configuration's)")
    parser.add_argument("--data", type=Path, help="data folder (default: the configuration's)")
    parser.add_argument("--format", required=True, choices=[*WRITERS, VITON_HD], help="what to write")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; new or empty")
    parser.add_argument(
        "--cutouts", action="store_true", help="annotations: garments as their cut-outs, not as their annotation"
    )
    parser.add_argument("--category", choices=CATEGORIES, help="viton_hd: the garments to exchange (default: up)")


def run(args: argparse.Namespace) -> None:
    """Write the folder."""
    cfg = config.load(args.config)
    if args.format == VITON_HD and args.cutouts:
        raise UserError("--cutouts belongs to annotations: viton_hd always writes the cut-outs; leave it out")
    if args.format != VITON_HD and args.category:
        raise UserError("--category belongs to viton_hd: annotations hold every garment; leave it out")
    if args.out.is_dir() and any(args.out.iterdir()):
        raise UserError(f"{args.out}: not empty, and old files beside new ones would be a mixture; give a new folder")
    root = args.results or Path(cfg.results)
    results = Results(root, args.data or (Path(cfg.data) if cfg.data is not None else root / "data"))
    if not results.photos:
        raise UserError(f"{root}: no photo came through the stages; see the quarantine tables or the report")
    refused = {id_: f"{stage}: {reason}" for id_, (stage, reason) in results.refused.items()}
    if args.format == VITON_HD:
        refused |= export_viton_hd(VitonHdWriter(args.out, results, args.category or "up", cfg.pack.fill))
    else:
        refused |= export_annotations(results, WRITERS[args.format](args.out, use_cutouts=args.cutouts))
    for id_, reason in sorted(refused.items()):
        print(f"left out {id_}: {reason}", file=sys.stderr)
    print(f"export: {args.out}: {args.format}, {len(refused)} photos left out", file=sys.stderr)
