"""COCO: photos in person/ and garment/, their shapes and keypoints in one or several COCO files.

    person/NAME.jpg  garment/NAME.jpg   photos, found by the `file_name` of a picture, with or without folders
    annotations/*.json                  shapes (polygons, run-length codes) and, where they have them, keypoints
    annotations/{person,garment}/*.json likewise, for photos of that role alone
    keypoints/*.json                    optional COCO files that are read for keypoints alone
    keypoints/{person,garment}/NAME.json, pairs.txt, photos.csv, truth/: as for every format (tryon/dataset/folder.py)

COCO has no layers: `shapes.in_drawing_order` says what lies over what. A vertex of a polygon stands for the pixel that
it lies in (`shapes.ring`); run-length codes are taken as they are. A crowd (`iscrowd`) is nobody's outline: it is left
out, and recorded. Of several people in a picture, the keypoints are those of the one who stands where the annotation
is, else of the largest, which is recorded; v 1 and 2 (hidden, visible) give score 1, v 0 gives 0. A COCO file in truth/
describes one picture.
Reference: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tryon.dataset import folder
from tryon.dataset.annotation import Annotation, Bitmap, Polygon, Shape
from tryon.dataset.folder import ROLES, Listing, PhotoFiles
from tryon.dataset.formats import coco_file, coco_keypoints
from tryon.dataset.formats.coco_file import CocoFile, Entry, has_keypoints
from tryon.dataset.formats.interface import Reader
from tryon.dataset.formats.run_lengths import FIX, decode
from tryon.dataset.formats.shapes import check_pixels, in_drawing_order, ring, side
from tryon.errors import BadItem, UserError

if TYPE_CHECKING:
    import numpy as np


@dataclass
class _Found:
    """References to the entries of one photo."""

    shapes: list[str]
    keypoints: list[str]


class CocoReader(Reader):
    """References are ``FILE#IMAGE_ID``, the path of an mmpose file for keypoints, or of a COCO file of one picture."""

    watched: ClassVar[tuple[str, ...]] = (
        "person",
        "garment",
        "annotations",
        "annotations/person",
        "annotations/garment",
        "keypoints",
        "keypoints/person",
        "keypoints/garment",
        "truth",
        "pairs.txt",
        "photos.csv",
    )
    has_body_keypoints: ClassVar[bool] = True

    def scan(self, root: Path) -> Listing:
        """See `formats.interface.Reader`; a COCO file that cannot be read stops here, as it is many photos' own."""
        listing = folder.scan(root, follow_links=self.cfg.follow_links)
        names = {photo.id for photo in listing.photos}
        problems = [problem for problem in listing.problems if not problem[0].startswith("annotations/")]
        found: dict[str, _Found] = defaultdict(lambda: _Found([], []))
        annotations, keypoints = list(_coco_files(root, "annotations")), list(_coco_files(root, "keypoints", ("",)))
        if not annotations:
            raise UserError(f"{root / 'annotations'}: no COCO file in it; put instances.json there, or another *.json")
        for place, role in annotations:
            _collect(root, place, role, names, found, problems, shapes=True, keypoints=self.has_body_keypoints)
        for place, role in keypoints:
            _collect(root, place, role, names, found, problems, shapes=False, keypoints=True)
        photos = []
        for photo in listing.photos:
            entry = found.get(photo.id, _Found([], []))
            if len(entry.shapes) > 1:
                problems.append((photo.id, _named_twice(entry.shapes)))
                continue
            photos.append(_with_references(photo, entry))
        return Listing(tuple(photos), tuple(sorted(problems)))

    def annotate(self, root: Path, annotation: str, role: str) -> Annotation:
        """The shapes of one picture; see `formats.interface.Reader`."""
        file, image = self._entry(root, annotation)
        picture = file.images[image]
        width, height = (side(picture.get(key), f"{annotation}: {key}", FIX) for key in ("width", "height"))
        check_pixels(width, height, annotation)
        shapes: list[Shape] = []
        repairs: list[str] = []
        for group, entry in enumerate(file.annotations(image), start=1):
            place = f"{annotation}: annotation {entry.get('id')}"
            category = self._category_of(file, entry, place)
            if entry.get("iscrowd"):
                repairs.append(f"{place} is a crowd of {category!r}, which outlines nobody: left out")
                continue
            shapes += _shapes(entry, category, group, (height, width), place)
        return Annotation(annotation, width, height, in_drawing_order(shapes), tuple(repairs))

    def annotation_sha256(self, root: Path, annotation: str, sha256: dict[str, str]) -> str:
        """Digest of the picture's own entries and the table of categories; see `formats.interface.Reader`."""
        if coco_file.divide(annotation)[1] is None:
            return sha256[annotation]
        file, image = self._entry(root, annotation)
        content = json.dumps([file.images[image], file.annotations(image), file.categories], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def keypoints(self, root: Path, keypoints: str, size_hw: tuple[int, int]) -> np.ndarray:
        """The keypoints of the largest person; see `formats.interface.Reader`."""
        if coco_file.divide(keypoints)[1] is None:
            return super().keypoints(root, keypoints, size_hw)
        from tryon.dataset.given_keypoints import check_inside

        file, image = self._entry(root, keypoints)
        person = coco_keypoints.largest_of(coco_keypoints.posed(file.annotations(image), keypoints))
        points_K3 = coco_keypoints.points_of(person, keypoints)
        check_inside(points_K3, size_hw, coco_keypoints.place_of(person, keypoints))
        return points_K3

    def keypoints_near(
        self, root: Path, keypoints: str, size_hw: tuple[int, int], box_xyxy: tuple[float, float, float, float]
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """The keypoints of who stands in the box; see `formats.interface.Reader`."""
        from tryon.dataset import given_keypoints

        if coco_file.divide(keypoints)[1] is None:
            return given_keypoints.read_near(root / keypoints, size_hw, box_xyxy)
        file, image = self._entry(root, keypoints)
        persons = coco_keypoints.posed(file.annotations(image), keypoints)
        points = [coco_keypoints.points_of(person, keypoints) for person in persons]
        chosen, repairs = given_keypoints.choose_near(points, box_xyxy, keypoints)
        given_keypoints.check_inside(points[chosen], size_hw, coco_keypoints.place_of(persons[chosen], keypoints))
        return points[chosen], repairs

    def _category_of(self, file: CocoFile, entry: Entry, place: str) -> str:
        name = file.categories.get(entry["category_id"]) if isinstance(entry.get("category_id"), int) else None
        if name is None:
            raise BadItem(f"{place} has category_id {entry.get('category_id')!r}, which `categories` lacks; {FIX}")
        return self.category(name)

    def _entry(self, root: Path, reference: str) -> tuple[CocoFile, str]:
        place, image = coco_file.divide(reference)
        if image is None:
            return _only_picture(root, reference)
        file = coco_file.load(root / place)
        if image not in file.images:
            raise BadItem(f"{reference}: {place} has no picture {image} any more; run the stage `dataset` again")
        return file, image


def _only_picture(root: Path, reference: str) -> tuple[CocoFile, str]:
    """The content of a file that describes one picture, as beside a true picture.

    Raises:
        BadItem: it cannot be read, is not COCO or describes another number of pictures.
    """
    try:
        file = coco_file.read_once(root / reference)
    except UserError as problem:  # this file is one photo's own
        raise BadItem(str(problem)) from None
    if len(file.images) != 1:
        raise BadItem(
            f"{reference}: describes {len(file.images)} pictures, expected one; export the annotations of this picture "
            "alone as COCO"
        )
    return file, next(iter(file.images))


def _coco_files(root: Path, kind: str, folders: tuple[str, ...] = ("", *ROLES)) -> Iterator[tuple[str, str | None]]:
    """COCO files below a folder, relative to the data folder, with the role that they are limited to."""
    for name in folders:
        for path in sorted((root / kind / name).glob("*.json")):
            if not path.name.startswith("."):
                yield path.relative_to(root).as_posix(), name or None


def _collect(
    root: Path,
    place: str,
    role: str | None,
    ids: set[str],
    found: dict[str, _Found],
    problems: list[tuple[str, str]],
    *,
    shapes: bool,
    keypoints: bool,
) -> None:
    """Add the references of one file to `found`, and what belongs to no photo to `problems`."""
    file = coco_file.load(root / place)
    strangers = []
    for image, picture in file.images.items():
        candidates = [id_ for id_ in _ids_of(picture["file_name"], role) if id_ in ids]
        if len(candidates) > 1:
            problems.append(
                (f"{place}#{image}", f"{picture['file_name']} may be {' or '.join(candidates)}; write the folder too")
            )
        elif not candidates:
            strangers.append(picture["file_name"])
        else:
            entry = found[candidates[0]]
            if shapes:
                entry.shapes.append(f"{place}#{image}")
            if keypoints and image in file.posed:
                entry.keypoints.append(f"{place}#{image}")
    if strangers:
        problems.append(
            (
                place,
                f"{len(strangers)} of its {len(file.images)} pictures are neither in person/ nor in garment/, for "
                f"example {strangers[0]}; restore the photos or delete their entries",
            )
        )


def _ids_of(file_name: str, role: str | None) -> list[str]:
    """Photo ids that a `file_name` can mean."""
    parts = unicodedata.normalize("NFC", file_name).replace("\\", "/").split("/")
    named = parts[-2] if len(parts) > 1 and parts[-2] in ROLES else None
    roles = [wanted for wanted in ROLES if role in (None, wanted) and named in (None, wanted)]
    return [f"{wanted}/{folder.stem(parts[-1])}" for wanted in roles]


def _with_references(photo: PhotoFiles, entry: _Found) -> PhotoFiles:
    # a file of the photo's own comes first, then one that was put into keypoints/, which is collected last
    keypoints = photo.keypoints or (entry.keypoints[-1] if entry.keypoints else None)
    return replace(photo, annotation=entry.shapes[0] if entry.shapes else None, keypoints=keypoints)


def _named_twice(references: list[str]) -> str:
    return (
        f"annotated in {' and in '.join(references)}; keep one, and move a file that is meant for keypoints to "
        "keypoints/"
    )


def _shapes(entry: Entry, category: str, group: int, size_hw: tuple[int, int], place: str) -> list[Shape]:
    segmentation: Any = entry.get("segmentation")
    if isinstance(segmentation, dict):
        return [Bitmap(category, group, 0.0, 0, 0, decode(segmentation, size_hw, place))]
    if not segmentation and has_keypoints(entry):
        return []  # keypoints of a person whose outline nobody drew
    if not isinstance(segmentation, list) or not segmentation:
        raise BadItem(f"{place} of {category!r} has no segmentation; draw it again or delete it")
    return [
        Polygon(category, group, 0.0, ring(polygon, size_hw, f"{place}.segmentation[{index}]", FIX))
        for index, polygon in enumerate(segmentation)
    ]
