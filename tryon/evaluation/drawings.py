"""Pictures of the report as data URIs: overlays of labels and keypoints, cut-outs, thumbnails, loss curves.

Everything is drawn to be embedded: the page needs no file beside it and asks no server for anything.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tryon.evaluation.report_text import Text
from tryon.images import encode_jpeg
from tryon.ontology import PALETTE, SKELETON

JPEG_QUALITY = 86
PAPER = 246
"""Grey level behind cut-outs."""


@dataclass(frozen=True)
class Figure:
    """An embedded picture.

    Attributes:
        uri: data URI.
        width, height: pixels.
        alt: what it shows, in words.
    """

    uri: str
    width: int
    height: int
    alt: Text


def figure(image_HWC: np.ndarray, alt: Text, height_px: int | None = None) -> Figure:
    """Embed a uint8 RGB picture as JPEG, no taller than `height_px`."""
    height, width = image_HWC.shape[:2]
    if height_px is not None and height > height_px:
        image_HWC = cv2.resize(image_HWC, (round(width * height_px / height), height_px), interpolation=cv2.INTER_AREA)
    data = base64.b64encode(encode_jpeg(np.ascontiguousarray(image_HWC), JPEG_QUALITY)).decode("ascii")
    return Figure(f"data:image/jpeg;base64,{data}", image_HWC.shape[1], image_HWC.shape[0], alt)


def labels_over(image_HWC: np.ndarray, labels_HW: np.ndarray, strength: float = 0.62) -> np.ndarray:
    """The label map's colours over a photo; the background is dimmed instead of painted black."""
    colours_HWC = np.array(PALETTE, np.float32)[labels_HW]
    is_background_HW1 = (labels_HW == 0)[..., None]
    grey_HWC = image_HWC.mean(axis=-1, keepdims=True) * 0.25 + 255 * 0.75
    painted_HWC = image_HWC * (1 - strength) + colours_HWC * strength
    return np.where(is_background_HW1, grey_HWC, painted_HWC).astype(np.uint8)


def keypoints_over(image_HWC: np.ndarray, keypoints_K3: np.ndarray) -> np.ndarray:
    """Skeleton and keypoints over a photo.

    Args:
        image_HWC: uint8 RGB.
        keypoints_K3: x, y in pixels of this picture, and visibility (0: not drawn).
    """
    canvas_HWC = image_HWC.copy()
    unit = max(1, round(min(image_HWC.shape[:2]) / 110))
    points = [(round(float(x)), round(float(y))) for x, y, _ in keypoints_K3]
    visible = keypoints_K3[:, 2] > 0
    for start, end in SKELETON:
        if visible[start] and visible[end]:
            cv2.line(canvas_HWC, points[start], points[end], (255, 255, 255), unit + 2, cv2.LINE_AA)
            cv2.line(canvas_HWC, points[start], points[end], (13, 148, 136), unit, cv2.LINE_AA)
    for point, is_visible in zip(points, visible, strict=True):
        if is_visible:
            cv2.circle(canvas_HWC, point, unit + 2, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(canvas_HWC, point, unit + 1, (220, 38, 38), -1, cv2.LINE_AA)
    return canvas_HWC


def cut_out(image_HWC: np.ndarray, mask_HW: np.ndarray) -> np.ndarray:
    """A photo inside a mask, on paper."""
    return np.where(mask_HW.astype(bool)[..., None], image_HWC, np.uint8(PAPER))


def agnostic(image_HWC: np.ndarray, region_HW: np.ndarray) -> np.ndarray:
    """A person without the region to repaint, which is hatched so that it is not taken for clothing."""
    rows_H1, columns_1W = np.ogrid[: image_HWC.shape[0], : image_HWC.shape[1]]
    period = max(4, image_HWC.shape[0] // 32)
    hatch_HW1 = np.where(((rows_H1 + columns_1W) // (period // 2)) % 2, 205, 226)[..., None]
    return np.where(region_HW.astype(bool)[..., None], hatch_HW1, image_HWC).astype(np.uint8)


def placeholder(height_px: int, width_px: int) -> np.ndarray:
    """Stands where a photo cannot be decoded."""
    image_HWC = np.full((height_px, width_px, 3), 228, np.uint8)
    cv2.line(image_HWC, (0, 0), (width_px, height_px), (190, 190, 190), 1, cv2.LINE_AA)
    cv2.line(image_HWC, (0, height_px), (width_px, 0), (190, 190, 190), 1, cv2.LINE_AA)
    return image_HWC


# ---- loss curves

CURVE_WIDTH, CURVE_HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 54, 10, 12, 28


@dataclass(frozen=True)
class Curves:
    """One training stage's losses as an inline SVG.

    Attributes:
        svg: the drawing, without words; its colours are the page's CSS variables, so it follows light and dark.
        last_step: where its x axis ends.
        first, last, best_val: losses to print beside it; None without validation.
    """

    svg: str
    last_step: int
    first: float
    last: float
    best_val: float | None


def loss_curves(train: Sequence[tuple[int, float]], val: Sequence[tuple[int, float]]) -> Curves | None:
    """Training loss (each point faint, its running mean strong) and validation loss over steps, log scale.

    Args:
        train: (step, loss).
        val: (step, loss).

    Returns:
        None without any training loss.
    """
    points = [(step, loss) for step, loss in train if loss > 0]
    checks = [(step, loss) for step, loss in val if loss > 0]
    if not points:
        return None
    smooth = _running_mean(points, max(1, len(points) // 20))
    losses = [loss for _, loss in [*points, *checks]]
    low, high = np.log10(min(losses)) - 0.03, np.log10(max(losses)) + 0.03
    last_step = max(step for step, _ in [*points, *checks])

    def place(step: float, loss: float) -> tuple[float, float]:
        x = LEFT + step / last_step * (CURVE_WIDTH - LEFT - RIGHT)
        y = TOP + (high - np.log10(loss)) / (high - low) * (CURVE_HEIGHT - TOP - BOTTOM)
        return round(x, 1), round(float(y), 1)

    parts = [_axes(place, low, high, last_step)]
    parts.append(_line([place(*point) for point in points], "curve-raw"))
    parts.append(_line([place(*point) for point in smooth], "curve-train"))
    if checks:
        parts.append(_line([place(*point) for point in checks], "curve-val"))
        parts += [f'<circle class="dot-val" cx="{x}" cy="{y}" r="2.6"/>' for x, y in (place(*p) for p in checks)]
    svg = f'<svg viewBox="0 0 {CURVE_WIDTH} {CURVE_HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'
    return Curves(svg, last_step, points[0][1], smooth[-1][1], min((loss for _, loss in checks), default=None))


def _running_mean(points: Sequence[tuple[int, float]], window: int) -> list[tuple[int, float]]:
    """The mean of the last `window` points at each point (fewer at the start)."""
    losses = np.array([loss for _, loss in points])
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    ends = np.arange(1, len(points) + 1)
    starts = np.maximum(0, ends - window)
    means = (sums[ends] - sums[starts]) / (ends - starts)
    return [(step, float(mean)) for (step, _), mean in zip(points, means, strict=True)]


def _line(points: Sequence[tuple[float, float]], name: str) -> str:
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline class="{name}" points="{path}"/>'


def _axes(place: Callable[[float, float], tuple[float, float]], low: float, high: float, last_step: int) -> str:
    ticks = [step * 10.0**power for power in range(-8, 4) for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= np.log10(tick) <= high] or [10 ** ((low + high) / 2)]
    parts = []
    for tick in ticks:
        _, y = place(0, tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{CURVE_WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5}" text-anchor="end">{tick:.3g}</text>')
    base = CURVE_HEIGHT - BOTTOM
    for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end")):
        x, _ = place(share * last_step, 10**high)
        label = f"{share * last_step:,.0f}".replace(",", "\u202f")
        parts.append(f'<text class="tick" x="{x}" y="{base + 17}" text-anchor="{anchor}">{label}</text>')
    return "".join(parts)
