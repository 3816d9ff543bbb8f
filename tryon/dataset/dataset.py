"""Stage `dataset`: a folder of photos and annotations → one manifest row per usable photo.

Every photo is decoded whole (a truncated JPEG has a good header) and its annotation parsed; what cannot be used
goes to the quarantine table with its reason, and what could be mended without a guess is listed in repairs.csv.
Verdicts are remembered by content, so that one new photo among many costs one decoding.

    tryon dataset --config F --data DIR --out dataset/manifest.parquet --quarantine dataset/quarantine.csv
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tryon import config, files, images
from tryon.config import DatasetConfig
from tryon.dataset import duplicates, fingerprint, folder, formats, lists, manifest
from tryon.dataset.annotation import check_role, check_size
from tryon.dataset.folder import PhotoFiles
from tryon.dataset.formats.interface import Reader
from tryon.dataset.mending import mend
from tryon.digests import code_digest, config_digest, digest
from tryon.environments import environment_digest
from tryon.errors import BadItem, UserError
from tryon.ontology import CATEGORIES
from tryon.provenance import write_provenance

STAGE = "dataset"
QUARANTINE_COLUMNS = ("id", "stage", "reason")
REPAIRS_FILE = "repairs.csv"
REPAIR_COLUMNS = ("id", "stage", "repair")
PROGRESS_S = 10.0

Verdict = dict[str, Any]  # of a usable photo what `verify` says of it, else {"reason"}


class Survey(NamedTuple):
    """What a data folder holds, as tables sorted by id."""

    photos: pd.DataFrame
    """The manifest: columns of tryon/dataset/manifest.py."""
    quarantine: pd.DataFrame
    """id, stage, reason"""
    repairs: pd.DataFrame
    """id, stage, repair: what was mended in photos that are used, as "kind: detail"."""


def build(root: Path, cache: Path, cfg: DatasetConfig, *, jobs: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The manifest and the quarantine table of `survey`."""
    surveyed = survey(root, cache, cfg, jobs=jobs)
    return surveyed.photos, surveyed.quarantine


def survey(root: Path, cache: Path, cfg: DatasetConfig, *, jobs: int) -> Survey:
    """Read a data folder.

    Args:
        root: the data folder.
        cache: folder that remembers file digests and verdicts between runs.
        cfg: settings of this stage.
        jobs: photos decoded at a time.

    Raises:
        UserError: the folder has another layout, or a list in it cannot be read.
    """
    reader = formats.reader(cfg)
    listing = reader.scan(root)
    facts = reader.facts(root, listing)
    sha256 = fingerprint.file_digests(root, fingerprint.default_cache(cache.parent), reader.watched)
    annotated = {
        photo.id: reader.annotation_sha256(root, photo.annotation, sha256)
        for photo in listing.photos
        if photo.annotation is not None
    }
    # told anew each time, as the name and the content that verdicts are remembered by are those of a copy too
    outside = {} if cfg.follow_links else folder.links_out(root, (photo.file for photo in listing.photos))
    photos = tuple(photo for photo in listing.photos if photo.file not in outside)
    verdicts = _verdicts(root, reader, photos, sha256, annotated, cache / "dataset.json", jobs)
    # a garment whose photo is quarantined is still the one that is worn
    garments = {id_.partition("/")[2] for id_ in _ids(listing) if id_.startswith("garment/")}
    rows: list[dict[str, object]] = []
    repairs: list[tuple[str, str, str]] = []
    bad = [*listing.problems, *_without_photo(listing, facts)]
    bad += [(photo.id, outside[photo.file]) for photo in listing.photos if photo.file in outside]
    for photo, verdict in zip(photos, verdicts, strict=True):
        fact = _facts_of(photo, facts, garments)
        if "reason" in verdict:
            bad.append((photo.id, verdict["reason"]))
        elif fact is None:
            bad.append((photo.id, f"photos.csv has no line for it; add '{photo.file},IDENTITY,GARMENT'"))
        else:
            keypoints_sha256 = photo.keypoints and reader.annotation_sha256(root, photo.keypoints, sha256)
            rows.append(_row(photo, verdict, fact, sha256[photo.file], annotated[photo.id], keypoints_sha256))
            repairs += [(photo.id, STAGE, repair) for repair in verdict["repairs"]]
    quarantine = pd.DataFrame(
        [(id_, STAGE, reason) for id_, reason in sorted(bad)], columns=list(QUARANTINE_COLUMNS), dtype=object
    )
    repaired = pd.DataFrame(sorted(repairs), columns=list(REPAIR_COLUMNS), dtype=object)
    return Survey(manifest.frame(rows), quarantine, repaired)


def verify(root: Path, reader: Reader, photo: PhotoFiles) -> Verdict:
    """Decode a photo, parse its annotation, and say what they hold or why they cannot be used."""
    try:
        if photo.annotation is None:
            raise BadItem(f"no annotation annotations/{photo.id}.json; annotate the photo, or take it away")
        decoded = images.decode(root / photo.file)
        height, width = decoded.image_HWC.shape[:2]
        annotation = reader.annotate(root, photo.annotation, photo.role)
        check_size(annotation, (height, width))
        annotation = mend(annotation, photo.role)
        check_role(annotation, photo.role, needs_person=reader.annotates_person)
    except BadItem as problem:
        return {"reason": str(problem)}
    categories = [category for category in CATEGORIES if category in annotation.categories]
    return {
        "width": width,
        "height": height,
        "categories": ",".join(categories),
        "repairs": [*decoded.repairs, *annotation.repairs],
        **duplicates.fingerprints(decoded.image_HWC),
    }


def _verdicts(
    root: Path,
    reader: Reader,
    photos: tuple[PhotoFiles, ...],
    sha256: dict[str, str],
    annotated: dict[str, str],
    cache: Path,
    jobs: int,
) -> list[Verdict]:
    """The verdict on each photo, in order; remembered ones are taken from `cache`, a JSON file."""
    version = [code_digest(__name__, formats.module(reader.cfg)), config_digest(reader.cfg), environment_digest(STAGE)]
    # the name is part of the key because reasons name files
    keys = [digest([photo.file, sha256[photo.file], annotated.get(photo.id), *version]) for photo in photos]
    remembered = _load(cache)
    todo = [(key, photo) for key, photo in zip(keys, photos, strict=True) if key not in remembered]
    with ThreadPoolExecutor(jobs) as pool:  # decoding releases the interpreter's lock
        fresh = dict(
            zip(
                (key for key, _ in todo),
                _with_progress(pool.map(lambda item: verify(root, reader, item[1]), todo), len(todo), len(photos)),
                strict=True,
            )
        )
    verdicts = {key: remembered.get(key) or fresh[key] for key in keys}
    if fresh:
        files.write_text(cache, json.dumps(verdicts, ensure_ascii=False, separators=(",", ":"), sort_keys=True))
    return [verdicts[key] for key in keys]


def _load(cache: Path) -> dict[str, Verdict]:
    try:
        value = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _with_progress(results: Iterable[Verdict], num_todo: int, num_photos: int) -> Iterator[Verdict]:
    started = last = time.monotonic()
    for num_done, result in enumerate(results, start=1):
        yield result
        now = time.monotonic()
        if now - last > PROGRESS_S or num_done == num_todo:
            last, rate = now, num_done / max(now - started, 1e-9)
            print(
                f"{STAGE}: {num_done}/{num_todo} photos checked, {num_photos - num_todo} known, "
                f"{rate:.1f} photos/s, {(num_todo - num_done) / rate:.0f} s left",
                file=sys.stderr,
                flush=True,
            )


def _ids(listing: folder.Listing) -> set[str]:
    return {photo.id for photo in listing.photos} | {id_ for id_, _ in listing.problems}


def _facts_of(
    photo: PhotoFiles, facts: dict[str, lists.PhotoFacts] | None, garments: set[str]
) -> lists.PhotoFacts | None:
    """What photos.csv says of a photo, else what its name says; None where photos.csv should name it."""
    name = photo.id.partition("/")[2]
    if facts is not None and photo.id in facts:
        fact = facts[photo.id]
        # a shop photo shows the garment of its own name unless the list says otherwise
        return fact if fact.garment or photo.role != "garment" else lists.PhotoFacts(fact.identity, name, fact.split, 0)
    if photo.role == "garment":
        return lists.PhotoFacts(name, name, None, 0)
    # without a list, the garment of the same name, if there is one, is the one worn
    return lists.PhotoFacts(name, name if name in garments else None, None, 0) if facts is None else None


def _without_photo(listing: folder.Listing, facts: dict[str, lists.PhotoFacts] | None) -> list[tuple[str, str]]:
    known = _ids(listing)
    return [
        (id_, f"photos.csv line {fact.line} names it, but there is no such photo; restore it or delete the line")
        for id_, fact in (facts or {}).items()
        if id_ not in known
    ]


def _row(
    photo: PhotoFiles,
    verdict: Verdict,
    fact: lists.PhotoFacts,
    sha256: str,
    annotation_sha256: str,
    keypoints_sha256: str | None,
) -> dict[str, object]:
    assert photo.annotation is not None  # verify() refuses a photo without one
    return {
        "id": photo.id,
        "role": photo.role,
        "file": photo.file,
        "sha256": sha256,
        "width": verdict["width"],
        "height": verdict["height"],
        "annotation": photo.annotation,
        "annotation_sha256": annotation_sha256,
        "keypoints": photo.keypoints,
        "keypoints_sha256": keypoints_sha256,
        "identity": fact.identity,
        "garment": fact.garment,
        "categories": verdict["categories"],
        manifest.SPLIT: fact.split,
        "pixels": verdict["pixels"],
        "phash": verdict["phash"],
    }


def check_share(photos: pd.DataFrame, quarantine: pd.DataFrame, max_share: float) -> None:
    """Refuse a folder of which too much cannot be used.

    Raises:
        UserError: listing everything that was quarantined.
    """
    num_all = len(photos) + len(quarantine)
    if len(quarantine) > max_share * num_all:
        lines = "\n".join(f"  {row.id}: {row.reason}" for row in quarantine.itertuples())
        raise UserError(
            f"{len(quarantine)} of {num_all} photos cannot be used, more than max_quarantined {max_share:g} allows; "
            f"mend them or raise the setting\n{lines}"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="manifest to write: dataset/manifest.parquet; repairs.csv goes beside it",
    )
    parser.add_argument("--quarantine", type=Path, required=True, help="table to write: dataset/quarantine.csv")
    parser.add_argument("--jobs", type=int, default=1, help="photos decoded at a time")


def run(args: argparse.Namespace) -> None:
    """Write the manifest and the quarantine table."""
    started = time.monotonic()
    settings = config.load(args.config)
    cache = args.out.parent.parent / "cache"
    photos, quarantine, repairs = survey(args.data, cache, settings.dataset, jobs=args.jobs)
    files.write_csv(args.quarantine, quarantine)
    files.write_csv(args.out.with_name(REPAIRS_FILE), repairs)
    check_share(photos, quarantine, settings.max_quarantined)
    manifest.write_manifest(args.out, photos)
    num_repaired = repairs["id"].nunique()
    print(f"{STAGE}: {len(photos)} photos ({num_repaired} mended), {len(quarantine)} quarantined", file=sys.stderr)
    write_provenance(
        args.out,
        stage=STAGE,
        config=config_digest(settings.dataset),
        code=code_digest(__name__, formats.module(settings.dataset)),
        inputs={
            "data": fingerprint.folder_digest(
                args.data, fingerprint.default_cache(cache.parent), formats.reader(settings.dataset).watched
            )
        },
        seconds=time.monotonic() - started,
    )
