"""Cloth: what is woven into or printed on a garment, as a texture over the standard body's torso coordinates.

The same texture dresses the shop photo and every wearer, so both show visibly the same garment.
"""

from __future__ import annotations

import math

import numpy as np
import skia

from tryon.studio import lettering
from tryon.studio.easel import darker, linear, rgba
from tryon.studio.specs import Garment, Pattern

HALF_WIDTH = 2.4  # the texture covers x in [-HALF_WIDTH, HALF_WIDTH]
TOP = -0.7  # … and y from TOP
BOTTOM = {"up": 3.6, "down": 6.4, "dress": 5.6}  # … to BOTTOM, in torso coordinates


def cloth(garment: Garment, resolution: float, *, sleeve: bool = False) -> skia.Image:
    """Draw a garment's texture.

    Args:
        garment: whose pattern.
        resolution: pixels per body unit.
        sleeve: the texture of sleeves, without placed prints and perhaps in a contrast colour.
    """
    height = BOTTOM[garment.category] - TOP
    surface = skia.Surface(math.ceil(2 * HALF_WIDTH * resolution), math.ceil(height * resolution))
    canvas = surface.getCanvas()
    canvas.scale(resolution, resolution)
    canvas.translate(HALF_WIDTH, -TOP)
    pattern = garment.pattern
    if sleeve and garment.sleeve_colour is not None:
        canvas.drawColor(rgba(garment.sleeve_colour))
    else:
        canvas.drawColor(rgba(pattern.colours[0]))
        _DRAW[pattern.kind](canvas, pattern, garment, sleeve)
    return surface.makeImageSnapshot()


def shader(image: skia.Image, resolution: float, placed: skia.Matrix | None = None) -> skia.Shader:
    """The texture as paint; `placed` maps torso coordinates to where it is drawn."""
    matrix = skia.Matrix.Concat(placed, skia.Matrix()) if placed is not None else skia.Matrix()
    matrix.preTranslate(-HALF_WIDTH, TOP)
    matrix.preScale(1 / resolution, 1 / resolution)
    sampling = skia.SamplingOptions(skia.FilterMode.kLinear)
    return image.makeShader(skia.TileMode.kClamp, skia.TileMode.kClamp, sampling, matrix)


def _bar(canvas: skia.Canvas, colour: str, x0: float, y0: float, x1: float, y1: float, alpha: float = 1.0) -> None:
    canvas.drawRect(skia.Rect.MakeLTRB(x0, y0, x1, y1), skia.Paint(AntiAlias=True, Color=rgba(colour, alpha)))


def _lines(pattern: Pattern, low: float, high: float) -> np.ndarray:
    first = math.ceil((low - pattern.offset) / pattern.period) - 1
    last = math.floor((high - pattern.offset) / pattern.period) + 1
    return np.arange(first, last + 1) * pattern.period + pattern.offset


def _plain(canvas: skia.Canvas, pattern: Pattern, garment: Garment, sleeve: bool) -> None:
    """Plain cloth shows its colour alone."""


def _stripes_h(canvas: skia.Canvas, pattern: Pattern, garment: Garment, sleeve: bool) -> None:
    for y in _lines(pattern, TOP, BOTTOM[garment.category]):
        _bar(canvas, pattern.colours[1], -HALF_WIDTH, y, HALF_WIDTH, y + pattern.period * pattern.share)


def _stripes_v(canvas: skia.Canvas, pattern: Pattern, garment: Garment, sleeve: bool) -> None:
    width = pattern.period * pattern.share
    for x in _lines(pattern, 0.0, HALF_WIDTH):
        for side in (1, -1):
            _bar(canvas, pattern.colours[1], side * x - width / 2, TOP, side * x + width / 2, BOTTOM[garment.category])


def _check(canvas: skia.Canvas, pattern: Pattern, garment: Garment, sleeve: bool) -> None:
    width, bottom = pattern.period * pattern.share, BOTTOM[garment.category]
    for y in _lines(pattern, TOP, bottom):
        _bar(canvas, pattern.colours[1], -HALF_WIDTH, y, HALF_WIDTH, y + width, 0.55)
        _bar(canvas, pattern.colours[2], -HALF_WIDTH, y + width * 1.45, HALF_WIDTH, y + width * 1.6, 0.8)
    for x in _lines(pattern, -HALF_WIDTH, HALF_WIDTH):
        _bar(canvas, pattern.colours[1], x - width / 2, TOP, x + width / 2, bottom, 0.55)
        _bar(canvas, pattern.colours[2], x + width * 0.95, TOP, x + width * 1.1, bottom, 0.8)


def _dots(canvas: skia.Canvas, pattern: Pattern, garment: Garment, sleeve: bool) -> None:
    radius = pattern.period * pattern.share * 0.5
    paint = skia.Paint(AntiAlias=True, Color=rgba(pattern.colours[1]))
    for row, y in enumerate(_lines(pattern, TOP, BOTTOM[garment.category])):
        shift = pattern.period / 2 if row % 2 else 0.0
        for x in np.arange(-HALF_WIDTH, HALF_WIDTH, pattern.period):
            canvas.drawCircle(float(x + shift), float(y), radius, paint)


def _emblem(canvas: skia.Canvas, pattern: Pattern, garment: Garment, sleeve: bool) -> None:
    if not sleeve:
        lettering.emblem(canvas, pattern, 0.0, _print_height(garment))


def _lettering(canvas: skia.Canvas, pattern: Pattern, garment: Garment, sleeve: bool) -> None:
    if not sleeve:
        lettering.word(canvas, pattern, 0.0, _print_height(garment))


def _print_height(garment: Garment) -> float:
    return 0.95 + 0.45 * max(garment.neck_depth - 0.15, 0.0)


def _gradient(canvas: skia.Canvas, pattern: Pattern, garment: Garment, sleeve: bool) -> None:
    low, high = (0.1, garment.length) if garment.category != "down" else (2.0, 5.0)
    paint = skia.Paint(Shader=linear((0, low), (0, high), [rgba(pattern.colours[0]), rgba(pattern.colours[1])]))
    canvas.drawRect(skia.Rect.MakeLTRB(-HALF_WIDTH, TOP, HALF_WIDTH, BOTTOM[garment.category]), paint)


def _block(canvas: skia.Canvas, pattern: Pattern, garment: Garment, sleeve: bool) -> None:
    """A wide band across the chest in the second colour, edged in the third; below it the first colour."""
    low = 0.62 + 0.3 * pattern.offset
    high = low + 0.35 + 0.5 * pattern.share
    _bar(canvas, pattern.colours[1], -HALF_WIDTH, low, HALF_WIDTH, high)
    for y in (low, high):
        _bar(canvas, pattern.colours[2], -HALF_WIDTH, y - 0.03, HALF_WIDTH, y + 0.03)


_DRAW = {
    "plain": _plain,
    "stripes_h": _stripes_h,
    "stripes_v": _stripes_v,
    "check": _check,
    "dots": _dots,
    "emblem": _emblem,
    "lettering": _lettering,
    "gradient": _gradient,
    "block": _block,
}


def trim_colour(garment: Garment) -> str:
    """Colour of the inside of the cloth, seen in the neck of a shop photo."""
    return darker(garment.pattern.colours[0], 0.35)
