"""Model weights from a path or a URL, checked by sha256 before anything reads them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import urllib.error
import urllib.request
from pathlib import Path

from tryon import files
from tryon.errors import UserError

_SAMPLE_BYTES = 1 << 20


def resolve(where: str, sha256: str | None, *, setting: str, cache: Path | None = None) -> Path:
    """The local file of a model's weights.

    Args:
        where: path, or http(s)/file URL; a URL is downloaded once into `cache` under its sha256.
        sha256: expected digest, 64 hex digits; needed for a URL.
        setting: name of the setting for error messages, e.g. ``"cutouts.checkpoint"``.
        cache: folder of downloads; default ``$XDG_CACHE_HOME/tryon``.

    Raises:
        UserError: no such file, download failed, or the content has another sha256.
    """
    if where.startswith(("http://", "https://", "file://")):
        if sha256 is None:
            raise UserError(f"{setting}: {where} is a URL; give its sha256 beside it")
        path = download_path(where, sha256, cache)
        if not path.is_file():
            _download(where, path, setting)
    else:
        path = Path(where)
        if not path.is_file():
            raise UserError(f"{setting}: {where}: no such file; give the path of the weights or a URL with its sha256")
    if sha256 is not None:
        found = files.sha256_file(path)
        if found != sha256:
            raise UserError(
                f"{setting}: {path} has sha256 {found}, expected {sha256}; it is another or a damaged file: "
                "fetch it again, or correct the sha256"
            )
    return path


def download_path(url: str, sha256: str, cache: Path | None = None) -> Path:
    """Where the download of a URL is kept; default folder ``$XDG_CACHE_HOME/tryon``."""
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tryon"
    return folder / f"{sha256[:16]}-{url.rsplit('/', 1)[-1]}"


def weights_digest(where: str, sha256: str | None) -> str:
    """What a rule carries so that other weights rerun it: the sha256, or a digest of size, head and tail.

    A folder's is that of all its files. A path without a sha256 is sampled, since hashing gigabytes at every start
    would delay each job; a file that is absent counts as such (the stage itself then says so).
    """
    if sha256 is not None:
        return sha256
    path = Path(where)
    if path.is_dir():
        parts = [
            f"{file.relative_to(path)}:{weights_digest(str(file), None)}"
            for file in sorted(path.rglob("*"))
            if file.is_file()
        ]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
    if not path.is_file():
        return "absent"
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(_SAMPLE_BYTES)
        stream.seek(max(0, size - _SAMPLE_BYTES))
        return hashlib.sha256(f"{size}:".encode() + head + stream.read(_SAMPLE_BYTES)).hexdigest()


def _download(url: str, path: Path, setting: str) -> None:
    def fetch(temporary: Path) -> None:
        with urllib.request.urlopen(url, timeout=60) as response, temporary.open("wb") as out:  # noqa: S310
            while block := response.read(_SAMPLE_BYTES):
                out.write(block)

    try:
        files.write_atomic(path, fetch)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise UserError(
            f"{setting}: {url} cannot be downloaded ({error}); fetch it on another machine and give its path"
        ) from None


def find_config(name: str) -> Path:
    """The mmpose configuration of this path, else the one that the mmpose package ships under this name.

    Raises:
        UserError: there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    package = importlib.util.find_spec("mmpose")
    for folder in (package.submodule_search_locations or []) if package else []:
        packaged = Path(folder) / ".mim" / "configs" / name
        if packaged.is_file():
            return packaged
    raise UserError(
        f"keypoints.config: {name}: no such file, nor an mmpose configuration of that name; give a path, or a name "
        "such as body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py"
    )
