"""Leakage audit: the same picture in two splits under two names, which makes a judged list too easy.

Splits never share an identity or a garment by name (`tryon.prepare.splits`), but a folder may hold one picture twice:
the same file, another file of the same pixels, or a resized, recompressed or brightened copy. The last are found by
their perceptual hashes (`tryon.dataset.duplicates`); two colours of one product in one pose look alike to them too,
so a row is something to look at (the report shows both pictures), not a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tryon.config import PairsConfig
from tryon.dataset.lists import SPLITS
from tryon.dataset.manifest import Photo
from tryon.errors import UserError
from tryon.prepare.near_hashes import near_pairs, parse
from tryon.prepare.splits import Node, Splits, node_of

ACROSS, TWO_NAMES = "across splits", "two names"
COLUMNS = (
    "problem",  # "across splits", or "two names": one picture under two identities or garments of one split
    "photo",  # id, in the later of the two splits
    "split",
    "other",  # the nearest photo of the other split
    "other_split",
    "match",  # "file": same bytes; "pixels": same pixels; "alike": perceptual hashes differ in `distance` bits
    "distance",  # bits of 256
    "num_others",  # photos of the other split within pairs.leak_distance
)
NUM_SHOWN = 20
UNSEEN = np.iinfo(np.int64).max


def find(photos: list[Photo], splits: Splits, max_distance: int) -> pd.DataFrame:
    """Every photo that another split shows too, with the nearest picture there.

    Args:
        photos: the manifest.
        splits: who is where; photos in no split cannot leak.
        max_distance: bits in which the perceptual hashes of one picture may differ.

    Returns:
        Columns `COLUMNS`, certain ones first; at most two rows per photo, however many copies there are.
    """
    placed = [(photo, split) for photo in sorted(photos) if (split := _split_of(photo, splits)) is not None]
    names = [(photo, split) for photo, split in placed if photo.phash is not None]
    rows = [*_across(names, max_distance), *_two_names(placed)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    rank = table["match"].map({"file": 0, "pixels": 1, "alike": 2})
    order = table.assign(rank=rank).sort_values(["problem", "rank", "distance", "photo", "other_split"])
    return order[list(COLUMNS)].reset_index(drop=True).astype({"distance": "int64", "num_others": "int64"})


def check(leaks: pd.DataFrame, cfg: PairsConfig) -> None:
    """Refuse leaks across splits where the settings say so.

    Raises:
        UserError: naming them.
    """
    across = leaks[leaks["problem"] == ACROSS]
    if cfg.leaks != "refuse" or across.empty:
        return
    lines = [
        f"  {row.photo} ({row.split}) and {row.other} ({row.other_split}): "
        + {"file": "the same file", "pixels": "the same pixels"}.get(row.match, f"{row.distance} bits differ")
        for row in across.head(NUM_SHOWN).itertuples()
    ]
    more = len(across) - NUM_SHOWN
    raise UserError(
        "\n".join(
            [
                f"{len(across)} photos show a picture of another split (pairs.leaks: refuse); delete one of the two, "
                "name both the same in photos.csv, or set pairs.leaks: join (one split for both) or report",
                *lines,
                *([f"  and {more} more"] if more > 0 else []),
            ]
        )
    )


def alike(photos: list[Photo], max_distance: int) -> list[tuple[Node, Node]]:
    """Identities and garments that are bound together because photos of theirs show one picture."""
    ordered = [photo for photo in sorted(photos) if photo.phash is not None]
    hashes_HW, inverse_N = _unique_hashes(ordered)
    group_H = np.arange(len(hashes_HW))
    for one_P, other_P, _ in near_pairs(hashes_HW, max_distance):
        # every group takes the smallest number that a pair connects it to, until no pair connects two groups
        while (apart_P := group_H[one_P] != group_H[other_P]).any():
            ends = np.sort(np.stack([group_H[one_P[apart_P]], group_H[other_P[apart_P]]]), axis=0)
            smallest_H = np.arange(len(hashes_HW))
            np.minimum.at(smallest_H, ends[1], ends[0])
            group_H = smallest_H[group_H]
    first: dict[int, Node] = {}
    joined = {
        (first.setdefault(int(group), node_of(photo)), node_of(photo))
        for photo, group in zip(ordered, group_H[inverse_N], strict=True)
    }
    return sorted((one, other) for one, other in joined if one != other)


def _split_of(photo: Photo, splits: Splits) -> str | None:
    return (splits.identities if photo.role == "person" else splits.garments).get(node_of(photo)[1])


def _unique_hashes(photos: list[Photo]) -> tuple[np.ndarray, np.ndarray]:
    """Different perceptual hashes, uint64 [H, W], and which of them each photo has."""
    hashes_NW = parse([str(photo.phash) for photo in photos])
    hashes_HW, inverse_N = np.unique(hashes_NW, axis=0, return_inverse=True)
    return hashes_HW, inverse_N.reshape(-1)


def _across(placed: list[tuple[Photo, str]], max_distance: int) -> Iterator[tuple[object, ...]]:
    """Rows of photos whose picture an earlier split (train before val before test) shows too."""
    hashes_HW, inverse_N = _unique_hashes([photo for photo, _ in placed])
    split_N = np.array([SPLITS.index(split) for _, split in placed], np.int64)
    num_HS = np.zeros((len(hashes_HW), len(SPLITS)), np.int64)
    np.add.at(num_HS, (inverse_N, split_N), 1)
    nearest_HS, distance_HS, found_HS = _nearest(hashes_HW, num_HS, max_distance)
    example = _first_by((("phash", int(hash_)), split) for hash_, split in zip(inverse_N, split_N, strict=True))
    example |= _first_by((("pixels", photo.pixels), SPLITS.index(split)) for photo, split in placed)
    example |= _first_by((("file", photo.sha256), SPLITS.index(split)) for photo, split in placed)
    for (photo, split), hash_, own in zip(placed, inverse_N, split_N, strict=True):
        for earlier in range(own):
            distance = distance_HS[hash_, earlier]
            if distance == UNSEEN:
                continue
            matches = (
                ("file", (("file", photo.sha256), earlier)),
                ("pixels", (("pixels", photo.pixels), earlier)),
                ("alike", (("phash", int(nearest_HS[hash_, earlier])), earlier)),
            )
            match, key = next((match, key) for match, key in matches if key in example)
            other = placed[example[key]][0].id
            num = int(found_HS[hash_, earlier])
            yield ACROSS, photo.id, split, other, SPLITS[earlier], match, int(distance), num


def _nearest(hashes_HW: np.ndarray, num_HS: np.ndarray, max_distance: int) -> tuple[np.ndarray, ...]:
    """For each hash and split: the nearest hash there, its distance (UNSEEN: none is near), and photos near it."""
    nearest_HS = np.where(num_HS > 0, np.arange(len(hashes_HW))[:, None], -1)
    distance_HS = np.where(num_HS > 0, 0, UNSEEN)
    found_HS = num_HS.copy()
    for one_P, other_P, distance_P in near_pairs(hashes_HW, max_distance):
        for from_P, to_P in ((one_P, other_P), (other_P, one_P)):
            for split in range(num_HS.shape[1]):
                there_P = num_HS[to_P, split] > 0
                at_Q, to_Q, distance_Q = from_P[there_P], to_P[there_P], distance_P[there_P]
                np.add.at(found_HS[:, split], at_Q, num_HS[to_Q, split])
                order_Q = np.lexsort((to_Q, distance_Q, at_Q))
                at_Q, to_Q, distance_Q = at_Q[order_Q], to_Q[order_Q], distance_Q[order_Q]
                at_Q, first = np.unique(at_Q, return_index=True)
                # of equally near ones the smallest, whatever the order of the blocks
                known = (distance_HS[at_Q, split], nearest_HS[at_Q, split])
                closer = (distance_Q[first] < known[0]) | ((distance_Q[first] == known[0]) & (to_Q[first] < known[1]))
                nearest_HS[at_Q[closer], split] = to_Q[first][closer]
                distance_HS[at_Q[closer], split] = distance_Q[first][closer]
    return nearest_HS, distance_HS, found_HS


def _first_by(keys: Iterator[tuple[tuple[str, object], int]]) -> dict[tuple[tuple[str, object], int], int]:
    """The first place of each key."""
    first: dict[tuple[tuple[str, object], int], int] = {}
    for place, key in enumerate(keys):
        first.setdefault((key[0], int(key[1])), place)
    return first


def _two_names(placed: list[tuple[Photo, str]]) -> Iterator[tuple[object, ...]]:
    """Rows of photos whose very pixels stand under another identity or garment of the same split."""
    first: dict[tuple[object, ...], Photo] = {}
    num: dict[tuple[object, ...], int] = {}
    later = []
    for photo, split in placed:
        key = (split, photo.role, photo.sha256 if photo.pixels is None else photo.pixels)
        num[key] = num.get(key, 0) + 1
        other = first.setdefault(key, photo)
        if node_of(other) != node_of(photo):
            later.append((key, photo, other, split))
    for key, photo, other, split in later:
        match = "file" if photo.sha256 == other.sha256 else "pixels"
        yield TWO_NAMES, photo.id, split, other.id, split, match, 0, num[key] - 1
