"""The pairing strategies of the stage `pairs`.

Letters: a *source* of a person photo is a picture from which the garment it wears can be taken: a shop photo of
that garment, another person photo that wears it, or the photo itself (its own cut-out).
"""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tryon.config import PairsConfig
from tryon.dataset.lists import GivenPair
from tryon.dataset.manifest import Photo
from tryon.ontology import CATEGORIES
from tryon.prepare.splits import Splits, deal_unworn, seeded

PAIR_COLUMNS = (
    "pair_id",  # "PERSON__GARMENT"; garment from another person photo "PERSON__@OTHER", own cut-out "P__@P.up"
    "person",  # photo id
    "garment",  # photo id; a person photo stands for its cut-out
    "category",  # up | down | dress: what is put on
    "split",
    "kind",  # paired: the person wears this garment in the photo | unpaired
    "truth",  # picture relative to the data folder, or null
    "truth_annotation",
    "truth_sha256",  # of picture and annotation: evaluation depends on their content
)

Pair = dict[str, str | None]
Rack = list[tuple[str, str, Photo]]  # place, photo id, shop photo


@dataclass(frozen=True)
class Refusal:
    """What did not become a pair, and why."""

    id: str
    reason: str


class PairMaker:
    """Applies the strategies to one manifest.

    Args:
        photos: the manifest.
        cfg: settings of the stage.
        given: pairs.txt, empty where no strategy reads it.
    """

    def __init__(self, photos: list[Photo], cfg: PairsConfig, given: list[GivenPair]) -> None:
        self._cfg = cfg
        self._given = given
        self._photos: dict[str, Photo] = {photo.id: photo for photo in photos}
        self._persons = [photo for photo in self._photos.values() if photo.role == "person"]
        self._shop: dict[str | None, list[Photo]] = defaultdict(list)
        self._wearers: dict[str | None, list[Photo]] = defaultdict(list)
        for photo in sorted(self._photos.values(), key=lambda photo: photo.id):
            if photo.garment is not None:
                (self._shop if photo.role == "garment" else self._wearers)[photo.garment].append(photo)
        self._refusals: list[Refusal] = []

    def place_unworn(self, splits: Splits) -> Splits:
        """Decide the split of garments that nobody wears.

        Given pairs pull a garment to the split of their person; where they disagree, test wins over val over
        train, because garments serve the judged lists first. Otherwise they are dealt among val and test.
        """
        if self._cfg.unpaired_strategy != "given":
            return deal_unworn(sorted(map(str, self._shop)), splits, self._cfg.split, self._cfg.seed)
        pulls: dict[str, set[str]] = defaultdict(set)
        for pair in self._given:
            person, garment = self._given_photos(pair)
            if person and garment and garment.garment and garment.garment not in splits.garments:
                pulls[garment.garment].add(splits.identities[person.identity])
        placed = {
            garment: next(split for split in ("test", "val", "train") if split in pulled)
            for garment, pulled in pulls.items()
        }
        return Splits(splits.identities, {**splits.garments, **placed})

    def make(self, splits: Splits) -> tuple[list[Pair], list[Refusal]]:
        """All pairs, and what was refused."""
        self._refusals = []
        pairs: dict[str, Pair] = {}
        doubled: list[Pair] = []
        for pair in [*self._paired(splits), *self._unpaired(splits)]:
            known = pairs.setdefault(str(pair["pair_id"]), pair)
            if known != pair:
                doubled.append(pair)  # the stage names both in one message
        self._check_given(set(pairs))
        return [*pairs.values(), *doubled], self._refusals

    # ---- paired: the garment that is worn

    def _paired(self, splits: Splits) -> Iterator[Pair]:
        given = {(f"person/{pair.person}", f"garment/{pair.garment}") for pair in self._given}
        for person in sorted(self._persons, key=lambda photo: photo.id):
            split = splits.identities[person.identity]
            sources = self._sources(person, given)
            if not sources:
                self._refuse_unpairable(person)
                continue
            made = [list(self._of_source(person, source, split)) for source in sources]
            made = [pairs for pairs in made if pairs]
            if split == "train" and self._cfg.train_strategy == "random" and made:
                made = [min(made, key=lambda pairs: seeded(self._cfg.seed, "source", pairs[0]["pair_id"]))]
            elif split != "train":
                made = made[:1]  # one picture of each garment is judged, the shop photo where there is one
            for pairs in made:
                yield from pairs

    def _sources(self, person: Photo, given: set[tuple[str, str]]) -> list[Photo]:
        """Pictures to take the worn garment from: shop photos, then other wearers, then the photo itself."""
        strategy = self._cfg.train_strategy
        shop = self._shop.get(person.garment, [])
        others = [photo for photo in self._wearers.get(person.garment, []) if photo.id != person.id]
        if strategy == "self":
            return [person]
        if strategy == "given":
            return [photo for photo in shop if (person.id, photo.id) in given]
        if strategy == "same_garment":
            return [*shop, *others]
        return [*shop, *others, person]  # all, random

    def _of_source(self, person: Photo, source: Photo, split: str) -> Iterator[Pair]:
        categories = self._worn_categories(person, source)
        pair_id = _pair_id(person, source)
        if not categories:
            self._refusals.append(Refusal(pair_id, self._no_category(person, source)))
        for category in categories:
            always = source.id == person.id  # so that a label added later renames nothing
            suffix = f".{category}" if always or len(categories) > 1 else ""
            yield _pair(f"{pair_id}{suffix}", person, source, category, split, "paired")

    def _worn_categories(self, person: Photo, source: Photo) -> list[str]:
        """Categories of the garment in a source that the person photo shows too."""
        own = _categories(person)
        if source.id == person.id:
            return own
        if source.role == "garment":
            return [category for category in _categories(source) if category in own]
        shop = {category for photo in self._shop.get(source.garment, []) for category in _categories(photo)}
        common = [category for category in own if category in _categories(source) and (category in shop or not shop)]
        return common if len(common) == 1 or shop else []  # two worn categories: which one is the same garment?

    def _no_category(self, person: Photo, source: Photo) -> str:
        shown, wanted = ", ".join(_categories(person)) or "no garment", ", ".join(_categories(source)) or "no garment"
        return (
            f"{person.id} is annotated with {shown}, {source.id} with {wanted}, so the garment they share is unclear; "
            "annotate it in both with one label, or add a shop photo of it"
        )

    def _refuse_unpairable(self, person: Photo) -> None:
        if self._cfg.train_strategy == "given":
            reason = "pairs.txt gives no shop photo of the garment it wears; add a line, or choose another strategy"
        elif person.garment is None:
            reason = "photos.csv names no garment it wears; name it, or set pairs.train_strategy: self"
        else:
            reason = (
                f"no other photo of the garment {person.garment!r} it wears; add garment/{person.garment}.jpg, or set "
                "pairs.train_strategy: self"
            )
        self._refusals.append(Refusal(person.id, reason))

    # ---- unpaired: another garment

    def _unpaired(self, splits: Splits) -> Iterator[Pair]:
        if self._cfg.unpaired_strategy == "given":
            yield from self._unpaired_given(splits)
            return
        racks = _racks([photos[0] for photos in self._shop.values()], splits, self._cfg.seed)
        for person in sorted(self._persons, key=lambda photo: photo.id):
            split = splits.identities[person.identity]
            if split == "train":
                continue  # nothing is learned from, or judged on, an unpaired training pair
            found = self._fitting(person, [racks.get((split, category), []) for category in _categories(person)])
            if not found:
                shown = ", ".join(_categories(person)) or "no garment"
                self._refusals.append(
                    Refusal(person.id, f"no other garment in split {split} for one who wears {shown}; add shop photos")
                )
            for garment in found:
                categories = [category for category in _categories(garment) if category in _categories(person)]
                yield from _of_categories(person, garment, categories, split)

    def _fitting(self, person: Photo, racks: list[Rack]) -> list[Photo]:
        """Garments for a person from racks of its categories: all that it does not wear, or some of them at random.

        To draw, each rack is walked from the person's own place on (consistent hashing): the cost does not grow
        with the rack, and a new garment changes few draws.
        """
        wanted = self._cfg.unpaired_per_person if self._cfg.unpaired_strategy == "random" else None
        place = seeded(self._cfg.seed, "place", person.id)
        found: dict[str, tuple[str, Photo]] = {}
        for rack in racks:
            start = bisect.bisect_left(rack, (place,))
            others = (rack[(start + step) % len(rack)] for step in range(len(rack)))
            others = (item for item in others if item[2].garment != person.garment)
            for key, id_, garment in itertools.islice(others, wanted):
                found[id_] = (seeded(self._cfg.seed, "draw", person.id, key), garment)
        return [garment for _, garment in sorted(found.values())][:wanted]

    def _unpaired_given(self, splits: Splits) -> Iterator[Pair]:
        for pair in self._given:
            person, garment = self._given_photos(pair)
            if person is None or garment is None or garment.garment == person.garment:
                continue  # reported by _check_given, which sees every line
            split, other = splits.identities[person.identity], splits.garments[str(garment.garment)]
            if split != other:
                reason = (
                    f"pairs.txt line {pair.line} crosses splits: {person.id} is in {split}, {garment.id} in {other}; "
                    "give both one split in photos.csv, or delete the line"
                )
                self._refusals.append(Refusal(f"{pair.person}__{pair.garment}", reason))
                continue
            yield from _of_categories(person, garment, _categories(garment), split)

    def _given_photos(self, pair: GivenPair) -> tuple[Photo | None, Photo | None]:
        return self._photos.get(f"person/{pair.person}"), self._photos.get(f"garment/{pair.garment}")

    def _check_given(self, made: set[str]) -> None:
        """Every line of pairs.txt is a pair or a refusal."""
        refused = {refusal.id for refusal in self._refusals}
        for pair in self._given:
            pair_id = f"{pair.person}__{pair.garment}"
            if pair_id in made or pair_id in refused or any(f"{pair_id}.{name}" in made for name in CATEGORIES):
                continue
            unusable = [
                f"{role}/{name}"
                for role, name in (("person", pair.person), ("garment", pair.garment))
                if f"{role}/{name}" not in self._photos
            ]
            if unusable:
                reason = f"{' and '.join(unusable)} was quarantined by the stage dataset; mend the photo"
            else:
                worn = self._photos[f"garment/{pair.garment}"].garment == self._photos[f"person/{pair.person}"].garment
                setting = "train_strategy" if worn else "unpaired_strategy"
                reason = f"a {'worn' if worn else 'new'} garment, but pairs.{setting} does not read it from pairs.txt"
            self._refusals.append(Refusal(pair_id, f"pairs.txt line {pair.line}: {reason}"))


def _racks(garments: list[Photo], splits: Splits, seed: int) -> dict[tuple[str, str], Rack]:
    """Garments by split and category, each rack in seeded order."""
    racks: dict[tuple[str, str], Rack] = defaultdict(list)
    for garment in garments:
        split = splits.garments.get(str(garment.garment))
        if split is not None:
            for category in _categories(garment):
                racks[split, category].append((seeded(seed, "rack", garment.id), garment.id, garment))
    return {key: sorted(rack) for key, rack in racks.items()}


def _categories(photo: Photo) -> list[str]:
    return [name for name in photo.categories.split(",") if name]


def _pair_id(person: Photo, source: Photo) -> str:
    mark = "@" if source.role == "person" else ""
    return f"{_name(person)}__{mark}{_name(source)}"


def _name(photo: Photo) -> str:
    return str(photo.id.partition("/")[2])


def _of_categories(person: Photo, garment: Photo, categories: list[str], split: str) -> Iterator[Pair]:
    for category in categories:
        suffix = f".{category}" if len(categories) > 1 else ""
        yield _pair(f"{_pair_id(person, garment)}{suffix}", person, garment, category, split, "unpaired")


def _pair(pair_id: str, person: Photo, garment: Photo, category: str, split: str, kind: str) -> Pair:
    return {
        "pair_id": pair_id,
        "person": person.id,
        "garment": garment.id,
        "category": category,
        "split": split,
        "kind": kind,
    }
