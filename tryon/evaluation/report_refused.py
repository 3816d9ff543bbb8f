"""Why photos and pairs were refused, at a glance: alike reasons counted together, the commonest first."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NAME = re.compile(r"[^\s,;:()\"'“”]*(?:/|__)[^\s,;:()\"'“”]*|[^\s,;:()\"'“”]+\.[A-Za-z]{3,4}\b")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
NUM_EXAMPLES = 6


@dataclass(frozen=True)
class Reason:
    """One kind of refusal.

    Attributes:
        stage: which stage refuses.
        kind: its reason without names and numbers, which differ from photo to photo.
        num: how many were refused so.
        share: of all that was refused, in (0, 1].
        examples: the first ids.
    """

    stage: str
    kind: str
    num: int
    share: float
    examples: list[str]


def reasons(refused: Iterable[Mapping[str, str]]) -> list[Reason]:
    """Group refusals.

    Args:
        refused: rows of id, stage, reason.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in refused:
        groups[row["stage"], kind_of(row["reason"])].append(row["id"])
    num = sum(map(len, groups.values()))
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [Reason(stage, kind, len(ids), len(ids) / num, sorted(ids)[:NUM_EXAMPLES]) for (stage, kind), ids in ordered]


def kind_of(reason: str) -> str:
    """A reason without what names one photo: file names become ``…``, numbers ``#``."""
    return NUMBER.sub("#", NAME.sub("…", reason)).removeprefix("…:").strip()
