"""The same pictures under several published protocols: one table each, beside everything that decides its numbers.

evaluate/summary.json may hold them under "protocols": name, title, source, "scores" (rows of list, system, stage,
metric, better, value, low, high, spread, reason), and settings of any form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tryon.evaluation.report_quality import list_title, name_of
from tryon.evaluation.report_tables import FreeTable, free_tables
from tryon.evaluation.report_text import Text, glued, known, same, translated

NUMBERS = ("name", "title", "source", "scores")


@dataclass(frozen=True)
class ProtocolPart:
    """One protocol as the page shows it.

    Attributes:
        name, title, source: of the protocol.
        tables: one per list of pairs.
        reasons: why numbers are missing.
        settings: (name, value) of all that decides its numbers.
    """

    name: str
    title: Text
    source: str
    tables: list[FreeTable]
    reasons: list[Text]
    settings: list[tuple[Text, Text]]


def protocol_parts(summary: Mapping[str, Any]) -> list[ProtocolPart]:
    """Every protocol of the summary, in its order."""
    return [_part(protocol) for protocol in summary.get("protocols", [])]


def _part(protocol: Mapping[str, Any]) -> ProtocolPart:
    scores = protocol["scores"]
    settings = [(name, value) for name, value in protocol.items() if name not in NUMBERS]
    return ProtocolPart(
        protocol["name"],
        translated(protocol["title"]),
        protocol["source"],
        [_table(protocol["name"], name, scores) for name in dict.fromkeys(row["list"] for row in scores)],
        [translated(reason) for reason in dict.fromkeys(row["reason"] for row in scores if row["reason"])],
        [
            (known(f"protocol.{name}", name.replace("_", " ")), same(json.dumps(value, ensure_ascii=False)))
            for name, value in settings
        ],
    )


def _table(protocol: str, list_name: str, scores: list[dict[str, Any]]) -> FreeTable:
    rows = [row for row in scores if row["list"] == list_name and row["value"] is not None]
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    better = {row["metric"]: row["better"] for row in rows}
    found = {(row["system"], row["stage"], row["metric"]): row for row in rows}
    lines = list(dict.fromkeys((row["system"], row["stage"]) for row in rows))
    is_paired = list_name.endswith("_paired")
    table = {
        "name": f"{protocol}-{list_name}",
        "title": _pair(list_title(list_name)),
        "columns": [{"title": ""}, *({"title": name.upper(), "better": better[name]} for name in metrics)],
        "rows": [
            [_pair(_line(system, stage)), *(_cell(found.get((system, stage, name))) for name in metrics)]
            for system, stage in lines
            if not (is_paired and system == "keep")  # the truth of such a pair: perfect by definition
        ],
    }
    return free_tables({"tables": [table]})[0]


def _line(system: str, stage: str) -> Text:
    name = name_of(system)
    return name if stage in ("", system) else glued([name, same(stage)], " · ", " · ")


def _pair(text: Text) -> dict[str, str]:
    return {"en": text.plain("en"), "zh": text.plain("zh")}


def _cell(row: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    """A number with its interval, or with its spread to both sides."""
    if row is None:
        return None
    low, high = row["low"], row["high"]
    if low is None and row["spread"] is not None:
        low, high = row["value"] - row["spread"], row["value"] + row["spread"]
    return {"mean": row["value"], "low": low, "high": high}
