"""`tryon report`: one HTML page of everything, with all pictures inside it and nothing fetched from anywhere.

What beats what stands first, baselines' wins included; then samples from worst to best, scores with intervals,
curves, the data with every quarantined photo and its reason, and where each number comes from.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from tryon import files
from tryon.config import Config, load
from tryon.errors import UserError
from tryon.evaluation import inspect, page
from tryon.evaluation import report_facts as facts
from tryon.evaluation import report_pictures as pictures
from tryon.evaluation import report_quality as quality
from tryon.evaluation.evaluate import open_judge, read_indices
from tryon.evaluation.judge import Judge
from tryon.evaluation.metrics import METRICS
from tryon.evaluation.pair_lists import Pair, listed_pairs

NUM_HERO = 4
NUM_SIDE_BY_SIDE = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `tryon report`."""
    parser.add_argument("--config", type=Path, required=True, help="configuration, YAML or JSON")
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    parser.add_argument("--results", type=Path, required=True, help="results folder")
    parser.add_argument("--out", type=Path, required=True, help="HTML page to write")


def run(args: argparse.Namespace) -> None:
    """Gather, draw and write the page."""
    config = load(args.config)
    values = {**gather(config, args.data, args.results), "place": args.results.name}
    files.write_text(args.out, page.render("report.html", values))
    print(f"report: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")


def gather(config: Config, data: Path, root: Path) -> dict[str, Any]:
    """Everything that the template prints."""
    results = facts.Results.open(root)
    pairs_file = root / "pairs" / "pairs.parquet"
    summary = _read_summary(root)
    metrics = pd.read_parquet(root / "evaluate" / "metrics.parquet")
    systems = ["cascade", *config.references]
    index = read_indices([root / "sample" / system / "index.parquet" for system in systems])
    judge = open_judge(config, index, results.packs, root, data)
    judged = {pair.pair_id: pair for pair in listed_pairs(pairs_file, config.sample.lists)}
    shown = list(_samples(config, summary, metrics, judge, judged))
    primary = quality.primary_list(summary)
    return {
        "summary": summary,
        "headline": quality.headline(summary),
        "duels": quality.duels(summary, primary) if primary else [],
        "primary": primary,
        "not_computed": quality.not_computed(summary),
        "hero": pictures.hero(_best(shown, metrics, judged, config), judge, config),
        "tables": list(_tables(summary)),
        "categories": quality.category_rows(summary, primary) if primary else [],
        "texture_title": next(m.title for m in METRICS if m.name == quality.texture_metric(summary)),
        "samples": shown,
        "side_by_side": _side_by_side(shown, metrics, judge, judged, config),
        "trainings": facts.trainings(results, config),
        **inspect.gather(config, data, root),
        "provenance": facts.provenance(results, config),
        "durations": facts.durations(results),
        "metrics": [metric for metric in METRICS if metric.name in set(metrics["metric"])],
        "list_titles": quality.LIST_TITLES,
    }


def _read_summary(root: Path) -> dict[str, Any]:
    path = root / "evaluate" / "summary.json"
    if not path.is_file():
        raise UserError(f"{path}: no such summary; run `tryon evaluate` first, or correct --results")
    summary: dict[str, Any] = files.read_json(path)
    return summary


def _tables(summary: dict[str, Any]) -> Iterator[quality.Table]:
    """The final size first, then each stage's own; unpaired lists first."""
    sizes = [summary["final_size"], *(size for size in summary["sizes"] if size != summary["final_size"])]
    for size in sizes:
        for name in sorted(summary["lists"], key=quality.PRIMARY.index):
            table = quality.metric_table(summary, name, size)
            if table is not None:
                yield table


def _samples(
    config: Config, summary: dict[str, Any], metrics: pd.DataFrame, judge: Judge, judged: dict[str, Pair]
) -> Iterator[dict[str, Any]]:
    """Per list: rows of the worst pairs, worst first, and of the best, best first; no pair twice."""
    for name in sorted(summary["lists"], key=quality.PRIMARY.index):
        if not summary["lists"][name]["num_judged"]:
            continue
        ranked = pictures.ranking(metrics, name, config)
        num_worst = min(config.report.num_worst, len(ranked))
        num_best = min(config.report.num_best, len(ranked) - num_worst)
        parts = {"worst": ranked.head(num_worst), "best": ranked.tail(num_best)[::-1]}
        yield {
            "list": name,
            "title": quality.LIST_TITLES.get(name, name),
            "num": len(ranked),
            "by": "PSNR inside the garment" if "psnr" in ranked else "colour difference to the garment",
            "parts": {
                part: [pictures.pair_row(judged[row["pair_id"]], judge, config, row) for row in rows.to_dict("records")]
                for part, rows in parts.items()
            },
        }


def _best(shown: list[dict[str, Any]], metrics: pd.DataFrame, judged: dict[str, Pair], config: Config) -> list[Pair]:
    """The best pairs of the first list, best first."""
    if not shown:
        return []
    ranked = pictures.ranking(metrics, shown[0]["list"], config)
    return [judged[pair_id] for pair_id in ranked["pair_id"].tail(NUM_HERO)[::-1]]


def _side_by_side(
    shown: list[dict[str, Any]], metrics: pd.DataFrame, judge: Judge, judged: dict[str, Pair], config: Config
) -> list[pictures.Row]:
    """Pairs spread evenly over the first list's ranking, so that nobody picked them."""
    if not shown:
        return []
    ranked = pictures.ranking(metrics, shown[0]["list"], config)["pair_id"].tolist()
    num = min(NUM_SIDE_BY_SIDE, len(ranked))
    places = [round((place + 0.5) * len(ranked) / num - 0.5) for place in range(num)]
    return [pictures.baseline_row(judged[ranked[place]], judge, config) for place in places]
