"""Label maps to ISAT annotations, keypoints to mmpose predictions: the formats of a user's own data folder."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from tryon.ontology import LABEL_INDEX, LABELS

DRAWING_ORDER = ("person", "down", "up", "dress", "face", "hair", "left_arm", "right_arm")
GROUP = {name: group for group, name in enumerate(DRAWING_ORDER, start=1)}
SIMPLIFY_PX = 0.6  # largest distance of a simplified outline from the true one
MIN_AREA_PX = 12  # smaller specks are left out of the annotation, as a person drawing by hand leaves them out
MAX_ROUNDS = 3  # of repairing what a filled outline covers that belongs to a label below it

Json = dict[str, Any]


def isat(name: str, labels_HW: np.ndarray) -> Json:
    """Annotate a picture.

    Objects are drawn in the order of their layers. Each label's outer outlines are drawn, without their holes:
    a hole is covered by what is drawn later. Where a label drawn earlier shows through (skin inside a ring of
    hair), it gets another polygon on a higher layer; where the background shows through, `__background__`.

    Args:
        name: file name of the picture.
        labels_HW: uint8 indices into `ontology.LABELS`.

    Returns:
        The content of an ISAT file.
    """
    height, width = labels_HW.shape
    drawn_HW = np.zeros_like(labels_HW)
    objects: list[Json] = []
    for label in DRAWING_ORDER:
        visible_HW = labels_HW > 0 if label == "person" else labels_HW == LABEL_INDEX[label]
        _add_polygons(objects, drawn_HW, visible_HW, label)
    for _ in range(MAX_ROUNDS):
        num_before = len(objects)
        for label in DRAWING_ORDER:
            wrong_HW = (labels_HW == LABEL_INDEX[label]) & (drawn_HW != labels_HW)
            _add_polygons(objects, drawn_HW, _without_slivers(wrong_HW), label)
        if len(objects) == num_before:
            break
    _add_polygons(objects, drawn_HW, _without_slivers((labels_HW == 0) & (drawn_HW > 0)), "__background__")
    info = {"description": "ISAT", "folder": "", "name": name, "width": width, "height": height, "depth": 3, "note": ""}
    return {"info": info, "objects": objects}


def _without_slivers(mask_HW: np.ndarray) -> np.ndarray:
    """Drop what is one pixel thin: that is the rounding of simplified outlines, not a visible part."""
    return cv2.morphologyEx(mask_HW.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0


def _add_polygons(objects: list[Json], drawn_HW: np.ndarray, mask_HW: np.ndarray, label: str) -> None:
    if not mask_HW.any():
        return
    contours, _ = cv2.findContours(mask_HW.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    # largest first: the order in which cv2 finds them is an accident of its scan
    for contour in sorted(contours, key=cv2.contourArea, reverse=True):
        polygon = cv2.approxPolyDP(contour, SIMPLIFY_PX, True)
        area = float(cv2.contourArea(polygon))
        if area < MIN_AREA_PX or len(polygon) < 3:
            continue
        cv2.fillPoly(drawn_HW, [polygon], 0 if label == "__background__" else LABEL_INDEX[label])
        objects.append(_object(label, polygon[:, 0, :], area, layer=len(objects) + 1))


def _object(label: str, polygon_N2: np.ndarray, area: float, layer: int) -> Json:
    left, top = polygon_N2.min(axis=0)
    right, bottom = polygon_N2.max(axis=0)
    return {
        "category": label,
        "group": GROUP.get(label, 0),
        "segmentation": [[float(x), float(y)] for x, y in polygon_N2],
        "area": area,
        "layer": float(layer),
        "bbox": [float(left), float(top), float(right), float(bottom)],
        "iscrowd": False,
        "note": "",
    }


def draw(annotation: Json) -> np.ndarray:
    """The label map of an annotation made by `isat`: polygons in the order of their layers, uint8 [H, W]."""
    labels_HW = np.zeros((annotation["info"]["height"], annotation["info"]["width"]), np.uint8)
    for item in sorted(annotation["objects"], key=lambda item: item["layer"]):
        value = LABELS.index(item["category"]) if item["category"] in LABELS else 0
        cv2.fillPoly(labels_HW, [np.asarray(item["segmentation"], np.int32)], value)
    return labels_HW


def mmpose(keypoints_K3: np.ndarray, labels_HW: np.ndarray) -> list[Json]:
    """A prediction file with one instance: 17 points in pixels, score 1 where visible, else (0, 0) and score 0."""
    ys, xs = np.nonzero(labels_HW)
    box = [float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)]
    points = [[round(float(x), 2), round(float(y), 2)] for x, y, _ in keypoints_K3]
    scores = [float(visible) for _, _, visible in keypoints_K3]
    return [{"keypoints": points, "keypoint_scores": scores, "bbox": [box], "bbox_score": 1.0}]
