"""What layouts of known data sets have in common: parts, each with one folder per kind of file, joined by file name.

A *part* is a folder such as train/ or upper_body/; a *place* says in which folder of a part photos of one role lie,
and what belongs to them. A photo's name in its id is the file's name without suffix if that is unique over the parts,
else PART-NAME; so ids do not depend on the order of files, and photos stay where they are.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tryon.dataset import folder
from tryon.dataset.folder import PHOTO_SUFFIXES, Listing, PhotoFiles
from tryon.dataset.formats.interface import Reader
from tryon.dataset.lists import GivenPair, PhotoFacts
from tryon.errors import UserError

PICTURES = PHOTO_SUFFIXES


@dataclass(frozen=True)
class Beside:
    """Where a file lies that belongs to a photo.

    Attributes:
        folders: spellings of the folder in the part; the first that is there counts.
        endings: what follows the photo's base name, such as ``_keypoints.json``.
        what: what it is called in messages.
    """

    folders: tuple[str, ...]
    endings: tuple[str, ...]
    what: str


@dataclass(frozen=True)
class Place:
    """Photos of one role in each part.

    Attributes:
        role: "person" or "garment".
        folder: in the part.
        annotation: the file that tells its labels.
        keypoints: its given keypoints; None where the layout has none.
        ending: of the names of this role's photos, such as ``_0``; not part of the base name.
        itself: take the photo itself as annotation where there is no such file.
        with_photo: the annotation is read beside the photo, so a reference names both.
    """

    role: str
    folder: str
    annotation: Beside
    keypoints: Beside | None = None
    ending: str = ""
    itself: bool = False
    with_photo: bool = False


@dataclass(frozen=True)
class Member:
    """One photo of a layout.

    Attributes:
        files: what a listing shows of it.
        part: its part.
        base: its file name without suffix and ending, in one Unicode form.
        problem: why it cannot be used, or None.
    """

    files: PhotoFiles
    part: str
    base: str
    problem: str | None

    @property
    def name(self) -> str:
        """The name in its id."""
        return self.files.id.partition("/")[2]


class LayoutReader(Reader):
    """Lists parts and places; what an annotation means is left to the layout."""

    title: ClassVar[str]
    """The layout's name, for messages."""
    tree: ClassVar[str]
    """The folders expected, for messages."""
    parts: ClassVar[dict[str, str | None]] = {}
    """Folder of each part ("": the data folder itself) and the split that it fixes."""
    places: ClassVar[tuple[Place, ...]] = ()
    pair_lists: ClassVar[dict[str, str]] = {}
    """Lists of pairs, relative to the data folder, and the part that each is about."""
    paired_lists: ClassVar[tuple[str, ...]] = ()
    """Names of those lists that hold garments which are worn."""
    pairs_file = ""

    def has_pairs(self, root: Path) -> bool:
        """See `formats.interface.Reader`: these layouts have lists of their own, which `given_pairs` asks for."""
        return True

    def __init_subclass__(cls) -> None:
        """Watch every folder and list that the layout names."""
        super().__init_subclass__()
        folders = dict.fromkeys(
            path_of(part, name) for part in cls.parts for place in cls.places for name in _folders(place)
        )
        cls.watched = (*folders, *cls.pair_lists)

    def scan(self, root: Path) -> Listing:
        """See `formats.interface.Reader`."""
        self._check(root)
        if not self.cfg.follow_links:
            folder.check_folder_links(root, [name for name in self.watched if name not in self.pair_lists])
        members, problems = self._read(root)
        problems += [(member.files.id, member.problem) for member in members if member.problem is not None]
        photos = [member.files for member in members if member.problem is None]
        return Listing(tuple(sorted(photos, key=lambda photo: photo.id)), tuple(sorted(problems)))

    def facts(self, root: Path, listing: Listing) -> dict[str, PhotoFacts]:
        """Split by part; a person wears the garment of `worn`, if the part has it. Everybody is somebody else."""
        members, _ = self._read(root)
        names = {(member.files.role, member.part, member.base): member.name for member in members}
        splits = self.splits(root, members)
        facts = {}
        for member in members:
            is_person = member.files.role == "person"
            worn = names.get(("garment", member.part, self.worn(member.base))) if is_person else member.name
            facts[member.files.id] = PhotoFacts(member.name, worn, splits[member.files.id], 0)
        return facts

    def given_pairs(self, root: Path, listing: Listing) -> tuple[list[GivenPair], list[str]]:
        """Pairs of all lists, each once; see `formats.interface.Reader`."""
        present = [file for file in self.pair_lists if (root / file).is_file()]
        if not present:
            wanted = " or ".join(self.pair_lists) or f"a {self.title} folder has none"
            raise UserError(
                f"{root}: no list of pairs ({wanted}), but a strategy `given` reads it; choose another "
                "pairs.train_strategy / pairs.unpaired_strategy"
            )
        members, _ = self._read(root)
        names = {(member.files.role, member.part, member.base): member.name for member in members}
        pairs: dict[tuple[str, str], GivenPair] = {}
        mistakes: list[str] = []
        for file in present:
            first: dict[tuple[str, str], int] = {}
            is_paired = Path(file).name in self.paired_lists
            for number, text in _lines(root / file):
                found = self._divide(text, self.pair_lists[file], names)
                if isinstance(found, str):
                    mistakes.append(f"{file} line {number}: {found}")
                elif first.setdefault(found, number) != number:
                    mistakes.append(f"{file} line {number}: the pair stands in line {first[found]} already; delete one")
                else:
                    pairs.setdefault(found, GivenPair(*found, number, file, is_paired))
        return list(pairs.values()), mistakes

    # ---- what a layout may say otherwise

    def worn(self, base: str) -> str:
        """Base name of the garment that a person photo shows."""
        return base

    def splits(self, root: Path, members: list[Member]) -> dict[str, str | None]:
        """The split that the layout fixes, by photo id."""
        return {member.files.id: self.parts[member.part] for member in members}

    def unique_name(self, part: str, base: str, *, is_unique: bool) -> str:
        """The name in a photo's id."""
        return base if is_unique else f"{part}-{base}"

    def beside(self, root: Path, part: str, where: Beside, base: str) -> str | None:
        """The file that belongs to a photo of this base name, relative to the data folder; None where it is absent."""
        for name in where.folders:
            if (root / path_of(part, name)).is_dir():
                files = (path_of(part, name, f"{base}{ending}") for ending in where.endings)
                return next((file for file in files if (root / file).is_file()), None)
        return None

    # ---- inner workings

    def _check(self, root: Path) -> None:
        expected = f"a {self.title} folder holds\n{self.tree}"
        if not root.is_dir():
            raise UserError(f"{root}: no such data folder; {expected}")
        wanted = [place.folder for place in self.places]
        whole = [part for part in self.parts if all((root / path_of(part, name)).is_dir() for name in wanted)]
        if not whole:
            found = ", ".join(sorted(f"{path.name}/" for path in root.iterdir() if path.is_dir())) or "no folder"
            raise UserError(f"{root}: not the layout {self.title}, it holds {found}; {expected}")

    def _read(self, root: Path) -> tuple[list[Member], list[tuple[str, str]]]:
        """All photos, and (file, reason) of what is none."""
        problems: list[tuple[str, str]] = []
        found = [
            (place, part, base, file)
            for part in self.parts
            for place in self.places
            for base, file in self._photos(root, part, place, problems)
        ]
        counts = Counter((place.role, base) for place, _, base, _ in found)
        partners = {
            (part, where): _index(
                root, part, where, problems, self._bases(found, part, where), follow_links=self.cfg.follow_links
            )
            for part in self.parts
            for where in dict.fromkeys(item for place in self.places for item in (place.annotation, place.keypoints))
            if where is not None
        }
        members: list[Member] = []
        taken: set[str] = set()
        for place, part, base, file in found:
            name = self.unique_name(part, base, is_unique=counts[place.role, base] == 1)
            id_ = f"{place.role}/{name}"
            if id_ in taken:
                problems.append((file, f"another photo is called {id_} too; rename one of them"))
                continue
            taken.add(id_)
            annotations, unreadable = partners[part, place.annotation]
            annotation = annotations.get(base, file if place.itself else None)
            poses, unreadable_poses = partners[part, place.keypoints] if place.keypoints else ({}, {})
            keypoints = poses.get(base)
            problem = unreadable.get(base) or unreadable_poses.get(base)
            if annotation is None and problem is None:
                wanted = path_of(part, place.annotation.folders[0], f"{base}{place.annotation.endings[0]}")
                problem = f"{file}: no {place.annotation.what} {wanted}; take it from the data set, or remove the photo"
            if annotation is not None and place.with_photo:
                annotation = f"{annotation}#{file}"
            members.append(Member(PhotoFiles(id_, place.role, file, annotation, keypoints), part, base, problem))
        return members, problems

    def _photos(
        self, root: Path, part: str, place: Place, problems: list[tuple[str, str]]
    ) -> Iterator[tuple[str, str]]:
        """Base name and file of the photos of one role in one part."""
        photos, bad = folder.photos_in(root, path_of(part, place.folder), follow_links=self.cfg.follow_links)
        sharing = [other for other in self.places if other.folder == place.folder]
        endings = tuple(other.ending for other in sharing)
        if place == sharing[0]:
            problems += bad
            problems += [
                (file, f"its name ends in none of {', '.join(endings)}; rename or remove it")
                for name, file in photos.items()
                if not name.endswith(endings)
            ]
        for name, file in photos.items():
            if name.endswith(place.ending):
                yield name[: len(name) - len(place.ending)], file

    def _bases(self, found: list[tuple[Place, str, str, str]], part: str, where: Beside) -> set[str]:
        """Base names of the photos that files of one kind may belong to."""
        return {base for place, of, base, _ in found if of == part and where in (place.annotation, place.keypoints)}

    def _divide(self, text: str, part: str, names: dict[tuple[str, str, str], str]) -> tuple[str, str] | str:
        """The (person, garment) names of a line, or what is wrong with it."""
        columns = [column.strip() for column in (text.split("\t") if "\t" in text else text.split()) if column.strip()]
        if len(columns) != 2:
            return f"expected 'person.jpg garment.jpg', found {text.strip()!r}"
        found, missing = [], []
        for role, column in zip(folder.ROLES, columns, strict=True):
            ending = next(place.ending for place in self.places if place.role == role)
            base = folder.stem(column) if Path(column).suffix.lower() in PHOTO_SUFFIXES else column
            name = names.get((role, part, base.removesuffix(ending)))
            found.append(name or "")
            missing += [] if name else [f"{role} {column!r}"]
        if missing:
            return f"{' and '.join(missing)} does not exist in {part}/; add the photo or delete the line"
        return found[0], found[1]


def path_of(*parts: str) -> str:
    """A path relative to the data folder; empty parts are left out."""
    return "/".join(part for part in parts if part)


def _folders(place: Place) -> Iterator[str]:
    yield place.folder
    for where in (place.annotation, place.keypoints):
        if where is not None:
            yield from where.folders


def _index(
    root: Path,
    part: str,
    where: Beside,
    problems: list[tuple[str, str]],
    bases: set[str],
    *,
    follow_links: bool,
) -> tuple[dict[str, str], dict[str, str]]:
    """Files of one kind in one part by base name; what belongs to no photo is one problem for the folder.

    Returns:
        The files, and by base name the reasons of what lies in a file's place and cannot be read, such as a link out
        of the data folder.
    """
    place = next((path_of(part, name) for name in where.folders if (root / path_of(part, name)).is_dir()), None)
    if place is None:
        return {}, {}
    found: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    strangers: list[str] = []
    for name, why in folder.files_in(root, place, follow_links=follow_links).items():
        ending = next((ending for ending in where.endings if name.lower().endswith(ending)), None)
        base = unicodedata.normalize("NFC", name[: len(name) - len(ending)]) if ending is not None else None
        if base in bases and why is not None:
            unreadable[str(base)] = f"{place}/{name}: {why}"
        elif base in bases:
            found[str(base)] = f"{place}/{name}"
        elif why is None:
            strangers.append(name)
    if strangers:
        shown = ", ".join(strangers[:3])
        problems.append((place, f"{len(strangers)} files belong to no photo, such as {shown}; restore the photos"))
    return found, unreadable


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a list of pairs."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; save it again as UTF-8") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, unicodedata.normalize("NFC", line)
