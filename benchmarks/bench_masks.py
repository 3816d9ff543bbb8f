"""Label maps from annotations, against the per-pixel Python loop of the prior system (about 1 minute).

    make bench-masks        or   python benchmarks/bench_masks.py [--people N] [--prior P] [--height H]

Ours is `tryon.prepare.masks.make_mask`: annotation file → checked label map of nine labels → indexed PNG bytes. The
prior system (its description: fault 14 of wenzonghui/tryondiffusion) fills the polygons in one red, stores that as
JPEG, reads it back and asks of every pixel, in Python, whether the sum of its channels is between 200 and 300; it
gets one mask of everything. Both start from the same annotation files, in one process with one thread each. Prints one
JSON object as its last line:

* speedup: seconds per photo of the prior system over ours;
* share_decode_fill_encode: of our time, what reading the annotation, filling its polygons and writing the PNG take;
* prior_agreement_iou: how well the prior mask agrees with ours, both as "anything annotated".
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tryon import images
from tryon.config import DatasetConfig, MasksConfig, StudioConfig
from tryon.dataset import formats, manifest
from tryon.dataset.dataset import build
from tryon.prepare import masks
from tryon.provenance import commit, machine
from tryon.studio.studio import render_folder

RED_BGR = (0, 0, 255)
MIN_SUM, MAX_SUM = 200, 300
REPEATS = 5
GOALS = {"speedup": 20.0, "share_decode_fill_encode": 0.9}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20, help="people rendered, each with a garment photo")
    parser.add_argument("--prior", type=int, default=4, help="photos that the prior system is timed on")
    parser.add_argument("--height", type=int, default=1024, help="of a photo in pixels; width is 3/4 of it")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "data"
        size_hw = (args.height, args.height * 3 // 4)
        render_folder(
            StudioConfig(seed=31, num_people=args.people, size_hw=size_hw, num_val=2, num_test=2), data, jobs=2
        )
        table, _ = build(data, Path(temporary) / "cache", DatasetConfig(), jobs=2)
        photos = manifest.photos_of(table)
        ours_s, shares = time_ours(photos, data)
        prior = [photo for photo in photos if photo.role == "person"][: args.prior]
        prior_s, agreement = time_prior(prior, data)
    inner = sum(shares[name] for name in ("decode", "fill", "encode"))
    result = {
        "benchmark": "masks",
        "speedup": round(prior_s / ours_s, 1),
        "share_decode_fill_encode": round(inner, 3),
        "shares": {name: round(share, 3) for name, share in sorted(shares.items())},
        "ours_ms_per_photo": round(1000 * ours_s, 2),
        "ours_photos_per_s_core": round(1 / ours_s, 1),
        "prior_ms_per_photo": round(1000 * prior_s, 1),
        "prior_agreement_iou": round(agreement, 4),
        "num_photos": len(photos),
        "num_prior": len(prior),
        "size_hw": size_hw,
        "goals": GOALS,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))


def time_ours(photos: list[manifest.Photo], data: Path) -> tuple[float, dict[str, float]]:
    """CPU seconds per photo of the stage's function (best of several passes), and the shares of its parts."""
    reader, cfg = formats.reader(DatasetConfig()), MasksConfig()

    def make_all() -> float:
        started = time.process_time()
        for photo in photos:
            masks.make_mask(photo, data, reader, cfg)
        return (time.process_time() - started) / len(photos)

    make_all()  # imports, page cache
    plain_s = min(make_all() for _ in range(REPEATS))
    last: dict[str, float] = {}

    def clocked(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (any function)
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                last[part] = time.process_time() - started

        return call

    # the parts are timed in passes of their own, so that the clocks do not count in the speed; of each photo and part
    # the best pass, as other work on the machine only ever adds
    inner = {(reader, "annotate"): "decode", (masks, "draw_label_map"): "fill", (images, "encode_labels"): "encode"}
    original = {place: getattr(*place) for place in inner}
    whole = clocked("whole", masks.make_mask)
    spent: Counter[str] = Counter()
    try:
        for place, part in inner.items():
            setattr(*place, clocked(part, original[place]))
        for photo in photos:
            best: dict[str, float] = {}
            for _ in range(2 * REPEATS):
                whole(photo, data, reader, cfg)
                best = {part: min(seconds, best.get(part, seconds)) for part, seconds in last.items()}
            spent.update(best)
    finally:
        for place, function in original.items():
            setattr(*place, function)
    total = spent.pop("whole")
    shares = {part: seconds / total for part, seconds in spent.items()}
    return plain_s, {**shares, "checks_and_counts": 1.0 - sum(shares.values())}


def time_prior(photos: list[manifest.Photo], data: Path) -> tuple[float, float]:
    """CPU seconds per photo of the prior system, and the mean IoU of its mask with ours."""
    reader, cfg = formats.reader(DatasetConfig()), MasksConfig()
    seconds, ious = [], []
    for photo in photos:
        started = time.process_time()
        mask_HW = prior_mask(data / photo.annotation, (photo.height, photo.width))
        seconds.append(time.process_time() - started)
        say(f"prior system: {photo.id} {seconds[-1]:.2f} s")
        png = masks.make_mask(photo, data, reader, cfg).files[masks.LABELS_FILE]
        ours_HW, theirs_HW = np.asarray(Image.open(io.BytesIO(png))) > 0, mask_HW > 0
        ious.append(float((ours_HW & theirs_HW).sum() / (ours_HW | theirs_HW).sum()))
    return float(np.mean(seconds)), float(np.mean(ious))


def prior_mask(annotation: Path, size_hw: tuple[int, int]) -> np.ndarray:
    """uint8 {0, 1} [H, W], the way that the prior system comes to it."""
    value = json.loads(annotation.read_text(encoding="utf-8"))
    drawn_HWC = np.zeros((*size_hw, 3), np.uint8)
    for shape in value["objects"]:
        cv2.fillPoly(drawn_HWC, [np.asarray(shape["segmentation"], np.float64).astype(np.int32)], RED_BGR)
    _, jpeg = cv2.imencode(".jpg", drawn_HWC)
    read_HWC = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    mask_HW = np.zeros(size_hw, np.uint8)
    for y in range(size_hw[0]):
        for x in range(size_hw[1]):
            blue, green, red = read_HWC[y, x]
            if MIN_SUM <= int(blue) + int(green) + int(red) <= MAX_SUM:
                mask_HW[y, x] = 1
    return mask_HW


def say(text: str) -> None:
    """Progress goes to stderr; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
