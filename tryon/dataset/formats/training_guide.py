"""The folders of the "TryOn Diffusion Training Guide": person_images, ca_images, garment_images and .npy poses.

A sample is one file name in all five folders. What ca_images (clothing-agnostic) lacks of person_images is taken for
the worn garment, of `dataset.category`; the garment pictures are cut-outs on a plain background. The poses are 18
OpenPose points. The layout fixes no split.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tryon.dataset.annotation import LabelMap
from tryon.dataset.formats.layout import PICTURES, Beside, Place
from tryon.dataset.formats.tryondiffusion_folders import TwoPictureReader
from tryon.dataset.formats.viton_hd import label_map

if TYPE_CHECKING:
    import numpy as np

AGNOSTIC = Beside(("ca_images",), PICTURES, "clothing-agnostic picture")
GARMENT = Beside(("garment_images",), PICTURES, "garment picture")
PERSON_POSE = Beside(("person_poses",), (".npy",), "pose")
GARMENT_POSE = Beside(("garment_poses",), (".npy",), "pose")


class TrainingGuideReader(TwoPictureReader):
    """`{person_images,ca_images,garment_images,person_poses,garment_poses}`."""

    title = "training_guide"
    tree = """\
    person_images/NAME.jpg    persons
    ca_images/NAME.jpg        the same without the garment
    garment_images/NAME.jpg   the garment on a plain background
    person_poses/NAME.npy     18 OpenPose points [x, y] of the person, in pixels or as shares of the picture
    garment_poses/NAME.npy    and of the garment picture"""
    parts: ClassVar[dict[str, str | None]] = {"": None}
    places = (
        Place("person", "person_images", AGNOSTIC, PERSON_POSE, with_photo=True),
        Place("garment", "garment_images", GARMENT, GARMENT_POSE),
    )

    def annotate(self, root: Path, annotation: str, role: str) -> LabelMap:
        """See `formats.interface.Reader`."""
        from tryon.dataset import picture_masks

        if role == "person":
            return self.removed(root, annotation)
        repair = "no mask in this layout: the garment is what a flood of the plain background left"
        return label_map(annotation, picture_masks.garment_on_plain(root / annotation), self.cfg.category, (repair,))

    def keypoints(self, root: Path, keypoints: str, size_hw: tuple[int, int]) -> np.ndarray:
        """See `formats.interface.Reader`."""
        from tryon.dataset import openpose

        return openpose.read_npy(root / keypoints, size_hw)
