"""Two folders of pictures → which result belongs to which truth, by name, or why that cannot be said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tryon.errors import UserError
from tryon.evaluation.protocols.interface import Protocol

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
NUM_NAMED = 5


@dataclass(frozen=True)
class Couple:
    """A result and its truth.

    Attributes:
        name: what their names have in common.
        result: file.
        truth: file.
    """

    name: str
    result: Path
    truth: Path


def couples(protocol: Protocol, results: Path, truth: Path) -> list[Couple]:
    """Results with their truths, by name.

    Raises:
        UserError: an empty folder, a name that is there twice, or different sets of names.
    """
    found = {folder: by_name(protocol, folder) for folder in (results, truth)}
    names = {folder: set(found[folder]) for folder in found}
    problems = []
    for folder, other in ((results, truth), (truth, results)):
        lacking = sorted(names[other] - names[folder])
        if lacking:
            shown = ", ".join(lacking[:NUM_NAMED]) + (" …" if len(lacking) > NUM_NAMED else "")
            problems.append(f"  {folder}: nothing for {len(lacking)} of {len(names[other])} names in {other}: {shown}")
    if problems:
        rule = {"stem": "all but the suffix", "id8": "eight characters from the first digit"}.get(
            protocol.names, "what stands before the first underscore"
        )
        raise UserError(
            f"results and truths have different names (protocol {protocol.name} compares {rule}):\n"
            + "\n".join(problems)
            + "\nadd what is missing or move the rest elsewhere; a score over a part would be another number"
        )
    return [Couple(name, found[results][name], found[truth][name]) for name in sorted(names[results])]


def by_name(protocol: Protocol, folder: Path) -> dict[str, Path]:
    """Pictures of a folder and below by the part of their name that says whose they are.

    Raises:
        UserError: no such folder, no picture in it, two of one name, or a name without what the protocol looks for.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder that holds the pictures")
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        name = name_of(protocol, path)
        if name in found:
            raise UserError(
                f"{folder}: {found[name].relative_to(folder)} and {path.relative_to(folder)} are both {name!r} to "
                f"protocol {protocol.name}; keep one picture per name (garment photos do not belong here)"
            )
        found[name] = path
    if not found:
        raise UserError(f"{folder}: no pictures ({', '.join(sorted(SUFFIXES))}); give the folder that holds them")
    return found


def name_of(protocol: Protocol, path: Path) -> str:
    """The part of a file's name that says whose picture it is."""
    if protocol.names == "id8":
        start = next((index for index, letter in enumerate(path.name) if letter.isdigit()), None)
        if start is None:
            raise UserError(f"{path}: protocol {protocol.name} looks for a number in the name; rename it, or use tryon")
        return path.name[start : start + 8]
    return path.stem.split("_")[0] if protocol.names == "before_underscore" else path.stem
