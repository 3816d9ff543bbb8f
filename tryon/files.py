"""Files that appear whole or not at all: written beside, fsynced, renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors of a full disk and of a user's share of it that is used up."""


def sync_folder(folder: Path) -> None:
    """Make the renames inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path | str, write: Callable[[Path], None]) -> None:
    """Create or replace `path` by what `write` puts into a temporary file beside it.

    Args:
        path: the file to create; its folder is made if absent.
        write: receives the temporary path (same suffix) and writes the whole content there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=f".tmp{path.suffix}")
    os.close(descriptor)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_UMASK)  # mkstemp makes 0600, which colleagues on a shared disk cannot read
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _read_umask()  # read once at import: os.umask can only be read by setting it, which threads would see


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path` atomically."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomic(path, write)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> None:  # noqa: ANN401 (JSON is any)
    """Write `value` to `path` atomically as readable JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_parquet(path: Path | str, table: pd.DataFrame) -> None:
    """Write `table` to `path` atomically; the bytes depend on the content alone."""
    write_atomic(path, lambda temporary: table.to_parquet(temporary, index=False))


def write_csv(path: Path | str, table: pd.DataFrame) -> None:
    """Write `table` to `path` atomically as UTF-8 CSV."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_json(path: Path | str) -> Any:  # noqa: ANN401 (JSON is any)
    """Read a JSON file as UTF-8 (a leading byte-order mark is allowed)."""
    return json.loads(Path(path).read_text(encoding="utf-8-sig"))


def append_jsonl(path: Path | str, value: Any) -> None:  # noqa: ANN401 (JSON is any)
    """Append one line to a journal; one write call, so lines of several processes do not mix."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, line.encode("utf-8"))
    finally:
        os.close(descriptor)


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's content as 64 hex digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
