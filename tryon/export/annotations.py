"""What the writers of annotation files share: a data folder in this project's own layout, photo by photo.

Photos are copied as they are; keypoints lie beside them as mmpose writes them, or inside COCO's entries. Read back by
the reader of the same name, each gives the very same label map.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from tryon import files
from tryon.export.finished import Finished

Json = dict[str, Any]


class AnnotationWriter(ABC):
    """Writes one photo after the other.

    Args:
        out: the folder to write.
        use_cutouts: draw garments as their cut-outs have them.
    """

    def __init__(self, out: Path, *, use_cutouts: bool) -> None:
        self.out = out
        self.use_cutouts = use_cutouts

    def add(self, finished: Finished) -> None:
        """Copy a photo and write what is known of it."""
        picture = self.out / f"{finished.photo.id}{finished.file.suffix}"
        files.write_bytes(picture, finished.file.read_bytes())
        labels_HW = finished.with_cutouts() if self.use_cutouts else finished.labels_HW
        self.write(finished, labels_HW, picture.name)

    @abstractmethod
    def write(self, finished: Finished, labels_HW: np.ndarray, picture: str) -> None:
        """Write the annotation of one photo; `picture` is its file name."""

    def close(self) -> None:  # noqa: B027 (most formats have nothing to end)
        """Write what belongs to all photos."""

    def _write_beside(self, finished: Finished, annotation: Json) -> None:
        """One file of shapes and one of keypoints per photo."""
        files.write_json(self.out / "annotations" / f"{finished.photo.id}.json", annotation)
        prediction = {
            "keypoints": finished.keypoints_K3[:, :2].tolist(),
            "keypoint_scores": finished.keypoints_K3[:, 2].tolist(),
            "bbox": [list(finished.box_xyxy)],
            "bbox_score": 1.0,
        }
        files.write_json(self.out / "keypoints" / f"{finished.photo.id}.json", [prediction])
