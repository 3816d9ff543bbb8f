"""What the report says about data, training and provenance: read from the results folder as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tryon import files
from tryon.config import Config
from tryon.errors import UserError
from tryon.evaluation.drawings import Curves, loss_curves
from tryon.ontology import CATEGORIES

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Results:
    """Where the stages of one run left their results.

    Attributes:
        root: the results folder.
        keys: names of the run's shards; files of other shards are leftovers of other data.
    """

    root: Path
    keys: tuple[str, ...]

    @classmethod
    def open(cls, root: Path) -> Results:
        """Read which shards belong to the run."""
        shards = root / "pairs" / "shards.txt"
        if not shards.is_file():
            raise UserError(f"{shards}: no such list of shards; run the stage `pairs` first, or correct --results")
        return cls(root, tuple(shards.read_text(encoding="utf-8").split()))

    def table(self, stage: str) -> pd.DataFrame:
        """All shards' rows of a per-photo stage."""
        parts = [_read_table(self.root / stage / f"{key}.parquet", stage) for key in self.keys]
        return pd.concat(parts, ignore_index=True)

    @property
    def packs(self) -> list[Path]:
        """Packed files."""
        return [self.root / "pack" / f"{key}.safetensors" for key in self.keys]


def _read_table(path: Path, stage: str) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"{path}: no such table; run the stage `{stage}` first, or correct --results")
    return pd.read_parquet(path)


def quarantined(results: Results) -> list[dict[str, str]]:
    """Every photo, file or pair that could not be used: id, stage, reason."""
    rows: dict[str, dict[str, str]] = {}
    for stage in ("dataset", "pairs"):
        path = results.root / stage / "quarantine.csv"
        if not path.is_file():
            raise UserError(f"{path}: no such table; run the stage `{stage}` first, or correct --results")
        for row in pd.read_csv(path, dtype=str, keep_default_na=False).itertuples():
            rows.setdefault(row.id, {"id": row.id, "stage": row.stage, "reason": row.reason})
    pack = results.table("pack")
    for row in pack[pack["status"] != "ok"].itertuples():
        rows.setdefault(row.id, {"id": row.id, "stage": row.stage, "reason": row.reason})
    return sorted(rows.values(), key=lambda row: row["id"])


def photo_counts(manifest: pd.DataFrame, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Photos by role and garment category, over the splits that their pairs are in."""
    split_of: dict[str, str] = {}
    for pair in pairs.itertuples():
        split_of.setdefault(pair.person, pair.split)
        split_of.setdefault(pair.garment, pair.split)
    rows = []
    for role in ("person", "garment"):
        of_role = manifest[manifest["role"] == role]
        for category in CATEGORIES:
            has_it = of_role[[category in value.split(",") for value in of_role["categories"]]]
            if has_it.empty:
                continue
            splits = [split_of.get(photo, "none") for photo in has_it["id"]]
            counts = {split: splits.count(split) for split in (*SPLITS, "none")}
            rows.append({"role": role, "category": category, **counts, "all": len(has_it)})
    return rows


def pair_counts(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Pairs per list, how many have a true picture, and their garment categories."""
    rows = []
    for split in SPLITS:
        for kind in ("paired", "unpaired"):
            listed = pairs[(pairs["split"] == split) & (pairs["kind"] == kind)]
            if len(listed):
                categories = {str(name): int(count) for name, count in listed["category"].value_counts().items()}
                num_true = int(listed["truth"].notna().sum())
                rows.append(
                    {"list": f"{split}_{kind}", "num": len(listed), "num_true": num_true, "categories": categories}
                )
    return rows


@dataclass(frozen=True)
class Training:
    """One training stage as the report shows it."""

    name: str
    facts: Mapping[str, Any]
    curves: Curves | None
    seconds: float | None


def trainings(results: Results, config: Config) -> list[Training]:
    """Every trained stage with its loss curves, in the order of the cascade, then the references."""
    found = []
    for name in config.used_stages:
        path = results.root / "train" / name / "summary.json"
        if not path.is_file():
            raise UserError(f"{path}: no such summary; run `tryon train --stage {name}` first, or correct --results")
        facts = files.read_json(path)
        run_dir = results.root / facts["run_dir"]
        curves = loss_curves(_losses(run_dir, "train"), _losses(run_dir, "val"))
        origin = origin_of(path.parent / "weights.safetensors")
        found.append(Training(name, facts, curves, origin["seconds"] if origin else None))
    return found


def _losses(run_dir: Path, kind: str) -> list[tuple[int, float]]:
    """(step, loss) of a run's journal; of a step repeated after a restart, the last."""
    by_step: dict[int, float] = {}
    path = run_dir / "metrics.jsonl"
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # a line torn by a power cut; the restart wrote its step again
        if isinstance(row, dict) and row.get("kind") == kind:
            by_step[int(row["step"])] = float(row["loss"])
    return sorted(by_step.items())


def provenance(results: Results, config: Config) -> list[dict[str, Any]]:
    """Where each result of the run comes from, in the order of the stages; shards of one stage are one row."""
    root = results.root
    places = [("dataset", root / "dataset" / "manifest.parquet"), ("pairs", root / "pairs" / "pairs.parquet")]
    places += [(f"pack {key[:8]}", root / "pack" / f"{key}.safetensors") for key in results.keys]
    places += [(f"train {name}", root / "train" / name / "weights.safetensors") for name in config.used_stages]
    places += [(f"sample {name}", root / "sample" / name / "index.parquet") for name in config.systems]
    places.append(("evaluate", root / "evaluate" / "metrics.parquet"))
    rows = []
    for title, path in places:
        origin = origin_of(path)
        if origin is not None:
            rows.append({"title": title, **origin})
    return rows


def origin_of(result: Path) -> dict[str, Any] | None:
    """The provenance of a result, where it has one."""
    path = result.with_name(result.name + ".provenance.json")
    return files.read_json(path) if path.is_file() else None


def durations(results: Results) -> list[dict[str, Any]]:
    """Seconds and items per stage over all runs so far, from the journals of the per-photo stages."""
    rows = []
    for path in sorted((results.root / "journal").glob("*.jsonl")):
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows.append(
            {
                "stage": path.stem,
                "seconds": sum(entry.get("seconds", 0.0) for entry in entries),
                "made": sum(entry.get("num_made", 0) for entry in entries),
                "reused": sum(entry.get("num_reused", 0) for entry in entries),
            }
        )
    return rows
