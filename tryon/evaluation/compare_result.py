"""Everything that `tryon compare` says of two runs, before it is printed, drawn or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tryon.evaluation import compare_facts as facts
from tryon.evaluation.compare_scores import Difference


@dataclass(frozen=True)
class Comparison:
    """Everything that is said of two runs, as plain values.

    Attributes:
        runs: folder and, of its scores, commit and time of each run.
        settings, data, made: what differs besides scores.
        pairs: {list: compared pairs, and how many are left out by reason}.
        protocols: fields in which the runs score differently.
        scores: differences, second minus first.
        sets: distances between sets of pictures, side by side.
        not_compared: what is left out, and why.
    """

    runs: tuple[dict[str, str], dict[str, str]]
    settings: facts.Settings
    data: facts.Data
    made: facts.Made
    pairs: dict[str, dict[str, Any]]
    protocols: list[dict[str, Any]]
    scores: list[Difference]
    sets: list[dict[str, Any]]
    not_compared: list[dict[str, Any]]
