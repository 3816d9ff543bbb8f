"""`tryon gc`: remove what no current result needs: items of former photos and settings, shards of former data.

    tryon gc --config config.yaml --dry-run      # say what would go, and how much
    tryon gc --config config.yaml

Kept: every item that a table of a current shard names, the run's or an ablation row's, all items of a stage that still
lacks tables (an interrupted run continues from them), features of truths that the last evaluation asked for, results,
training runs, logs and journals. So the next `snakemake` has nothing more to do than before. Going back to former
photos or settings computes them again.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tryon import config, digests, files, runs
from tryon.errors import UserError
from tryon.variants import Variants

PER_SHARD = ("masks", "keypoints", "cutouts", "pack")
NAMED_ELSEWHERE = {"embeddings": ("cutouts", "embedding")}
"""Folders of items that are no stage's own: the stage whose tables name them, and in which column."""

TEMPORARY = re.compile(r"\..*\.[a-z0-9_]{8}\.tmp(\.[^.]+)?")  # tryon.files.write_atomic
SHARD_FILE = re.compile(r"([0-9a-f]{16})\.(parquet|safetensors)(\.provenance\.json)?")
CONFIG_FILE = re.compile(r"(config|ablation)-[0-9a-f]{16}\.json")
FEATURES_FILE = re.compile(r"[0-9a-f]{64}\.f32")  # tryon.evaluation.protocols.features.FeatureCache
TEMPORARY_AGE_S = 3600.0  # a writer by hand may be at work
CLOCKS_S = 3600.0
"""By how much the clocks of machines that share a disk may differ."""


@dataclass
class Garbage:
    """Files of one kind that nothing needs."""

    kind: str
    files: list[Path] = field(default_factory=list)
    num_bytes: int = 0

    def add(self, path: Path, num_bytes: int) -> None:
        """Count one more file."""
        self.files.append(path)
        self.num_bytes += num_bytes


def find(cfg: config.Config, state: Path = runs.STATE, now_s: float | None = None) -> tuple[list[Garbage], list[str]]:
    """What nothing needs, and remarks on what was left alone.

    Args:
        cfg: the configuration whose results are current.
        state: folder of cached configurations and locks.
        now_s: seconds since the epoch; default: now.

    Raises:
        UserError: the results folder has no list of current shards.
    """
    results = Path(cfg.results)
    shards = results / "pairs" / "shards.txt"
    if not shards.is_file():
        raise UserError(
            f"{shards}: no such list, so nobody knows what is current; let a run finish the stage `pairs` first"
        )
    keys = set(shards.read_text(encoding="utf-8").split())
    remarks: list[str] = []
    rows = Variants(cfg, cfg.ablation_rows)
    of_rows = {kind: rows.folders(kind) for kind in ("cutouts", "pack", "rows")}
    found = [
        *(_former_items(results, name, keys, of_rows["cutouts"], remarks) for name in _folders(results / "items")),
        *(_former_shards(results / stage, stage, keys) for stage in PER_SHARD),
        *(
            _former_shards(results / "variants" / stage / folder, f"{stage} of a row", keys)
            for stage in ("cutouts", "pack")
            for folder in sorted(of_rows[stage])
        ),
        _former_rows(results / "variants", of_rows),
        _unused_features(results, remarks),
        _former_configs(cfg, state),
        _temporary([results, state], time.time() if now_s is None else now_s),
    ]
    return [garbage for garbage in found if garbage.files], remarks


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _former_items(results: Path, name: str, keys: set[str], cuts: set[str], remarks: list[str]) -> Garbage:
    """Items that no table of a current shard names, neither the run's nor an ablation row's."""
    garbage = Garbage(f"items/{name}")
    stage, column = NAMED_ELSEWHERE.get(name, (name, "key"))
    tables = [results / stage / f"{key}.parquet" for key in sorted(keys)]
    missing = sum(not table.is_file() for table in tables)
    if missing:
        remarks.append(
            f"items/{name}: all kept, {stage} lacks {missing} of {len(tables)} tables; finish it, then call gc again"
        )
        return garbage
    if stage == "cutouts":
        of_rows = [results / "variants" / stage / folder / table.name for folder in sorted(cuts) for table in tables]
        tables += [table for table in of_rows if table.is_file()]
    named = _named(tables, column)
    if named is None:
        remarks.append(f"items/{name}: all kept, the tables of {stage} have no column {column!r}")
        return garbage
    for path, num_bytes in _files(results / "items" / name):
        # a half-written item has no record yet; its temporary files are judged by their age
        if path.name.split(".", 1)[0] not in named and not TEMPORARY.fullmatch(path.name):
            garbage.add(path, num_bytes)
    return garbage


def _named(tables: list[Path], column: str) -> set[str] | None:
    """Values of a column over all tables; None where no table has it."""
    import pyarrow.parquet as pq

    named: set[str] | None = None
    for table in tables:
        if column in pq.read_schema(table).names:
            values = pq.read_table(table, columns=[column]).column(column).to_pylist()
            named = (named or set()) | {value for value in values if value is not None}
    return named


def _former_shards(folder: Path, stage: str, keys: set[str]) -> Garbage:
    """Tables and packs of shards that the data no longer has."""
    garbage = Garbage(f"{stage} of former shards")
    for path, num_bytes in _files(folder):
        match = SHARD_FILE.fullmatch(path.name)
        if match is not None and match[1] not in keys:
            garbage.add(path, num_bytes)
    return garbage


def _former_rows(root: Path, of_rows: dict[str, set[str]]) -> Garbage:
    """Cut-outs, packs, pictures and scores of rows that no ablation has any more; trained weights stay."""
    garbage = Garbage("rows of former ablations")
    for kind, current in of_rows.items():
        for folder in _folders(root / kind):
            if folder not in current:
                for path, num_bytes in _files(root / kind / folder):
                    garbage.add(path, num_bytes)
    return garbage


def _unused_features(results: Path, remarks: list[str]) -> Garbage:
    """Kept features of truths that the last evaluation did not ask for: it touches each that it reads."""
    folder = "cache/features"
    garbage = Garbage(folder)
    origin = results / "evaluate" / "metrics.parquet.provenance.json"
    kept = [(path, size) for path, size in _files(results / folder) if FEATURES_FILE.fullmatch(path.name)]
    if not origin.is_file():
        if kept:
            remarks.append(f"{folder}: all kept, no evaluation has ended yet")
        return garbage
    facts = files.read_json(origin)
    finished_s = datetime.strptime(facts["finished"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    started_s = finished_s - facts["seconds"] - CLOCKS_S
    for path, num_bytes in kept:
        if path.stat().st_mtime < started_s:
            garbage.add(path, num_bytes)
    return garbage


def _former_configs(cfg: config.Config, state: Path) -> Garbage:
    """Resolved settings of former runs, and of rows: a run writes its own at its start, and a row's for its jobs."""
    current = f"config-{digests.digest(cfg.of_jobs.model_dump(mode='json'))}.json"
    garbage = Garbage("settings of former runs")
    for path, num_bytes in _files(state):
        if CONFIG_FILE.fullmatch(path.name) and path.name != current:
            garbage.add(path, num_bytes)
    return garbage


def _temporary(roots: list[Path], now_s: float) -> Garbage:
    """What killed writers left beside their targets."""
    garbage = Garbage("files of killed writers")
    for root in roots:
        for path, num_bytes in _files(root):
            if TEMPORARY.fullmatch(path.name) and now_s - path.stat().st_mtime > TEMPORARY_AGE_S:
                garbage.add(path, num_bytes)
    return garbage


def _files(root: Path) -> Iterator[tuple[Path, int]]:
    """All files below a folder with their sizes; links are not followed."""
    if not root.is_dir():
        return
    with os.scandir(root) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path), entry.stat(follow_symlinks=False).st_size


def remove(found: list[Garbage]) -> None:
    """Delete the files, and the folders of items and features that they leave empty."""
    for garbage in found:
        # of an item, the record goes first: without it, what is left of a killed gc counts for nothing
        for path in sorted(garbage.files, key=lambda path: (path.suffix != ".json", path)):
            path.unlink(missing_ok=True)
        if garbage.kind.startswith(("items/", "cache/")):
            _remove_empty({path.parent for path in garbage.files})
        if garbage.kind.startswith("cache/"):  # a folder per network, too
            _remove_empty({path.parent.parent for path in garbage.files})


def _remove_empty(folders: set[Path]) -> None:
    for folder in folders:
        if not any(folder.iterdir()):
            folder.rmdir()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--results", help="results folder, instead of the one that the configuration names")
    parser.add_argument("--dry-run", action="store_true", help="remove nothing; say what would go")


def run(args: argparse.Namespace) -> None:
    """Say what nothing needs, and remove it."""
    cfg = runs.of_results(config.load(args.config), args.results)
    with runs.no_run("gc"):
        found, remarks = find(cfg)
        for garbage in found:
            print(f"{garbage.kind}: {len(garbage.files)} files, {_shown(garbage.num_bytes)}")
        if not args.dry_run:
            remove(found)
    for remark in remarks:
        print(f"note: {remark}")
    num_files, num_bytes = sum(len(garbage.files) for garbage in found), sum(garbage.num_bytes for garbage in found)
    verb = "would remove" if args.dry_run else "removed"
    print(f"gc: {verb} {num_files} files, {_shown(num_bytes)}, of {cfg.results}")


def _shown(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.2f} MB"
