"""`tryon evaluate`: scores of every system, of every stage and of the baselines, all computed the same way.

Every picture of the sampled lists is judged against its truth (in the whole picture and where the true garment
is seen) or, where nobody knows the truth, by numbers that need none. What cannot be computed says why.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from tryon import files
from tryon.config import ORACLE, Config, load
from tryon.dataset import formats
from tryon.digests import code_digest, config_digest
from tryon.errors import UserError
from tryon.evaluation import learned, summary
from tryon.evaluation.by_protocol import PROTOCOL_ROW, ByProtocol, open_protocols, protocol_rows
from tryon.evaluation.by_protocol import scores as protocol_scores
from tryon.evaluation.extras import Extras, open_extras
from tryon.evaluation.extras import not_given as extras_not_given
from tryon.evaluation.judge import ROW, Entry, Judge, entries, shown
from tryon.evaluation.pair_lists import Pair, listed_pairs
from tryon.evaluation.progress import progress
from tryon.evaluation.protocols.scoring import NOT_GIVEN, Scorer, Seen
from tryon.evaluation.provided import given_weights
from tryon.evaluation.recorded import record_settings
from tryon.evaluation.truths import read_truth
from tryon.packed import PackedPhotos
from tryon.provenance import write_provenance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `tryon evaluate`."""
    parser.add_argument("--config", type=Path, required=True, help="configuration, YAML or JSON")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet")
    parser.add_argument("--packs", type=Path, nargs="+", required=True, help="pack/*.safetensors")
    parser.add_argument("--samples", type=Path, nargs="+", required=True, help="sample/*/index.parquet")
    parser.add_argument("--data", type=Path, required=True, help="data folder, where the truths lie")
    parser.add_argument("--results", type=Path, required=True, help="results folder")
    parser.add_argument("--cache", type=Path, help="folder for features of truths (default: RESULTS/cache)")
    parser.add_argument("--out", type=Path, required=True, help="one number per row (parquet)")
    parser.add_argument("--protocols", type=Path, required=True, help="one number of a protocol per row (parquet)")
    parser.add_argument("--summary", type=Path, required=True, help="means, intervals and verdicts (JSON)")


def run(args: argparse.Namespace) -> None:
    """Judge every sampled pair; write the numbers and their summary."""
    started = time.monotonic()
    config = load(args.config)
    given = given_weights(config.evaluate)
    index = read_indices(args.samples)
    judge = open_judge(config, index, args.packs, args.results, args.data)
    pairs, dropped = judged_pairs(listed_pairs(args.pairs, config.sample.lists), index, judge.table)
    by_protocol = open_protocols(config, given, pairs, args.pairs, (args.cache or args.results / "cache") / "features")
    bench = Bench(replace(judge, extras=open_extras(config)), by_protocol, given.get("lpips_weights"))
    metrics, rows, seen = measure(bench, pairs, config.evaluate.jobs)
    summary.check_values(metrics)
    summary.check_values(rows)
    files.write_parquet(args.out, metrics)
    files.write_parquet(args.protocols, rows)
    bootstrap = {"num_resamples": config.evaluate.num_bootstrap, "seed": config.evaluate.seed}
    report = protocol_scores(by_protocol, judge, pairs, metrics, rows, seen, **bootstrap)
    reasons = {"lpips": NOT_GIVEN} if "lpips_weights" not in given else {}
    reasons |= {
        f"lpips at {size}": reason for size, reason in lpips_too_small(judge.table, bench.lpips_weights).items()
    }
    reasons |= extras_not_given(config)
    files.write_json(args.summary, summary.summarise(config, judge.table, pairs, dropped, metrics, report, reasons))
    record_settings(config, args.summary.parent)

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
    garment_hw = {entry.judged_hw: config.garment_size_at(entry.judged_hw) for entry in table}
    reader = formats.reader(config.dataset)
    return Judge(table, PackedPhotos(packs), sampled, data, reader, config.pack.fill, garment_hw)


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
    # pairs without a truth have no oracle, and are judged all the same
    for row in index[(index["status"] == "dropped") & (index["system"] != ORACLE)].itertuples():
        reasons.setdefault(row.pair_id, row.reason)
    wanted = {pair.pair_id for pair in pairs} - set(reasons)
    for system, stage in dict.fromkeys((e.system, e.stage) for e in table if e.kind not in ("baseline", ORACLE)):
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


@dataclass(frozen=True)
class Bench:
    """What a process needs to judge pairs; networks are opened in it, not sent to it."""

    judge: Judge
    by_protocol: ByProtocol
    lpips_weights: Path | None

    def open(self) -> Bench:
        """Load every network now.

        Raises:
            UserError: a file of weights is not what it should be.
        """
        self.by_protocol.open()
        if self.judge.extras is not None:
            self.judge.extras.open()
        if self.lpips_weights is None or self.judge.lpips is not None:
            return self
        return replace(self, judge=replace(self.judge, lpips=learned.Lpips(self.lpips_weights)))

    def closed(self) -> Bench:
        """Without networks, to be sent to another process."""
        scorers = (Scorer(s.protocol, s.weights, s.cache, s.fill) for s in self.by_protocol.scorers)
        extras = self.judge.extras
        bare = Extras(extras.keypoints, extras.labels, extras.models) if extras is not None else None
        judge = replace(self.judge, lpips=None, extras=bare)
        return replace(self, judge=judge, by_protocol=replace(self.by_protocol, scorers=tuple(scorers)))

    def look(self, pair: Pair) -> tuple[list[tuple[Any, ...]], dict[str, Seen]]:
        """The rows of one pair, and what the protocols say of it."""
        truth = read_truth(self.judge.data, pair, self.judge.reader)
        views = self.judge.views(pair)
        found = self.by_protocol.look(self.judge, pair, truth, views[self.judge.final_hw])
        return self.judge.rows(pair, truth, views), found


_bench: Bench  # of this process, set once: pairs travel to the workers, the rest does not


def _start_worker(bench: Bench) -> None:
    """Give this process its networks; workers share the machine, so each keeps to one thread."""
    import cv2
    import torch

    global _bench  # noqa: PLW0603 (a process pool hands a worker its state in no other way)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    _bench = bench.open()


def _look_in_worker(pair: Pair) -> tuple[list[tuple[Any, ...]], dict[str, Seen]]:
    return _bench.look(pair)


def measure(bench: Bench, pairs: Sequence[Pair], jobs: int) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Seen]]]:
    """Judge every pair, in parallel; nothing that comes out depends on the number of workers.

    Returns:
        Numbers of regions (columns `ROW`), numbers of protocols (columns `PROTOCOL_ROW`), and per pair what the
        protocols saw.
    """
    if jobs == 1:
        here = bench.open()
        found = list(progress("evaluate", map(here.look, pairs), len(pairs)))
    else:
        bench.closed().open()  # a wrong file is told here, not as a broken pool; these networks are let go of again
        # workers fork from a server that imports torch once and holds no threads
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        with ProcessPoolExecutor(min(jobs, len(pairs)), context, _start_worker, (bench.closed(),)) as pool:
            found = list(progress("evaluate", pool.map(_look_in_worker, pairs), len(pairs)))
    table = pd.DataFrame([row for rows, _ in found for row in rows], columns=list(ROW))
    final_hw = bench.judge.final_hw
    lines = [entry for entry in bench.judge.table if entry.judged_hw == final_hw and entry.kind != ORACLE]
    seen = [by_name for _, by_name in found]
    rows = [row for pair, by_name in zip(pairs, seen, strict=True) for row in protocol_rows(pair, lines, by_name)]
    by_protocol = pd.DataFrame(rows, columns=list(PROTOCOL_ROW))
    return (
        table.sort_values(list(ROW[:-1]), ignore_index=True),
        by_protocol.sort_values(list(PROTOCOL_ROW[:-1]), ignore_index=True).astype({"value": "float64"}),
        seen,
    )


def lpips_too_small(table: Sequence[Entry], weights: Path | None) -> dict[str, str]:
    """Sizes at which LPIPS cannot be computed though its weights are given, with the reason."""
    if weights is None:
        return {}
    distance = learned.Lpips(weights)
    reasons = {shown(entry.judged_hw): distance.too_small(entry.judged_hw) for entry in table}
    return {size: reason for size, reason in reasons.items() if reason}
