"""The item cache: reuse, quarantine, half-stored items, deterministic tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tryon.digests import digest
from tryon.errors import BadItem
from tryon.items import Done, run_shard


class Upper:
    """A stage that stores each row's text in capitals and remembers what it was asked to do."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, rows: list) -> list[Done | BadItem]:
        self.seen += [row.id for row in rows]
        return [
            BadItem(f"{row.id}: empty")
            if not row.text
            else Done({"txt": row.text.upper().encode()}, {"n": len(row.text)})
            for row in rows
        ]


def shard(tmp_path: Path, texts: dict[str, str], process: Upper) -> pd.DataFrame:
    rows = pd.DataFrame({"id": list(texts), "text": list(texts.values())})
    return run_shard(
        stage="upper",
        rows=rows,
        key_of=lambda row: digest(row.text),
        process=process,
        store=tmp_path / "items",
        out=tmp_path / "upper" / "k.parquet",
        batch_size=2,
    )


def test_a_second_run_makes_nothing_and_writes_the_same_bytes(tmp_path: Path) -> None:
    shard(tmp_path, {"b": "y", "a": "x", "c": ""}, Upper())
    first = (tmp_path / "upper/k.parquet").read_bytes()
    again = Upper()
    table = shard(tmp_path, {"a": "x", "c": "", "b": "y"}, again)
    assert again.seen == []
    assert (tmp_path / "upper/k.parquet").read_bytes() == first
    assert list(table["id"]) == ["a", "b", "c"]
    assert list(table["status"]) == ["ok", "ok", "quarantined"]
    assert table["reason"][2] == "c: empty"
    assert (tmp_path / table["txt"][0]).read_bytes() == b"X"


def test_one_changed_item_is_the_only_one_made(tmp_path: Path) -> None:
    shard(tmp_path, {"a": "x", "b": "y", "c": "z"}, Upper())
    again = Upper()
    shard(tmp_path, {"a": "x", "b": "changed", "c": "z"}, again)
    assert again.seen == ["b"]


def test_a_half_stored_item_is_made_again(tmp_path: Path) -> None:
    table = shard(tmp_path, {"a": "x", "b": "y"}, Upper())
    (tmp_path / table["txt"][0]).unlink()
    again = Upper()
    shard(tmp_path, {"a": "x", "b": "y"}, again)
    assert again.seen == ["a"]
