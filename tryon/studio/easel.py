"""The drawing surface: a picture and, stroke for stroke, the label of what is visible at each pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import skia

Paint: TypeAlias = "str | int | skia.Shader"


def rgba(colour: str, alpha: float = 1.0) -> int:
    """A skia colour from "#rrggbb"."""
    value = int(colour[1:], 16)
    return int(skia.Color(value >> 16, value >> 8 & 255, value & 255, round(255 * alpha)))


def mix(one: str, two: str, share: float) -> str:
    """The colour that lies `share` of the way from `one` to `two`."""
    a, b = (np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) for c in (one, two))
    return "#" + "".join(f"{int(round(v)):02x}" for v in a + (b - a) * share)


def darker(colour: str, share: float) -> str:
    """Towards a warm black."""
    return mix(colour, "#140f14", share)


def lighter(colour: str, share: float) -> str:
    """Towards white."""
    return mix(colour, "#ffffff", share)


def luminance(colour: str) -> float:
    """Perceived brightness in [0, 1]."""
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def linear(
    start: Sequence[float] | np.ndarray,
    end: Sequence[float] | np.ndarray,
    colours: Sequence[int],
    at: Sequence[float] | None = None,
) -> skia.Shader:
    """A linear gradient."""
    return skia.GradientShader.MakeLinear(
        [skia.Point(*map(float, start)), skia.Point(*map(float, end))],
        list(colours),
        list(at) if at is not None else [k / (len(colours) - 1) for k in range(len(colours))],
    )


def radial(centre: Sequence[float], radius: float, colours: Sequence[int]) -> skia.Shader:
    """A radial gradient."""
    steps = [k / (len(colours) - 1) for k in range(len(colours))]
    return skia.GradientShader.MakeRadial(skia.Point(*map(float, centre)), float(radius), list(colours), steps)


class Easel:
    """A colour canvas and a label canvas that move together.

    The colour canvas is anti-aliased; a pixel of the label canvas belongs to a shape if its centre does.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        """Open an empty picture of (height, width) pixels."""
        height, width = size_hw
        self.size_hw = size_hw
        self._colours_HWC = np.zeros((height, width, 4), np.uint8)
        self._labels_HWC = np.zeros((height, width, 4), np.uint8)
        # Surfaces over numpy memory are RGBA: no channel flip anywhere
        self._surfaces = (skia.Surface(self._colours_HWC), skia.Surface(self._labels_HWC))
        self.canvas = self._surfaces[0].getCanvas()
        self._labels = self._surfaces[1].getCanvas()
        self._inverse = np.eye(3)

    def image_HWC(self) -> np.ndarray:
        """The picture as uint8 RGB [H, W, 3]."""
        return np.ascontiguousarray(self._colours_HWC[:, :, :3])

    def labels_HW(self) -> np.ndarray:
        """The visible label of each pixel, uint8 [H, W]."""
        return np.ascontiguousarray(self._labels_HWC[:, :, 0])

    @contextmanager
    def moved(self, matrix: skia.Matrix) -> Iterator[None]:
        """Draw in other coordinates."""
        for canvas in (self.canvas, self._labels):
            canvas.save()
            canvas.concat(matrix)
        try:
            yield
        finally:
            for canvas in (self.canvas, self._labels):
                canvas.restore()

    @contextmanager
    def inside(self, path: skia.Path, *, out: bool = False) -> Iterator[None]:
        """Draw only inside (or only outside) a path."""
        operation = skia.ClipOp.kDifference if out else skia.ClipOp.kIntersect
        for canvas, smooth in ((self.canvas, True), (self._labels, False)):
            canvas.save()
            canvas.clipPath(path, operation, smooth)
        try:
            yield
        finally:
            for canvas in (self.canvas, self._labels):
                canvas.restore()

    def fill(
        self, path: skia.Path, paint: Paint, label: int | None = None, *, soft: float = 0.0, alpha: float = 1.0
    ) -> None:
        """Fill a path; `soft` blurs its edge (standard deviation in current units).

        A label is given where the shape is a thing; shading has none and leaves the labels as they are.
        """
        if isinstance(paint, skia.Shader):
            # not Paint.setShader: that one copies by encoding, 10 ms for a texture
            brush = skia.Paint(AntiAlias=True, Shader=paint)
        else:
            brush = skia.Paint(AntiAlias=True, Color=paint if isinstance(paint, int) else rgba(paint, alpha))
        if soft:
            brush.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, soft))
        self.canvas.drawPath(path, brush)
        if label is not None:
            self._labels.drawPath(path, skia.Paint(AntiAlias=False, Color=skia.Color(label, 0, 0)))

    def stroke(self, path: skia.Path, colour: str, width: float, *, alpha: float = 1.0, soft: float = 0.0) -> None:
        """Draw a line along a path; a line is shading and has no label."""
        brush = skia.Paint(
            AntiAlias=True,
            Color=rgba(colour, alpha),
            Style=skia.Paint.kStroke_Style,
            StrokeWidth=width,
            StrokeCap=skia.Paint.kRound_Cap,
            StrokeJoin=skia.Paint.kRound_Join,
        )
        if soft:
            brush.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, soft))
        self.canvas.drawPath(path, brush)

    def cover(self, path: skia.Path, mesh: skia.Vertices, shader: skia.Shader, label: int) -> None:
        """Fill a path with a texture that follows a mesh."""
        self.canvas.save()
        self.canvas.clipPath(path, skia.ClipOp.kIntersect, True)
        self.canvas.drawVertices(mesh, skia.Paint(Shader=shader))
        self.canvas.restore()
        self._labels.drawPath(path, skia.Paint(AntiAlias=False, Color=skia.Color(label, 0, 0)))
