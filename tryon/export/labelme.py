"""LabelMe: one JSON file of shapes per photo (format: tryon/dataset/formats/labelme.py)."""

from __future__ import annotations

import base64
import io
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tryon.dataset.annotation import HOLE
from tryon.export.annotations import AnnotationWriter, Json
from tryon.export.finished import Finished
from tryon.export.pieces import PERSON, Piece, box_of, group_of, pieces_of, silhouette_and_labels
from tryon.ontology import LABEL_INDEX


class LabelmeWriter(AnnotationWriter):
    """LabelMe: polygons where its order of drawing can say it (`formats.shapes.in_drawing_order`), else masks."""

    def write(self, finished: Finished, labels_HW: np.ndarray, picture: str) -> None:
        """See `AnnotationWriter`."""
        role = finished.photo.role
        pieces = pieces_of(labels_HW, role)
        shapes = [
            _shape(piece.category, group_of(piece), "polygon", piece.points_K2.astype(float).tolist())
            for piece in pieces
        ]
        if not _drawn_without_layers(pieces, labels_HW):
            shapes = [_mask_shape(label, mask_HW) for label, mask_HW in silhouette_and_labels(labels_HW, role)]
        annotation = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": f"../../{role}/{picture}",
            "imageData": None,
            "imageHeight": labels_HW.shape[0],
            "imageWidth": labels_HW.shape[1],
        }
        self._write_beside(finished, annotation)


def _shape(label: str, group: int, kind: str, points: list[Any], mask: str | None = None) -> Json:
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": mask,
    }


def _drawn_without_layers(pieces: list[Piece], labels_HW: np.ndarray) -> bool:
    """Whether pieces draw the label map in the order of a format without layers: person, the rest, holes."""
    canvas_HW = np.zeros_like(labels_HW)
    for piece in sorted(pieces, key=lambda piece: {PERSON: 0, HOLE: 2}.get(piece.category, 1)):
        cv2.fillPoly(canvas_HW, [piece.points_K2], color=piece.value)
    return np.array_equal(canvas_HW, labels_HW)


def _mask_shape(label: str, mask_HW: np.ndarray) -> Json:
    left, top, right, bottom = box_of(mask_HW)
    stream = io.BytesIO()
    Image.fromarray(mask_HW[top : bottom + 1, left : right + 1].astype(np.uint8) * 255).convert("1").save(stream, "PNG")
    text = base64.b64encode(stream.getvalue()).decode()
    corners = [[float(left), float(top)], [float(right), float(bottom)]]
    return _shape(label, LABEL_INDEX[label], "mask", corners, text)
