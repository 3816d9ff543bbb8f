"""The page that `tryon compare --html` writes: the report's style and script, both languages, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tryon.evaluation import page
from tryon.evaluation.compare_facts import Change
from tryon.evaluation.compare_result import Comparison
from tryon.evaluation.compare_scores import LEFT_FIRST, LEFT_SECOND, Difference
from tryon.evaluation.compare_text import by_system, num_by_chance, system_of, value_of
from tryon.evaluation.metrics import Metric
from tryon.evaluation.report_quality import columns_of, interval_of, list_title, metric_of, signed
from tryon.evaluation.report_text import Text, known, say
from tryon.evaluation.summary import TRYON


@dataclass(frozen=True)
class Cell:
    """One difference as printed; `verdict`, `text` and `interval` are what the report's macro asks for."""

    verdict: str
    text: str
    interval: Text
    means: str
    num: int


@dataclass(frozen=True)
class Table:
    """Differences of one list at one size by one protocol.

    Attributes:
        title: in words.
        is_open: whether it is seen at once: the final pictures by our own protocol.
        columns: metric and region, as the report orders them.
        rows: (system, one cell or None per column).
    """

    title: Text
    is_open: bool
    columns: list[tuple[Metric, Text]]
    rows: list[tuple[Text, list[Cell | None]]]


def page_of(found: Comparison, language: str) -> str:
    """The whole page.

    Args:
        found: the comparison.
        language: in which it opens, "en" or "zh".
    """
    verdicts = [row.verdict for row in found.scores]
    left_out = {LEFT_FIRST: say("compare.left_first"), LEFT_SECOND: say("compare.left_second")}
    values = {
        "runs": found.runs,
        "tally": {"num": len(verdicts), **{name: verdicts.count(name) for name in ("better", "worse", "undecided")}},
        "chance": num_by_chance(found.scores),
        "pairs": [
            (
                say("compare.pairs", {"list": list_title(name), "num": len(about["pairs"])}),
                [
                    say("compare.left_out", {"num": num, "why": left_out.get(why, say("compare.left_other"))})
                    for why, num in about["left_out"].items()
                ],
            )
            for name, about in found.pairs.items()
        ],
        "tables": tables(found),
        "sets": found.sets,
        "settings": found.settings,
        "data": found.data,
        "made": found.made,
        "protocols": [(_change(row), row["refuses"]) for row in found.protocols],
        "not_compared": found.not_compared,
        "value_of": value_of,
    }
    return page.render("compare.html", values, language)


def _change(row: dict[str, Any]) -> Change:
    return Change(f"{row['protocol']}: {row['field']}", row["first"], row["second"])


def tables(found: Comparison) -> list[Table]:
    """Every difference; tables of the final size first."""
    final = found.runs[0]["final_size"]
    made = []
    for (list_name, size, protocol), rows in sorted(by_system(found.scores), key=lambda group: group[0][1] != final):
        columns = ordered({(row.metric, row.region) for row in rows})
        by_place = {(system_of(row), row.metric, row.region): row for row in rows}
        systems = list(dict.fromkeys(system_of(row) for row in rows))
        values = {"list": list_title(list_name), "size": size.replace("x", " × "), "protocol": protocol}
        made.append(
            Table(
                say("compare.at", values),
                size == final and protocol == TRYON,
                [(metric_of(metric), known(f"region.{region}", region)) for metric, region in columns],
                [
                    (
                        known(f"system.{system}", system),
                        [_cell(by_place.get((system, *column))) for column in columns],
                    )
                    for system in systems
                ],
            )
        )
    return made


def ordered(columns: set[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Columns in the report's order; those that its table leaves out follow."""
    first = columns_of(columns)
    return [*first, *sorted(columns - set(first))]


def _cell(row: Difference | None) -> Cell | None:
    if row is None:
        return None
    metric = metric_of(row.metric)
    interval = interval_of({"low": row.low, "high": row.high}, metric)
    means = f"{row.first:.{metric.digits}f} → {row.second:.{metric.digits}f}"
    return Cell(row.verdict, signed(row.mean, metric), interval, means, row.num)
