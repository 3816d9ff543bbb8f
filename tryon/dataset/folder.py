"""The layout of a data folder: which file belongs to which photo, by name and never by place in a listing.

    person/NAME.jpg  garment/NAME.jpg              photos
    annotations/{person,garment}/NAME.json         one annotation per photo
    keypoints/{person,garment}/NAME.json           optional
    pairs.txt  photos.csv                          optional: tryon/dataset/lists.py
    truth/PERSON__GARMENT.jpg and .json            optional, true pictures of a person in a garment

Only the standard library is imported: `tryon check` and the fingerprint read folders before anything else runs.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tryon.errors import UserError

ROLES = ("person", "garment")
PICTURE = "picture"
"""Role of a picture that is neither, for the plain diffusion trainer: nothing is annotated in it."""
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
TRUTH = "truth"
FOLDERS = (*ROLES, *(f"{kind}/{role}" for kind in ("annotations", "keypoints") for role in ROLES))
LINK_OUT = "a link out of the data folder; copy the file here, or set dataset.follow_links: true"
MAX_NAME_BYTES = 100
"""Of a photo's name in UTF-8, without suffix: a pair's pictures are files named by two of them, and 255 is the limit
of a file name."""


@dataclass(frozen=True)
class PhotoFiles:
    """The files of one photo, relative to the data folder.

    Attributes:
        id: "person/NAME" or "garment/NAME".
        role: "person" or "garment".
        file: the photo.
        annotation: its annotation, or None where there is none.
        keypoints: its given keypoints, or None.
    """

    id: str
    role: str
    file: str
    annotation: str | None
    keypoints: str | None


@dataclass(frozen=True)
class Listing:
    """What a data folder holds.

    Attributes:
        photos: sorted by id.
        problems: (id, reason) of everything that belongs to no photo or to several, sorted.
    """

    photos: tuple[PhotoFiles, ...]
    problems: tuple[tuple[str, str], ...]


def stem(file_name: str) -> str:
    """A file's name without suffix, in one Unicode form (macOS stores é as two code points)."""
    name = split_name(file_name)[0]
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def split_name(file_name: str) -> tuple[str, str]:
    """Name and suffix, as `pathlib` divides them, which takes ten times as long: a folder may hold 300 000 files."""
    name, suffix = os.path.splitext(file_name)
    return (name, suffix) if suffix != "." else (file_name, "")


def scan(root: Path, *, follow_links: bool = False) -> Listing:
    """List the photos of a data folder and the files that belong to them.

    Args:
        root: the data folder.
        follow_links: whether a file may be a link that leads out of it.

    Raises:
        UserError: the folder, or one of `person/` and `garment/`, is missing or holds no photo.
    """
    check_layout(root)
    if not follow_links:
        check_folder_links(root, FOLDERS)
    base = None if follow_links else root.resolve()
    photos: list[PhotoFiles] = []
    problems: list[tuple[str, str]] = []
    for role in ROLES:
        found, bad = _scan_photos(root, role, base)
        known = {name: f"{role}/{name}" for name in found}
        annotations = _scan_partners(root, "annotations", role, known, base, bad)
        keypoints = _scan_partners(root, "keypoints", role, known, base, bad)
        problems += bad.items()
        photos += [
            PhotoFiles(f"{role}/{name}", role, file, annotations.get(name), keypoints.get(name))
            for name, file in found.items()
            if f"{role}/{name}" not in bad
        ]
    return Listing(tuple(sorted(photos, key=lambda photo: photo.id)), tuple(sorted(problems)))


def check_layout(root: Path) -> None:
    """Refuse a folder that cannot be a data folder.

    Raises:
        UserError: naming what is missing.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such data folder; give the folder that holds person/, garment/ and annotations/")
    for name in (*ROLES, "annotations"):
        if not (root / name).is_dir():
            raise UserError(
                f"{root}: no folder {name}/ in it; a data folder holds person/NAME.jpg, garment/NAME.jpg and "
                "annotations/{person,garment}/NAME.json (docs/data.md)"
            )
    for role in ROLES:
        if not any(split_name(entry.name)[1].lower() in PHOTO_SUFFIXES for entry in _entries(root / role)):
            raise UserError(f"{root / role}: no photos in it; put {role} photos there ({', '.join(PHOTO_SUFFIXES)})")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder, sorted by name, without hidden ones and the thumbnails that systems leave behind."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    yield from (entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() != "thumbs.db")


def check_folder_links(root: Path, folders: Iterable[str]) -> None:
    """Refuse a data folder whose own folders are links that lead out of it: every photo would be a stranger's.

    Args:
        root: the data folder.
        folders: relative to it; those that are not there are passed over, and folders above them are checked too.

    Raises:
        UserError: naming the topmost such link and the setting that allows it.
    """
    for name in dict.fromkeys(above for wanted in folders for above in _with_parents(wanted)):
        if not _is_inside(root, name):
            raise UserError(
                f"{root / name}: a link to {os.path.realpath(root / name)}, out of the data folder; if that is meant, "
                "set dataset.follow_links: true"
            )


def _with_parents(name: str) -> Iterator[str]:
    """The folders that lead to a folder, topmost first, and itself."""
    parts = name.split("/")
    yield from ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))


def _is_inside(root: Path, file: str) -> bool:
    """Whether no link leads from a path relative to the data folder out of it."""
    return os.path.realpath(root / file).startswith(os.path.join(os.path.realpath(root), ""))


def _not_a_file(entry: os.DirEntry[str], base: Path | None) -> str | None:
    """Why an entry cannot be read as a file of the data folder.

    Args:
        entry: of one of its folders.
        base: the data folder without links, out of which no link may lead; None where any link will do.
    """
    if entry.is_symlink():
        try:
            target = Path(entry.path).resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: a circle of links
            return "a link that leads nowhere; restore the file that it names, or delete it"
        if base is not None and not target.is_relative_to(base):
            return LINK_OUT
    return None if entry.is_file() else "not a file"


def links_out(root: Path, files: Iterable[str]) -> dict[str, str]:
    """Those files that a link leads out of the data folder to, and the reason that a table shows.

    Args:
        root: the data folder.
        files: of any layout, relative to it.
    """
    lead_in: dict[str, bool] = {}  # by folder, as links are followed in 60 µs and a plain file is told in 2
    found = {}
    for file in files:
        place = file.rpartition("/")[0]
        if place not in lead_in:
            lead_in[place] = place == "" or _is_inside(root, place)
        if not lead_in[place] or (os.path.islink(os.path.join(root, file)) and not _is_inside(root, file)):
            found[file] = f"{file}: {LINK_OUT}"
    return found


def _why_unprintable(name: str) -> str:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    return "its name holds a tab, a newline or another control character; rename it"


def _scan_photos(root: Path, role: str, base: Path | None) -> tuple[dict[str, str], dict[str, str]]:
    """Photos of a role by name, and reasons by id or file name of what cannot be one."""
    found: dict[str, str] = {}
    problems: dict[str, str] = {}
    for entry in _entries(root / role):
        name, file = stem(entry.name), f"{role}/{entry.name}"
        if not entry.name.isprintable():
            problems[repr(file)[1:-1]] = _why_unprintable(file)
        elif entry.is_symlink() and (why := _not_a_file(entry, base)):
            problems[f"{role}/{name}"] = f"{file}: {why}"
            found.setdefault(name, file)  # its annotation has its photo
        elif not entry.is_file():
            problems[file] = f"not a file; photos lie directly in {role}/, so move them there"
        elif split_name(entry.name)[1].lower() not in PHOTO_SUFFIXES:
            problems[file] = f"not a photo by its name; expected {', '.join(PHOTO_SUFFIXES)}, so convert or move it"
        elif (num_bytes := len(name.encode("utf-8"))) > MAX_NAME_BYTES:
            problems[f"{role}/{name}"] = (
                f"its name is {num_bytes} bytes long, at most {MAX_NAME_BYTES} can be used; rename it and its files"
            )
            found[name] = file
        elif name in found:
            problems[f"{role}/{name}"] = f"{found[name]} and {file} have one name; rename one of them"
        else:
            found[name] = file
    return found, problems


def _scan_partners(
    root: Path, kind: str, role: str, photos: dict[str, str], base: Path | None, problems: dict[str, str]
) -> dict[str, str]:
    """Annotation or keypoint files by photo name; one without a photo is a problem, not a skip.

    Args:
        root: the data folder.
        kind: "annotations" or "keypoints".
        role: "person" or "garment".
        photos: photo ids by name.
        base: as in `_not_a_file`.
        problems: reasons by id or file name, added to.
    """
    found: dict[str, str] = {}
    for entry in _entries(root / kind / role):
        name, file = stem(entry.name), f"{kind}/{role}/{entry.name}"
        if split_name(entry.name)[1].lower() != ".json":
            continue  # ISAT keeps isat.yaml and pictures beside its annotations
        if not file.isprintable():
            problems[repr(file)[1:-1]] = _why_unprintable(file)
        elif name not in photos:
            problems.setdefault(file, f"its photo {role}/{name} is missing; restore the photo or delete this file")
        elif why := _not_a_file(entry, base):
            problems[photos[name]] = f"{file}: {why}"
        elif name in found:
            problems[photos[name]] = f"{found[name]} and {file} have one name; rename one of them"
        else:
            found[name] = file
    return found


def photos_in(root: Path, folder: str, *, follow_links: bool) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Photos of any folder by name, and (file, reason) of what in it cannot be one; paths as in `PhotoFiles`.

    Args:
        root: the data folder.
        folder: relative to it.
        follow_links: as for `scan`.
    """
    found, problems = _scan_photos(root, folder, None if follow_links else root.resolve())
    # a photo that was found before its problem was, such as a link's, is none
    return {name: file for name, file in found.items() if f"{folder}/{name}" not in problems}, sorted(problems.items())


def files_in(root: Path, folder: str, *, follow_links: bool) -> dict[str, str | None]:
    """Names in any folder, sorted, without hidden ones, and why one cannot be read as a file (None: it can).

    Arguments as for `photos_in`; a folder that is not there holds nothing.
    """
    base = None if follow_links else root.resolve()
    return {entry.name: _not_a_file(entry, base) for entry in _entries(root / folder)}
