"""How well each agnostic rule covers what another garment changes, and how much it repaints for it (about 3 minutes).

    make bench-agnostic      or   python benchmarks/bench_agnostic.py [--people N] [--seed S]

Renders people whose true picture in another garment is known, applies every rule of `cutouts.agnostic` to the original
and prints one JSON object as its last line. Per rule, over all pairs and by category of the garment:

* covered: share of the pixels that really change (by more than 40 grey levels) inside the region;
* covered_worst: the same for the worst pair;
* size: share of the picture that is repainted; size_person: of the person's silhouette;
* margin: repainted pixels per changing pixel;
* blind: IoU of the region with that of the same person in the other garment; 1 tells nothing of what is worn;
* ms: processor time for one region of a 1024x768 photo (median), its masks and keypoints in memory.

Rules are given the label map of the annotation; `sam` is measured a second time with the cut-outs of the shipped
segment-anything model, as `sam_model`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tryon import images
from tryon.config import CutoutsConfig, DatasetConfig, StudioConfig
from tryon.dataset import formats
from tryon.dataset.folder import TRUTH, scan
from tryon.fit.segmenter_data import read_example
from tryon.ontology import CATEGORIES
from tryon.prepare.agnostic import RULES, repaint_region, with_cuts
from tryon.prepare.cutouts import load_cutter
from tryon.prepare.masks import draw_label_map
from tryon.prepare.prompts import PERSON, part_mask
from tryon.provenance import commit, machine
from tryon.studio.studio import render_folder

ROOT = Path(__file__).resolve().parent.parent
SEED = 515151  # used for nothing else: the sizes of `limbs` were chosen on other people
SIZE_HW = (1024, 768)
CHANGED = 40  # grey levels; clearly more than JPEG's noise
MODEL = "sam_model"


@dataclass(frozen=True)
class Dressed:
    """One person in one garment: label map and what the model cut out."""

    labels_HW: np.ndarray
    cuts: dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One person as photographed and in another garment of a category, and where the two pictures differ."""

    worn: Dressed
    other: Dressed
    keypoints_K3: np.ndarray
    category: str
    changed_HW: np.ndarray

    def region(self, name: str, dressed: Dressed) -> np.ndarray:
        """Boolean [H, W]."""
        cuts = dressed.cuts if name == MODEL else {}
        rule = "sam" if name == MODEL else name
        labels_HW = with_cuts(dressed.labels_HW, cuts)
        return repaint_region(rule, labels_HW, self.keypoints_K3, self.category, cuts).mask_HW > 0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=72, help="rendered people, each in one or more true pictures")
    parser.add_argument("--seed", type=int, default=SEED, help="of the renders")
    args = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        say(f"rendering {args.people} people at {SIZE_HW[1]}x{SIZE_HW[0]}")
        half = args.people // 2
        cfg = StudioConfig(
            seed=args.seed, num_people=args.people, size_hw=SIZE_HW, top_share=0.5, num_val=half - 1, num_test=half
        )
        render_folder(cfg, data, jobs=1)
        measured = measure(data)
    result = {
        "benchmark": "agnostic",
        "rules": {rule: summary(values["all"]) for rule, values in measured.items()},
        "by_category": {
            rule: {name: summary(rows) for name, rows in values.items() if name != "all"}
            for rule, values in measured.items()
        },
        "render_seed": args.seed,
        "wall_s": round(time.monotonic() - started, 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))


def measure(data: Path) -> dict[str, dict[str, list[dict[str, float]]]]:
    """One row per pair, by rule and then by category ("all" holds all of them)."""
    rows: dict[str, dict[str, list[dict[str, float]]]] = {rule: defaultdict(list) for rule in (*RULES, MODEL)}
    for num_done, case in enumerate(cases(data), start=1):
        for name in rows:
            started = time.process_time()
            region_HW = case.region(name, case.worn)
            row = {"ms": 1000 * (time.process_time() - started)}
            other_HW = case.region(name, case.other)
            row["blind"] = float((region_HW & other_HW).sum() / (region_HW | other_HW).sum())
            row["changed_px"] = float(case.changed_HW.sum())
            row["covered_px"] = float((case.changed_HW & region_HW).sum())
            row["region_px"] = float(region_HW.sum())
            row["size"] = float(region_HW.mean())
            row["size_person"] = float(region_HW[case.worn.labels_HW > 0].mean())
            rows[name]["all"].append(row)
            rows[name][case.category].append(row)
        if num_done % 10 == 0:
            say(f"{num_done} pairs")
    return rows


def cases(data: Path) -> Iterator[Case]:
    """Every true picture of another garment, in order of its name."""
    cfg = CutoutsConfig()
    cutter = load_cutter(cfg.model_copy(update={"checkpoint": str(ROOT / cfg.checkpoint), "device": "cpu"}))
    photos = {photo.id: photo for photo in scan(data).photos}
    reader = formats.reader(DatasetConfig())

    def dressed(image_HWC: np.ndarray, labels_HW: np.ndarray, keypoints_K3: np.ndarray) -> Dressed:
        parts = [part for part in (*CATEGORIES, PERSON) if part_mask(labels_HW, part).any()]
        rough = {part: part_mask(labels_HW, part) for part in parts}
        cuts = cutter.cut(image_HWC, rough, keypoints_K3)
        return Dressed(labels_HW, {part: cut.mask_HW for part, cut in cuts.items()})

    for truth in sorted((data / TRUTH).glob("*.jpg")):
        person_name, garment_name = truth.stem.split("__")
        person = read_example(data, photos[f"person/{person_name}"])
        true_HWC = images.read_rgb(truth)
        labels_HW = draw_label_map(reader.annotate(data, f"{TRUTH}/{truth.stem}.json", PERSON), SIZE_HW)
        yield Case(
            worn=dressed(person.image_HWC, person.labels_HW, person.keypoints_K3),
            other=dressed(true_HWC, labels_HW, person.keypoints_K3),  # the studio keeps the pose
            keypoints_K3=person.keypoints_K3,
            category=read_example(data, photos[f"garment/{garment_name}"]).parts[0],
            changed_HW=np.abs(true_HWC.astype(int) - person.image_HWC).max(axis=2) > CHANGED,
        )


def summary(rows: list[dict[str, float]]) -> dict[str, float | int]:
    """Figures of one rule over some pairs; shares of pixels count every changing pixel once."""
    changed_px = sum(row["changed_px"] for row in rows)
    return {
        "num_pairs": len(rows),
        "covered": round(sum(row["covered_px"] for row in rows) / changed_px, 4),
        "covered_worst": round(min(row["covered_px"] / row["changed_px"] for row in rows if row["changed_px"]), 4),
        "size": round(statistics.fmean(row["size"] for row in rows), 4),
        "size_person": round(statistics.fmean(row["size_person"] for row in rows), 4),
        "blind": round(statistics.fmean(row["blind"] for row in rows), 4),
        "margin": round(sum(row["region_px"] for row in rows) / changed_px, 2),
        "ms": round(statistics.median(row["ms"] for row in rows), 1),
    }


def say(text: str) -> None:
    """Progress goes to stderr; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
