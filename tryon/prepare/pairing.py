"""The pairing strategies of the stage `pairs`.

Letters: a *source* of a person photo is a picture from which the garment it wears can be taken: a shop photo of
that garment, another person photo that wears it, or the photo itself (its own cut-out).
"""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tryon.config import PairsConfig
from tryon.dataset.lists import GivenPair
from tryon.dataset.manifest import Photo
from tryon.errors import UserError
from tryon.ontology import CATEGORIES
from tryon.prepare.splits import Groups, Node, Splits, deal_unworn, seeded

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

NUM_DRAWN = 16  # sources among which `random` draws evenly; of more, those nearest on a ring

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
        together: garments (and identities) that must not be parted by a split.
    """

    def __init__(
        self,
        photos: list[Photo],
        cfg: PairsConfig,
        given: list[GivenPair],
        together: Sequence[tuple[Node, Node]] = (),
    ) -> None:
        self._cfg = cfg
        self._given = given
        self._together = together
        self._photos: dict[str, Photo] = {photo.id: photo for photo in photos}
        self._persons = [photo for photo in self._photos.values() if photo.role == "person"]
        self._shop: dict[str | None, list[Photo]] = defaultdict(list)
        self._wearers: dict[str | None, list[Photo]] = defaultdict(list)
        for photo in sorted(self._photos.values(), key=lambda photo: photo.id):
            if photo.garment is not None:
                (self._shop if photo.role == "garment" else self._wearers)[photo.garment].append(photo)
        self._rings: dict[str, Rack] = {}
        self._refusals: list[Refusal] = []

    def place_unworn(self, splits: Splits) -> Splits:
        """Decide the split of garments that nobody wears.

        Given pairs pull a garment to the split of their person; where they disagree, test wins over val over
        train, because garments serve the judged lists first. Otherwise they are dealt among val and test.
        """
        if self._cfg.unpaired_strategy != "given":
            return deal_unworn(sorted(map(str, self._shop)), splits, self._cfg.split, self._cfg.seed, self._together)
        groups = Groups()
        for one, other in self._together:
            groups.join(one, other)
        pulls: dict[Node, set[str]] = defaultdict(set)
        unworn = set()
        for pair in self._given:
            person, garment = self._given_photos(pair)
            if person and garment and garment.garment and garment.garment not in splits.garments:
                unworn.add(garment.garment)
                pulls[groups.find(("garment", garment.garment))].add(splits.identities[person.identity])
        placed = {}
        for name in sorted(unworn):
            pulled = pulls[groups.find(("garment", name))]
            placed[name] = next(split for split in ("test", "val", "train") if split in pulled)
        return Splits(splits.identities, {**splits.garments, **placed})

    def make(self, splits: Splits) -> tuple[list[Pair], list[Refusal]]:
        """All pairs, and what was refused.

        Raises:
            UserError: there would be more pairs than `pairs.max_pairs`.
        """
        self._refusals = []
        self._check_number(splits)
        pairs: dict[str, Pair] = {}
        doubled: list[Pair] = []
        for pair in [*self._paired(splits), *self._unpaired(splits)]:
            known = pairs.setdefault(str(pair["pair_id"]), pair)
            if known != pair:
                doubled.append(pair)  # the stage names both in one message
        self._check_given(set(pairs))
        return [*pairs.values(), *doubled], self._refusals

    def _check_number(self, splits: Splits) -> None:
        """Count what the strategies `all` and `same_garment` would make before a list of it fills the memory."""
        num = num_paired = 0
        if self._cfg.train_strategy in ("all", "same_garment"):
            worn: dict[str | None, int] = defaultdict(int)
            for person in self._persons:
                if splits.identities[person.identity] == "train":
                    worn[person.garment] += 1
            others = 0 if self._cfg.train_strategy == "all" else -1  # with `all`, a photo is a source of itself too
            num_paired = sum(
                count * (len(self._shop.get(garment, [])) + count + others)
                for garment, count in worn.items()
                if garment is not None
            )
        if self._cfg.unpaired_strategy == "all":
            racks = _racks([photos[0] for photos in self._shop.values()], splits, self._cfg.seed)
            for person in self._persons:
                split = splits.identities[person.identity]
                if split != "train":
                    num += sum(len(racks.get((split, category), [])) for category in _categories(person))
        if num + num_paired > self._cfg.max_pairs:
            setting, instead = (
                ("train_strategy", "random (one picture of the garment per photo)")
                if num_paired > num
                else ("unpaired_strategy", "random with pairs.unpaired_per_person")
            )
            raise UserError(
                f"pairs.{setting}: {getattr(self._cfg, setting)} would make about {max(num, num_paired):,} pairs of "
                f"{len(self._photos):,} photos, more than pairs.max_pairs {self._cfg.max_pairs:,}; choose {instead}, "
                "or raise pairs.max_pairs (a million pairs take about 2 GB of memory)"
            )

    # ---- paired: the garment that is worn

    def _paired(self, splits: Splits) -> Iterator[Pair]:
        given = {(f"person/{pair.person}", f"garment/{pair.garment}") for pair in self._given}
        for person in sorted(self._persons, key=lambda photo: photo.id):
            split = splits.identities[person.identity]
            has_source = False
            for source in self._sources(person, given, split):
                has_source = True
                pairs = list(self._of_source(person, source, split))
                yield from pairs
                # one picture of each garment is judged, the shop photo where there is one
                if pairs and (split != "train" or self._cfg.train_strategy == "random"):
                    break
            if not has_source:
                self._refuse_unpairable(person)

    def _sources(self, person: Photo, given: set[tuple[str, str]], split: str) -> Iterator[Photo]:
        """Pictures to take the worn garment from: shop photos, then other wearers, then the photo itself.

        None is looked at before it is asked for: a garment that thousands wear must not cost thousands of each.
        """
        strategy = self._cfg.train_strategy
        if strategy == "self":
            yield person
        elif strategy == "random" and split == "train":
            yield from self._drawn_sources(person)
        elif strategy == "given":
            yield from (photo for photo in self._shop.get(person.garment, []) if (person.id, photo.id) in given)
        else:
            yield from self._shop.get(person.garment, [])
            yield from (photo for photo in self._wearers.get(person.garment, []) if photo.id != person.id)
            if strategy != "same_garment":
                yield person

    def _drawn_sources(self, person: Photo) -> Iterator[Photo]:
        """All sources in random order (exactly so for up to `NUM_DRAWN` of them), each drawn when asked for."""
        if person.garment is None:
            yield person
            return
        seed = self._cfg.seed
        if person.garment not in self._rings:
            photos = [*self._shop.get(person.garment, []), *self._wearers[person.garment]]
            self._rings[person.garment] = sorted((seeded(seed, "ring", photo.id), photo.id, photo) for photo in photos)
        ring = self._rings[person.garment]
        start = bisect.bisect_left(ring, (seeded(seed, "place", person.id),))
        nearest = [ring[(start + step) % len(ring)][2] for step in range(min(NUM_DRAWN, len(ring)))]
        yield from sorted(nearest, key=lambda photo: seeded(seed, "source", person.id, photo.id))
        for step in range(NUM_DRAWN, len(ring)):
            yield ring[(start + step) % len(ring)][2]

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
                    f"{pair.file} line {pair.line} crosses splits: {person.id} is in {split}, {garment.id} in {other}; "
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
                if worn and pair.is_paired:
                    continue  # not asked for
                reason = (
                    f"{pair.person} wears {pair.garment} in its photo, so this is no unpaired row; delete it, give the "
                    "person another garment, or set pairs.train_strategy: given to learn from it"
                    if worn
                    else "a garment that is not worn, but pairs.unpaired_strategy does not read it from pairs.txt"
                )
            self._refusals.append(Refusal(pair_id, f"{pair.file} line {pair.line}: {reason}"))


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
