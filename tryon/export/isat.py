"""ISAT: one JSON file of polygons in layers per photo (format: tryon/dataset/formats/isat.py)."""

from __future__ import annotations

import cv2
import numpy as np

from tryon.export.annotations import AnnotationWriter
from tryon.export.finished import Finished
from tryon.export.pieces import group_of, pieces_of


class IsatWriter(AnnotationWriter):
    """ISAT: polygons in layers; pieces of one label share a group, holes have group 0."""

    def write(self, finished: Finished, labels_HW: np.ndarray, picture: str) -> None:
        """See `AnnotationWriter`."""
        height, width = labels_HW.shape
        objects = []
        for layer, piece in enumerate(pieces_of(labels_HW, finished.photo.role), start=1):
            (left, top), (right, bottom) = piece.points_K2.min(axis=0), piece.points_K2.max(axis=0)
            objects.append(
                {
                    "category": piece.category,
                    "group": group_of(piece),
                    "segmentation": piece.points_K2.astype(float).tolist(),
                    "area": float(cv2.contourArea(piece.points_K2)),
                    "layer": float(layer),
                    "bbox": [float(left), float(top), float(right), float(bottom)],
                    "iscrowd": False,
                    "note": "",
                }
            )
        info = {
            "description": "ISAT",
            "folder": "",
            "name": picture,
            "width": width,
            "height": height,
            "depth": 3,
            "note": "",
        }
        self._write_beside(finished, {"info": info, "objects": objects})
