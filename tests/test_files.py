"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tryon import files


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.write_atomic(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_json_round_trip_keeps_chinese_and_sorts_keys(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"b": 1, "a": "试穿"})
    assert files.read_json(tmp_path / "a.json") == {"a": "试穿", "b": 1}
    assert "试穿" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_journal_lines_are_appended_whole(tmp_path: Path) -> None:
    for index in range(3):
        files.append_jsonl(tmp_path / "logs" / "j.jsonl", {"index": index})
    assert (tmp_path / "logs/j.jsonl").read_text().splitlines() == [f'{{"index": {index}}}' for index in range(3)]


def test_sha256_of_a_known_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
