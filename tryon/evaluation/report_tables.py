"""Tables that others compute and the page prints as they are: ablations, leaderboards, protocols side by side.

evaluate/summary.json may hold them under "tables", each as::

    {"name": "guidance",                       # anchor in the page
     "title": {"en": "…", "zh": "…"},          # or one text for both
     "note": …, "command": "…",                # optional: what to know, and the command that made it
     "columns": [{"title": …, "better": "higher" | "lower" | null, "note": …}, …],  # the first names the line
     "rows": [["w = 2", {"mean": 20.1, "low": 19.0, "high": 21.2}, 0.795, null], …]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import escape

from tryon.evaluation.report_text import Text, same, translated

ARROWS = {"higher": "↑", "lower": "↓", None: ""}


@dataclass(frozen=True)
class FreeCell:
    """One cell: a text, or a number with its interval."""

    text: Text
    interval: str
    is_best: bool


@dataclass(frozen=True)
class FreeTable:
    """A table as the page prints it; columns are (title, arrow, note)."""

    name: str
    title: Text
    note: Text | None
    command: str
    columns: list[tuple[Text, str, Text | None]]
    rows: list[list[FreeCell | None]]


def free_tables(summary: Mapping[str, Any]) -> list[FreeTable]:
    """Every table of the summary.

    Raises:
        KeyError: a table lacks its name, title, columns or rows.
    """
    return [_table(table) for table in summary.get("tables", [])]


def _table(table: Mapping[str, Any]) -> FreeTable:
    columns, rows = table["columns"], table["rows"]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"table {table['name']!r}: a row of {len(row)} cells under {len(columns)} columns: {row}")
    best = [_best([row[place] for row in rows], column.get("better")) for place, column in enumerate(columns)]
    return FreeTable(
        table["name"],
        _text(table["title"]),
        _text(table["note"]) if table.get("note") else None,
        table.get("command", ""),
        [
            (
                _text(column["title"]),
                ARROWS[column.get("better")],
                _text(column["note"]) if column.get("note") else None,
            )
            for column in columns
        ],
        [[_cell(cell, best[place]) for place, cell in enumerate(row)] for row in rows],
    )


def _text(value: str | Mapping[str, str]) -> Text:
    return translated(value) if isinstance(value, str) else Text(escape(value["en"]), escape(value["zh"]))


def _number(cell: Any) -> float | None:  # noqa: ANN401 (a JSON value)
    if isinstance(cell, dict) and "mean" in cell:
        return float(cell["mean"])
    return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else None


def _best(cells: Sequence[Any], better: str | None) -> float | None:
    numbers = [number for cell in cells if (number := _number(cell)) is not None]
    if better is None or len(set(numbers)) < 2:
        return None
    return max(numbers) if better == "higher" else min(numbers)


def _cell(cell: Any, best: float | None) -> FreeCell | None:  # noqa: ANN401 (a JSON value)
    if cell is None:
        return None
    number = _number(cell)
    if number is None:
        return FreeCell(_text(cell), "", is_best=False)
    has_interval = isinstance(cell, dict) and cell.get("low") is not None
    interval = f"{_shown(cell['low'])} – {_shown(cell['high'])}" if has_interval else ""
    return FreeCell(same(_shown(number)), interval, is_best=number == best)


def _shown(number: float) -> str:
    """Four digits that count; whole numbers as they are."""
    return f"{number:.0f}" if number == int(number) and abs(number) < 1e6 else f"{number:.4g}"
