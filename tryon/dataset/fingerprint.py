"""Content digest of a data folder, cheap to ask for again: the Snakefile does so before every run.

Files whose size, change time and inode are as remembered are not read again; a touched file is read once, and as
its content is the same, so is the digest. Imports the standard library and `tryon.files`/`digests` alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tryon import files
from tryon.digests import digest
from tryon.errors import UserError

RACY_NS = 2_000_000_000
"""A file changed this shortly before it was read may change again with the same stamp (coarse file-system clocks),
so its digest is not remembered."""

NUM_THREADS = 8  # reading waits for the disk, and hashlib lets other threads run

FILES_PER_TASK = 256

Stamp = str  # "size change_time inode" in bytes and ns; text, as 300 000 tuples of numbers take 100 MB more


def default_cache(results: Path) -> Path:
    """Where a results folder keeps the stamps of its data folder."""
    return results / "cache" / "fingerprint.json"


def folder_digest(root: Path | str, cache_path: Path | str, watched: Sequence[str]) -> str:
    """Digest of names and contents of all files that can matter to the workflow.

    Args:
        root: the data folder.
        cache_path: JSON file that remembers stamps; made if absent, ignored if broken.
        watched: folders and files relative to `root`, globs allowed (`formats.interface.Reader.watched`).

    Returns:
        16 hex digits; equal for equal content, whatever the order of listing and the times of the files. A link that
        leads out of the folder is not equal to a copy of its file: the one may be refused, and the other is used.

    Raises:
        UserError: the folder is missing.
    """
    digests = file_digests(root, cache_path, watched)
    outside = sorted(_links_out(Path(root), watched))
    return digest([digests, outside] if outside else digests)


def file_digests(root: Path | str, cache_path: Path | str, watched: Sequence[str]) -> dict[str, str]:
    """SHA-256 of each file that can matter, by path relative to the data folder; arguments as `folder_digest`."""
    root, cache_path = Path(root), Path(cache_path)
    if not root.is_dir():
        raise UserError(f"{root}: no such data folder; set `data` to a folder of photos (docs/data.md)")
    remembered = _load(cache_path, root)
    stamps = dict(_stamps(root, watched))
    digests = dict.fromkeys(sorted(stamps), "")
    unknown = []
    for name in digests:
        stamp, _, sha256 = remembered.get(name, "").rpartition(" ")
        if stamp == stamps[name]:
            digests[name] = sha256
        else:
            unknown.append(name)
    read_at = time.time_ns()
    digests.update(_sha256_of(root, unknown))
    racy = {name for name in unknown if int(stamps[name].split(" ")[1]) >= read_at - RACY_NS}
    racy |= {name for name in unknown if digests[name] == UNREADABLE}  # permissions change without a new stamp
    settled = {name: f"{stamp} {digests[name]}" for name, stamp in stamps.items() if name not in racy}
    if settled != remembered:
        # one line of compact JSON: with 100 000 photos this file is read before every run
        # and in ASCII, as a name on disk need not be text in any encoding
        files.write_text(cache_path, json.dumps({"root": _key(root), "files": settled}, separators=(",", ":")))
    return digests


UNREADABLE = "unreadable"


def _sha256(path: str) -> str:
    """SHA-256 of a file; one that may not be read is no reason to stop: the stage `dataset` says so of its photo."""
    try:
        return files.sha256_file(path)
    except OSError:
        return UNREADABLE


def _sha256_of(root: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """SHA-256 of files; read some hundred at a time, as one task per small file costs more than the file."""
    prefix = str(root)

    def read(part: list[str]) -> list[str]:
        return [_sha256(os.path.join(prefix, name)) for name in part]

    parts = [names[start : start + FILES_PER_TASK] for start in range(0, len(names), FILES_PER_TASK)]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for part, digests in zip(parts, pool.map(read, parts), strict=True):
            yield from zip(part, digests, strict=True)


def _load(cache_path: Path, root: Path) -> dict[str, str]:
    """Remembered "stamp sha256" by name."""
    try:
        value = json.loads(cache_path.read_text(encoding="utf-8"))
        remembered = value["files"] if value["root"] == _key(root) else {}
        whole = all(type(text) is str and text.count(" ") == 3 for text in remembered.values())
        return remembered if whole else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # no cache, another folder's or a broken one: everything is read


def _key(root: Path) -> str:
    return str(root.resolve())


def _stamps(root: Path, watched: Sequence[str]) -> Iterator[tuple[str, Stamp]]:
    for place in _places(root, watched):
        if place.is_dir():
            folder = place.relative_to(root).as_posix()
            with os.scandir(place) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.is_file():
                        yield f"{folder}/{entry.name}", _stamp(entry.stat())
        elif place.is_file():
            yield place.relative_to(root).as_posix(), _stamp(place.stat())


def _links_out(root: Path, watched: Sequence[str]) -> Iterator[str]:
    """Files of watched folders, relative to the data folder, that are links out of it."""
    base = os.path.join(os.path.realpath(root), "")
    for place in _places(root, watched):
        if place.is_dir():
            with os.scandir(place) as entries:
                links = [entry for entry in entries if entry.is_symlink() and not entry.name.startswith(".")]
            for entry in links:
                if not os.path.realpath(entry.path).startswith(base):
                    yield f"{place.relative_to(root).as_posix()}/{entry.name}"


def _places(root: Path, watched: Sequence[str]) -> Iterator[Path]:
    for pattern in watched:
        if any(mark in pattern for mark in "*?["):
            yield from sorted(root.glob(pattern))
        else:
            yield root / pattern


def _stamp(status: os.stat_result) -> Stamp:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
