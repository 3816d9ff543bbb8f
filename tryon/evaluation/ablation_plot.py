"""The plot of an ablation: SVG panels, one metric each, drawn without a library so that the page's colours reach them.

A panel shows every row's mean. Its whiskers are the 95 % interval of the row's pair-by-pair difference from the row
that others are compared with, laid around that row's mean: where they do not touch the dashed line, the row differs.
With one numeric setting among those that vary, that setting is the x axis and the others make the lines; otherwise
rows stand one below the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tryon.evaluation.ablation_scores import Number, Row, compared_with
from tryon.variants import short_names, shown

WIDTH_PX, HEIGHT_PX = 350, 240
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 58, 14, 14, 44
ROW_PX, NAME_LETTERS = 24, 28
MAX_LINES = 6
COLOURS = ("#0f8a80", "#c2571a", "#7a5bd0", "#b3356b", "#5b7f1d", "#2f6fb5")  # told apart on white and on black
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 4")
STYLE = """<style>
.plot text{font:11px system-ui,"Noto Sans",sans-serif;fill:var(--muted,#66625b)}
.plot .title{font-size:14px;font-weight:600;fill:var(--ink,#1d1c1a)}
.plot .grid{stroke:var(--line,#e4e0d8);stroke-width:1}
.plot .base{stroke:var(--ink,#1d1c1a);stroke-width:1;stroke-dasharray:5 4;opacity:.6}
.plot .ring{fill:none;stroke:var(--ink,#1d1c1a);stroke-width:1.6}
</style>"""


@dataclass(frozen=True)
class Axis:
    """How rows are laid out.

    Attributes:
        path: the numeric setting of the x axis; None: rows one below the other.
        lines: name of each line, the other settings' values; one line without a name where nothing else varies.
    """

    path: str | None
    lines: list[str]


def axis_of(rows: Sequence[Row], plan: Mapping[str, Any]) -> Axis:
    """The numeric setting with the most values, where the rows are a grid and the others make few enough lines."""
    values = {path: list(dict.fromkeys(_key(row.changes[path]) for row in rows)) for path in plan["paths"]}
    numeric = [path for path in values if all(_is_number(row.changes[path]) for row in rows) and len(values[path]) > 1]
    if plan["is_grid"] and numeric:
        path = max(numeric, key=lambda name: len(values[name]))
        lines = list(dict.fromkeys(line_of(row, path) for row in rows))
        if len(lines) <= MAX_LINES:
            return Axis(path, lines)
    return Axis(None, [])


def line_of(row: Row, path: str) -> str:
    """A row's line: its settings beside that of the x axis."""
    names = short_names(list(row.changes))
    return ", ".join(f"{names[other]} {shown(value)}" for other, value in row.changes.items() if other != path)


def _key(value: Any) -> str:  # noqa: ANN401 (any setting)
    return repr(value)


def _is_number(value: Any) -> bool:  # noqa: ANN401 (any setting)
    return isinstance(value, int | float) and not isinstance(value, bool)


def panel(rows: Sequence[Row], numbers: Sequence[Number], axis: Axis) -> tuple[str, int]:
    """One metric of one list.

    Args:
        rows: of the ablation.
        numbers: of that metric and list, one per row.
        axis: of `axis_of`.

    Returns:
        What belongs inside an svg element WIDTH_PX wide, and its height in pixels.
    """
    of_row = {number.row: number for number in numbers}
    first = of_row[compared_with(rows).name].value.mean
    ends = {name: _whiskers(number, first) for name, number in of_row.items()}
    low, high = _range([*(end for pair in ends.values() for end in pair), *(n.value.mean for n in numbers)])
    if axis.path is None:
        return _below_each_other(rows, of_row, ends, first, low, high)
    return _along(rows, of_row, ends, first, low, high, axis), HEIGHT_PX


def _whiskers(number: Number, first: float) -> tuple[float, float]:
    """Around a row's mean; just the mean where no interval is known."""
    if number.difference is not None and number.difference.low is not None and number.difference.high is not None:
        return first + number.difference.low, first + number.difference.high
    if number.region == "set" and number.value.low is not None and number.value.high is not None:
        return number.value.low, number.value.high
    return number.value.mean, number.value.mean


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def ticks(low: float, high: float, num: int = 5) -> list[float]:
    """About `num` round numbers between two ends."""
    raw = (high - low) / num
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    return [round(place * step, 10) for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _along(
    rows: Sequence[Row],
    of_row: Mapping[str, Number],
    ends: Mapping[str, tuple[float, float]],
    first: float,
    low: float,
    high: float,
    axis: Axis,
) -> str:
    x_path = axis.path or ""
    xs = sorted({float(row.changes[x_path]) for row in rows})
    x_low, x_high = xs[0] - 0.06 * (xs[-1] - xs[0]), xs[-1] + 0.06 * (xs[-1] - xs[0])
    x_of = _scale(x_low, x_high, LEFT_PX, WIDTH_PX - RIGHT_PX)
    y_of = _scale(low, high, HEIGHT_PX - BOTTOM_PX, TOP_PX)
    parts = [_grid_line(LEFT_PX, y_of(tick), WIDTH_PX - RIGHT_PX, y_of(tick), "grid") for tick in ticks(low, high)]
    parts += [_text(LEFT_PX - 7, y_of(tick) + 4, f"{tick:.4g}", "end") for tick in ticks(low, high)]
    parts += [_text(x_of(x), HEIGHT_PX - BOTTOM_PX + 17, f"{x:g}", "middle") for x in xs]
    parts.append(_text((LEFT_PX + WIDTH_PX - RIGHT_PX) / 2, HEIGHT_PX - 8, x_path, "middle"))
    parts.append(_grid_line(LEFT_PX, y_of(first), WIDTH_PX - RIGHT_PX, y_of(first), "base"))
    for place, name in enumerate(axis.lines):
        own = sorted((row for row in rows if line_of(row, x_path) == name), key=lambda row: float(row.changes[x_path]))
        shift = (place - (len(axis.lines) - 1) / 2) * 6  # whiskers of one x stand beside each other
        points = [(x_of(float(row.changes[x_path])) + shift, row) for row in own]
        path = " ".join(f"{x:.1f},{y_of(of_row[row.name].value.mean):.1f}" for x, row in points)
        colour, dash = COLOURS[place], DASHES[place]
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}"/>'
        )
        for x, row in points:
            bottom, top = ends[row.name]
            parts.append(_whisker(x, y_of(bottom), x, y_of(top), colour))
            parts.append(_mark(x, y_of(of_row[row.name].value.mean), colour, row is compared_with(rows)))
    return "".join(parts)


def _below_each_other(
    rows: Sequence[Row],
    of_row: Mapping[str, Number],
    ends: Mapping[str, tuple[float, float]],
    first: float,
    low: float,
    high: float,
) -> tuple[str, int]:
    letters = max(min(len(row.name), NAME_LETTERS) for row in rows)
    left = 14 + round(6.1 * letters)
    bottom = TOP_PX + ROW_PX * len(rows)
    x_of = _scale(low, high, left, WIDTH_PX - RIGHT_PX)
    parts = []
    for tick in ticks(low, high, 4):
        parts.append(_grid_line(x_of(tick), TOP_PX, x_of(tick), bottom, "grid"))
        parts.append(_text(x_of(tick), bottom + 16, f"{tick:.4g}", "middle"))
    parts.append(_grid_line(x_of(first), TOP_PX, x_of(first), bottom, "base"))
    for place, row in enumerate(rows):
        y = TOP_PX + ROW_PX * (place + 0.5)
        name = row.name if len(row.name) <= NAME_LETTERS else f"{row.name[: NAME_LETTERS - 1]}…"
        parts.append(_text(left - 8, y + 4, name, "end"))
        start, end = ends[row.name]
        parts.append(_whisker(x_of(start), y, x_of(end), y, COLOURS[0]))
        parts.append(_mark(x_of(of_row[row.name].value.mean), y, COLOURS[0], row is compared_with(rows)))
    return "".join(parts), bottom + 26


def _scale(low: float, high: float, start_px: float, end_px: float) -> Callable[[float], float]:
    return lambda value: round(start_px + (value - low) / (high - low) * (end_px - start_px), 1)


def _grid_line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return f'<line class="{name}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _text(x: float, y: float, text: str, anchor: str, name: str = "") -> str:
    kind = f' class="{name}"' if name else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _whisker(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="2.2"/>'


def _mark(x: float, y: float, colour: str, is_first: bool) -> str:
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="7"/>' if is_first else ""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>{ring}'


def key_of(axis: Axis, place: int) -> str:
    """The sample of a line that stands before its name."""
    return (
        f'<svg class="plot" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true"><line x1="0" y1="5" x2="30" '
        f'y2="5" stroke="{COLOURS[place]}" stroke-width="2" stroke-dasharray="{DASHES[place]}"/><circle cx="15" cy="5" '
        f'r="4" fill="{COLOURS[place]}"/></svg>'
    )


def file_of(titled: Sequence[tuple[str, str, int]], axis: Axis) -> str:
    """All panels as one SVG file with its own background, for slides and papers.

    Args:
        titled: title, content and height of each panel.
        axis: whose lines are named at the foot.
    """
    num_columns = min(4, len(titled))
    cell_height = max(height for _, _, height in titled) + 30
    num_lines = -(-len(titled) // num_columns)
    width, height = num_columns * (WIDTH_PX + 16) + 16, num_lines * cell_height + 34
    parts = [f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    for place, (title, content, _) in enumerate(titled):
        x, y = 16 + place % num_columns * (WIDTH_PX + 16), 8 + place // num_columns * cell_height
        parts.append(
            f'<g transform="translate({x} {y})">{_text(LEFT_PX, 16, title, "start", "title")}'
            f'<g transform="translate(0 22)">{content}</g></g>'
        )
    at_px = 16.0 + LEFT_PX
    for line, name in enumerate(axis.lines if len(axis.lines) > 1 else []):
        parts.append(
            f'<line x1="{at_px}" x2="{at_px + 26}" y1="{height - 16}" y2="{height - 16}" stroke="{COLOURS[line]}" '
            f'stroke-width="2" stroke-dasharray="{DASHES[line]}"/>{_text(at_px + 32, height - 12, name, "start")}'
        )
        at_px += 60 + 6.4 * len(name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{STYLE}{"".join(parts)}</svg>\n'
    )
