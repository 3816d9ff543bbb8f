"""Stage `pairs`: which person meets which garment, in which split; and the shards of photos.

A *paired* row asks for the photo that exists: the garment comes from another picture of the garment worn (or, with
the strategy `self`, from the photo's own cut-out), and the truth is the person's photo itself. An *unpaired* row
asks for another garment; its truth is known only where the data folder holds it. What cannot become a pair gets a
row in the quarantine table. Shards are buckets of photos by a stable hash, named by their content.

    tryon pairs --config F --manifest dataset/manifest.parquet --data DIR --out-dir pairs/
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import time
import zlib
from pathlib import Path

import pandas as pd

from tryon import config, files
from tryon.config import PairsConfig
from tryon.dataset import formats, lists, manifest
from tryon.dataset.folder import PICTURE
from tryon.dataset.formats.interface import Reader
from tryon.dataset.lists import SPLITS
from tryon.digests import code_digest, config_digest
from tryon.errors import UserError
from tryon.prepare import leaks, pairing, splits, truths
from tryon.prepare.pairing import PAIR_COLUMNS, Refusal
from tryon.provenance import write_provenance

STAGE = "pairs"
KEY_DIGITS = 16
LONG_AGO = 946_684_800
"""Time of every shard, 2000-01-01: its name says its content, so that what was made of it is never older than it. With
the time of writing, one changed photo would rerun every shard that is too large for Snakemake to compare (1 MB)."""


def make_pairs(
    photos: pd.DataFrame, root: Path, reader: Reader, cfg: PairsConfig
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """All pairs of a data folder.

    Args:
        photos: the manifest.
        root: the data folder, for given pairs and truth/.
        reader: of the folder's format.
        cfg: settings of this stage.

    Returns:
        The pairs (columns `PAIR_COLUMNS`: lists one after the other, shuffled by the seed inside each), the
        quarantine table (id, stage, reason) and the pictures that two splits share (columns `leaks.COLUMNS`).

    Raises:
        UserError: pairs.txt has mistakes, the splits are impossible, a list that is needed comes out empty, there
            would be too many pairs, or splits share pictures and the settings refuse that.
    """
    if len(photos) and (photos["role"] == PICTURE).all():
        nobody = pd.DataFrame(columns=list(PAIR_COLUMNS), dtype="str")
        return nobody, _quarantine([]), pd.DataFrame(columns=list(leaks.COLUMNS))
    rows = manifest.photos_of(photos)
    together = leaks.alike(rows, cfg.leak_distance) if cfg.leaks == "join" else []
    assigned = splits.split_photos(rows, cfg.split, cfg.seed, together)
    maker = pairing.PairMaker(rows, cfg, _given(root, reader, cfg), together)
    assigned = maker.place_unworn(assigned)
    leaking = leaks.find(rows, assigned, cfg.leak_distance)
    leaks.check(leaking, cfg)
    pairs, refusals = maker.make(assigned)
    pairs, truth_refusals = truths.attach(pairs, rows, root, reader)
    table = pd.DataFrame(pairs, columns=list(PAIR_COLUMNS), dtype="str")
    _check_ids(table)
    _check_lists(table, cfg, refusals)
    _check_leaks(table, photos)
    order = table["pair_id"].map(lambda pair_id: splits.seeded(cfg.seed, "order", pair_id))
    rank = table["split"].map(SPLITS.index) * 2 + (table["kind"] == "unpaired")
    table = table.assign(order=order, rank=rank).sort_values(["rank", "order"], ignore_index=True)[list(PAIR_COLUMNS)]
    return table, _quarantine([*refusals, *truth_refusals]), leaking


def settled(cfg: PairsConfig, has_pairs: bool) -> PairsConfig:
    """The settings with `given_else_random` decided by whether there is a list."""
    if cfg.unpaired_strategy != "given_else_random":
        return cfg
    return cfg.model_copy(update={"unpaired_strategy": "given" if has_pairs else "random"})


def _given(root: Path, reader: Reader, cfg: PairsConfig) -> list[lists.GivenPair]:
    """The given list where a strategy reads it."""
    if "given" not in (cfg.train_strategy, cfg.unpaired_strategy):
        return []
    given, mistakes = reader.given_pairs(root, reader.scan(root))
    if mistakes:
        raise UserError(
            "\n".join([f"{root / reader.pairs_file}: {len(mistakes)} mistakes", *(f"  {m}" for m in mistakes)])
        )
    return given


def _quarantine(refusals: list[Refusal]) -> pd.DataFrame:
    rows = sorted({(refusal.id, STAGE, refusal.reason) for refusal in refusals})
    return pd.DataFrame(rows, columns=["id", "stage", "reason"], dtype=object)


def _check_ids(table: pd.DataFrame) -> None:
    doubled = table[table["pair_id"].duplicated(keep=False)].sort_values("pair_id")
    if len(doubled):
        shown = "\n".join(f"  {row.pair_id}: {row.person} + {row.garment}" for row in doubled.head(10).itertuples())
        raise UserError(f"different pairs have one name, because of __ or @ in photo names; rename a photo\n{shown}")


def _check_lists(table: pd.DataFrame, cfg: PairsConfig, refusals: list[Refusal]) -> None:
    """A run needs something to learn from, and something to judge in each split that is asked for."""
    present = set(zip(table["split"], table["kind"], strict=True))
    lacking = ["train_paired"] if cfg.split.train > 0 and ("train", "paired") not in present else []
    lacking += [
        f"{split}_paired and {split}_unpaired"
        for split in ("val", "test")
        if getattr(cfg.split, split) > 0 and not {(split, "paired"), (split, "unpaired")} & present
    ]
    if lacking:
        reasons = "\n".join(f"  {refusal.id}: {refusal.reason}" for refusal in refusals[:10])
        raise UserError(
            f"no pairs in {', '.join(lacking)} with pairs.train_strategy {cfg.train_strategy} and "
            f"pairs.unpaired_strategy {cfg.unpaired_strategy}; where nobody wears a garment of garment/, "
            f"pairs.train_strategy: self learns from the person's own cut-out\n{reasons}"
        )


def _check_leaks(table: pd.DataFrame, photos: pd.DataFrame) -> None:
    """Our own promise, checked on what is written: no identity and no garment in two splits."""
    by_id = photos.set_index("id")
    for column, fact in (("person", "identity"), ("garment", "garment")):
        facts = table[column].map(by_id[fact])
        num_splits = table.assign(fact=facts).dropna(subset="fact").groupby("fact")["split"].nunique()
        assert (num_splits <= 1).all(), f"{fact} in two splits: {list(num_splits[num_splits > 1].index)}"


def write_shards(photos: pd.DataFrame, num_shards: int, out_dir: Path) -> list[str]:
    """Write shards/KEY.tsv and shards.txt.

    Every usable photo is in exactly one shard, also one that no pair names: the report shows it too.

    Args:
        photos: the manifest.
        num_shards: buckets; empty ones get no shard.
        out_dir: the pairs folder.

    Returns:
        The keys, as in shards.txt.
    """
    buckets = photos["id"].map(lambda id_: zlib.crc32(id_.encode("utf-8")) % num_shards)
    texts = [manifest.shard_text(members) for _, members in photos.groupby(buckets)]
    shards = {hashlib.sha256(text.encode("utf-8")).hexdigest()[:KEY_DIGITS]: text for text in texts}
    directory = out_dir / "shards"
    shutil.rmtree(directory, ignore_errors=True)
    for key, text in shards.items():
        path = directory / f"{key}.tsv"
        files.write_text(path, text)
        os.utime(path, (LONG_AGO, LONG_AGO))
    files.write_text(out_dir / "shards.txt", "".join(f"{key}\n" for key in sorted(shards)))
    return sorted(shards)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--manifest", type=Path, required=True, help="dataset/manifest.parquet")
    parser.add_argument("--data", type=Path, required=True, help="data folder, for pairs.txt and truth/")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder to write: pairs")


def run(args: argparse.Namespace) -> None:
    """Write pairs.parquet, quarantine.csv, leaks.csv, shards.txt and the shards."""
    started = time.monotonic()
    settings = config.load(args.config)
    reader = formats.reader(settings.dataset)
    cfg = settled(settings.pairs, reader.has_pairs(args.data))
    photos = manifest.read_manifest(args.manifest)
    table, quarantine, leaking = make_pairs(photos, args.data, reader, cfg)
    keys = write_shards(photos, cfg.num_shards, args.out_dir)
    files.write_csv(args.out_dir / "quarantine.csv", quarantine)
    files.write_csv(args.out_dir / "leaks.csv", leaking)
    files.write_parquet(args.out_dir / "pairs.parquet", table)
    counts = (table["split"] + "_" + table["kind"]).value_counts().sort_index()
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    print(
        f"{STAGE}: {shown}; {len(quarantine)} quarantined; {len(leaking)} rows in leaks.csv; "
        f"{len(photos)} photos in {len(keys)} shards",
        file=sys.stderr,
    )
    write_provenance(
        args.out_dir / "pairs.parquet",
        stage=STAGE,
        config=config_digest(cfg, settings.dataset),
        code=code_digest(__name__, formats.module(settings.dataset)),
        inputs={"manifest": files.sha256_file(args.manifest)},
        seconds=time.monotonic() - started,
    )
