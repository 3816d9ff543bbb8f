"""LabelMe and COCO values for tests, written by hand."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def shape(label: str, points: list, kind: str | None = "polygon", **more: object) -> dict:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def labelme(shapes: list, size_hw: tuple[int, int] = (32, 24), **more: object) -> dict:
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": "anna.jpg",
        "imageData": None,
        "imageHeight": size_hw[0],
        "imageWidth": size_hw[1],
        **more,
    }


def png_text(mask_HW: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(mask_HW.astype(bool)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def square(x0: float, y0: float, x1: float, y1: float) -> list:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
