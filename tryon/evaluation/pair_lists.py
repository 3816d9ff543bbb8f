"""Which pairs are sampled and judged, and why a listed pair is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from tryon.errors import UserError
from tryon.packed import PackedPhotos


@dataclass(frozen=True)
class Pair:
    """A person and a garment to put on.

    Attributes:
        pair_id: "PERSON__GARMENT".
        list: such as "test_unpaired" (split and kind).
        person: photo id.
        garment: photo id; a person photo where the garment is taken from another person.
        category: "up", "down" or "dress".
        truth: true picture, relative to the data folder; None where nobody knows it.
        truth_annotation: its ISAT file.
    """

    pair_id: str
    list: str
    person: str
    garment: str
    category: str
    truth: str | None
    truth_annotation: str | None


def listed_pairs(path: Path | str, lists: Sequence[str]) -> list[Pair]:
    """The pairs of some lists of pairs.parquet, by list in the given order, then by pair_id.

    Raises:
        UserError: not a table of pairs, or no pair in any of the lists.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such table of pairs; run the stage `pairs` first") from None
    names = [field.name for field in fields(Pair)]
    missing = {"split", "kind", *names} - {"list", *table.columns}
    if missing:
        raise UserError(
            f"{path}: not a table of pairs, it lacks {', '.join(sorted(missing))}; run the stage `pairs` again"
        )
    table = table.assign(list=table["split"] + "_" + table["kind"]).sort_values("pair_id")
    values = table[names].astype(object).where(table[names].notna(), None)
    pairs = [Pair(*row) for name in lists for row in values[values["list"] == name].itertuples(index=False)]
    if not pairs:
        counts = table["list"].value_counts().sort_index().items()
        found = ", ".join(f"{name} {count}" for name, count in counts)
        raise UserError(
            f"{path}: no pair in {', '.join(lists)} (there are: {found or 'none at all'}); "
            "choose other lists in sample.lists, or give pairs.split a larger share for them"
        )
    return pairs


def reasons_to_drop(pairs: Iterable[Pair], packed: PackedPhotos, tables: Iterable[Path]) -> dict[str, str]:
    """{pair_id: reason} of the pairs with a photo that is not packed; the reason is that of its quarantine."""
    verdicts = pd.concat([pd.read_parquet(table) for table in tables], ignore_index=True)
    bad = verdicts[verdicts["status"] != "ok"]
    photo_reasons = {row.id: f"{row.id}: {row.stage}: {row.reason}" for row in bad.itertuples()}
    reasons: dict[str, str] = {}
    for pair in pairs:
        for photo in (pair.garment, pair.person):
            if photo not in packed:
                reasons[pair.pair_id] = photo_reasons.get(photo, f"{photo}: not among the packed photos")
    return reasons
