"""`tryon evaluate`: scores of every system, of every stage and of the baselines, all computed the same way.

Every picture of the sampled lists is judged against its truth (in the whole picture and where the true garment
is seen) or, where nobody knows the truth, by numbers that need none. What cannot be computed says why.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tryon import files
from tryon.config import Config, load
from tryon.dataset import formats
from tryon.digests import code_digest, config_digest
from tryon.errors import UserError
from tryon.evaluation import learned, summary
from tryon.evaluation.judge import ROW, Entry, Judge, Size, entries, shown
from tryon.evaluation.pair_lists import Pair, listed_pairs
from tryon.evaluation.truths import read_truth
from tryon.packed import PackedPhotos
from tryon.provenance import write_provenance

PROGRESS_EVERY_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `tryon evaluate`."""
    parser.add_argument("--config", type=Path, required=True, help="configuration, YAML or JSON")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet")
    parser.add_argument("--packs", type=Path, nargs="+", required=True, help="pack/*.safetensors")
    parser.add_argument("--samples", type=Path, nargs="+", required=True, help="sample/*/index.parquet")
    parser.add_argument("--data", type=Path, required=True, help="data folder, where the truths lie")
    parser.add_argument("--results", type=Path, required=True, help="results folder")
    parser.add_argument("--out", type=Path, required=True, help="one number per row (parquet)")
    parser.add_argument("--summary", type=Path, required=True, help="means, intervals and verdicts (JSON)")


def run(args: argparse.Namespace) -> None:
    """Judge every sampled pair; write the numbers and their summary."""
    started = time.monotonic()
    config = load(args.config)
    index = read_indices(args.samples)
    judge = open_judge(config, index, args.packs, args.results, args.data)
    pairs, dropped = judged_pairs(listed_pairs(args.pairs, config.sample.lists), index, judge.table)
    metrics = measure(judge, pairs, config)
    summary.check_values(metrics)
    files.write_parquet(args.out, metrics)
    scores, too_small = set_scores(judge, pairs, config), lpips_too_small(judge.table, config)
    files.write_json(args.summary, summary.summarise(config, judge.table, pairs, dropped, metrics, scores, too_small))

    seconds = time.monotonic() - started
    files.append_jsonl(
        args.results / "journal" / "evaluate.jsonl",
        {"num_pairs": len(pairs), "seconds": round(seconds, 3), "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")},
    )
    inputs = {"pairs": args.pairs} | {f"sample {path.parent.name}": path for path in args.samples}
    write_provenance(
        args.out,
        stage="evaluate",
        config=config_digest(config.evaluate),
        code=code_digest("tryon.evaluation.evaluate"),
        inputs={name: files.sha256_file(path) for name, path in inputs.items()},
        seconds=seconds,
    )


def read_indices(paths: Sequence[Path]) -> pd.DataFrame:
    """The rows of several sample indices with the column `system`, the name of the folder of each."""
    parts = []
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such index of pictures; run `tryon sample --system {path.parent.name}`")
        parts.append(pd.read_parquet(path).assign(system=path.parent.name))
    return pd.concat(parts, ignore_index=True)


def open_judge(config: Config, index: pd.DataFrame, packs: Sequence[Path], results: Path, data: Path) -> Judge:
    """The judge of a run's pictures (the report draws baselines through the same one).

    Args:
        config: the whole configuration.
        index: rows of `read_indices`.
        packs: packed photos.
        results: folder that the index's files are relative to.
        data: data folder.
    """
    ok = index[index["status"] == "ok"]
    sampled = {(row.system, row.stage, row.pair_id): results / row.file for row in ok.itertuples()}
    table = entries(
        {name: config.stages[name].size for name in config.cascade},
        {name: config.stages[name].size for name in config.references},
    )
    return Judge(table, PackedPhotos(packs), sampled, data, formats.reader(config.dataset), config.pack.fill)


def judged_pairs(
    pairs: Sequence[Pair], index: pd.DataFrame, table: Sequence[Entry]
) -> tuple[list[Pair], list[dict[str, str]]]:
    """Pairs that every system has a picture of: means over different pairs would not compare.

    Returns:
        The pairs to judge, and the dropped ones as rows of pair_id, list and reason.

    Raises:
        UserError: an index lacks a whole system, a stage, or a pair without saying why.
    """
    ok = index[index["status"] == "ok"]
    reasons: dict[str, str] = {}
    for row in index[index["status"] == "dropped"].itertuples():
        reasons.setdefault(row.pair_id, row.reason)
    wanted = {pair.pair_id for pair in pairs} - set(reasons)
    for system, stage in dict.fromkeys((e.system, e.stage) for e in table if e.kind != "baseline"):
        found = set(ok[(ok["system"] == system) & (ok["stage"] == stage)]["pair_id"])
        lacking = sorted(wanted - found)
        if lacking:
            raise UserError(
                f"sample/{system}/index.parquet: no picture of stage {stage} for {len(lacking)} of {len(wanted)} "
                f"pairs ({', '.join(lacking[:5])}{' …' if len(lacking) > 5 else ''}); "
                f"run `tryon sample --system {system}` again"
            )
    judged = [pair for pair in pairs if pair.pair_id in wanted]
    if not judged:
        raise UserError(f"all {len(pairs)} pairs were dropped, the first because: {next(iter(reasons.values()))}")
    lost = [pair for pair in pairs if pair.pair_id not in wanted]
    return judged, [{"pair_id": pair.pair_id, "list": pair.list, "reason": reasons[pair.pair_id]} for pair in lost]


_worker_judge: Judge  # of this process, set once: pairs travel to the workers, the judge does not


def _start_worker(judge: Judge, lpips_weights: str | None) -> None:
    """Give this process its judge; workers share the machine, so each keeps to one thread."""
    import cv2
    import torch

    global _worker_judge  # noqa: PLW0603 (a process pool hands a worker its state in no other way)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    _worker_judge = replace(judge, lpips=learned.Lpips(lpips_weights)) if lpips_weights else judge


def _judge_in_worker(pair: Pair) -> list[tuple[Any, ...]]:
    return _worker_judge.rows(pair)


def measure(judge: Judge, pairs: Sequence[Pair], config: Config) -> pd.DataFrame:
    """Judge every pair, in parallel; the table does not depend on the number of workers."""
    weights = config.evaluate.lpips_weights
    if config.evaluate.jobs == 1:
        worker = replace(judge, lpips=learned.Lpips(weights)) if weights else judge
        found = list(_progress(map(worker.rows, pairs), len(pairs)))
    else:
        if weights:
            learned.Lpips(weights)  # a wrong file is told here, not as a broken pool
        # workers fork from a server that imports torch once and holds no threads
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        num = min(config.evaluate.jobs, len(pairs))
        with ProcessPoolExecutor(num, context, _start_worker, (judge, weights)) as pool:
            found = list(_progress(pool.map(_judge_in_worker, pairs), len(pairs)))
    table = pd.DataFrame([row for rows in found for row in rows], columns=list(ROW))
    return table.sort_values(list(ROW[:-1]), ignore_index=True)


def lpips_too_small(table: Sequence[Entry], config: Config) -> dict[str, str]:
    """Sizes at which LPIPS cannot be computed though its weights are given, with the reason."""
    if not config.evaluate.lpips_weights:
        return {}
    distance = learned.Lpips(config.evaluate.lpips_weights)
    reasons = {shown(entry.judged_hw): distance.too_small(entry.judged_hw) for entry in table}
    return {size: reason for size, reason in reasons.items() if reason}


def set_scores(judge: Judge, pairs: Sequence[Pair], config: Config) -> list[dict[str, Any]]:
    """FID and KID of every line of the table at the final size, per list, or why they are not computed.

    The other set are the list's true pictures; where a list has none, its person photos.
    """
    final_hw = config.stages[config.cascade[-1]].size
    lines = [entry for entry in judge.table if entry.judged_hw == final_hw]
    weights = config.evaluate.inception_weights
    inception = learned.Inception(weights) if weights else None
    scores = []
    for name in dict.fromkeys(pair.list for pair in pairs):
        listed = [pair for pair in pairs if pair.list == name]
        has_truth = all(pair.truth is not None for pair in listed)
        about = {"list": name, "size": shown(final_hw), "against": "truth" if has_truth else "person photos"}
        features = _features(judge, listed, lines, final_hw, inception) if inception is not None else {}
        for entry in lines:
            values: dict[str, float | str] = {"fid": learned.NOT_GIVEN, "kid": learned.NOT_GIVEN}
            if features:
                sets = features[entry], features[None]
                values = {"fid": learned.fid(*sets), "kid": learned.kid(*sets, seed=config.evaluate.seed)}
            scores += [
                {**about, "system": entry.system, "stage": entry.stage, "metric": metric, "value": value}
                for metric, value in values.items()
            ]
    return scores


def _features(
    judge: Judge, pairs: Sequence[Pair], lines: Sequence[Entry], size_hw: Size, inception: learned.Inception
) -> dict[Entry | None, np.ndarray]:
    """Features of each line's pictures and, under None, of what they are compared with."""
    batches: dict[Entry | None, list[np.ndarray]] = {line: [] for line in [*lines, None]}
    for pair in pairs:
        truth = read_truth(judge.data, pair, judge.reader) if all(p.truth is not None for p in pairs) else None
        if truth is not None:
            real_HWC = truth.on_canvas(pair.category, size_hw, judge.fill)[0]
        else:
            real_HWC = judge.packed.read(pair.person, size_hw).image_HWC
        batches[None].append(inception.features([real_HWC]))
        for line, picture_HWC in judge.pictures(pair, size_hw).items():
            batches[line].append(inception.features([picture_HWC]))
    return {line: np.concatenate(rows) for line, rows in batches.items()}


def _progress(results: Iterable[Any], num_all: int) -> Iterator[Any]:
    """The results, with a progress line about every ten seconds."""
    started = last = time.monotonic()
    for num_done, result in enumerate(results, start=1):
        yield result
        now = time.monotonic()
        if now - last > PROGRESS_EVERY_S or num_done == num_all:
            last, rate = now, num_done / max(now - started, 1e-9)
            left_s = (num_all - num_done) / rate
            print(
                f"evaluate: {num_done}/{num_all} pairs, {rate:.1f}/s, {left_s:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
