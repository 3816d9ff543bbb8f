"""VITON as CP-VTON packs it: LIP parse maps, OpenPose's 18 points, 256x192; NUMBER_0 wears NUMBER_1.

image-parse-new, CP-VTON+'s mended parse maps with the neck, is preferred to image-parse. Garments are of
`dataset.category` (the data set itself holds tops). train/ is dealt between train and val, test/ is test.
"""

from __future__ import annotations

from typing import ClassVar

from tryon.dataset.formats.layout import PICTURES, Beside, Place
from tryon.dataset.formats.viton_hd import OpenPoseReader
from tryon.dataset.lists import TRAINVAL

PARSE = Beside(("image-parse-new", "image-parse"), (".png",), "parse map")
POSE = Beside(("pose",), ("_keypoints.json",), "OpenPose file")
MASK = Beside(("cloth-mask",), PICTURES, "garment mask")


class VitonReader(OpenPoseReader):
    """`{train,test}/{image,image-parse,pose,cloth,cloth-mask}` with `{train,test}_pairs.txt` beside them."""

    title = "viton"
    tree = """\
    train_pairs.txt  test_pairs.txt           "person.jpg garment.jpg"; test_pairs.txt lists unpaired ones
    train/ and/or test/
        image/NUMBER_0.jpg                    persons
        image-parse-new/NUMBER_0.png          or image-parse: LIP parse maps, indexed or grey PNG
        pose/NUMBER_0_keypoints.json          OpenPose, 18 points
        cloth/NUMBER_1.jpg                    garments
        cloth-mask/NUMBER_1.jpg               white on the garment"""
    space = "lip"
    parse = PARSE
    parts: ClassVar[dict[str, str | None]] = {"train": TRAINVAL, "test": "test"}
    places = (Place("person", "image", PARSE, POSE), Place("garment", "cloth", MASK))
    pair_lists: ClassVar[dict[str, str]] = {"train_pairs.txt": "train", "test_pairs.txt": "test"}
    paired_lists = ("train_pairs.txt",)

    def worn(self, base: str) -> str:
        """NUMBER_0 wears NUMBER_1."""
        return f"{base.removesuffix('_0')}_1" if base.endswith("_0") else base
