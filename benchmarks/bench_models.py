"""How well the shipped keypoint and segmentation models do on renders that no training has seen (about 2 minutes).

    make bench-models        or   python benchmarks/bench_models.py [--people N] [--seed S]

Renders people and garments from a seed that is used for nothing else, at two photo sizes, runs both models through
the code of the stages `keypoints` and `cutouts`, and prints one JSON object as its last line:

* pck_005_mean: share of the visible keypoints of person photos within 0.05 of the longer side of the person's box;
* garment_iou_mean, person_iou_mean: IoU of the model's masks with the true ones, at the photo's size, prompted by
  roughened annotations (how good those alone are: prompt_…_iou_mean).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tryon.config import CutoutsConfig, KeypointsConfig, StudioConfig
from tryon.fit import pose_score, segmenter
from tryon.fit.crops import labelled_photos
from tryon.prepare import sam
from tryon.prepare.cutter import SamCutter
from tryon.prepare.keypoints import load_model
from tryon.provenance import commit, machine
from tryon.studio.studio import render_folder

ROOT = Path(__file__).resolve().parent.parent
HELD_OUT_SEED = 424242  # the models were fitted on seed 9001, the demo renders seed 1
SIZES_HW = ((512, 384), (1024, 768))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=64, help="people per photo size, each with a garment photo")
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED, help="of the renders")
    args = parser.parse_args()
    started = time.monotonic()
    by_size = {}
    with tempfile.TemporaryDirectory() as folder:
        for size_hw in SIZES_HW:
            name = f"{size_hw[0]}x{size_hw[1]}"
            data = Path(folder) / name
            say(f"{name}: rendering {args.people} people and garments")
            # other people at each size; the split is of no interest here
            seed = args.seed + SIZES_HW.index(size_hw)
            cfg = StudioConfig(seed=seed, num_people=args.people, size_hw=size_hw, top_share=0.6, num_val=2, num_test=2)
            render_folder(cfg, data, jobs=1)
            by_size[name] = {**score_pose(data, name), **score_segmenter(data, name)}
    result = {
        "benchmark": "models",
        **mean_over_sizes(list(by_size.values())),
        "by_size": by_size,
        "render_seed": args.seed,
        "wall_s": round(time.monotonic() - started, 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))


def score_pose(data: Path, name: str) -> dict[str, float | int]:
    """PCK of the shipped mmpose model."""
    cfg = KeypointsConfig()
    cfg = cfg.model_copy(update={"config": str(ROOT / cfg.config), "checkpoint": str(ROOT / cfg.checkpoint)})
    return pose_score.score(
        load_model(cfg),
        labelled_photos(data),
        min_score=cfg.min_score,
        batch_size=16,
        progress=lambda num_done: say(f"{name}: keypoints of {num_done} photos"),
    )


def score_segmenter(data: Path, name: str) -> dict[str, float | int]:
    """IoU of the shipped segment-anything model."""
    say(f"{name}: cut-outs")
    cfg = CutoutsConfig()
    scores = segmenter.score(SamCutter(sam.load(cfg.model_type, ROOT / cfg.checkpoint)), data, None)
    say(f"{name}: {scores}")
    return {key: value for key, value in scores.items() if key.endswith("_mean")}


def mean_over_sizes(scores: list[dict[str, float | int]]) -> dict[str, float | int]:
    """Means of the scores and sums of the counts: both sizes hold equally many photos."""
    return {
        key: sum(score[key] for score in scores)
        if key.startswith("num_")
        else round(sum(score[key] for score in scores) / len(scores), 4)
        for key in scores[0]
    }


def say(text: str) -> None:
    """Progress goes to stderr; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
