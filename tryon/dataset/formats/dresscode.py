"""DressCode: three categories, NUMBER_0 is the person and NUMBER_1 the garment it wears.

Person photos carry ATR parse maps and 18 points in pixels of 384x512, whatever the photo's size. Garment photos have
no mask in the original data set: where masks/ (added by LaDI-VTON) lacks one, the garment is what a flood from the
photo's border leaves of its plain background, and that is recorded. Ids are CATEGORY-NUMBER. Who stands in a
test_pairs list is test, who stands in train_pairs.txt is dealt between train and val, others are free.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tryon.dataset.annotation import LabelMap
from tryon.dataset.formats.layout import Beside, LayoutReader, Member, Place, path_of
from tryon.dataset.formats.viton_hd import label_map
from tryon.dataset.lists import TRAINVAL

if TYPE_CHECKING:
    import numpy as np

CATEGORY = {"upper_body": "up", "lower_body": "down", "dresses": "dress"}
PHOTOS = "images"
LISTS = {"train_pairs.txt": TRAINVAL, "test_pairs_paired.txt": "test", "test_pairs_unpaired.txt": "test"}

PARSE = Beside(("label_maps",), ("_4.png",), "parse map")
POSE = Beside(("keypoints",), ("_2.json",), "keypoint file")
MASK = Beside(("masks",), ("_1.png", "_1.jpg"), "garment mask")


class DressCodeReader(LayoutReader):
    """`{upper_body,lower_body,dresses}/{images,label_maps,keypoints,masks}` with lists of pairs in each."""

    title = "dresscode"
    tree = """\
    upper_body/ and/or lower_body/ and/or dresses/
        images/NUMBER_0.jpg                   persons
        images/NUMBER_1.jpg                   garments
        label_maps/NUMBER_4.png               ATR parse maps of the persons, indexed PNG
        keypoints/NUMBER_2.json               18 points of the persons in pixels of 384x512
        masks/NUMBER_1.png                    optional: white on the garment
        train_pairs.txt test_pairs_paired.txt test_pairs_unpaired.txt"""
    keypoint_roles = ("person",)
    parts: ClassVar[dict[str, str | None]] = dict.fromkeys(CATEGORY)
    places = (
        Place("person", PHOTOS, PARSE, POSE, ending="_0"),
        Place("garment", PHOTOS, MASK, ending="_1", itself=True),
    )
    pair_lists: ClassVar[dict[str, str]] = {path_of(part, name): part for part in CATEGORY for name in LISTS}
    paired_lists = ("train_pairs.txt", "test_pairs_paired.txt")

    def unique_name(self, part: str, base: str, *, is_unique: bool) -> str:
        """The category is always part of the name: a number is given once per category."""
        return f"{part}-{base}"

    def splits(self, root: Path, members: list[Member]) -> dict[str, str | None]:
        """By the lists; the test lists win over train_pairs.txt."""
        listed: dict[tuple[str, str], str] = {}
        for part in CATEGORY:
            for name, split in LISTS.items():
                path = root / path_of(part, name)
                words = path.read_text(encoding="utf-8-sig", errors="replace").split() if path.is_file() else []
                listed.update({(part, Path(word).stem): split for word in words})
        return {member.files.id: listed.get((member.part, Path(member.files.file).stem)) for member in members}

    def annotate(self, root: Path, annotation: str, role: str) -> LabelMap:
        """A parse map, a mask, or the photo itself; see `formats.interface.Reader`."""
        from tryon.dataset import parse_maps, picture_masks

        if role == "person":
            return parse_maps.read_parse_map(root, annotation, "atr")
        part, place = annotation.split("/")[:2]
        if place == PHOTOS:
            repair = "no mask in masks/: the garment is what a flood of the plain background left"
            return label_map(annotation, picture_masks.garment_on_plain(root / annotation), CATEGORY[part], (repair,))
        return label_map(annotation, picture_masks.read_mask(root / annotation), CATEGORY[part])

    def annotation_sha256(self, root: Path, annotation: str, sha256: dict[str, str]) -> str:
        """Of a garment's mask or photo with its category, which stands in the path alone."""
        from tryon.digests import digest

        part, place = annotation.split("/")[:2]
        return digest([sha256[annotation], part]) if place in (PHOTOS, *MASK.folders) else sha256[annotation]

    def keypoints(self, root: Path, keypoints: str, size_hw: tuple[int, int]) -> np.ndarray:
        """See `formats.interface.Reader`."""
        from tryon.dataset import openpose

        return openpose.read_dresscode(root / keypoints, size_hw)
