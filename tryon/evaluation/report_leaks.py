"""The leakage audit as the report shows it: both pictures of each row side by side, the certain ones first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tryon import images
from tryon.errors import BadItem, UserError
from tryon.evaluation import drawings
from tryon.evaluation.drawings import Figure, figure
from tryon.evaluation.report_text import Text, known, same, say

NUM_SHOWN = 24
PHOTO_HEIGHT_PX = 160


@dataclass(frozen=True)
class Leak:
    """One row of pairs/leaks.csv with its two pictures."""

    name: str
    problem: Text
    match: Text
    num_others: int
    figures: list[tuple[Text, Figure]]


@dataclass(frozen=True)
class Leaks:
    """The audit: how many photos of one split another split shows too, and the first of them."""

    num_across: int
    num_two_names: int
    shown: list[Leak]


def gather(root: Path, manifest: pd.DataFrame, data: Path) -> Leaks:
    """Read the audit of a results folder.

    Args:
        root: the results folder.
        manifest: its photos.
        data: the data folder.

    Raises:
        UserError: the stage `pairs` has written no audit.
    """
    path = root / "pairs" / "leaks.csv"
    if not path.is_file():
        raise UserError(f"{path}: no such table; run the stage `pairs` first, or correct --results")
    table = pd.read_csv(path, keep_default_na=False, dtype={"photo": str, "other": str})
    across = table["problem"] == "across splits"
    files = dict(zip(manifest["id"], manifest["file"], strict=True))
    rows = pd.concat([table[across], table[~across]]).head(NUM_SHOWN).itertuples()
    shown = [
        Leak(
            name=f"{row.photo} · {row.other}",
            problem=known(f"leaks.{row.problem}", row.problem),
            match=say(f"leaks.{row.match}", {"bits": row.distance}),
            num_others=row.num_others,
            figures=[
                (same(f"{photo} ({split})"), _figure(data / files[photo], photo))
                for photo, split in ((row.photo, row.split), (row.other, row.other_split))
            ],
        )
        for row in rows
    ]
    return Leaks(int(across.sum()), int((~across).sum()), shown)


def _figure(file: Path, alt: str) -> Figure:
    try:
        return figure(images.read_rgb(file), same(alt), PHOTO_HEIGHT_PX)
    except (BadItem, OSError):  # taken away since the stage `pairs` saw it
        shape = drawings.placeholder(PHOTO_HEIGHT_PX, PHOTO_HEIGHT_PX * 3 // 4)
        return figure(shape, say("picture.gone", {"photo": alt}))
