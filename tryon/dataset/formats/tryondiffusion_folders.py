"""The folders ip/ig/ia/ic/jp/jg[/ig_mask] that wenzonghui/tryondiffusion trains on.

A sample is one file name in all of them: a person photo (ip), the person without its clothes on black (ia), another
person photo that shows the garment (ig), the garment cut out of it on black (ic), and the 17 COCO points of both as
flat lists (jp, jg). What ia lacks of ip is taken for the worn garment, of `dataset.category`; the person's silhouette
is not known. ig_mask (red on the garment) is preferred to ic.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tryon.dataset.annotation import LabelMap
from tryon.dataset.formats.layout import PICTURES, Beside, LayoutReader, Place, path_of
from tryon.dataset.formats.viton_hd import label_map
from tryon.errors import BadItem

if TYPE_CHECKING:
    import numpy as np

AGNOSTIC = Beside(("ia",), PICTURES, "picture without clothes")
GARMENT = Beside(("ig_mask", "ic"), PICTURES, "garment mask or cut-out")
PERSON_POSE = Beside(("jp",), (".json",), "keypoint file")
GARMENT_POSE = Beside(("jg",), (".json",), "keypoint file")


class TwoPictureReader(LayoutReader):
    """Layouts that show the worn garment only as what one picture lacks of another."""

    annotates_person = False

    def annotation_sha256(self, root: Path, annotation: str, sha256: dict[str, str]) -> str:
        """Of both pictures, where a reference names two."""
        from tryon.digests import digest

        pictures = self._pictures(annotation)
        return sha256[pictures[0]] if len(pictures) == 1 else digest([sha256[picture] for picture in pictures])

    def removed(self, root: Path, annotation: str) -> LabelMap:
        """The worn garment: what the first picture of a reference lacks of the second.

        Raises:
            BadItem: a picture cannot be used, or the reference names one file alone, as that of a true picture does.
        """
        from tryon.dataset import picture_masks

        pictures = self._pictures(annotation)
        if len(pictures) != 2:
            raise BadItem(
                f"{annotation}: this layout knows a worn garment only as what one picture lacks of another, and reads "
                "no annotation of a single picture; delete it, and the picture counts as a whole"
            )
        agnostic, photo = pictures
        repair = "the worn garment is what the clothing-agnostic picture lacks of the photo"
        found_HW = picture_masks.removed_region(root / photo, root / agnostic)
        return label_map(agnostic, found_HW, self.cfg.category, (repair,))

    def _pictures(self, annotation: str) -> list[str]:
        """The one or two pictures that a reference names; a # may be in their names too."""
        place = next(place.folder for place in self.places if place.with_photo)
        for mark in (f"#{path_of(part, place)}/" for part in self.parts):
            first, found, second = annotation.rpartition(mark)
            if found:
                return [first, f"{mark[1:]}{second}"]
        return [annotation]


class TryOnDiffusionReader(TwoPictureReader):
    """`{train,val,test}/{ip,ig,ia,ic,jp,jg,ig_mask}`."""

    title = "tryondiffusion_folders"
    tree = """\
    train/ and/or val/ and/or test/
        ip/NAME.jpg          persons
        ia/NAME.jpg          the same without the garment
        ig/NAME.jpg          persons who wear the garment
        ic/NAME.jpg          the garment cut out of ig, on black; or ig_mask/NAME.jpg: red on the garment
        jp/NAME.json         34 numbers, the keypoints of ip
        jg/NAME.json         34 numbers, the keypoints of ig"""
    parts: ClassVar[dict[str, str | None]] = {"train": "train", "val": "val", "test": "test"}
    places = (
        Place("person", "ip", AGNOSTIC, PERSON_POSE, with_photo=True),
        Place("garment", "ig", GARMENT, GARMENT_POSE),
    )

    def annotate(self, root: Path, annotation: str, role: str) -> LabelMap:
        """See `formats.interface.Reader`."""
        from tryon.dataset import picture_masks

        if role == "person":
            return self.removed(root, annotation)
        is_mask = annotation.split("/")[1] == GARMENT.folders[0]
        read = picture_masks.read_red_mask if is_mask else picture_masks.read_cutout
        return label_map(annotation, read(root / annotation), self.cfg.category)

    def keypoints(self, root: Path, keypoints: str, size_hw: tuple[int, int]) -> np.ndarray:
        """See `formats.interface.Reader`."""
        from tryon.dataset import openpose

        return openpose.read_flat(root / keypoints, size_hw)
