"""`tryon score`: judge any folder of results against any folder of truths, by a named protocol.

    tryon score --results DIR --truth DIR --protocol catvton --squeeze squeezenet1_1-b8a52dc0.pth \
        --inception inception-2015-12-05.pt

Pictures belong together by name, as the protocol reads names. A result without a truth, or the other way round, is
a mistake: a mean over what happens to match would be another number.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from tryon import files, images, weights
from tryon.errors import BadItem, UserError
from tryon.evaluation.folders import Couple, couples
from tryon.evaluation.progress import progress
from tryon.evaluation.protocols import scoring
from tryon.evaluation.protocols.catalogue import PROTOCOLS
from tryon.evaluation.protocols.interface import Protocol, Weights
from tryon.evaluation.protocols.prepare import refusal
from tryon.evaluation.protocols.scoring import SET_METRICS, Case, Scorer, Seen
from tryon.evaluation.provided import WEIGHTS

CHUNK = 4
"""Couples per task: few enough that a task's pictures take little memory, enough that talking costs nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `tryon score`."""
    parser.add_argument("--results", type=Path, required=True, help="folder of pictures to judge")
    parser.add_argument("--truth", type=Path, required=True, help="folder of true pictures")
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), default="tryon", help="how (default: tryon)")
    parser.add_argument(
        "--unpaired",
        action="store_true",
        help="the truths show the persons in other garments: FID and KID alone are computed",
    )
    for name, holds in WEIGHTS.items():
        flag = "--" + name.removesuffix("_weights").replace("_", "-")
        parser.add_argument(f"{flag}-weights", metavar="FILE", help=f"{holds}: path, or URL with its sha256")
        parser.add_argument(f"{flag}-sha256", metavar="HEX", help="of that file")
    parser.add_argument("--jobs", type=_at_least(1), help="processes (default: one per core)")
    parser.add_argument("--num-bootstrap", type=_at_least(1), default=1000, help="resamples behind each interval")
    parser.add_argument("--seed", type=_at_least(0), default=0, help="of intervals and of the subsets of KID")
    parser.add_argument("--cache", type=Path, help="folder that keeps features of truths between calls")
    parser.add_argument("--out", type=Path, help="scores with everything that decided them (JSON)")


def _at_least(least: int) -> Callable[[str], int]:
    """What argparse reads a whole number by."""

    def whole_number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return whole_number


def run(args: argparse.Namespace) -> None:
    """Print the scores, and write them where asked."""
    protocol = PROTOCOLS[args.protocol]
    if args.out is not None and args.out.is_dir():
        raise UserError(f"--out {args.out}: a folder; name the file to write, such as {args.out / 'scores.json'}")
    if args.cache is not None and args.cache.is_file():
        raise UserError(f"--cache {args.cache}: a file; name a folder")
    given: dict[Weights, Path] = {}
    for name in protocol.needs():
        where = getattr(args, name)
        if where is not None:
            sha256 = getattr(args, name.removesuffix("_weights") + "_sha256")
            given[name] = weights.resolve(where, sha256, setting=f"--{name.replace('_', '-')}")
    scorer = Scorer(protocol, given, args.cache)
    report = score(
        scorer,
        couples(protocol, args.results, args.truth),
        is_paired=not args.unpaired,
        jobs=args.jobs or num_cores(),
        num_resamples=args.num_bootstrap,
        seed=args.seed,
    )
    report |= {"results": str(args.results), "truth": str(args.truth)}
    if args.out is not None:
        files.write_json(args.out, report)
    print(text(protocol, report))


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


Task = tuple[Sequence[Couple], tuple[int, int], tuple[str, ...]]

_scorer: Scorer  # of this process, set once: couples travel to the workers, networks do not


def _start_worker(scorer: Scorer) -> None:
    """Give this process its networks; workers share the machine, so each keeps to one thread."""
    import cv2
    import torch

    global _scorer  # noqa: PLW0603 (a process pool hands a worker its state in no other way)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    _scorer = scorer


def _judge_in_worker(task: Task) -> list[Seen]:
    return _judge(_scorer, task)


def _judge(scorer: Scorer, task: Task) -> list[Seen]:
    chunk, size_hw, metrics = task
    cases = []
    for couple in chunk:
        result_HWC = _read(couple.result)
        if result_HWC.shape[:2] != size_hw:
            raise UserError(
                f"{couple.result}: {result_HWC.shape[0]}x{result_HWC.shape[1]}, but the first result is "
                f"{size_hw[0]}x{size_hw[1]} (height x width); results of several sizes have no common score"
            )
        name = f"{couple.result} and {couple.truth}"
        cases.append(Case([result_HWC], _read(couple.truth), couple.truth.suffix, name))
    return scorer.look_all(cases, metrics)


def _read(path: Path) -> np.ndarray:
    try:
        return images.read_rgb(path)
    except BadItem as problem:
        raise UserError(f"{path}: {problem}") from None


def score(
    scorer: Scorer, found: Sequence[Couple], *, is_paired: bool, jobs: int, num_resamples: int, seed: int
) -> dict[str, Any]:
    """Every number of a protocol for pictures on disk.

    Args:
        scorer: protocol and weights.
        found: results with their truths.
        is_paired: the truths are what the results should be.
        jobs: processes.
        num_resamples: bootstrap resamples behind each interval.
        seed: of intervals and subsets.

    Raises:
        UserError: a picture cannot be read or compared.
    """
    protocol = scorer.protocol
    size_hw = _read(found[0].result).shape[:2]
    # with other garments in the truths, a comparison pair by pair would mean nothing, whatever the protocol
    metrics = tuple(metric for metric in protocol.metrics(is_paired=is_paired) if is_paired or metric in SET_METRICS)
    report: dict[str, Any] = {
        "protocol": protocol.name,
        "list": "paired" if is_paired else "unpaired",
        "num_pairs": len(found),
        "result_size": list(size_hw),
        **scoring.about(protocol, scorer.weights),
    }
    refused = refusal(protocol, size_hw)
    reasons = {metric: refused or scorer.reason(metric, size_hw) for metric in metrics}
    scorer.open()  # a wrong file is told here, not as a broken pool
    computed = tuple(metric for metric in metrics if reasons[metric] is None)
    values: dict[str, list[float]] = {metric: [] for metric in computed if metric not in SET_METRICS}
    features: list[np.ndarray] = []
    true_features: list[np.ndarray] = []
    for seen in _all_seen(scorer, found, (size_hw[0], size_hw[1]), computed, jobs) if computed else ():
        for metric, numbers in values.items():
            numbers.append(seen.values[0][metric])
        if seen.features is not None and seen.true_features is not None:
            features.append(seen.features[0])
            true_features.append(seen.true_features)
    scores = {}
    for metric in metrics:
        if (reason := reasons[metric]) is not None:
            scores[metric] = scoring.no_score(reason)
        elif metric in SET_METRICS:
            scores[metric] = scoring.set_score(protocol, metric, np.stack(features), np.stack(true_features), seed)
        else:
            scores[metric] = scoring.mean_score(np.array(values[metric]), num_resamples=num_resamples, seed=seed)
    return {**report, "scores": scores}


def _all_seen(
    scorer: Scorer, found: Sequence[Couple], size_hw: tuple[int, int], metrics: tuple[str, ...], jobs: int
) -> Iterator[Seen]:
    chunks = [(found[start : start + CHUNK], size_hw, metrics) for start in range(0, len(found), CHUNK)]
    workers = min(jobs, len(chunks))
    if workers == 1:
        for seen in progress("score", (_judge(scorer, chunk) for chunk in chunks), len(chunks)):
            yield from seen
        return
    # workers fork from a server that imports torch once and holds no threads
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    blank = Scorer(scorer.protocol, scorer.weights, scorer.cache, scorer.fill)  # networks are opened over there
    with ProcessPoolExecutor(workers, context, _start_worker, (blank,)) as pool:
        for seen in progress("score", pool.map(_judge_in_worker, chunks), len(chunks)):
            yield from seen


def text(protocol: Protocol, report: Mapping[str, Any]) -> str:
    """The scores for reading: numbers, and what decides them."""
    height, width = report["result_size"]
    lines = [
        f"protocol {protocol.name}: {protocol.title}",
        f"follows {protocol.source}",
        f"{report['num_pairs']} {report['list']} pictures of {height}x{width}",
        "packages " + ", ".join(f"{name} {version}" for name, version in report["packages"].items()),
    ]
    if protocol.pasted_back:
        lines.append("expects results in which the person's own pixels are put back outside the repainted region")
    for metric, found in report["scores"].items():
        lines.append(f"  {metric:5} {_shown(found)}{_scale(protocol, metric)}")
    return "\n".join(lines)


def _scale(protocol: Protocol, metric: str) -> str:
    return f"  (times {protocol.kid.scale})" if metric == "kid" and protocol.kid and protocol.kid.scale != 1 else ""


def _shown(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return str(found["reason"])
    shown = f"{found['value']:.5f}"
    if found["low"] is not None:
        shown += f"  [{found['low']:.5f}, {found['high']:.5f}]"
    return shown + (f"  ± {found['spread']:.5f} over subsets" if found["spread"] is not None else "")
