"""What the report says about quality, in words and tables: computed from evaluate/summary.json, nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tryon.evaluation.baselines import BASELINES
from tryon.evaluation.metrics import METRIC, Metric

Summary = dict[str, Any]

COLUMNS = (
    ("psnr", "garment"),
    ("ssim", "garment"),
    ("gms", "garment"),
    ("lpips", "garment"),
    ("delta_e", "garment"),
    ("mean_delta_e", "garment"),
    ("gradient_ratio", "garment"),
    ("garment_delta_e", "expected"),
    ("psnr", "whole"),
    ("ssim", "whole"),
    ("lpips", "whole"),
    ("outside_error", "kept"),
)
"""Columns of the metric table in order; those without any number are left out."""

REGION_TITLES = {
    "garment": "inside the garment",
    "expected": "no truth needed",
    "whole": "whole picture",
    "kept": "outside the region",
}
LIST_TITLES = {
    "test_unpaired": "Unpaired test pairs: another garment than the one worn",
    "test_paired": "Paired test pairs: the garment that is worn",
    "val_unpaired": "Unpaired validation pairs (these guided choices)",
    "val_paired": "Paired validation pairs (these guided choices)",
}
PRIMARY = ("test_unpaired", "val_unpaired", "test_paired", "val_paired")
FEW_PAIRS = 10


def name_of(system: str) -> str:
    """A system or baseline as the page calls it."""
    return BASELINES[system][0] if system in BASELINES else system


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

    opponent: str
    metric: Metric
    text: str
    interval: str
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
    metric = METRIC[row["metric"]]
    interval = (
        "one pair only" if row["low"] is None else f"{signed(row['low'], metric)} … {signed(row['high'], metric)}"
    )
    return Duel(name_of(row["opponent"]), metric, signed(row["mean"], metric), interval, row["verdict"])


def headline(summary: Summary) -> list[str]:
    """Two or three sentences that say what beats what, the baselines' wins included."""
    list_name = primary_list(summary)
    if list_name is None:
        return [
            "No pair of these lists has a true picture, so nothing says how near the results are to the truth; "
            "the numbers below need none."
        ]
    rows = duels(summary, list_name)
    num = summary["lists"][list_name]["num_with_truth"]
    kind, split = (
        ("unpaired", list_name.split("_")[0]) if "unpaired" in list_name else ("paired", list_name.split("_")[0])
    )
    held = "held-out" if split == "test" else "validation"
    sentences = []
    for position, metric in enumerate(("psnr", texture_metric(summary))):
        words = {"better": "beats", "worse": "loses to", "undecided": "is not told apart from"}
        parts = []
        for verdict, verb in words.items():
            names = [
                f"{duel.opponent} ({duel.text})"
                for row in rows
                for duel in row
                if duel.metric.name == metric and duel.verdict == verdict
            ]
            if names:
                parts.append(f"{verb} {join(names)}")
        about = METRIC[metric].title.split(",")[0]
        start = (
            f"On {num} {held} {kind} pairs, inside the garment, by {about}"
            if position == 0
            else f"By texture ({about})"
        )
        if parts:
            sentences.append(f"{start} the cascade {'; it '.join(parts)}.")
    if num < FEW_PAIRS:
        sentences.append(f"{num} pairs are too few to trust any of this.")
    return sentences


def join(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def not_computed(summary: Summary) -> list[str]:
    """``FID, KID and LPIPS not computed: weights not given``, one text per reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in summary["not_computed"].items():
        metric, _, place = name.partition(" ")
        by_reason.setdefault(reason, []).append(f"{metric.upper()} {place}".strip())
    return [f"{join(names)} {reason}" for reason, names in by_reason.items()]


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
    title: str
    note: str
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
    title: str
    size: str
    num: int
    groups: list[tuple[str, int]]
    columns: list[Metric]
    lines: list[Line]
    notes: list[str]


Means = dict[tuple[str, str, str, str], dict[str, Any]]  # by system, stage, metric, region


def metric_table(summary: Summary, list_name: str, size: str) -> Table | None:
    """The metric table of a list at a size, or None where the list was not judged."""
    means: Means = {
        (row["system"], row["stage"], row["metric"], row["region"]): row
        for row in summary["means"]
        if row["list"] == list_name and row["size"] == size
    }
    columns = [column for column in COLUMNS if any(key[2:] == column for key in means)]
    if not columns:
        return None
    lines = [line for line in summary["table"] if line["judged"] == size]
    is_paired = list_name.endswith("_paired")
    rivals = [(line["system"], line["stage"]) for line in lines if not (is_paired and line["system"] == "keep")]
    best = {column: _best(means, rivals, column) for column in columns}
    return Table(
        list_name,
        LIST_TITLES.get(list_name, list_name),
        size,
        summary["lists"][list_name]["num_judged"],
        [(title, len(list(group))) for title, group in groupby(REGION_TITLES[region] for _, region in columns)],
        [METRIC[metric] for metric, _ in columns],
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


def _notes(is_paired: bool, *, has_truth: bool) -> list[str]:
    if not has_truth:
        return ["No truth is known for these pairs: only numbers that need none."]
    if is_paired:
        return [
            "The truth of a paired pair is the person's own photo, so “keep” is perfect by definition and takes no "
            "part in the comparison."
        ]
    return []


def _best(means: Means, rivals: Sequence[tuple[str, str]], column: tuple[str, str]) -> set[tuple[str, str, str, str]]:
    """Keys of the best lines of a column; nobody where all are equal."""
    ranks = {(*rival, *column): _rank(means[*rival, *column], METRIC[column[0]]) for rival in rivals}
    top = max(ranks.values())
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
    digits = METRIC[key[2]].digits
    interval = "" if row["low"] is None else f"{row['low']:.{digits}f} – {row['high']:.{digits}f}"
    return Cell(f"{row['mean']:.{digits}f}", interval, key in best)


def _titles(line: dict[str, str], summary: Summary) -> tuple[str, str]:
    """Title and note of a line."""
    enlarged = f"enlarged from {line['made'].replace('x', ' × ')}" if line["made"] != line["judged"] else ""
    if line["kind"] == "cascade":
        chain = [row["stage"] for row in reversed(summary["table"]) if row["judged"] == summary["final_size"]]
        stages = [stage for stage in chain if stage in _cascade_stages(summary)]
        return "cascade", " → ".join(stages)
    if line["kind"] == "stage":
        return f"cascade up to {line['stage']}", enlarged
    if line["kind"] == "reference":
        return f"reference: {line['system']}", enlarged
    return BASELINES[line["system"]]


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
    lines = [row for row in summary["table"] if row["judged"] == summary["final_size"] and row["kind"] != "stage"]
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
