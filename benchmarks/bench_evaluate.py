"""Judging pictures by a protocol, against the bare networks under it, and the memory of it (about 3 minutes).

    make bench-evaluate    or   python benchmarks/bench_evaluate.py [--pairs N] [--more-pairs M] [--height H] [--jobs J]

Pictures are noise of H x 3/4 H, weights are random (time does not depend on them): AlexNet under LPIPS and the whole
Inception network under FID and KID, as the protocols `tpd` and `tryon` use them. "Bare" is a loop over decoded pictures
in memory that calls the two networks, in batches of 16 where the network takes them. Prints one JSON object as its
last line:

* overhead: CPU seconds of `tryon score` over those of the bare networks, minus one (one process, one thread);
* again: the same with the truths' features remembered, over the first;
* peak_mb, peak_mb_more: memory of a process that judges N, and M pairs: the difference is what a pair leaves behind;
* parallel: wall seconds of one process over those of J.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from tryon.evaluation import score
from tryon.evaluation.folders import couples
from tryon.evaluation.protocols.catalogue import TPD
from tryon.evaluation.protocols.features import open_extractor
from tryon.evaluation.protocols.interface import Protocol, Truth, Weights
from tryon.evaluation.protocols.prepare import BILINEAR
from tryon.evaluation.protocols.scoring import Case, Scorer
from tryon.evaluation.protocols.similarity import LpipsNetwork
from tryon.images import encode_jpeg
from tryon.provenance import commit, machine

GOALS = {"overhead": 0.15, "peak_mb": 2048}
BATCH = 16
METRICS = ("lpips", "fid")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--more-pairs", type=int, default=96, help="for the memory of a pair")
    parser.add_argument("--height", type=int, default=256, help="of a picture in pixels; width is 3/4 of it")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)  # the child whose memory is measured
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.judge is not None:
        judge(args.judge, args.pairs, jobs=1, cache=None)
        print(json.dumps({"peak_mb": peak_mb()}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_pictures(folder, max(args.pairs, args.more_pairs), (args.height, args.height * 3 // 4))
        write_weights(folder)
        bare_s = bare(folder, args.pairs)
        say(f"bare networks: {bare_s:.1f} CPU s")
        whole_s, wall_s = judge(folder, args.pairs, jobs=1, cache=folder / "cache")
        again_s, _ = judge(folder, args.pairs, jobs=1, cache=folder / "cache")
        _, parallel_s = judge(folder, args.pairs, jobs=args.jobs, cache=None)
        peaks = [child_peak_mb(folder, num) for num in (args.pairs, args.more_pairs)]
    result = {
        "benchmark": "evaluate",
        "overhead": round(whole_s / bare_s - 1, 3),
        "again": round(again_s / whole_s, 3),
        "parallel": round(wall_s / parallel_s, 2),
        "peak_mb": peaks[0],
        "peak_mb_more": peaks[1],
        "bare_s_per_pair": round(bare_s / args.pairs, 4),
        "pairs": [args.pairs, args.more_pairs],
        "size_hw": [args.height, args.height * 3 // 4],
        "jobs": args.jobs,
        "goals": GOALS,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))


def protocol() -> Protocol:
    """TPD's numbers at any size: LPIPS, and the features of pytorch-fid's whole Inception network."""
    truth = Truth(BILINEAR, "result", resaved=False)
    return replace(TPD, truth=truth, result_sizes=None, paired=METRICS, ssim=None)


def weights(folder: Path) -> dict[Weights, Path]:
    """The files that `write_weights` writes."""
    return {"lpips_weights": folder / "alexnet.pth", "fid_inception_weights": folder / "inception.pth"}


def write_weights(folder: Path) -> None:
    """Random networks in the form of the published files."""
    import torchvision

    alexnet = torchvision.models.alexnet(weights=None).features.state_dict()
    torch.save({f"features.{name}": value for name, value in alexnet.items()}, folder / "alexnet.pth")
    inception = torchvision.models.inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    torch.save(inception.state_dict(), folder / "inception.pth")


def write_pictures(folder: Path, num: int, size_hw: tuple[int, int]) -> None:
    """Results and truths of smoothed noise, as JPEG."""
    rng = np.random.default_rng(0)
    for name in ("results", "truths"):
        (folder / name).mkdir()
        for index in range(num):
            coarse = rng.integers(0, 256, (size_hw[0] // 4, size_hw[1] // 4, 3), dtype=np.uint8)
            image_HWC = np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)
            (folder / name / f"{index:05d}.jpg").write_bytes(encode_jpeg(image_HWC))


def bare(folder: Path, num: int) -> float:
    """CPU seconds of the networks alone, on decoded pictures."""
    from PIL import Image

    pairs = [
        [np.asarray(Image.open(folder / name / f"{index:05d}.jpg")) for name in ("results", "truths")]
        for index in range(num)
    ]
    declared, files = protocol(), weights(folder)
    if declared.lpips is None or declared.features is None:
        raise ValueError("the protocol of the benchmark has LPIPS and features")
    lpips = LpipsNetwork(declared.lpips, files["lpips_weights"])
    extractor = open_extractor(declared.features, files["fid_inception_weights"])
    lpips(*pairs[0]), extractor(pairs[0])  # first calls build things
    started = time.process_time()
    for result_HWC, truth_HWC in pairs:
        lpips(result_HWC, truth_HWC)
    pictures = [image_HWC for pair in pairs for image_HWC in pair]
    for start in range(0, len(pictures), BATCH):
        extractor(pictures[start : start + BATCH])
    return time.process_time() - started


def judge(folder: Path, num: int, *, jobs: int, cache: Path | None) -> tuple[float, float]:
    """CPU and wall seconds of judging the first pairs, from files to numbers, without the distances of the sets."""
    scorer = Scorer(protocol(), weights(folder), cache).open()
    found = couples(scorer.protocol, folder / "results", folder / "truths")[:num]
    blank_HWC = np.zeros((64, 48, 3), np.uint8)
    scorer.look_all([Case([blank_HWC], blank_HWC, ".png", "first call")], METRICS)
    started, wall = time.process_time(), time.monotonic()
    # so few pictures have no FID, but that is told after every feature was computed
    score.score(scorer, found, is_paired=True, jobs=jobs, num_resamples=100, seed=0)
    spent = time.process_time() - started, time.monotonic() - wall
    say(f"{num} pairs, {jobs} processes: {spent[0]:.1f} CPU s here, {spent[1]:.1f} s")
    return spent


def peak_mb() -> int:
    """Largest resident memory of this process so far, in megabytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def child_peak_mb(folder: Path, num: int) -> int:
    """Memory of a process of its own that judges some pairs."""
    command = [sys.executable, __file__, "--judge", str(folder), "--pairs", str(num)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(ran.stdout.splitlines()[-1])["peak_mb"])


def say(text: str) -> None:
    """Progress goes to stderr; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
