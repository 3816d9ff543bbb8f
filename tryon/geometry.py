"""One geometry: what moves pixels moves masks and keypoints with it, and can be undone.

Coordinates are pixel centres: the centre of the top-left pixel is (0, 0), so a picture of width W spans
[-0.5, W - 0.5]. Scaling by s maps x to (x + 0.5) * s - 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Letterbox:
    """Scale a picture to fit a canvas, keeping its aspect ratio, and centre it there.

    Attributes:
        source_hw: height and width of the picture in pixels.
        canvas_hw: height and width of the canvas in pixels.
    """

    source_hw: tuple[int, int]
    canvas_hw: tuple[int, int]

    @property
    def inner_hw(self) -> tuple[int, int]:
        """Height and width of the scaled picture on the canvas."""
        (source_h, source_w), (canvas_h, canvas_w) = self.source_hw, self.canvas_hw
        scale = min(canvas_h / source_h, canvas_w / source_w)
        return max(1, round(source_h * scale)), max(1, round(source_w * scale))

    @property
    def offset_xy(self) -> tuple[int, int]:
        """Canvas column and row of the scaled picture's top-left pixel."""
        inner_h, inner_w = self.inner_hw
        return (self.canvas_hw[1] - inner_w) // 2, (self.canvas_hw[0] - inner_h) // 2

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Exact scale factors, which differ a little because the scaled size is a whole number of pixels."""
        inner_h, inner_w = self.inner_hw
        return inner_w / self.source_hw[1], inner_h / self.source_hw[0]

    def image(self, image_HWC: np.ndarray, fill: int | tuple[int, int, int] = 255) -> np.ndarray:
        """A uint8 RGB picture on the canvas: area-averaged when shrunk, bilinear when enlarged."""
        self._check(image_HWC)
        inner_h, inner_w = self.inner_hw
        shrinks = inner_h < self.source_hw[0]
        inner = cv2.resize(image_HWC, (inner_w, inner_h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        canvas = np.empty((*self.canvas_hw, 3), np.uint8)
        canvas[:] = fill
        self._inner(canvas)[:] = inner
        return canvas

    def mask(self, mask_HW: np.ndarray, fill: int = 0) -> np.ndarray:
        """Labels or bit flags (uint8 [H, W]) on the canvas: the value at the nearest pixel centre, never mixed."""
        self._check(mask_HW)
        rows, columns = (
            np.minimum(((np.arange(inner) + 0.5) * source / inner).astype(np.intp), source - 1)
            for inner, source in zip(self.inner_hw, self.source_hw, strict=True)
        )
        canvas = np.full(self.canvas_hw, fill, np.uint8)
        self._inner(canvas)[:] = mask_HW[rows[:, None], columns[None, :]]
        return canvas

    def points(self, points_K2: np.ndarray) -> np.ndarray:
        """Photo pixels (x, y) → canvas pixels."""
        return (np.asarray(points_K2, np.float64) + 0.5) * self.scale_xy - 0.5 + self.offset_xy

    def inverse_points(self, points_K2: np.ndarray) -> np.ndarray:
        """Canvas pixels (x, y) → photo pixels."""
        return (np.asarray(points_K2, np.float64) - self.offset_xy + 0.5) / self.scale_xy - 0.5

    def undo_image(self, canvas_HWC: np.ndarray) -> np.ndarray:
        """A picture on the canvas → the size of the source, without the borders."""
        source_h, source_w = self.source_hw
        inner = np.ascontiguousarray(self._inner(canvas_HWC))
        shrinks = source_h < self.inner_hw[0]
        return cv2.resize(inner, (source_w, source_h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)

    def _inner(self, canvas: np.ndarray) -> np.ndarray:
        (x, y), (inner_h, inner_w) = self.offset_xy, self.inner_hw
        return canvas[y : y + inner_h, x : x + inner_w]

    def _check(self, plane: np.ndarray) -> None:
        if plane.shape[:2] != self.source_hw:
            raise ValueError(f"this geometry is for {self.source_hw} (height, width), got {plane.shape[:2]}")


def keypoints_to_unit(keypoints_K3: np.ndarray, canvas_hw: tuple[int, int]) -> np.ndarray:
    """Keypoints in canvas pixels → the networks' unit square; the same for training and inference.

    Args:
        keypoints_K3: x, y in canvas pixels and a score; score <= 0 means not visible.
        canvas_hw: height and width of the canvas in pixels.

    Returns:
        float32 [K, 3]: ((x + 0.5) / W, (y + 0.5) / H, 1) for visible points on the canvas, else (0, 0, 0).
    """
    height, width = canvas_hw
    unit_K2 = (np.asarray(keypoints_K3[:, :2], np.float64) + 0.5) / (width, height)
    visible_K = (keypoints_K3[:, 2] > 0) & ((unit_K2 >= 0) & (unit_K2 <= 1)).all(axis=1)
    return (np.concatenate([unit_K2, np.ones((len(unit_K2), 1))], axis=1) * visible_K[:, None]).astype(np.float32)


def keypoints_from_unit(keypoints_K3: np.ndarray, canvas_hw: tuple[int, int]) -> np.ndarray:
    """Inverse of `keypoints_to_unit` for visible points; invisible ones stay (0, 0, 0)."""
    height, width = canvas_hw
    pixels_K2 = keypoints_K3[:, :2] * (width, height) - 0.5
    visible_K1 = keypoints_K3[:, 2:] > 0
    return np.concatenate([pixels_K2 * visible_K1, keypoints_K3[:, 2:]], axis=1).astype(np.float32)
