"""Splits without leakage: no person and no garment is in two of train, val and test.

Persons and the garments they wear form a graph; whatever it connects has to stay together. A garment that nobody
wears binds nobody: it goes where it is needed for trying on.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from tryon.config import SplitConfig
from tryon.dataset.lists import SPLITS, TRAINVAL
from tryon.dataset.manifest import Photo
from tryon.errors import UserError

Node = tuple[str, str]  # ("identity", name) or ("garment", name)


@dataclass(frozen=True)
class Splits:
    """Where everybody and everything went.

    Attributes:
        identities: split by identity.
        garments: split by garment name; an unworn garment that no split needs is absent.
    """

    identities: dict[str, str]
    garments: dict[str, str]


class Groups:
    """Disjoint sets (union-find with path halving)."""

    def __init__(self) -> None:
        self._parent: dict[Node, Node] = {}

    def find(self, node: Node) -> Node:
        """The representative of a node's set; a new node is its own."""
        parent = self._parent
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def join(self, one: Node, other: Node) -> None:
        """Unite two sets."""
        first, second = sorted((self.find(one), self.find(other)))
        self._parent[second] = first  # the smallest member represents, whatever the order of joining

    def all(self) -> dict[Node, list[Node]]:
        """Sorted members by representative."""
        members: dict[Node, list[Node]] = defaultdict(list)
        for node in sorted(self._parent):
            members[self.find(node)].append(node)
        return dict(members)


def seeded(seed: int, *parts: Hashable) -> str:
    """A pseudo-random sorting key that depends on the seed and the names alone, never on order."""
    return hashlib.sha256("\0".join(map(str, (seed, *parts))).encode("utf-8")).hexdigest()


def split_photos(
    photos: list[Photo], wanted: SplitConfig, seed: int, alike: Sequence[tuple[Node, Node]] = ()
) -> Splits:
    """Assign every identity, and every garment that somebody wears.

    Splits named in photos.csv, or fixed by the layout, are honoured; the rest is dealt so that the shares of person
    photos come as close to the wanted ones as whole groups allow. What is named trainval is dealt between train and
    val alone, in the proportion of their shares, whatever the share of test is.

    Args:
        photos: the manifest.
        wanted: shares of person photos.
        seed: decides who goes where.
        alike: what else has to stay together (`tryon.prepare.leaks.alike`).

    Raises:
        UserError: photos.csv puts one group into two splits, or there are too few groups for the splits.
    """
    groups, weights = _groups(photos, alike)
    fixed = _fixed(photos, groups)
    persons = {root: weight for root, weight in weights.items() if weight > 0}
    dealt = _deal_all(persons, fixed, wanted, seed)
    _check_filled(dealt, wanted, len(persons), bool(fixed))
    # a garment that nobody wears learns nothing; val is where it can be tried on
    unworn = "val" if wanted.val > 0 else "train"
    splits = {root: unworn if split == TRAINVAL else split for root, split in fixed.items()} | dealt
    placed = {node: splits[root] for root, members in groups.all().items() if root in splits for node in members}
    return Splits(
        identities={name: split for (kind, name), split in placed.items() if kind == "identity"},
        garments={name: split for (kind, name), split in placed.items() if kind == "garment"},
    )


def deal_unworn(
    garments: Iterable[str],
    splits: Splits,
    wanted: SplitConfig,
    seed: int,
    alike: Sequence[tuple[Node, Node]] = (),
) -> Splits:
    """Share garments that nobody wears among val and test, where they are tried on by whoever is there.

    Args:
        garments: names of all garments with a shop photo.
        splits: what `split_photos` decided.
        wanted: shares; val and test get unworn garments in this proportion.
        seed: decides which goes where.
        alike: which of them have to stay together.
    """
    unworn = {("garment", name) for name in garments if name not in splits.garments}
    total = wanted.val + wanted.test
    if not unworn or total == 0:
        return splits
    together = Groups()
    for node in sorted(unworn):
        together.find(node)
    for one, other in alike:
        if {one, other} <= unworn:
            together.join(one, other)
    groups = together.all()
    shares = {"val": wanted.val / total * len(unworn), "test": wanted.test / total * len(unworn)}
    dealt = _deal({root: len(members) for root, members in groups.items()}, {}, shares, seed)
    placed = {name: dealt[root] for root, members in groups.items() for _, name in members}
    return Splits(splits.identities, {**splits.garments, **placed})


def _groups(photos: list[Photo], alike: Sequence[tuple[Node, Node]]) -> tuple[Groups, dict[Node, int]]:
    """Who is bound to whom, and the number of person photos of each group."""
    groups = Groups()
    persons = [photo for photo in photos if photo.role == "person"]
    for photo in photos:
        groups.find(node_of(photo))
    for person in persons:
        if person.garment is not None:
            groups.join(node_of(person), ("garment", person.garment))
    for one, other in alike:
        groups.join(one, other)
    weights: dict[Node, int] = defaultdict(int)
    for person in persons:
        weights[groups.find(node_of(person))] += 1
    return groups, weights


def node_of(photo: Photo) -> Node:
    """What a photo shows first of all."""
    return ("identity", photo.identity) if photo.role == "person" else ("garment", str(photo.garment))


def _fixed(photos: list[Photo], groups: Groups) -> dict[Node, str]:
    """Splits that photos.csv names, by group."""
    named: dict[Node, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for photo in photos:
        if photo.split is not None:
            named[groups.find(node_of(photo))][photo.split].append(photo.id)
    for by_split in named.values():
        if TRAINVAL in by_split and len(by_split) > 1 and "test" not in by_split:
            del by_split[TRAINVAL]  # another photo of the group says which of the two
    conflicts = [by_split for _, by_split in sorted(named.items()) if len(by_split) > 1]
    if conflicts:
        lines = [
            "  " + "; ".join(f"{split}: {', '.join(sorted(ids)[:4])}" for split, ids in sorted(by_split.items()))
            for by_split in conflicts
        ]
        raise UserError(
            "photos.csv, or the folder's layout, puts photos into different splits that one person, one worn garment "
            "or (pairs.leaks: join) one picture connects; give the photos of each line one split\n" + "\n".join(lines)
        )
    return {root: next(iter(by_split)) for root, by_split in named.items()}


def _deal_all(persons: dict[Node, int], fixed: dict[Node, str], wanted: SplitConfig, seed: int) -> dict[Node, str]:
    """Every group of persons to a split; those named trainval apart from the others.

    Raises:
        UserError: some are named trainval, but neither train nor val is wanted.
    """
    bound = {root: weight for root, weight in persons.items() if fixed.get(root) == TRAINVAL}
    others = {root: weight for root, weight in persons.items() if root not in bound}
    dealt = _deal(others, {root: fixed[root] for root in others if root in fixed}, _targets(others, wanted), seed)
    if not bound:
        return dealt
    total = wanted.train + wanted.val
    if total == 0:
        raise UserError(
            f"{len(bound)} groups of photos are named trainval, but pairs.split.train and pairs.split.val are 0; give "
            "one of them a share"
        )
    shares = SplitConfig(train=wanted.train / total, val=wanted.val / total, test=0.0)
    return dealt | _deal(bound, {}, _targets(bound, shares), seed)


def _targets(persons: dict[Node, int], wanted: SplitConfig) -> dict[str, float]:
    """Person photos per split; a split that is wanted gets at least one."""
    total = sum(persons.values())
    shares = {split: getattr(wanted, split) for split in SPLITS}
    targets = {split: max(1.0, share * total) for split, share in shares.items() if share > 0}
    largest = max(targets, key=lambda split: targets[split])
    targets[largest] -= sum(targets.values()) - total
    return targets


def _deal(weights: dict[Node, int], fixed: dict[Node, str], targets: dict[str, float], seed: int) -> dict[Node, str]:
    """Groups to splits: large groups first, then in seeded order, each to the split that lacks most."""
    lacking = dict(targets)
    dealt = dict(fixed)
    for root, split in fixed.items():
        lacking[split] = lacking.get(split, 0.0) - weights[root]
    free = sorted(set(weights) - set(fixed), key=lambda root: (-weights[root], seeded(seed, "split", *root)))
    open_splits = [split for split in SPLITS if split in targets]
    for root in free:
        split = max(open_splits, key=lambda name: lacking[name])
        dealt[root] = split
        lacking[split] -= weights[root]
    return dealt


def _check_filled(dealt: dict[Node, str], wanted: SplitConfig, num_groups: int, has_fixed: bool) -> None:
    empty = [split for split in SPLITS if getattr(wanted, split) > 0 and split not in dealt.values()]
    if empty:
        shared = "persons who share garments (or pictures, with pairs.leaks: join) stay in one group"
        why = "photos.csv or the layout names no person for it" if has_fixed else shared
        raise UserError(
            f"no person is left for the split {' and '.join(empty)}: the photos form {num_groups} groups, {why}; "
            f"add photos of other people in other garments, or set pairs.split.{empty[0]} to 0"
        )
