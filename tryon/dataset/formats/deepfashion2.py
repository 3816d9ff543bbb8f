"""DeepFashion2: shop and user photos with outlines of 13 kinds of garments, in its own layout or as COCO.

    image/NNN.jpg  annos/NNN.json                     below the data folder itself, or below train/ and validation/
    person/  garment/  annotations/*.json             as COCO: its category ids, `pair_id` and `style` are kept

A file of annos/ is ``{"source": "shop" | "user", "pair_id", "item1": {"category_id", "category_name", "style",
"segmentation": [[x1, y1, …], …], …}, "item2": …}``. A shop photo is a garment photo, a user photo a person photo.
Photos of one `pair_id` are one identity; items of one pair with the same `style` above 0 are the same garment, so a
photo shows or wears ``PAIR_STYLE`` of its largest such item. What lies in train/ is trained on; photos of validation/
are dealt to the other splits by `pairs.split`, pair by pair.

Nobody outlines the persons, so a person's label map shows clothes alone; landmarks are the garments', no body's.
Reference: https://github.com/switchablenorms/DeepFashion2 (README, "Data Description").
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tryon.dataset import folder
from tryon.dataset.annotation import Annotation, Polygon
from tryon.dataset.folder import PHOTO_SUFFIXES, Listing, PhotoFiles
from tryon.dataset.formats.coco import CocoReader
from tryon.dataset.formats.coco_file import CocoFile, Entry, divide, load
from tryon.dataset.formats.folder_reader import guess_format, read_json
from tryon.dataset.formats.interface import Reader
from tryon.dataset.formats.layout import path_of
from tryon.dataset.formats.shapes import PointXY, in_drawing_order, ring
from tryon.dataset.lists import PhotoFacts
from tryon.errors import BadItem, UserError

if TYPE_CHECKING:
    import numpy as np

CATEGORY_OF = {
    1: "up",  # short sleeve top
    2: "up",  # long sleeve top
    3: "up",  # short sleeve outwear
    4: "up",  # long sleeve outwear
    5: "up",  # vest
    6: "up",  # sling
    7: "down",  # shorts
    8: "down",  # trousers
    9: "down",  # skirt
    10: "dress",  # short sleeve dress
    11: "dress",  # long sleeve dress
    12: "dress",  # vest dress
    13: "dress",  # sling dress
}
"""The ontology's category by DeepFashion2's category_id; `dataset.labels` may say otherwise by category_name."""

ROLE_OF = {"shop": "garment", "user": "person"}
PARTS = {"": None, "train": "train", "validation": None}  # folder: split that it fixes
FIX = "take the file from the data set's archive again"
ITEM = re.compile(r"item[1-9][0-9]*")


@dataclass(frozen=True)
class _Facts:
    """What a file says about its photo: its role, its pair, and (style, area in px²) of its items."""

    role: str
    pair: int
    items: tuple[tuple[int, float], ...]


class DeepFashion2Reader(Reader):
    """References are files of annos/, or ``FILE#IMAGE_ID`` of the COCO form."""

    watched: ClassVar[tuple[str, ...]] = (
        *(f"{part}/{name}".lstrip("/") for part in PARTS for name in ("image", "annos")),
        *CocoReader.watched,
    )
    annotates_person: ClassVar[bool] = False

    def scan(self, root: Path) -> Listing:
        """See `formats.interface.Reader`; roles stand in the annotations, so each is read."""
        if _is_coco(root):
            return self._coco().scan(root)
        photos: list[PhotoFiles] = []
        problems: list[tuple[str, str]] = []
        parts = _parts(root)
        if not self.cfg.follow_links:
            folder.check_folder_links(root, [path_of(part, name) for part in parts for name in ("image", "annos")])
        for part in parts:
            pictures = _pictures(root / part / "image")
            named = set()
            for path in sorted((root / part / "annos").glob("*.json")):
                file = path.relative_to(root).as_posix()
                named.add(path.stem)
                try:
                    facts = _read_facts(path, file, path.stat().st_mtime_ns)
                except BadItem as problem:
                    problems.append((file, str(problem)))
                    continue
                if path.stem not in pictures:
                    problems.append((file, f"its photo {part}/image/{path.stem}.jpg is missing; restore it"))
                    continue
                name = f"{part}_{path.stem}" if part else path.stem
                picture = (Path(part) / "image" / pictures[path.stem]).as_posix()
                photos.append(PhotoFiles(f"{facts.role}/{name}", facts.role, picture, file, None))
            problems += [
                ((Path(part) / "image" / pictures[name]).as_posix(), f"no annos/{name}.json says what it shows; {FIX}")
                for name in sorted(set(pictures) - named)
            ]
        if not photos and not problems:
            raise UserError(f"{root}: its image/ folders hold no photos; unpack the data set there")
        return Listing(tuple(sorted(photos, key=lambda photo: photo.id)), tuple(sorted(problems)))

    def annotate(self, root: Path, annotation: str, role: str) -> Annotation:
        """Outlines of all items; see `formats.interface.Reader`."""
        if _is_coco(root):
            return self._coco().annotate(root, annotation, role)
        value = read_json(root / annotation, "DeepFashion2")
        _facts(value, annotation)
        assert isinstance(value, dict)
        width, height = self._size(root, annotation)
        shapes = [
            Polygon(self._category(item, f"{annotation}: {key}"), group, 0.0, points)
            for group, (key, item) in enumerate(_items(value, annotation), start=1)
            for points in _rings(item, (height, width), f"{annotation}: {key}")
        ]
        return Annotation(annotation, width, height, in_drawing_order(shapes))

    def annotation_sha256(self, root: Path, annotation: str, sha256: dict[str, str]) -> str:
        """See `formats.interface.Reader`."""
        return self._coco().annotation_sha256(root, annotation, sha256)

    def keypoints(self, root: Path, keypoints: str, size_hw: tuple[int, int]) -> np.ndarray:
        """Of the COCO form alone, as its own layout has no place for them; see `formats.interface.Reader`."""
        return self._coco().keypoints(root, keypoints, size_hw)

    def keypoints_near(
        self, root: Path, keypoints: str, size_hw: tuple[int, int], box_xyxy: tuple[float, float, float, float]
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """As `keypoints`; see `formats.interface.Reader`."""
        return self._coco().keypoints_near(root, keypoints, size_hw, box_xyxy)

    def facts(self, root: Path, listing: Listing) -> dict[str, PhotoFacts] | None:
        """Pairs and styles by photo id; photos.csv, where there is one, stands instead of them."""
        given = super().facts(root, listing)
        if given is not None:
            return given
        facts = {photo.id: (self._facts_of(root, photo), photo.annotation) for photo in listing.photos}
        return {id_: _photo_facts(fact, annotation) for id_, (fact, annotation) in facts.items() if fact is not None}

    def _facts_of(self, root: Path, photo: PhotoFiles) -> _Facts | None:
        """What the data set says of a photo; None where nothing is annotated, which quarantines it by itself."""
        if photo.annotation is None:
            return None
        place, image = divide(photo.annotation)
        if image is None:
            path = root / photo.annotation
            return _read_facts(path, photo.annotation, path.stat().st_mtime_ns)
        entries = load(root / place).annotations(image)
        if not entries:
            return None
        items = tuple((_whole(entry.get("style")), float(entry.get("area") or 0.0)) for entry in entries)
        unpaired = [entry for entry in entries if not isinstance(entry.get("pair_id"), int)]
        if unpaired:
            # without it nobody knows who wears what: any stand-in would make strangers one person
            raise UserError(
                f"{root / place}: annotation {unpaired[0].get('id')} of picture {image} has pair_id "
                f"{unpaired[0].get('pair_id')!r}, expected DeepFashion2's whole number; keep it in the conversion to "
                "COCO, or write photos.csv (docs/data.md)"
            )
        pairs = {entry["pair_id"] for entry in entries}
        if len(pairs) != 1:
            raise UserError(
                f"{root / place}: picture {image} belongs to the pairs {sorted(pairs)}, expected one; correct the "
                "pair_id of its annotations, or write photos.csv"
            )
        return _Facts(photo.role, pairs.pop(), items)

    def _category(self, item: Entry, place: str) -> str:
        return _category(self.cfg.labels, item.get("category_id"), item.get("category_name"), place)

    def _coco(self) -> _DeepFashion2Coco:
        return _DeepFashion2Coco(self.cfg)

    @staticmethod
    def _size(root: Path, annotation: str) -> tuple[int, int]:
        """Width and height of the upright photo, from its header: annos/ does not say."""
        from PIL import ExifTags, Image

        path = Path(annotation)
        stem = root / path.parent.parent / "image" / path.stem
        named = [stem.with_name(f"{stem.name}{suffix}") for suffix in PHOTO_SUFFIXES]
        file = next((file for file in named if file.is_file()), named[0])  # no listing: it would be one per photo
        try:
            with Image.open(file) as picture:
                is_turned = picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
                return (picture.height, picture.width) if is_turned else picture.size
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise BadItem(f"{file.name}: cannot be decoded ({error}); {FIX}") from None


class _DeepFashion2Coco(CocoReader):
    """The COCO form: categories by DeepFashion2's ids, whatever a conversion calls them."""

    annotates_person: ClassVar[bool] = False
    has_body_keypoints: ClassVar[bool] = False  # 294 landmarks of garments

    def _category_of(self, file: CocoFile, entry: Entry, place: str) -> str:
        number = entry.get("category_id")
        name = file.categories.get(number) if isinstance(number, int) else None
        return _category(self.cfg.labels, number, name, place)


def _category(labels: dict[str, Any], number: object, name: object, place: str) -> str:
    if isinstance(name, str) and name in labels:
        return str(labels[name])
    if not isinstance(number, int) or number not in CATEGORY_OF:
        raise BadItem(f"{place}: category_id is {number!r}, expected 1 to {len(CATEGORY_OF)}; {FIX}")
    return CATEGORY_OF[number]


def _is_coco(root: Path) -> bool:
    return (root / "annotations").is_dir()


def _parts(root: Path) -> list[str]:
    found = [part for part in PARTS if (root / part / "image").is_dir() and (root / part / "annos").is_dir()]
    if not found:
        raise UserError(
            f"{root}: neither image/ and annos/ in it, nor train/image and train/annos, nor (as COCO) person/, "
            "garment/ and annotations/; give the folder that holds them (docs/data.md)"
        )
    return found


def _pictures(place: Path) -> dict[str, str]:
    """File names of photos by their name without suffix."""
    return {folder.stem(path.name): path.name for path in place.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES}


@functools.cache  # the listing and the list of who wears what need the same; two numbers per photo are kept
def _read_facts(path: Path, file: str, changed_ns: int) -> _Facts:  # noqa: ARG001 (a file that changed is read anew)
    return _facts(read_json(path, "DeepFashion2"), file)


def _facts(value: object, file: str) -> _Facts:
    if not isinstance(value, dict) or "source" not in value:
        shown = guess_format(value)
        raise BadItem(f"{file}: not DeepFashion2 but {shown}; expected `source`, `pair_id` and `item1`; {FIX}")
    if value["source"] not in ROLE_OF:
        raise BadItem(f"{file}: source is {value['source']!r}, expected 'shop' or 'user'; {FIX}")
    pair = value.get("pair_id")
    if not isinstance(pair, int):
        raise BadItem(f"{file}: pair_id is {pair!r}, expected a whole number; {FIX}")
    items = tuple((_whole(item.get("style")), _box_area(item)) for _, item in _items(value, file))
    return _Facts(ROLE_OF[value["source"]], pair, items)


def _items(value: Entry, file: str) -> Iterator[tuple[str, Entry]]:
    keys = sorted((key for key in value if ITEM.fullmatch(key)), key=lambda key: int(key[4:]))
    for key in keys:
        if not isinstance(value[key], dict):
            raise BadItem(f"{file}: {key} is {type(value[key]).__name__}, expected an object; {FIX}")
        yield key, value[key]


def _rings(item: Entry, size_hw: tuple[int, int], place: str) -> list[tuple[PointXY, ...]]:
    polygons = item.get("segmentation")
    if not isinstance(polygons, list) or not polygons:
        raise BadItem(f"{place} has no segmentation; {FIX}")
    return [ring(polygon, size_hw, f"{place}.segmentation[{index}]", FIX) for index, polygon in enumerate(polygons)]


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _box_area(item: Entry) -> float:
    box = item.get("bounding_box")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(value, (int, float)) for value in box):
        return 0.0
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _photo_facts(facts: _Facts, annotation: str | None) -> PhotoFacts:
    part = Path(annotation or "").parts[0] if annotation else ""
    part = part if part in PARTS else ""  # of the COCO form it is annotations/
    identity = f"{part}_{facts.pair}" if part else str(facts.pair)  # the parts of the set number their pairs anew
    shown = [(area, -style) for style, area in facts.items if style > 0]
    garment = f"{identity}_{-max(shown)[1]}" if shown else None
    return PhotoFacts(identity, garment, PARTS[part], 0)
