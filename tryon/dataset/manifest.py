"""The manifest: one row per usable photo, and shards of it as TSV.

Everything that comes after the stage `dataset` knows photos through these columns, by id, never through the place
of a file in a listing.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tryon import files
from tryon.errors import UserError


class Photo(NamedTuple):
    """A usable photo; the fields are the manifest's columns."""

    id: str
    """ "person/NAME" or "garment/NAME"."""
    role: str
    """person | garment"""
    file: str
    """Relative to the data folder, as are annotation and keypoints."""
    sha256: str
    width: int
    """Pixels, after the EXIF rotation."""
    height: int
    annotation: str
    annotation_sha256: str
    keypoints: str | None
    keypoints_sha256: str | None
    identity: str
    """Person photos of one identity show one person."""
    garment: str | None
    """Name of the garment that is worn (person) or shown (garment)."""
    categories: str
    """Comma list of the garment categories annotated."""
    split: str | None = None
    """From photos.csv. In the manifest only, as are the next two: a new split must not rename a shard."""
    pixels: str | None = None
    """16 hex digits of the decoded pixels: equal for equal pictures, whatever their files."""
    phash: str | None = None
    """64 hex digits of the perceptual hash (tryon/dataset/duplicates.py)."""


MANIFEST_ONLY = ("split", "pixels", "phash")

COLUMNS = tuple(name for name in Photo._fields if name not in MANIFEST_ONLY)
"""Columns of a shard."""

SPLIT = "split"
_NULLABLE = ("keypoints", "keypoints_sha256", "garment", *MANIFEST_ONLY)
_INTEGERS = ("width", "height")


def frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Rows → a manifest sorted by id, with fixed columns and types even where there are no rows."""
    table = pd.DataFrame(rows, columns=[*COLUMNS, *MANIFEST_ONLY]).sort_values("id", ignore_index=True)
    return _typed(table)


def write_manifest(path: Path, photos: pd.DataFrame) -> None:
    """Write a manifest atomically; a column without any value keeps its type."""
    files.write_parquet(path, photos.astype({name: "str" for name in _NULLABLE}))


def read_manifest(path: Path | str) -> pd.DataFrame:
    """Read manifest.parquet; absent values are None.

    Raises:
        UserError: the file is missing or is not a manifest.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such manifest; run the stage `dataset` first") from None
    missing = {*COLUMNS, *MANIFEST_ONLY} - set(table.columns)
    if missing:
        raise UserError(f"{path}: not a manifest, it lacks {', '.join(sorted(missing))}; run the stage `dataset` again")
    return _typed(table)


def photos_of(table: pd.DataFrame) -> list[Photo]:
    """The rows of a manifest or shard."""
    fields = [name for name in Photo._fields if name in table.columns]
    return [Photo(*values) for values in table[fields].itertuples(index=False, name=None)]


def shard_text(photos: pd.DataFrame) -> str:
    """The TSV content of a shard; the same rows give the same bytes."""
    return str(photos[list(COLUMNS)].to_csv(sep="\t", index=False, lineterminator="\n", na_rep=""))


def write_shard(path: Path, photos: pd.DataFrame) -> None:
    """Write a shard atomically."""
    files.write_text(path, shard_text(photos))


def read_shard(path: Path | str) -> pd.DataFrame:
    """Read pairs/shards/KEY.tsv: photo rows with the manifest's columns; absent values are None.

    Names such as "NA", "007" or "1e3" stay what they are.
    """
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such shard; run the stage `pairs` first") from None
    if tuple(table.columns) != COLUMNS:
        raise UserError(f"{path}: not a shard of photos; run the stage `pairs` again")
    return _typed(table)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {}
    for name in table.columns:
        values = table[name]
        if name in _INTEGERS:
            columns[name] = values.astype("int64")
        elif name in _NULLABLE:
            present = [None if pd.isna(value) or value == "" else str(value) for value in values]
            columns[name] = pd.Series(present, index=table.index, dtype=object)
        else:
            columns[name] = values.astype(object)
    return pd.DataFrame(columns, index=table.index)
