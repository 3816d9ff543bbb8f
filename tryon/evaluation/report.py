"""`tryon report`: one HTML page of everything, with all pictures inside it and nothing fetched from anywhere.

What beats what stands first, baselines' wins included, with the three answers that are asked for most: which stage is
at fault, what the worst results look like, what was refused and why. Then the gallery, scores with intervals and
protocol, curves, the data with every quarantined photo and its reason, and where each number comes from.
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
from tryon.evaluation.report_protocols import protocol_parts
from tryon.evaluation.report_stages import stages
from tryon.evaluation.report_tables import free_tables
from tryon.evaluation.report_text import Text, say
from tryon.ontology import CATEGORIES

NUM_WORST = 4
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
    values = {**gather(config, args.data, args.results), "place": args.results.name, "unfolded": False}
    files.write_text(args.out, page.render("report.html", values, config.report.language))
    print(f"report: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")


def gather(config: Config, data: Path, root: Path) -> dict[str, Any]:
    """Everything that the template prints."""
    results = facts.Results.open(root)
    pairs_file = root / "pairs" / "pairs.parquet"
    summary = _read_summary(root)
    metrics = pd.read_parquet(root / "evaluate" / "metrics.parquet")
    index = read_indices([root / "sample" / system / "index.parquet" for system in config.systems])
    judge = open_judge(config, index, results.packs, root, data)
    judged = {pair.pair_id: pair for pair in listed_pairs(pairs_file, config.sample.lists)}
    galleries = list(_galleries(config, summary, metrics, judge, judged, pictures.doubts_of(results)))
    primary = quality.primary_list(summary)
    return {
        "summary": summary,
        "headline": quality.headline(summary),
        "score_line": quality.score_line(summary, primary) if primary else None,
        "duels": quality.duels(summary, primary) if primary else [],
        "primary": primary,
        "not_computed": quality.not_computed(summary),
        "stages": stages(summary, metrics, primary) if primary else None,
        "hero": _hero(galleries),
        "worst": galleries[0].pairs[:NUM_WORST] if galleries else [],
        "tables": list(_tables(summary)),
        "tables_of_others": free_tables(summary),
        "categories": quality.category_rows(summary, primary) if primary else [],
        "texture_title": next(m.title for m in METRICS if m.name == quality.texture_metric(summary)),
        "galleries": galleries,
        "gallery_categories": [name for name in CATEGORIES if any(s.category == name for s in _all(galleries))],
        "num_doubtful_pairs": sum(bool(shown.doubts) for shown in _all(galleries)),
        "side_by_side": _side_by_side(galleries, metrics, judge, judged, config),
        "trainings": facts.trainings(results, config),
        **inspect.gather(config, data, root),
        "provenance": facts.provenance(results, config),
        "durations": facts.durations(results),
        "metrics": [quality.metric_of(name) for name in dict.fromkeys(metrics["metric"])],
        "protocol_parts": protocol_parts(summary),
        "protocol": quality.protocol_name(summary),
        "settings": quality.settings(summary),
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


def _galleries(
    config: Config,
    summary: dict[str, Any],
    metrics: pd.DataFrame,
    judge: Judge,
    judged: dict[str, Pair],
    doubts: dict[str, list[Text]],
) -> Iterator[pictures.Ranked]:
    """Every list that was judged, unpaired ones first."""
    names = [
        name for name in sorted(summary["lists"], key=quality.PRIMARY.index) if summary["lists"][name]["num_judged"]
    ]
    for name in names:
        yield pictures.ranked(metrics, name, judge, judged, doubts, config, config.report.num_pairs // len(names))


def _all(galleries: list[pictures.Ranked]) -> list[pictures.Shown]:
    return [shown for gallery in galleries for shown in gallery.pairs]


def _hero(galleries: list[pictures.Ranked]) -> list[tuple[Text, pictures.Shown]]:
    """The best, the middle and the worst pair of the first list, so that nobody picked them."""
    if not galleries:
        return []
    pairs = galleries[0].pairs
    middle = min(pairs, key=lambda shown: abs(shown.rank - (galleries[0].num + 1) / 2))
    named = {"best": pairs[-1], "middle": middle, "worst": pairs[0]}
    if len(pairs) < 3:  # then the middle one is one of the others
        del named["middle"]
    return [(say(f"hero.{name}"), shown) for name, shown in named.items()]


def _side_by_side(
    galleries: list[pictures.Ranked], metrics: pd.DataFrame, judge: Judge, judged: dict[str, Pair], config: Config
) -> list[pictures.Row]:
    """Pairs spread evenly over the first list's ranking, so that nobody picked them."""
    if not galleries:
        return []
    ranking = pictures.ranking(metrics, galleries[0].name, config)["pair_id"].tolist()
    places = pictures.spread(len(ranking), NUM_SIDE_BY_SIDE)
    return [pictures.baseline_row(judged[ranking[place]], judge, config) for place in places]
