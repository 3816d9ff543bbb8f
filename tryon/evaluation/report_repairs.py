"""What the report says about photos that are used although something about them was unusual.

Repairs were made without a guess by the stage `dataset` (dataset/repairs.csv) and by later stages (the column
`repairs` of their tables); a photo is doubtful where a stage says so (the column `doubtful`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tryon.errors import UserError
from tryon.evaluation.report_facts import Results

STAGES = ("masks", "keypoints", "cutouts")
NUM_SHOWN = 20


@dataclass(frozen=True)
class Mended:
    """One kind of repair.

    Attributes:
        kind: the words before the colon, such as "EXIF rotation".
        stage: which stage made it.
        num_photos: photos that needed it.
        examples: (id, detail) of the first photos.
    """

    kind: str
    stage: str
    num_photos: int
    examples: tuple[tuple[str, str], ...]


def mended(results: Results) -> list[Mended]:
    """Every kind of repair, the commonest first.

    Raises:
        UserError: a table is missing.
    """
    rows = pd.DataFrame(list(_rows(results)), columns=["id", "stage", "kind", "detail"])
    found = []
    for (kind, stage), group in rows.sort_values(["id", "detail"]).groupby(["kind", "stage"]):
        first = group.head(NUM_SHOWN)
        examples = tuple(zip(first["id"], first["detail"], strict=True))
        found.append(Mended(str(kind), str(stage), int(group["id"].nunique()), examples))
    return sorted(found, key=lambda repair: (-repair.num_photos, repair.kind, repair.stage))


def _rows(results: Results) -> Iterator[tuple[str, str, str, str]]:
    path = results.root / "dataset" / "repairs.csv"
    if not path.is_file():
        raise UserError(f"{path}: no such table; run the stage `dataset` first, or correct --results")
    for row in pd.read_csv(path, dtype=str, keep_default_na=False).itertuples():
        yield row.id, row.stage, *_divided(row.repair)
    for stage in STAGES:
        table = results.table(stage)
        for row in table[table["status"] == "ok"].reindex(columns=["id", "repairs"]).dropna().itertuples():
            for repair in filter(None, row.repairs.split("\n")):
                yield row.id, stage, *_divided(repair)


def _divided(repair: str) -> tuple[str, str]:
    kind, _, detail = repair.partition(": ")
    return kind, detail


def doubtful(results: Results) -> list[dict[str, Any]]:
    """Photos whose keypoints are used but score low: id, number of visible points and their mean score, worst first.

    Raises:
        UserError: a table is missing.
    """
    table = results.table("keypoints").reindex(columns=["id", "status", "doubtful", "num_visible", "mean_score"])
    chosen = table[(table["status"] == "ok") & table["doubtful"].eq(True)].sort_values(["mean_score", "id"])
    return [
        {"id": row.id, "num_visible": int(row.num_visible), "mean_score": float(row.mean_score)}
        for row in chosen.itertuples()
    ]
