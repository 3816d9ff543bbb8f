"""The stage `pairs`: strategies, truth, leakage, given lists, and shards that depend on content alone."""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path

import pandas as pd
import pytest
from handmade import ISAT, READER, add_photo, annotation, garment_objects, make_folder, person_objects, save_json, table
from hypothesis import given, settings
from hypothesis import strategies as st

from tryon.config import PairsConfig, SplitConfig
from tryon.dataset import dataset, manifest
from tryon.errors import UserError
from tryon.prepare import pairing, pairs
from tryon.prepare.pairing import PAIR_COLUMNS

HALVES = SplitConfig(train=0.5, val=0.25, test=0.25)
TRAIN_ONLY = SplitConfig(train=1.0, val=0.0, test=0.0)


def make(photos: pd.DataFrame, root: Path = Path("nowhere"), **settings: object) -> tuple[pd.DataFrame, dict[str, str]]:
    cfg = PairsConfig(**{"split": HALVES, **settings})
    made, refused, _ = pairs.make_pairs(photos, root, READER, cfg)
    assert list(made.columns) == list(PAIR_COLUMNS)
    return made, dict(zip(refused["id"], refused["reason"], strict=True))


def rows_of(made: pd.DataFrame, name: str) -> pd.DataFrame:
    return made[made["split"] + "_" + made["kind"] == name]


def wardrobe(num: int, **more: object) -> pd.DataFrame:
    """`num` persons, each in a garment of its own that has a shop photo."""
    people = [{"id": f"person/p{index}", "garment": f"g{index}", **more} for index in range(num)]
    return table([*people, *({"id": f"garment/g{index}"} for index in range(num))])


def test_same_garment_pairs_the_shop_photo_and_other_wearers_but_never_the_photo_itself() -> None:
    photos = table(
        [
            {"id": "person/a", "garment": "g"},
            {"id": "person/b", "garment": "g"},
            {"id": "person/c", "garment": None},
            {"id": "person/d", "garment": "alone"},
            {"id": "garment/g"},
        ]
    )
    made, refused = make(photos, train_strategy="same_garment", split=TRAIN_ONLY)
    assert set(made["pair_id"]) == {"a__g", "a__@b", "b__g", "b__@a"}
    assert set(made["kind"]) == {"paired"}
    assert set(made["category"]) == {"up"}
    assert refused == {
        "person/c": "photos.csv names no garment it wears; name it, or set pairs.train_strategy: self",
        "person/d": (
            "no other photo of the garment 'alone' it wears; add garment/alone.jpg, or set pairs.train_strategy: self"
        ),
    }


def test_all_adds_the_own_cut_out_and_random_draws_one() -> None:
    photos = table([{"id": "person/a", "garment": "g"}, {"id": "person/b", "garment": "g"}, {"id": "garment/g"}])
    everything, _ = make(photos, train_strategy="all", split=TRAIN_ONLY)
    assert set(everything["pair_id"]) == {"a__g", "a__@b", "a__@a.up", "b__g", "b__@a", "b__@b.up"}
    drawn = {seed: make(photos, train_strategy="random", split=TRAIN_ONLY, seed=seed)[0] for seed in range(12)}
    assert {len(made) for made in drawn.values()} == {2}
    assert len({frozenset(made["pair_id"]) for made in drawn.values()}) > 3
    assert set(pd.concat(drawn.values())["pair_id"]) <= set(everything["pair_id"])


def test_self_makes_a_pair_of_every_garment_that_is_worn() -> None:
    photos = table([{"id": "person/a", "categories": "up,down"}, {"id": "person/b", "categories": "dress"}])
    made, refused = make(photos, train_strategy="self", split=TRAIN_ONLY)
    assert set(made["pair_id"]) == {"a__@a.up", "a__@a.down", "b__@b.dress"}
    assert (made["person"] == made["garment"]).all()
    assert refused == {}


def test_the_category_is_the_garments_label() -> None:
    photos = table(
        [
            {"id": "person/a", "garment": "skirt", "categories": "up,down"},
            {"id": "garment/skirt", "categories": "down"},
            {"id": "person/b", "garment": "suit", "categories": "up,down"},
            {"id": "garment/suit", "categories": "up,down"},
            {"id": "person/c", "garment": "gown", "categories": "up"},
            {"id": "garment/gown", "categories": "dress"},
        ]
    )
    made, refused = make(photos, split=TRAIN_ONLY)
    found = dict(zip(made["pair_id"], made["category"], strict=True))
    assert found == {"a__skirt": "down", "b__suit.up": "up", "b__suit.down": "down"}
    assert "person/c is annotated with up, garment/gown with dress" in refused["c__gown"]


def test_between_wearers_an_unclear_category_is_not_guessed() -> None:
    both = {"garment": "g", "categories": "up,down"}
    photos = table(
        [
            {"id": "person/a", **both},
            {"id": "person/b", **both},
            {"id": "person/c", "garment": "h"},
            {"id": "garment/h"},
        ]
    )
    made, refused = make(photos, split=TRAIN_ONLY)
    assert list(made["pair_id"]) == ["c__h"]
    assert "unclear" in refused["a__@b"]
    clear = table([{"id": "person/a", **both}, {"id": "person/b", "garment": "g", "categories": "down,dress"}])
    made, _ = make(clear, split=TRAIN_ONLY)
    assert set(made["category"]) == {"down"}


def test_judged_lists_take_one_picture_of_each_garment() -> None:
    photos = table(
        [{"id": f"person/{name}{index}", "garment": name} for name in "abcdefgh" for index in range(2)]
        + [{"id": f"garment/{name}"} for name in "abcdefgh"]
    )
    made, _ = make(photos)
    assert len(rows_of(made, "train_paired")) == 4 * 2 * 2
    judged = made[(made["split"] != "train") & (made["kind"] == "paired")]
    assert judged["person"].is_unique
    assert judged["garment"].str.startswith("garment/").all()


def test_random_unpaired_pairs_stay_in_their_split_and_never_repeat_what_is_worn() -> None:
    photos = wardrobe(40)
    made, _ = make(photos, unpaired_strategy="random", unpaired_per_person=3)
    unpaired = made[made["kind"] == "unpaired"]
    assert unpaired["split"].value_counts().to_dict() == {"val": 30, "test": 30}
    assert (unpaired["person"].str[8:] != unpaired["garment"].str[9:]).all()
    assert unpaired["truth"].isna().all()


def test_a_new_garment_changes_few_draws() -> None:
    photos = wardrobe(200)
    splits = {f"p{index}": ["train", "val", "test"][index % 3] for index in range(200)}
    photos["split"] = [splits[f"p{id_.partition('/')[2][1:]}"] for id_ in photos["id"]]
    extra = table([{"id": "garment/new", "split": "test"}])
    before, after = (set(make(rows)[0]["pair_id"]) for rows in (photos, pd.concat([photos, extra])))
    assert len(before - after) <= 6
    assert len(before) == len(after)


def test_all_unpaired_is_every_other_garment_of_the_split() -> None:
    made, _ = make(wardrobe(16), unpaired_strategy="all")
    assert len(rows_of(made, "test_unpaired")) == 4 * 3


def test_a_person_gets_garments_of_a_category_that_it_wears() -> None:
    photos = pd.concat([wardrobe(8), table([{"id": f"garment/d{index}", "categories": "dress"} for index in range(8)])])
    made, _ = make(photos, unpaired_strategy="all")
    assert set(made["category"]) == {"up"}


@settings(max_examples=40, deadline=None)
@given(
    worn=st.lists(st.tuples(st.integers(0, 15), st.one_of(st.none(), st.integers(0, 15))), min_size=4, max_size=30),
    strategy=st.sampled_from(["same_garment", "self", "all", "random"]),
    unpaired=st.sampled_from(["random", "all"]),
    shuffle=st.randoms(use_true_random=False),
)
def test_no_person_and_no_garment_is_in_two_splits_and_listing_order_changes_nothing(
    worn: list[tuple[int, int | None]], strategy: str, unpaired: str, shuffle: object
) -> None:
    people = [
        {"id": f"person/{index}", "identity": f"i{who}", "garment": None if what is None else f"g{what}"}
        for index, (who, what) in enumerate(worn)
    ]
    photos = table([*people, *({"id": f"garment/g{index}"} for index in range(20))])
    choice = {"train_strategy": strategy, "unpaired_strategy": unpaired}
    try:
        made, refused = make(photos, **choice)
    except UserError:
        return
    facts = photos.set_index("id")
    for column, fact in (("person", "identity"), ("garment", "garment")):
        places = pd.DataFrame({"fact": made[column].map(facts[fact]), "split": made["split"]}).dropna()
        assert (places.groupby("fact")["split"].nunique() <= 1).all()
    assert made["pair_id"].is_unique
    again = photos.iloc[shuffle.sample(range(len(photos)), len(photos))]  # type: ignore[attr-defined]
    shuffled, refused_again = make(again, **choice)
    pd.testing.assert_frame_equal(shuffled, made)
    assert refused_again == refused


def test_the_seed_shuffles_and_the_same_seed_does_not() -> None:
    one, again, other = (list(make(wardrobe(30), seed=seed)[0]["pair_id"]) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert one != sorted(one)


# ---- given lists and truth, on folders


def read(root: Path, tmp_path: Path) -> pd.DataFrame:
    return dataset.build(root, tmp_path / "cache", ISAT, jobs=1)[0]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Eight persons whose own garments have no shop photo, and five garments that nobody wears."""
    return make_folder(
        tmp_path / "data", {f"p{index}": None for index in range(8)}, [f"g{index}" for index in range(5)]
    )


def test_given_pairs_with_unworn_garments_do_not_bind_persons(shop: Path, tmp_path: Path) -> None:
    lines = [f"p{index}.jpg g{(index + step) % 5}.jpg" for index in range(8) for step in range(2)]
    (shop / "pairs.txt").write_text("\n".join(lines))
    made, refused = make(read(shop, tmp_path), shop, train_strategy="self", unpaired_strategy="given")
    assert made.drop_duplicates("person")["split"].value_counts().to_dict() == {"train": 4, "val": 2, "test": 2}
    unpaired = made[made["kind"] == "unpaired"]
    assert unpaired.drop_duplicates("garment").shape[0] == unpaired.drop_duplicates(["garment", "split"]).shape[0]
    assert len(rows_of(made, "test_unpaired")) == 4  # test comes first: none of its lines is lost
    told = set(unpaired["pair_id"]) | set(refused)
    assert told == {line.replace(".jpg", "").replace(" ", "__") for line in lines}
    crossing = next(iter(refused.values()))
    assert crossing.startswith("pairs.txt line ")
    assert "crosses splits" in crossing


def test_a_missing_partner_stops_with_its_line_before_anything_runs(shop: Path, tmp_path: Path) -> None:
    (shop / "pairs.txt").write_text("p0.jpg g0.jpg\np1.jpg g9.jpg\nq.jpg g1.jpg\n")
    with pytest.raises(UserError, match=r"2 mistakes\n  line 2: garment/g9 does not exist.*\n  line 3: person/q"):
        make(read(shop, tmp_path), shop, train_strategy="self", unpaired_strategy="given")


def test_a_line_with_a_quarantined_photo_becomes_a_row_of_the_quarantine(shop: Path, tmp_path: Path) -> None:
    (shop / "pairs.txt").write_text("".join(f"p{index}.jpg g{index % 5}.jpg\n" for index in range(8)))
    (shop / "person/p3.jpg").write_bytes(b"broken")
    made, refused = make(read(shop, tmp_path), shop, train_strategy="self", unpaired_strategy="given")
    assert refused["p3__g3"] == "pairs.txt line 4: person/p3 was quarantined by the stage dataset; mend the photo"
    assert not (made["person"] == "person/p3").any()


def test_given_lines_of_worn_garments_are_the_training_list(tmp_path: Path) -> None:
    root = make_folder(
        tmp_path / "data", {f"p{index}": f"g{index}" for index in range(8)}, [f"g{index}" for index in range(8)]
    )
    (root / "pairs.txt").write_text("".join(f"p{index} g{index}\n" for index in range(8)) + "p0 g1\n")
    made, refused = make(read(root, tmp_path), root, train_strategy="given", unpaired_strategy="random")
    assert set(made[made["kind"] == "paired"]["pair_id"]) == {f"p{index}__g{index}" for index in range(8)}
    assert (
        refused["p0__g1"]
        == "pairs.txt line 9: a garment that is not worn, but pairs.unpaired_strategy does not read it from pairs.txt"
    )


def test_truth_is_the_photo_itself_or_the_picture_in_truth(tmp_path: Path) -> None:
    root = make_folder(
        tmp_path / "data", {f"p{index}": f"g{index}" for index in range(4)}, [f"g{index}" for index in range(4)]
    )
    lines = (root / "photos.csv").read_text().splitlines()
    splits = ["split", "train", "val", "test", "test"]
    (root / "photos.csv").write_text("\n".join(f"{line},{split}" for line, split in zip(lines, splits, strict=True)))
    (root / "pairs.txt").write_text("p2 g3\np3 g2\n")
    for name, hw in {"p2__g3": (32, 24), "p3__g2": (16, 12), "p0__g1": (32, 24)}.items():
        add_photo(root, f"truth/{name}", None, size_hw=hw)
    save_json(root / "truth/p2__g3.json", annotation(person_objects()))
    made, refused = make(read(root, tmp_path), root, unpaired_strategy="given")
    by_id = made.set_index("pair_id")
    assert by_id.loc["p0__g0", "truth"] == "person/p0.jpg"
    assert by_id.loc["p0__g0", "truth_annotation"] == "annotations/person/p0.json"
    assert by_id.loc["p2__g3", "truth"] == "truth/p2__g3.jpg"
    assert by_id.loc["p2__g3", "truth_annotation"] == "truth/p2__g3.json"
    assert pd.isna(by_id.loc["p3__g2", "truth"])
    assert "is 12x16, but the person's photo is 24x32" in refused["truth/p3__g2"]
    assert refused["truth"] == "1 true pictures belong to no pair of this run: p0__g1"
    add_photo(root, "truth/p2__g3", None, size_hw=(32, 24), suffix=".jpg").write_bytes(
        (root / "truth/p0__g1.jpg").read_bytes()
    )
    again, _ = make(read(root, tmp_path), root, unpaired_strategy="given")
    changed = again.set_index("pair_id")["truth_sha256"] != by_id["truth_sha256"].reindex(again["pair_id"])
    assert list(changed[changed & again.set_index("pair_id")["truth_sha256"].notna()].index) == ["p2__g3"]


def test_a_needed_list_that_comes_out_empty_stops_with_the_fix(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no pairs in train_paired.*train_strategy: self learns"):
        make(read(shop, tmp_path), shop, train_strategy="same_garment", unpaired_strategy="random")


def test_names_that_make_one_pair_id_are_refused() -> None:
    photos = table(
        [
            {"id": "person/a__b", "garment": "c"},
            {"id": "garment/c"},
            {"id": "person/a", "garment": "b__c"},
            {"id": "garment/b__c"},
        ]
    )
    with pytest.raises(UserError, match=r"a__b__c: person/a \+ garment/b__c"):
        make(photos, split=TRAIN_ONLY)


# ---- the stage


def stage(root: Path, out: Path, **settings: object) -> Path:
    values = {
        "pairs": {"train_strategy": "self", "num_shards": 4, **settings},
        "stages": {"base": {"kind": "parallel_unet", "size": [32, 24]}},
        "cascade": ["base"],
    }
    save_json(out / "config.json", values)
    manifest.write_manifest(out / "manifest.parquet", read(root, out))
    pairs.run(
        argparse.Namespace(
            config=str(out / "config.json"), manifest=out / "manifest.parquet", data=root, out_dir=out / "pairs"
        )
    )
    return out / "pairs"


def test_every_photo_is_in_one_shard_and_a_shards_name_is_its_content(shop: Path, tmp_path: Path) -> None:
    out = stage(shop, tmp_path / "r")
    keys = (out / "shards.txt").read_text().split()
    assert sorted(keys) == sorted(path.stem for path in (out / "shards").iterdir())
    assert all(hashlib.sha256((out / f"shards/{key}.tsv").read_bytes()).hexdigest()[:16] == key for key in keys)
    photos = pd.concat([manifest.read_shard(out / f"shards/{key}.tsv") for key in keys])
    expected = read(shop, tmp_path)[list(manifest.COLUMNS)]
    pd.testing.assert_frame_equal(photos.sort_values("id", ignore_index=True), expected)


def test_one_changed_photo_renames_one_shard_and_settings_rename_none(shop: Path, tmp_path: Path) -> None:
    first = set((stage(shop, tmp_path / "r") / "shards.txt").read_text().split())
    assert set((stage(shop, tmp_path / "r", seed=5) / "shards.txt").read_text().split()) == first
    add_photo(shop, "person/p1", person_objects(), size_hw=(32, 24)).write_bytes((shop / "person/p2.jpg").read_bytes())
    changed = set((stage(shop, tmp_path / "r") / "shards.txt").read_text().split())
    assert len(first - changed) == len(changed - first) == 1


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    names = {"李 娜": None, "two words": None, "NA": None, "d": None, "e": None}
    root = make_folder(tmp_path / "data", names, ["红 裙", "b", "c"])
    shutil.copytree(root, tmp_path / "copy")
    one, two = stage(root, tmp_path / "one"), stage(tmp_path / "copy", tmp_path / "two")
    for name in ("pairs.parquet", "quarantine.csv", "shards.txt"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_the_real_photos_lose_no_photo_and_no_line(photos: Path, tmp_path: Path) -> None:
    out = stage(photos, tmp_path / "r", unpaired_strategy="given", split=HALVES.model_dump())
    made = pd.read_parquet(out / "pairs.parquet")
    refused = pd.read_csv(out / "quarantine.csv")
    lines = [
        line.replace(".jpg", "").replace(" ", "__") for line in (photos / "pairs.txt").read_text().split("\n") if line
    ]
    assert len(lines) == 16
    assert set(made[made["kind"] == "unpaired"]["pair_id"]) | set(refused["id"]) == set(lines)
    assert made["person"].nunique() == 8
    shown = pd.concat([manifest.read_shard(path) for path in (out / "shards").iterdir()])
    assert len(shown) == 17


def test_garment_photos_of_one_garment_are_one_choice(tmp_path: Path) -> None:
    """Two shop photos of a garment: both teach, one is tried on."""
    root = make_folder(
        tmp_path / "data", {f"p{index}": f"g{index}" for index in range(4)}, [f"g{index}" for index in range(4)]
    )
    add_photo(root, "garment/g0_back", garment_objects())
    with (root / "photos.csv").open("a") as stream:
        stream.write("garment/g0_back.jpg,g0,g0\n")
    made, _ = make(read(root, tmp_path), root, split=TRAIN_ONLY)
    assert set(made[made["person"] == "person/p0"]["pair_id"]) == {"p0__g0", "p0__g0_back"}


def crowd(num: int) -> pd.DataFrame:
    """Many photos of people who all wear one of four garments, and a rack that nobody wears."""
    return table(
        [{"id": f"person/p{n}", "garment": f"g{n % 4}"} for n in range(num)]
        + [{"id": f"garment/g{n}"} for n in range(num)]
    )


def test_drawing_pairs_never_looks_at_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the photos of one garment cost twice the looks, not four times."""
    num_looks = {}
    for num in (400, 800):
        looked = []
        original = pairing.PairMaker._worn_categories
        monkeypatch.setattr(
            pairing.PairMaker,
            "_worn_categories",
            lambda self, person, source, looked=looked, original=original: (
                looked.append(0) or original(self, person, source)
            ),
        )
        made, _ = make(crowd(num), train_strategy="random")
        monkeypatch.undo()
        assert len(made) >= num / 2
        num_looks[num] = len(looked)
    assert num_looks[800] <= 2.2 * num_looks[400]


def test_random_draws_differ_between_photos_and_come_from_all_sources() -> None:
    made, _ = make(crowd(300), train_strategy="random")
    drawn = made[(made["split"] == "train")]["garment"].value_counts()
    assert len(drawn) > 40, "a ring of 150 photos is drawn from everywhere"
    assert drawn.max() < 20


@pytest.mark.parametrize(
    ("setting", "strategy"),
    [("train_strategy", "all"), ("train_strategy", "same_garment"), ("unpaired_strategy", "all")],
)
def test_too_many_pairs_are_refused_before_they_are_made(
    setting: str, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = crowd(200)
    limited = {"max_pairs": 2000, "train_strategy": "random", setting: strategy}
    monkeypatch.setattr(pairing.PairMaker, "_of_source", lambda *_: pytest.fail("made a pair"))
    with pytest.raises(UserError, match=rf"pairs\.{setting}: {strategy} would make about [\d,]+ pairs of 400 photos"):
        make(photos, **limited)


@pytest.mark.parametrize("strategy", ["all", "same_garment"])
def test_the_estimate_is_the_number_that_is_made(strategy: str) -> None:
    photos = crowd(40)
    made, _ = make(photos, train_strategy=strategy, unpaired_strategy="all")
    num_train = int((made["split"] == "train").sum())
    num_unpaired = int((made["kind"] == "unpaired").sum())
    # the estimate of unpaired ones counts the garment worn, too, which is left out later
    assert len(
        make(photos, train_strategy=strategy, unpaired_strategy="all", max_pairs=num_train + 2 * num_unpaired)[0]
    )
    with pytest.raises(UserError, match="max_pairs"):
        make(photos, train_strategy=strategy, unpaired_strategy="all", max_pairs=num_train + num_unpaired - 1)


def test_given_else_random_is_settled_by_the_list() -> None:
    cfg = PairsConfig(unpaired_strategy="given_else_random")
    assert pairs.settled(cfg, has_pairs=True).unpaired_strategy == "given"
    assert pairs.settled(cfg, has_pairs=False).unpaired_strategy == "random"
    assert pairs.settled(PairsConfig(unpaired_strategy="all"), has_pairs=True).unpaired_strategy == "all"
