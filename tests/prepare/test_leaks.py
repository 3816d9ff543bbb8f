"""The leakage audit finds one picture in two splits, and the settings decide what becomes of it."""

from __future__ import annotations

import hashlib
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from handmade import add_photo, garment_objects, make_folder, table
from PIL import Image

from tryon.config import DatasetConfig, PairsConfig, SplitConfig
from tryon.dataset import dataset, formats
from tryon.dataset.manifest import Photo, photos_of
from tryon.errors import UserError
from tryon.prepare import leaks, pairs
from tryon.prepare.leaks import ACROSS, TWO_NAMES
from tryon.prepare.splits import Splits

READER = formats.reader(DatasetConfig())
HALVES = SplitConfig(train=0.5, val=0.25, test=0.25)


def flipped(phash: str, num_bits: int) -> str:
    """A hash that differs in the last bits."""
    return f"{int(phash, 16) ^ ((1 << num_bits) - 1):064x}"


def photo(id_: str, picture: str = "", num_bits: int = 0, **facts: object) -> dict[str, object]:
    """A manifest row; photos of one `picture` have one hash up to `num_bits`."""
    phash = hashlib.sha256((picture or id_).encode()).hexdigest()
    return {"id": id_, "phash": flipped(phash, num_bits), **facts}


def audit(rows: list[dict[str, object]], where: dict[str, str], max_distance: int = 16) -> pd.DataFrame:
    photos = photos_of(table(rows))
    persons = {row.identity: where[row.id] for row in photos if row.role == "person" and row.id in where}
    garments = {str(row.garment): where[row.id] for row in photos if row.role == "garment" and row.id in where}
    return leaks.find(photos, Splits(persons, garments), max_distance)


def test_copies_are_found_across_splits_with_their_distance_and_certain_ones_first() -> None:
    rows = [
        photo("person/a", "one"),
        photo("person/b", "one", 5),
        photo("person/c", "two", pixels="same"),
        photo("person/d", "two", pixels="same"),
        photo("garment/e", "three", sha256="file"),
        photo("garment/f", "three", sha256="file"),
        photo("garment/g"),
    ]
    where = dict(
        zip((row["id"] for row in rows), ("train", "test", "val", "train", "test", "val", "test"), strict=True)
    )
    found = audit(rows, where)
    assert found[["photo", "split", "other", "other_split", "match", "distance"]].values.tolist() == [
        ["garment/e", "test", "garment/f", "val", "file", 0],
        ["person/c", "val", "person/d", "train", "pixels", 0],
        ["person/b", "test", "person/a", "train", "alike", 5],
    ]
    assert set(found["problem"]) == {ACROSS}


def test_the_distance_decides() -> None:
    rows = [photo("person/a", "one"), photo("person/b", "one", 9)]
    where = {"person/a": "train", "person/b": "test"}
    assert len(audit(rows, where, 9)) == 1
    assert audit(rows, where, 8).empty


def test_what_is_in_one_split_or_in_none_leaks_nothing() -> None:
    rows = [photo("person/a", "one"), photo("person/b", "one", 3), photo("garment/c", "one")]
    assert audit(rows, {"person/a": "train", "person/b": "train"}).empty


def test_one_picture_under_two_names_of_one_split_is_told() -> None:
    same = {"pixels": "same"}
    rows = [photo("person/a", "one", **same), photo("person/b", "one", **same), photo("person/c", "one", identity="a")]
    rows[2] |= same
    found = audit(rows, {"person/a": "train", "person/b": "train", "person/c": "train"})
    assert found[["problem", "photo", "other", "match"]].values.tolist() == [
        [TWO_NAMES, "person/b", "person/a", "pixels"]
    ], "two photos of one identity are no mistake"


def test_the_nearest_of_many_copies_is_named_and_the_rest_counted() -> None:
    rows = [photo(f"person/t{bits}", "one", bits) for bits in (9, 4, 12)] + [photo("person/x", "one")]
    found = audit(rows, {**{f"person/t{bits}": "train" for bits in (9, 4, 12)}, "person/x": "val"})
    assert found[["photo", "other", "distance", "num_others"]].values.tolist() == [["person/x", "person/t4", 4, 3]]


def test_many_copies_of_few_pictures_stay_few_rows() -> None:
    """100 000 hard links to a few hundred photos must not make a row for each pair of them."""
    splits = ("train", "val", "test")
    rows = [photo(f"person/{number:05d}", f"picture {number % 20}") for number in range(3000)]
    where = {str(row["id"]): splits[number % 3] for number, row in enumerate(rows)}
    started = time.monotonic()
    found = audit(rows, where)
    assert len(found) == 1000 + 2 * 1000, "val against train; test against train and val"
    assert time.monotonic() - started < 20


def test_the_audit_of_all_with_all_agrees() -> None:
    """Nearest picture and count of every photo, against a plain comparison of all pairs."""
    rng = np.random.default_rng(3)
    splits = ("train", "val", "test")
    rows = [photo(f"person/{n:03d}", f"picture {rng.integers(25)}", int(rng.integers(14))) for n in range(150)]
    where = {str(row["id"]): splits[rng.integers(3)] for row in rows}
    found = audit(rows, where, 8)
    expected = []
    for row in rows:
        for other_split in splits[: splits.index(where[str(row["id"])])]:
            near = [
                (bin(int(str(row["phash"]), 16) ^ int(str(other["phash"]), 16)).count("1"), other["id"])
                for other in rows
                if where[str(other["id"])] == other_split
            ]
            near = [pair for pair in near if pair[0] <= 8]
            if near:
                expected.append((row["id"], other_split, min(near)[0], len(near)))
    assert len(expected) > 50
    assert sorted(
        found[["photo", "other_split", "distance", "num_others"]].itertuples(index=False, name=None)
    ) == sorted(expected)


# ---- in the stage


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Twelve people in their own garments; p1 is a copy of p0's photo, and g3 of g2's."""
    root = make_folder(tmp_path / "data", {f"p{n}": f"g{n}" for n in range(12)}, [f"g{n}" for n in range(12)])
    draw(root)
    for copy, original in (("person/p1", "person/p0"), ("garment/g3", "garment/g2")):
        (root / f"{copy}.jpg").write_bytes((root / f"{original}.jpg").read_bytes())
    lines = (root / "photos.csv").read_text().splitlines()
    parts = dict.fromkeys(range(12), "train") | {1: "test", 3: "val", 4: "val", 5: "test"}
    lines = [f"{lines[0]},split", *(f"{line},{parts[number]}" for number, line in enumerate(lines[1:]))]
    (root / "photos.csv").write_text("\n".join(lines) + "\n")
    return root


def draw(root: Path) -> None:
    """Give every photo a picture of its own; those of `handmade` are flat, which no hash tells apart."""
    for path in sorted(root.glob("*/*.jpg")):
        rng = np.random.default_rng(zlib.crc32(path.relative_to(root).as_posix().encode()))
        Image.fromarray(rng.integers(0, 256, (32, 24, 3), np.uint8)).save(path, quality=95)


def made(root: Path, tmp_path: Path, **settings: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    photos, _ = dataset.build(root, tmp_path / "cache", DatasetConfig(), jobs=1)
    table, _, leaking = pairs.make_pairs(photos, root, READER, PairsConfig(split=HALVES, **settings))
    return table, leaking


def test_leaks_are_reported_and_change_no_pair(shop: Path, tmp_path: Path) -> None:
    table, leaking = made(shop, tmp_path)
    assert leaking[["photo", "other", "match"]].values.tolist() == [
        ["garment/g3", "garment/g2", "file"],
        ["person/p1", "person/p0", "file"],
    ]
    assert set(table.loc[table["person"] == "person/p1", "split"]) == {"test"}


def test_refuse_names_every_leak_and_the_ways_out(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        made(shop, tmp_path, leaks="refuse")
    for text in ("2 photos", "person/p1 (test) and person/p0 (train): the same file", "garment/g3 (val)", "join"):
        assert text in str(refused.value)


def test_join_puts_a_picture_into_one_split(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"one picture connects"):
        made(shop, tmp_path, leaks="join")  # photos.csv asks for two splits
    text = (shop / "photos.csv").read_text()
    for split in ("train", "val", "test"):
        text = text.replace(f",{split}\n", ",\n")
    (shop / "photos.csv").write_text(text)
    for seed in range(6):
        table, leaking = made(shop, tmp_path, leaks="join", seed=seed)
        assert ACROSS not in set(leaking["problem"])
        split = table[table["kind"] == "paired"].set_index("person")["split"]
        assert split["person/p0"] == split["person/p1"]
        assert split["person/p2"] == split["person/p3"], "they wear garments of one picture"
        assert split.nunique() == 3


@pytest.mark.parametrize("strategy", ["random", "given"])
def test_join_keeps_garments_that_nobody_wears_together(tmp_path: Path, strategy: str) -> None:
    root = make_folder(tmp_path / "data", {f"p{n}": f"g{n}" for n in range(12)}, [f"g{n}" for n in range(12)])
    num = 8
    for name in range(num):
        add_photo(root, f"garment/u{name}", garment_objects())
        add_photo(root, f"garment/v{name}", garment_objects())
    draw(root)
    for name in range(num):
        (root / f"garment/v{name}.jpg").write_bytes((root / f"garment/u{name}.jpg").read_bytes())
    lines = [f"p{n} {'uv'[n % 2]}{n // 2 % num}\n" for n in range(12)]
    (root / "pairs.txt").write_text("".join(lines))
    apart = made(root, tmp_path, unpaired_strategy=strategy)[1]
    assert ACROSS in set(apart["problem"]), "else there is nothing to join"
    together = made(root, tmp_path, unpaired_strategy=strategy, leaks="join")[1]
    assert set(together["problem"]) == {TWO_NAMES}


def test_photos_that_are_alike_in_chains_are_one_group() -> None:
    rows = [photo("person/a", "one"), photo("person/b", "one", 4), photo("person/c", "one", 8), photo("person/d")]
    joined = leaks.alike([Photo(*values) for values in photos_of(table(rows))], 4)
    assert joined == [(("identity", "a"), ("identity", "b")), (("identity", "a"), ("identity", "c"))]
