"""The item cache: shards are the jobs, photos are the cache.

A stage hands over its shard's rows, a key for each row (a digest of the input bytes, the stage's settings and
the stage's code) and a function that processes a batch of rows. Items already in the store are reused; the rest
are processed; every row ends in the shard's table as `ok` or `quarantined` with a reason. The table holds
nothing that differs between two runs (no times, no host), so an unchanged result never looks changed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tryon import files
from tryon.errors import BadItem

Scalar = str | int | float | bool | None
Row = Any  # a NamedTuple of DataFrame.itertuples; its fields differ per stage


@dataclass(frozen=True)
class Done:
    """A processed item.

    Attributes:
        files: content by name, e.g. ``{"labels.png": b"..."}``; the same names for every item of a stage.
        facts: scalars that become columns of the shard's table.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    facts: dict[str, Scalar] = field(default_factory=dict)


class ItemStore:
    """Finished items of one stage, by key, below `root/<stage>/<first two digits>/`."""

    def __init__(self, root: Path, stage: str) -> None:
        self.root = root
        self.stage = stage

    def load(self, key: str) -> dict[str, Any] | None:
        """The record of a finished item (`reason` or `files` and `facts`), or None where it must be made."""
        record = self._path(key, "json")
        if not record.is_file():
            return None
        try:
            value = files.read_json(record)
            names: list[str] = value["files"]
        except (ValueError, KeyError, TypeError):
            return None  # a record cut by a full disk or a failing one is made anew
        return value if all(self._path(key, name).is_file() for name in names) else None

    def save(self, key: str, result: Done | BadItem) -> dict[str, Any]:
        """Store a result; its record is written last, so a half-stored item does not count as finished."""
        if isinstance(result, BadItem):
            value: dict[str, Any] = {"reason": str(result), "files": [], "facts": {}}
        else:
            for name, content in result.files.items():
                files.write_bytes(self._path(key, name), content)
            value = {"reason": None, "files": sorted(result.files), "facts": result.facts}
        # as a reused item will be read: same types, same order of columns
        files.write_json(self._path(key, "json"), value)
        return dict(json.loads(json.dumps(value, sort_keys=True)))

    def relative(self, key: str, name: str) -> str:
        """Path of an item's file relative to the results folder."""
        return self._path(key, name).relative_to(self.root.parent).as_posix()

    def _path(self, key: str, name: str) -> Path:
        return self.root / self.stage / key[:2] / f"{key}.{name}"


def run_shard(
    *,
    stage: str,
    rows: pd.DataFrame,
    key_of: Callable[[Row], str],
    process: Callable[[list[Row]], Sequence[Done | BadItem]],
    store: Path,
    out: Path,
    batch_size: int = 1,
) -> pd.DataFrame:
    """Process the rows of a shard that the store does not hold yet, and write the shard's table.

    Args:
        stage: name of the stage, a folder of the store.
        rows: the shard's rows with a unique column `id`.
        key_of: digest of everything an item's result depends on.
        process: results for a batch of rows, in order; a `BadItem` quarantines its row.
        store: folder of all stages' items, directly below the results folder.
        out: parquet file to write: id, status, reason, key, facts, and one path column per file name.
        batch_size: rows per call of `process`.

    Returns:
        The table that was written, sorted by id. Whether too many rows are quarantined is judged over all shards
        of the data set (`tryon.packed.check_quarantined`): one bad photo in a small shard is no reason to stop.
    """
    started = time.monotonic()
    items = ItemStore(store, stage)
    todo: list[tuple[Row, str]] = []
    records: dict[str, tuple[str, dict[str, Any]]] = {}
    for row in rows.sort_values("id").itertuples(index=False):
        key = key_of(row)
        record = items.load(key)
        if record is None:
            todo.append((row, key))
        else:
            records[row.id] = (key, record)
    num_reused = len(records)
    for batch in _batches(todo, batch_size, label=f"{stage} {out.stem}", num_reused=num_reused):
        results = process([row for row, _ in batch])
        if len(results) != len(batch):
            raise RuntimeError(f"{stage}: {len(results)} results for {len(batch)} rows")
        for (row, key), result in zip(batch, results, strict=True):
            records[row.id] = (key, items.save(key, result))
    table = _table(items, records)
    files.write_parquet(out, table)
    files.append_jsonl(
        store.parent / "journal" / f"{stage}.jsonl",
        {
            "shard": out.stem,
            "num_items": len(records),
            "num_made": len(todo),
            "num_reused": num_reused,
            "seconds": round(time.monotonic() - started, 3),
            "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        },
    )
    return table


def _batches(
    todo: list[tuple[Row, str]], batch_size: int, *, label: str, num_reused: int
) -> Iterator[list[tuple[Row, str]]]:
    """The work in batches, with a progress line about every ten seconds."""
    started = last = time.monotonic()
    for begin in range(0, len(todo), batch_size):
        yield todo[begin : begin + batch_size]
        now, num_done = time.monotonic(), min(begin + batch_size, len(todo))
        if now - last > 10 or num_done == len(todo):
            last, rate = now, num_done / max(now - started, 1e-9)
            left_s = (len(todo) - num_done) / rate
            print(
                f"{label}: {num_done}/{len(todo)} items, {num_reused} reused, {rate:.1f} items/s, {left_s:.0f} s left",
                file=sys.stderr,
                flush=True,
            )


def _table(items: ItemStore, records: dict[str, tuple[str, dict[str, Any]]]) -> pd.DataFrame:
    rows = []
    for item_id, (key, record) in sorted(records.items()):
        rows.append(
            {
                "id": item_id,
                "status": "ok" if record["reason"] is None else "quarantined",
                "reason": record["reason"],
                "key": key,
                **record["facts"],
                **{name: items.relative(key, name) for name in record["files"]},
            }
        )
    return pd.DataFrame(rows, columns=None if rows else ["id", "status", "reason", "key"])
