"""VITON-HD (zalando-hd-resized), in both spellings of its folders.

Person photos carry CIHP parse maps and OpenPose's 25 points; garment photos carry a mask. Garments are of
`dataset.category` (the data set itself holds tops). train/ is dealt between train and val, test/ is test; the photo
of a person and of the garment it wears have one name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tryon.dataset.annotation import LabelMap
from tryon.dataset.formats.layout import PICTURES, Beside, LayoutReader, Place
from tryon.dataset.lists import TRAINVAL
from tryon.errors import BadItem

if TYPE_CHECKING:
    import numpy as np

    from tryon.dataset.parse_maps import Space

PARSE = Beside(("image-parse-v3", "image-parse"), (".png",), "parse map")
POSE = Beside(("openpose_json", "openpose-json"), ("_keypoints.json",), "OpenPose file")
MASK = Beside(("cloth-mask", "cloth_mask"), PICTURES, "garment mask")


class OpenPoseReader(LayoutReader):
    """Layouts with parse maps and OpenPose files for persons, and masks for garments."""

    keypoint_roles = ("person",)
    space: ClassVar[Space]
    """Label space of the parse maps."""
    parse: ClassVar[Beside]
    """Where they lie."""

    def annotate(self, root: Path, annotation: str, role: str) -> LabelMap:
        """A parse map, or a mask; see `formats.interface.Reader`."""
        from tryon.dataset import parse_maps, picture_masks

        if role == "person":
            return parse_maps.read_parse_map(root, annotation, self.space)
        return label_map(annotation, picture_masks.read_mask(root / annotation), self.cfg.category)

    def keypoints(self, root: Path, keypoints: str, size_hw: tuple[int, int]) -> np.ndarray:
        """Of several people, the one on the parse map; see `formats.interface.Reader`."""
        from tryon.dataset import openpose

        labels_HW = self._labels(root, keypoints) if self.num_people(root, keypoints) > 1 else None
        return openpose.read_openpose(root / keypoints, size_hw, labels_HW)

    def num_people(self, root: Path, keypoints: str) -> int:
        """See `formats.interface.Reader`."""
        from tryon.dataset import openpose

        return openpose.num_people(root / keypoints)

    def _labels(self, root: Path, keypoints: str) -> np.ndarray | None:
        """The label map of the photo that a keypoint file belongs to; None where it is unusable."""
        base = Path(keypoints).name.removesuffix("_keypoints.json")
        file = self.beside(root, keypoints.partition("/")[0], self.parse, base)
        try:
            return None if file is None else self.annotate(root, file, "person").labels_HW
        except BadItem:
            return None  # the stage `masks` quarantines the photo for it


class VitonHdReader(OpenPoseReader):
    """`{train,test}/{image,cloth,…}` with `{train,test}_pairs.txt` beside them."""

    title = "viton_hd"
    tree = """\
    train_pairs.txt  test_pairs.txt           "person.jpg garment.jpg"; test_pairs.txt lists unpaired ones
    train/ and/or test/
        image/NAME.jpg                        persons
        image-parse-v3/NAME.png               or image-parse: CIHP parse maps, indexed PNG
        openpose_json/NAME_keypoints.json     or openpose-json: OpenPose, 25 points
        cloth/NAME.jpg                        garments
        cloth-mask/NAME.jpg                   or cloth_mask: white on the garment"""
    space = "cihp"
    parse = PARSE
    parts: ClassVar[dict[str, str | None]] = {"train": TRAINVAL, "test": "test"}
    places = (Place("person", "image", PARSE, POSE), Place("garment", "cloth", MASK))
    pair_lists: ClassVar[dict[str, str]] = {"train_pairs.txt": "train", "test_pairs.txt": "test"}
    paired_lists = ("train_pairs.txt",)


def label_map(file: str, garment_HW: np.ndarray, category: str, repairs: tuple[str, ...] = ()) -> LabelMap:
    """A label map that shows one garment and nothing else.

    Args:
        file: where it was read, for messages.
        garment_HW: boolean, true on the garment.
        category: what it is.
        repairs: as in `LabelMap`.
    """
    import numpy as np

    from tryon.ontology import LABEL_INDEX

    return LabelMap(file, garment_HW.astype(np.uint8) * np.uint8(LABEL_INDEX[category]), repairs)
