"""`tryon ablation`: rows of other settings beside the run's own: a table, a plot, and one page that holds both.

`snakemake ablations` calls it for every ablation of the settings (docs/ablations.md), after it has trained, sampled and
judged what the rows do not share with the run. The page also shows the same pairs as each row makes them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tryon import files
from tryon.config import Config, load
from tryon.dataset import formats
from tryon.evaluation import ablation_plot as plot
from tryon.evaluation import ablation_scores as scores
from tryon.evaluation import page
from tryon.evaluation.ablation_scores import Number, Row
from tryon.evaluation.drawings import figure
from tryon.evaluation.metrics import METRIC, Metric
from tryon.evaluation.pair_lists import Pair, listed_pairs
from tryon.evaluation.pictures import read_picture
from tryon.evaluation.report_pictures import PICTURE_HEIGHT_PX, spread
from tryon.evaluation.report_pictures import Row as Strip
from tryon.evaluation.report_quality import PRIMARY, interval_of, signed
from tryon.evaluation.report_tables import ARROWS
from tryon.evaluation.report_text import Text, glued, join, known, same, say, translated
from tryon.evaluation.summary import TRYON
from tryon.evaluation.truths import read_truth
from tryon.packed import PackedPhotos


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `tryon ablation`."""
    parser.add_argument("--config", type=Path, required=True, help="configuration, YAML or JSON")
    parser.add_argument("--rows", type=Path, required=True, help="the rows and their folders (JSON, by the workflow)")
    parser.add_argument("--data", type=Path, required=True, help="data folder, where the truths lie")
    parser.add_argument("--results", type=Path, required=True, help="results folder")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet")
    parser.add_argument("--packs", type=Path, nargs="+", required=True, help="pack/*.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="HTML page to write")
    parser.add_argument("--table", type=Path, required=True, help="one number per line (CSV)")
    parser.add_argument("--plot", type=Path, required=True, help="the plots of the page as one file (SVG)")


def run(args: argparse.Namespace) -> None:
    """Gather, draw and write table, plot and page."""
    config, plan = load(args.config), files.read_json(args.rows)
    rows = scores.read_rows(plan, config, args.results)
    bootstrap = {"num_resamples": config.evaluate.num_bootstrap, "seed": config.evaluate.seed}
    numbers = scores.numbers(rows, plan, **bootstrap)
    axis = plot.axis_of(rows, plan)
    files.write_text(args.table, scores.table(rows, numbers, args.results).to_csv(index=False))
    files.write_text(args.plot, plot.file_of(_titled(rows, numbers, axis), axis))
    lists = {pair.pair_id: pair for pair in listed_pairs(args.pairs, plan["lists"])}
    values = {
        "plan": plan,
        "config": config,
        "place": args.results.name,
        "rows": [_shown_row(row, rows, args.results) for row in rows],
        "first": same(scores.compared_with(rows).name),
        "findings": findings(rows, numbers),
        "tables": [_list(rows, name, list(of_list), axis) for name, of_list in groupby(numbers, lambda n: n.list)],
        "keys": [(_key(axis, place), same(name)) for place, name in enumerate(axis.lines)] if axis.lines[1:] else [],
        "missing": _missing(plan, numbers),
        "strips": _strips(rows, plan, config, lists, PackedPhotos(args.packs), args.data),
        "protocol": TRYON,
        **bootstrap,
    }
    files.write_text(args.out, page.render("ablation.html", values, config.report.language))
    print(f"ablation {plan['name']}: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB), {args.table}, {args.plot}")


# ---- what the page prints


@dataclass(frozen=True)
class ShownRow:
    """What a row changes and what it cost.

    Attributes:
        name: of the row.
        changes: (path, value) of its settings.
        trained: stages that were trained for it.
        num_params: of its stages together.
        seconds: that their training took; None where unknown.
        folder: of its pictures, in the results folder.
    """

    name: Text
    changes: list[tuple[str, str]]
    trained: list[str]
    num_params: int
    seconds: float | None
    folder: str


def _shown_row(row: Row, rows: Sequence[Row], results: Path) -> ShownRow:
    num_params, seconds = scores.cost(row)
    changes = [(path, str(value)) for path, value in row.changes.items()]
    folder = scores.pictures_of(row).relative_to(results).as_posix()
    return ShownRow(same(row.name), changes, scores.trained_again(row, rows), num_params, seconds, folder)


@dataclass(frozen=True)
class Gain:
    """A difference as the page's macro `gain` prints it."""

    verdict: str
    text: str
    interval: Text


@dataclass(frozen=True)
class Cell:
    """One number of the table."""

    mean: str
    interval: str
    is_best: bool
    gain: Gain | None


@dataclass(frozen=True)
class Panel:
    """One metric's plot."""

    title: Text
    arrow: str
    svg: str
    alt: Text


@dataclass(frozen=True)
class ListPart:
    """What the page shows of one list: a line of cells per row, and a panel per column."""

    title: Text
    short: Text
    num_pairs: int
    columns: list[tuple[Text, Text]]
    lines: list[tuple[Text, bool, list[Cell]]]
    panels: list[Panel]


def _list(rows: Sequence[Row], name: str, numbers: Sequence[Number], axis: plot.Axis) -> ListPart:
    by_metric = {metric: list(found) for metric, found in groupby(numbers, lambda number: number.metric)}
    cells = {metric: _cells(found) for metric, found in by_metric.items()}
    first = scores.compared_with(rows)
    lines = [
        (same(row.name), row is first, [of_metric[place] for of_metric in cells.values()])
        for place, row in enumerate(rows)
    ]
    panels = []
    for metric, found in by_metric.items():
        content, height = plot.panel(rows, found, axis)
        svg = f'<svg class="plot" viewBox="0 0 {plot.WIDTH_PX} {height}" aria-hidden="true">{plot.STYLE}{content}</svg>'
        alt = glued([_title(metric), *(same(f"{n.row}: {n.value.mean:.4g}") for n in found)], "; ", "；")
        panels.append(Panel(_title(metric), _arrow(metric), svg, alt))
    return ListPart(
        known(f"list.{name}", name),
        known(f"short.{name}", name),
        max(number.value.num for number in numbers),
        [(_title(metric), _where(found[0])) for metric, found in by_metric.items()],
        lines,
        panels,
    )


def _cells(numbers: Sequence[Number]) -> list[Cell]:
    metric = _metric(numbers[0].metric)
    means = [round(number.value.mean, metric.digits) for number in numbers]
    best = {"higher": max(means), "lower": min(means)}.get(metric.better) if len(set(means)) > 1 else None
    cells = []
    for number, mean in zip(numbers, means, strict=True):
        value = number.value
        interval = "" if value.low is None else f"{value.low:.{metric.digits}f} – {value.high:.{metric.digits}f}"
        gain = None
        if number.difference is not None and number.verdict is not None:
            ends = interval_of(number.difference.as_dict(), metric)
            gain = Gain(number.verdict, signed(number.difference.mean, metric), ends)
        cells.append(Cell(f"{value.mean:.{metric.digits}f}", interval, mean == best, gain))
    return cells


def _metric(name: str) -> Metric:
    """FID and KID are no numbers of a picture, so METRICS does not hold them."""
    return METRIC.get(name) or Metric(name, name.upper(), "lower", 4, name)


def _title(metric: str) -> Text:
    return translated(_metric(metric).title)


def _arrow(metric: str) -> str:
    return ARROWS.get(_metric(metric).better, "")


def _where(number: Number) -> Text:
    arrow = _arrow(number.metric)
    place = known(f"region.{number.region}", number.region)
    return glued([same(arrow), place], " ", " ") if arrow else place


def _key(axis: plot.Axis, place: int) -> str:
    return plot.key_of(axis, place)


def _titled(rows: Sequence[Row], numbers: Sequence[Number], axis: plot.Axis) -> list[tuple[str, str, int]]:
    """Panels of the file, which is in English, with their titles."""
    found = []
    for (list_name, metric), group in groupby(numbers, lambda number: (number.list, number.metric)):
        title = f"{_metric(metric).title} {_arrow(metric)} · {known(f'short.{list_name}', list_name).plain('en')}"
        found.append((title, *plot.panel(rows, list(group), axis)))
    return found


def _missing(plan: Mapping[str, Any], numbers: Sequence[Number]) -> list[Text]:
    """Metrics that the settings name and no list has."""
    computed = {number.metric for number in numbers}
    return [_title(metric) for metric in plan["metrics"] if metric not in computed]


def findings(rows: Sequence[Row], numbers: Sequence[Number]) -> list[Text]:
    """One sentence per metric of the list that counts most: whether a row beats what others are compared with."""
    list_name = min((number.list for number in numbers), key=PRIMARY.index)
    first = scores.compared_with(rows).name
    sentences: list[Text] = []
    for metric, group in groupby(
        (number for number in numbers if number.list == list_name and number.difference is not None),
        lambda number: number.metric,
    ):
        of_metric, how = list(group), _metric(metric)
        about = {"metric": translated(how.title.split(",")[0]), "first": first}
        better = sorted(
            (number for number in of_metric if number.verdict == "better"),
            key=lambda number: abs(number.difference.mean if number.difference else 0.0),
            reverse=True,
        )
        if better:
            names = join([_named(number, how) for number in better[:3]])
            sentences.append(say("ablation.better", {**about, "rows": names}))
        elif all(number.verdict == "worse" for number in of_metric):
            sentences.append(say("ablation.all_worse", about))
        else:
            sentences.append(say("ablation.none_better", about))
    return sentences


def _named(number: Number, metric: Metric) -> Text:
    assert number.difference is not None
    return say("quality.opponent", {"name": number.row, "by": signed(number.difference.mean, metric)})


def _strips(
    rows: Sequence[Row],
    plan: Mapping[str, Any],
    config: Config,
    listed: Mapping[str, Pair],
    packed: PackedPhotos,
    data: Path,
) -> list[Strip]:
    """Pairs of the first list spread evenly over the ranking of the row that others are compared with."""
    first = scores.compared_with(rows)
    lists = [name for name in PRIMARY if name in plan["lists"] and scores.shared_pairs(rows, name)]
    if not lists or not plan["num_pairs"]:
        return []
    pairs = scores.shared_pairs(rows, lists[0])
    own = first.metrics[first.metrics["list"] == lists[0]]
    by_psnr = own[(own["metric"] == "psnr") & (own["region"] == "garment")].sort_values(["value", "pair_id"])
    order = [pair_id for pair_id in by_psnr["pair_id"] if pair_id in set(pairs)] or pairs
    size_hw = config.stages[config.cascade[-1]].size
    reader = formats.reader(config.dataset)
    strips = []
    for place in spread(len(order), plan["num_pairs"]):
        pair = listed[order[place]]
        pictures = [(say(f"picture.{role}"), packed.read(photo, size_hw).image_HWC) for role, photo in
                    (("person", pair.person), ("garment", pair.garment))]  # fmt: skip
        truth = read_truth(data, pair, reader)
        if truth is not None:
            pictures.append((say("picture.truth"), truth.on_canvas(pair.category, size_hw, config.pack.fill)[0]))
        for row in rows:
            path = scores.pictures_of(row) / f"{pair.pair_id}.png"
            pictures.append((same(row.name), read_picture(path, size_hw)))
        figures = [
            (title, figure(image_HWC, glued([same(pair.pair_id), title], ": ", "："), PICTURE_HEIGHT_PX))
            for title, image_HWC in pictures
        ]
        strips.append(Strip(pair.pair_id, known(f"category.{pair.category}", pair.category), figures))
    return strips
