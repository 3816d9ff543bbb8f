"""The two lists that a data folder may hold: photos.csv (who wears what) and pairs.txt (who shall wear what).

photos.csv: columns photo ("person/NAME.jpg"), identity, garment (NAME of the garment that is worn or shown) and
optionally split (train, val, test; trainval is dealt between the first two). pairs.txt: lines "person.jpg garment.jpg";
`#` starts a comment.
"""

from __future__ import annotations

import csv
import difflib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tryon.dataset.folder import PHOTO_SUFFIXES, ROLES, Listing, split_name, stem
from tryon.errors import UserError

SPLITS = ("train", "val", "test")
TRAINVAL = "trainval"
"""A split that photos.csv or a layout may name: not test; `pairs` deals it between train and val."""
PAIRS_FILE = "pairs.txt"
PHOTOS_FILE = "photos.csv"
MAX_SUGGESTIONS = 20


@dataclass(frozen=True)
class PhotoFacts:
    """A line of photos.csv: whom a person photo shows, which garment is worn or shown, and the split asked for."""

    identity: str
    garment: str | None
    split: str | None
    line: int


@dataclass(frozen=True)
class GivenPair:
    """A line of pairs.txt, or of a layout's own list: names without role and suffix, as in photo ids."""

    person: str
    garment: str
    line: int
    file: str = PAIRS_FILE
    is_paired: bool = False
    """Its list is meant to hold garments that are worn; only pairs.train_strategy `given` reads it."""


def read_photos_csv(root: Path) -> dict[str, PhotoFacts] | None:
    """Lines of photos.csv by photo id; None where the folder has none.

    Raises:
        UserError: a column is missing, a line is malformed or names a photo twice or an unknown split; all listed.
    """
    path = root / PHOTOS_FILE
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a UTF-8 CSV file ({error}); save it again as UTF-8 CSV") from None
    header = set(lines[0]) if lines else set()
    if not {"photo", "identity", "garment"} <= header:
        shown = ", ".join(sorted(map(str, header))) or "nothing"
        raise UserError(f"{path}: its columns are {shown}; expected photo, identity, garment and optionally split")
    facts: dict[str, PhotoFacts] = {}
    mistakes: list[str] = []
    for number, line in enumerate(lines, start=2):
        try:
            id_, fact = _photo_facts(line, number)
            if id_ in facts:
                raise UserError(f"{id_} stands in line {facts[id_].line} already; keep one line per photo")
            facts[id_] = fact
        except UserError as mistake:
            mistakes.append(f"  line {number}: {mistake}")
    if mistakes:
        raise UserError("\n".join([f"{path}: {len(mistakes)} lines cannot be used", *mistakes]))
    return facts


def _photo_facts(line: dict[str, str | None], number: int) -> tuple[str, PhotoFacts]:
    photo, identity, garment, split = (
        unicodedata.normalize("NFC", (line.get(key) or "").strip()) for key in ("photo", "identity", "garment", "split")
    )
    role, _, name = photo.partition("/")
    if role not in ROLES or not name:
        raise UserError(f"photo is {photo!r}, expected person/NAME.jpg or garment/NAME.jpg")
    if split and split not in (*SPLITS, TRAINVAL):
        raise UserError(f"split is {split!r}, expected one of {', '.join((*SPLITS, TRAINVAL))} or nothing")
    id_ = f"{role}/{without_suffix(name)}"
    return id_, PhotoFacts(identity or without_suffix(name), without_suffix(garment) or None, split or None, number)


def read_pairs_txt(root: Path, listing: Listing) -> tuple[list[GivenPair], list[str]]:
    """Pairs of pairs.txt in the order of the file, and its mistakes with line numbers.

    A line is "person.jpg garment.jpg", separated by a tab or by blanks; a name may hold blanks itself, then the
    division is the one at which both names are photos of the folder.

    Args:
        root: the data folder.
        listing: what it holds.
    """
    names = {role: {photo.id.partition("/")[2] for photo in listing.photos if photo.role == role} for role in ROLES}
    # a photo that is present but unusable is quarantined with its own reason later, so it counts as known here
    for id_, _ in listing.problems:
        role, _, name = id_.partition("/")
        if role in names:
            names[role].update((name, stem(name)))
    pairs: list[GivenPair] = []
    mistakes: list[str] = []
    seen: dict[tuple[str, str], int] = {}
    for number, text in _pair_lines(root):
        # among 100 000 names, finding the nearest one takes a second
        divided = _divide(text, names, suggest=len(mistakes) < MAX_SUGGESTIONS)
        if isinstance(divided, str):
            mistakes.append(f"line {number}: {divided}")
        elif divided in seen:
            mistakes.append(
                f"line {number}: the pair {text.strip()!r} stands in line {seen[divided]} already; delete one"
            )
        else:
            seen[divided] = number
            pairs.append(GivenPair(*divided, number))
    return pairs, mistakes


def _pair_lines(root: Path) -> Iterator[tuple[int, str]]:
    try:
        text = (root / PAIRS_FILE).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"{root / PAIRS_FILE}: no such file, but a strategy `given` reads it; write lines "
            "'person.jpg garment.jpg', or choose another pairs.train_strategy / pairs.unpaired_strategy"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{root / PAIRS_FILE}: not UTF-8 text; save it again as UTF-8") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, unicodedata.normalize("NFC", line)


def _divide(text: str, names: dict[str, set[str]], suggest: bool) -> tuple[str, str] | str:
    """The (person, garment) names of a line, or what is wrong with it."""
    parts = [part.strip() for part in text.split("\t") if part.strip()] if "\t" in text else text.split()
    if "\t" not in text and len(parts) > 2:
        words = text.strip().split(" ")
        candidates = [(" ".join(words[:cut]).strip(), " ".join(words[cut:]).strip()) for cut in range(1, len(words))]
        fitting = [
            (without_suffix(person), without_suffix(garment))
            for person, garment in candidates
            if without_suffix(person) in names["person"] and without_suffix(garment) in names["garment"]
        ]
        if len(fitting) == 1:
            return fitting[0]
    if len(parts) != 2:
        return f"expected 'person.jpg garment.jpg', found {text.strip()!r}; separate names that hold blanks by a tab"
    person, garment = (without_suffix(part) for part in parts)
    missing = [
        f"{role}/{name} does not exist{_nearest(name, names[role]) if suggest else ''}"
        for role, name in (("person", person), ("garment", garment))
        if name not in names[role]
    ]
    return f"{' and '.join(missing)}; add the photo or delete the line" if missing else (person, garment)


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def without_suffix(name: str) -> str:
    """A photo's name without the suffix of its format."""
    stem, suffix = split_name(name)
    return stem if suffix.lower() in PHOTO_SUFFIXES else name
