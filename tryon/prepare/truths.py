"""True pictures of pairs: the person's own photo for paired ones, truth/PERSON__GARMENT.jpg for the others."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tryon import images
from tryon.dataset.annotation import check_size
from tryon.dataset.folder import PHOTO_SUFFIXES, TRUTH, stem
from tryon.dataset.formats.interface import Reader
from tryon.dataset.manifest import Photo
from tryon.errors import BadItem
from tryon.prepare.pairing import Pair, Refusal


def attach(pairs: list[Pair], photos: list[Photo], root: Path, reader: Reader) -> tuple[list[Pair], list[Refusal]]:
    """Add truth, truth_annotation and truth_sha256 to every pair.

    Args:
        pairs: without truth.
        photos: the manifest.
        root: the data folder.
        reader: of the annotations.

    Returns:
        The pairs with those keys (None where no truth is known), and true pictures that cannot be used: their
        pairs stay, but are judged without truth.
    """
    by_id = {photo.id: photo for photo in photos}
    pictures, annotations = _files(root)
    done: list[Pair] = []
    refusals: list[Refusal] = []
    for pair in pairs:
        person = by_id[str(pair["person"])]
        name = _name(pair)
        if pair["kind"] == "paired":
            truth = _own(person)
        elif name in pictures:
            try:
                truth = _given(root, reader, pictures[name], annotations.get(name), (person.height, person.width))
            except BadItem as problem:
                refusals.append(Refusal(f"{TRUTH}/{name}", f"{problem} (the pair is judged without it)"))
                truth = _NONE
        else:
            truth = _NONE
        done.append({**pair, **truth})
    unused = sorted(set(pictures) - {_name(pair) for pair in pairs})
    if unused:
        shown = ", ".join(unused[:5])
        refusals.append(Refusal(TRUTH, f"{len(unused)} true pictures belong to no pair of this run: {shown}"))
    return done, refusals


def _name(pair: Pair) -> str:
    """PERSON__GARMENT; several categories of one garment are one pair to the photographer."""
    return "__".join(str(pair[column]).partition("/")[2] for column in ("person", "garment"))


_NONE: dict[str, str | None] = {"truth": None, "truth_annotation": None, "truth_sha256": None}


def _own(person: Photo) -> dict[str, str | None]:
    joined = hashlib.sha256(f"{person.sha256}{person.annotation_sha256}".encode()).hexdigest()
    return {"truth": person.file, "truth_annotation": person.annotation, "truth_sha256": joined}


def _given(
    root: Path, reader: Reader, picture: str, annotation: str | None, size_hw: tuple[int, int]
) -> dict[str, str | None]:
    """A true picture, decoded and checked against the size of its person's photo."""
    found_hw = images.read_rgb(root / picture).shape[:2]
    if found_hw != size_hw:
        raise BadItem(f"{picture} is {found_hw[1]}x{found_hw[0]}, but the person's photo is {size_hw[1]}x{size_hw[0]}")
    content = hashlib.sha256((root / picture).read_bytes())
    if annotation is not None:
        check_size(reader.annotate(root, annotation, "person"), size_hw)
        content.update((root / annotation).read_bytes())
    return {"truth": picture, "truth_annotation": annotation, "truth_sha256": content.hexdigest()}


def _files(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Pictures and annotations of truth/ by pair id."""
    folder = root / TRUTH
    found = sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    pictures = {stem(path.name): f"{TRUTH}/{path.name}" for path in found if path.suffix.lower() in PHOTO_SUFFIXES}
    annotations = {stem(path.name): f"{TRUTH}/{path.name}" for path in found if path.suffix.lower() == ".json"}
    return pictures, annotations
