"""Pictures in one folder per class, for the plain diffusion trainer: nothing is annotated, nobody is dressed.

Below the data folder lie CLASS/NAME.jpg, or train/, val/ and test/ with such folders in each. A picture's id is
picture/CLASS/NAME; its annotation is the picture itself, which tells nothing. It passes masks, keypoints and cutouts
with empty planes; the stage `pairs` makes shards and no pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from tryon.dataset import folder
from tryon.dataset.annotation import LabelMap
from tryon.dataset.folder import PICTURE, Listing, PhotoFiles
from tryon.dataset.formats.interface import Reader
from tryon.dataset.formats.layout import path_of
from tryon.dataset.lists import SPLITS, GivenPair, PhotoFacts
from tryon.errors import UserError

TREE = """\
    CLASS/NAME.jpg           pictures of one class, in as many folders as there are classes
  or
    train/CLASS/NAME.jpg     and val/ and test/ likewise"""


class ImageFolderReader(Reader):
    """Class folders of pictures."""

    watched = ("*", *(f"{split}/*" for split in SPLITS))
    keypoint_roles: ClassVar[tuple[str, ...]] = ()

    def scan(self, root: Path) -> Listing:
        """See `formats.interface.Reader`."""
        if not root.is_dir():
            raise UserError(f"{root}: no such data folder; an image_folder holds\n{TREE}")
        pictures: list[PhotoFiles] = []
        problems: list[tuple[str, str]] = []
        found: list[tuple[str, str, str, str]] = []
        classes = list(_classes(root))
        if not self.cfg.follow_links:
            folder.check_folder_links(root, [path_of(*place) for place in classes])
        for split, name in classes:
            photos, bad = folder.photos_in(root, path_of(split, name), follow_links=self.cfg.follow_links)
            found += [(split, name, base, file) for base, file in photos.items()]
            problems += bad
        counts = Counter((name, base) for _, name, base, _ in found)
        for split, name, base, file in found:
            unique = base if counts[name, base] == 1 else f"{split}-{base}"
            pictures.append(PhotoFiles(f"{PICTURE}/{name}/{unique}", PICTURE, file, file, None))
        if not pictures:
            raise UserError(f"{root}: no class folder with pictures in it; an image_folder holds\n{TREE}")
        return Listing(tuple(sorted(pictures, key=lambda picture: picture.id)), tuple(sorted(problems)))

    def annotate(self, root: Path, annotation: str, role: str) -> LabelMap:
        """A label map of background alone; see `formats.interface.Reader`."""
        import numpy as np

        from tryon import images

        return LabelMap(annotation, np.zeros(images.read_rgb(root / annotation).shape[:2], np.uint8))

    def facts(self, root: Path, listing: Listing) -> dict[str, PhotoFacts]:
        """The split whose folder a picture lies in; every picture is its own."""
        return {
            picture.id: PhotoFacts(picture.id.partition("/")[2], None, _split(picture.file), 0)
            for picture in listing.photos
        }

    def given_pairs(self, root: Path, listing: Listing) -> tuple[list[GivenPair], list[str]]:
        """None: there is nobody to dress."""
        return [], []


def _split(file: str) -> str | None:
    first, *others = file.split("/")
    return first if len(others) == 2 else None


def _classes(root: Path) -> Iterator[tuple[str, str]]:
    """(split or "", class) of every class folder."""
    folders = [path.name for path in _folders(root)]
    if folders and set(folders) <= set(SPLITS) and any(_folders(root / name) for name in folders):
        for split in folders:
            yield from ((split, path.name) for path in _folders(root / split))
    else:
        yield from (("", name) for name in folders)


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
