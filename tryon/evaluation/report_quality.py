"""What the report says about quality, in words and tables: computed from evaluate/summary.json, nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tryon.evaluation.baselines import BASELINES
from tryon.evaluation.metrics import METRIC, METRICS, Metric
from tryon.evaluation.report_text import Text, glued, join, known, same, say, translated
from tryon.evaluation.report_words import WORDS

Summary = dict[str, Any]

REGIONS = ("garment", "expected", "whole", "kept")
"""Regions of the metric table in order; others that were judged follow."""
LEFT_OUT = frozenset(
    {(metric, "whole") for metric in ("gms", "delta_e", "mean_delta_e", "gradient_ratio")}
    | {(f"drift_{name}", "repainted") for name in ("red", "green", "blue")}
)  # told inside the garment, where they mean more, or in a table of their own
PRIMARY = ("test_unpaired", "val_unpaired", "test_paired", "val_paired")
FEW_PAIRS = 10


def name_of(system: str) -> Text:
    """A system or baseline as the page calls it."""
    return translated(BASELINES[system][0]) if system in BASELINES else known(f"system.{system}", system)


def protocol_name(summary: Summary) -> Text:
    """The protocol that stands beside the numbers."""
    return same(summary["protocol"].get("name", "tryon"))


def settings(summary: Summary) -> list[tuple[Text, Text]]:
    """Every setting of the protocol, as it was recorded, for the page's list of terms."""
    found = []
    for name, value in summary["protocol"].items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
        found.append((known(f"protocol.{name}", name.replace("_", " ")), translated(shown)))
    return found


def list_title(name: str) -> Text:
    """A list of pairs as the page calls it."""
    return known(f"list.{name}", name)


def metric_of(name: str) -> Metric:
    """A metric by its name; one that METRICS does not declare is shown by its name, and lower counts as better."""
    return METRIC.get(name) or Metric(name, name.replace("_", " "), "lower", 3, name)


def columns_of(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(metric, region) in the table's order: by region, then as METRICS lists them."""
    order = [metric.name for metric in METRICS]

    def place(column: tuple[str, str]) -> tuple[int, str, int, str]:
        metric, region = column
        region_place = REGIONS.index(region) if region in REGIONS else len(REGIONS)
        return region_place, region, order.index(metric) if metric in order else len(order), metric

    return sorted({column for column in found if column not in LEFT_OUT}, key=place)


def primary_list(summary: Summary) -> str | None:
    """The list whose numbers count most: unpaired test pairs with truths, else the next best; None without truths."""
    known = [name for name in PRIMARY if summary["lists"].get(name, {}).get("num_with_truth")]
    return known[0] if known else None


def texture_metric(summary: Summary) -> str:
    """LPIPS where its weights are given, else gradient-magnitude similarity."""
    has_lpips = any(row["metric"] == "lpips" and row["size"] == summary["final_size"] for row in summary["means"])
    return "lpips" if has_lpips else "gms"


# ---- in words


@dataclass(frozen=True)
class Duel:
    """The cascade against one opponent in one metric, inside the garment at the final size.

    Attributes:
        opponent: as the page calls it.
        metric: what is compared.
        text: the difference with its sign and unit.
        interval: its 95 % interval, or why there is none.
        verdict: better, worse or undecided.
    """

    opponent: Text
    metric: Metric
    text: str
    interval: Text
    verdict: str


def duels(summary: Summary, list_name: str) -> list[list[Duel]]:
    """One row per opponent, in the table's order; columns PSNR, texture, and where computed SSIM and ΔE."""
    last = next(row for row in summary["table"] if row["kind"] == "cascade")
    metrics = list(dict.fromkeys(["psnr", texture_metric(summary), "gms", "ssim", "delta_e"]))
    wanted = {
        (row["opponent"], row["metric"]): row
        for row in summary["differences"]
        if row["list"] == list_name
        and row["size"] == summary["final_size"]
        and (row["system"], row["stage"]) == (last["system"], last["stage"])
        and row["region"] == "garment"
    }
    rows = []
    for line in summary["table"]:
        if line["judged"] != summary["final_size"] or line["kind"] not in ("baseline", "reference"):
            continue
        found = [wanted[line["system"], metric] for metric in metrics if (line["system"], metric) in wanted]
        if found:
            rows.append([_duel(row) for row in found])
    return rows


def _duel(row: dict[str, Any]) -> Duel:
    metric = metric_of(row["metric"])
    return Duel(name_of(row["opponent"]), metric, signed(row["mean"], metric), interval_of(row, metric), row["verdict"])


def interval_of(row: dict[str, Any], metric: Metric) -> Text:
    """The interval of a difference, or why there is none."""
    if row["low"] is None:
        return say("quality.one_pair")
    return same(f"{row['low']:+.{metric.digits}f} … {row['high']:+.{metric.digits}f}".replace("-", "−"))


def headline(summary: Summary) -> list[Text]:
    """Two or three sentences that say what beats what, the baselines' wins included."""
    list_name = primary_list(summary)
    if list_name is None:
        return [say("quality.no_truth")]
    rows = duels(summary, list_name)
    num = summary["lists"][list_name]["num_with_truth"]
    sentences = []
    for position, name in enumerate(("psnr", texture_metric(summary))):
        parts = []
        for verdict in ("better", "worse", "undecided"):
            duels_so = [duel for row in rows for duel in row if duel.metric.name == name and duel.verdict == verdict]
            if duels_so:
                named = join([say("quality.opponent", {"name": d.opponent, "by": d.text}) for d in duels_so])
                parts.append(say(f"quality.{verdict}", {"names": named}))
        if parts:
            about = translated(METRIC[name].title.split(",")[0])
            pairs = known(f"quality.pairs.{list_name}", list_name)
            values = {"num": num, "pairs": pairs, "metric": about, "verdicts": glued(parts, "; it ", "；")}
            sentences.append(say("quality.texture" if position else "quality.first", values))
    if num < FEW_PAIRS:
        sentences.append(say("quality.few", {"num": num}))
    return sentences


def score_line(summary: Summary, list_name: str) -> dict[str, int]:
    """In how many duels by PSNR the cascade is better, worse and undecided."""
    verdicts = [duel.verdict for row in duels(summary, list_name) for duel in row if duel.metric.name == "psnr"]
    return {verdict: verdicts.count(verdict) for verdict in ("better", "worse", "undecided")}


def not_computed(summary: Summary) -> list[Text]:
    """``FID, KID and LPIPS not computed: weights not given``, one text per reason."""
    by_reason: dict[str, list[Text]] = {}
    for name, reason in summary["not_computed"].items():
        metric, _, place = name.partition(" ")
        by_reason.setdefault(reason, []).append(same(f"{metric.upper()} {place}".strip()))
    return [glued([join(names), translated(reason)], " ", " ") for reason, names in by_reason.items()]


# ---- in tables


@dataclass(frozen=True)
class Cell:
    """One number of the metric table."""

    mean: str
    interval: str
    is_best: bool


@dataclass(frozen=True)
class Line:
    """One line of the metric table."""

    kind: str
    title: Text
    note: Text | None
    cells: list[Cell | None]


@dataclass(frozen=True)
class Table:
    """The metric table of one list at one size.

    Attributes:
        list_name, title: of the list.
        size: height x width in pixels at which everything is judged.
        num: number of pairs.
        groups: (region title, number of columns).
        columns: metrics.
        lines: in the order of summary["table"].
        notes: what a reader must know about it.
    """

    list_name: str
    title: Text
    size: str
    num: int
    groups: list[tuple[Text, int]]
    columns: list[Metric]
    lines: list[Line]
    notes: list[Text]


Means = dict[tuple[str, str, str, str], dict[str, Any]]  # by system, stage, metric, region


def metric_table(summary: Summary, list_name: str, size: str) -> Table | None:
    """The metric table of a list at a size, or None where the list was not judged."""
    means: Means = {
        (row["system"], row["stage"], row["metric"], row["region"]): row
        for row in summary["means"]
        if row["list"] == list_name and row["size"] == size
    }
    columns = columns_of(key[2:] for key in means)
    if not columns:
        return None
    lines = [line for line in summary["table"] if line["judged"] == size]
    is_paired = list_name.endswith("_paired")
    rivals = [
        (line["system"], line["stage"])
        for line in lines
        if not (is_paired and line["system"] == "keep") and line["kind"] != "oracle"
    ]
    best = {column: _best(means, rivals, column) for column in columns}
    return Table(
        list_name,
        list_title(list_name),
        size,
        summary["lists"][list_name]["num_judged"],
        [(known(f"region.{name}", name), len(list(group))) for name, group in groupby(name for _, name in columns)],
        [metric_of(metric) for metric, _ in columns],
        [
            Line(
                line["kind"],
                *_titles(line, summary),
                [_cell(means, (line["system"], line["stage"], *column), best[column]) for column in columns],
            )
            for line in lines
        ],
        _notes(is_paired, has_truth=any(region == "garment" for _, region in columns)),
    )


def _notes(is_paired: bool, *, has_truth: bool) -> list[Text]:
    if not has_truth:
        return [say("scores.no_truth")]
    return [say("scores.keep_is_perfect")] if is_paired else []


def _best(means: Means, rivals: Sequence[tuple[str, str]], column: tuple[str, str]) -> set[tuple[str, str, str, str]]:
    """Keys of the best lines of a column; nobody where all are equal."""
    ranks = {
        (*rival, *column): _rank(means[*rival, *column], metric_of(column[0]))
        for rival in rivals
        if (*rival, *column) in means
    }
    top = max(ranks.values(), default=0.0)
    winners = {key for key, rank in ranks.items() if rank == top}
    return winners if len(winners) < len(ranks) else set()


def _rank(row: dict[str, Any], metric: Metric) -> float:
    """Larger is better."""
    value: float = row["mean"]
    if metric.better == "one":
        return -abs(math.log(value)) if value > 0 else -math.inf
    return value if metric.better == "higher" else -value


def _cell(means: Means, key: tuple[str, str, str, str], best: set[Any]) -> Cell | None:
    row = means.get(key)
    if row is None:
        return None
    digits = metric_of(key[2]).digits
    interval = "" if row["low"] is None else f"{row['low']:.{digits}f} – {row['high']:.{digits}f}"
    return Cell(f"{row['mean']:.{digits}f}", interval, key in best)


def _titles(line: dict[str, str], summary: Summary) -> tuple[Text, Text | None]:
    """Title and note of a line."""
    is_enlarged = line["made"] != line["judged"]
    enlarged = say("scores.enlarged", {"size": line["made"].replace("x", " × ")}) if is_enlarged else None
    if line["kind"] == "cascade":
        chain = [row["stage"] for row in reversed(summary["table"]) if row["judged"] == summary["final_size"]]
        stages = [stage for stage in chain if stage in _cascade_stages(summary)]
        return say("system.cascade"), same(" → ".join(dict.fromkeys(stages)))
    if line["system"] in BASELINES:
        name, note = BASELINES[line["system"]]
        return translated(name), translated(note)
    values = {"stage": line["stage"], "system": line["system"]}
    title = say(f"scores.{line['kind']}", values) if f"scores.{line['kind']}" in WORDS else same(line["system"])
    return title, enlarged


def _cascade_stages(summary: Summary) -> set[str]:
    return {row["stage"] for row in summary["table"] if row["system"] == "cascade"}


def signed(value: float, metric: Metric) -> str:
    """A difference with its sign, and dB where that is the unit."""
    unit = " dB" if metric.name == "psnr" else ""
    return f"{value:+.{metric.digits}f}".replace("-", "−") + unit


def category_rows(summary: Summary, list_name: str) -> list[dict[str, Any]]:
    """PSNR and texture inside the garment per garment category, for the cascade and every opponent."""
    texture = texture_metric(summary)
    rows = [row for row in summary["by_category"] if row["list"] == list_name]
    lines = [
        row
        for row in summary["table"]
        if row["judged"] == summary["final_size"] and row["kind"] not in ("stage", "oracle")
    ]
    found = []
    for category in dict.fromkeys(row["category"] for row in rows):
        cells = []
        for line in lines:
            about = (category, line["system"], line["stage"])
            values = {row["metric"]: row for row in rows if (row["category"], row["system"], row["stage"]) == about}
            cells.append((name_of(line["system"]), values.get("psnr"), values.get(texture)))
        num = max((psnr["num"] for _, psnr, _ in cells if psnr), default=0)
        titled = [{"title": title, "psnr": psnr, "texture": value} for title, psnr, value in cells]
        found.append({"category": category, "num": num, "cells": titled})
    return found
