"""Checks of a given list of pairs, also of a bare one that lies in no data folder.

A list that asks for *unpaired* try-ons must not hold the garment that the person wears: such a row is judged against
the person's own photo and makes the numbers better than they are. VITON's test_pairs.txt has four.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from tryon.dataset.lists import GivenPair, without_suffix
from tryon.errors import UserError


class Mistake(NamedTuple):
    """What is wrong with a line of a list."""

    line: int
    kind: Literal["unknown", "doubled", "paired"]
    reason: str


def worn_by_name(person: str) -> str:
    """The garment that a photo's name says it shows: NAME_0 wears NAME_1 (VITON), else the garment has its name."""
    return f"{person[:-2]}_1" if person.endswith("_0") else person


def read_bare_list(path: Path) -> list[GivenPair]:
    """Lines "person.jpg garment.jpg", separated by a tab or blanks; further columns are ignored.

    Raises:
        UserError: the file cannot be read, or a line holds no two names.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable list of pairs ({error})") from None
    pairs = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        names = [name.strip() for name in (line.split("\t") if "\t" in line else line.split()) if name.strip()]
        if len(names) < 2:
            raise UserError(f"{path}: line {number} is {line.strip()!r}, expected 'person.jpg garment.jpg'")
        pairs.append(GivenPair(without_suffix(names[0]), without_suffix(names[1]), number))
    return pairs


def check_pairs(
    pairs: Iterable[GivenPair],
    *,
    unpaired: bool,
    persons: Collection[str] | None = None,
    garments: Collection[str] | None = None,
    worn: Callable[[str], str | None] = worn_by_name,
) -> list[Mistake]:
    """What is wrong with a list.

    Args:
        pairs: its lines.
        unpaired: whether every person shall try on a garment that it does not wear.
        persons: names of the person photos that exist; None where nobody knows.
        garments: likewise of the garment photos.
        worn: the garment that a person wears, or None where that is unknown.

    Returns:
        Mistakes in the order of lines: names that do not exist, pairs that stand twice, paired rows of an unpaired
        list.
    """
    mistakes: list[Mistake] = []
    first: dict[tuple[str, str], int] = {}
    for pair in pairs:
        known = (("person", pair.person, persons), ("garment", pair.garment, garments))
        missing = [f"{role}/{name}" for role, name, names in known if names is not None and name not in names]
        if missing:
            mistakes.append(Mistake(pair.line, "unknown", f"{' and '.join(missing)} does not exist"))
        line = first.setdefault((pair.person, pair.garment), pair.line)
        if line != pair.line:
            reason = f"{pair.person} {pair.garment} stands in line {line} already; delete one"
            mistakes.append(Mistake(pair.line, "doubled", reason))
        if unpaired and worn(pair.person) == pair.garment:
            mistakes.append(
                Mistake(
                    pair.line,
                    "paired",
                    f"{pair.person} wears {pair.garment} in its photo, so this is no unpaired row; delete it, or give "
                    "the person another garment",
                )
            )
    return mistakes
