"""Prints on the chest: emblems and words. Letters are our own strokes, so no font decides the picture."""

from __future__ import annotations

import math

import skia

from tryon.studio.easel import rgba
from tryon.studio.specs import Pattern

# Strokes of each letter as polylines in a box of width 1 and height 2
_LETTERS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "A": (((0, 2), (0.5, 0), (1, 2)), ((0.22, 1.3), (0.78, 1.3))),
    "C": (((1, 0.25), (0.7, 0), (0.3, 0), (0, 0.4), (0, 1.6), (0.3, 2), (0.7, 2), (1, 1.75)),),
    "E": (((1, 0), (0, 0), (0, 2), (1, 2)), ((0, 1), (0.8, 1))),
    "H": (((0, 0), (0, 2)), ((1, 0), (1, 2)), ((0, 1), (1, 1))),
    "I": (((0.5, 0), (0.5, 2)),),
    "K": (((0, 0), (0, 2)), ((1, 0), (0, 1.1), (1, 2))),
    "L": (((0, 0), (0, 2), (1, 2)),),
    "M": (((0, 2), (0, 0), (0.5, 1.1), (1, 0), (1, 2)),),
    "N": (((0, 2), (0, 0), (1, 2), (1, 0)),),
    "O": (((0.3, 0), (0.7, 0), (1, 0.4), (1, 1.6), (0.7, 2), (0.3, 2), (0, 1.6), (0, 0.4), (0.3, 0)),),
    "R": (((0, 2), (0, 0), (0.7, 0), (1, 0.3), (1, 0.8), (0.7, 1.1), (0, 1.1)), ((0.5, 1.1), (1, 2))),
    "S": (((1, 0.25), (0.7, 0), (0.3, 0), (0, 0.4), (0.2, 0.9), (0.8, 1.1), (1, 1.6), (0.7, 2), (0.3, 2), (0, 1.75)),),
    "T": (((0, 0), (1, 0)), ((0.5, 0), (0.5, 2))),
    "U": (((0, 0), (0, 1.6), (0.3, 2), (0.7, 2), (1, 1.6), (1, 0)),),
    "V": (((0, 0), (0.5, 2), (1, 0)),),
    "Y": (((0, 0), (0.5, 1), (1, 0)), ((0.5, 1), (0.5, 2))),
}

WORDS = (
    "HELLO",
    "SUN",
    "NORTH",
    "LUCKY",
    "TEAM",
    "COAST",
    "MOON",
    "SMILE",
    "KIOTO",
    "RUN",
    "LYON",
    "THE SEA",
    "OH YES",
)
EMBLEMS = ("circle", "star", "mountain", "heart", "bolt", "waves", "sun", "diamond", "flower", "stripe")


def word(canvas: skia.Canvas, pattern: Pattern, x: float, y: float) -> None:
    """Write the pattern's text centred at (x, y); its period is the height of the letters."""
    height = pattern.period
    pitch = height * 0.78
    width = pitch * len(pattern.text)
    if width > 1.05:  # a long word is set smaller so that it stays on the chest
        height, pitch, width = height * 1.05 / width, pitch * 1.05 / width, 1.05
    paint = skia.Paint(
        AntiAlias=True,
        Color=rgba(pattern.colours[1]),
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=height * (0.14 + 0.12 * pattern.share),
        StrokeCap=skia.Paint.kSquare_Cap,
        StrokeJoin=skia.Paint.kMiter_Join,
    )
    for index, letter in enumerate(pattern.text):
        left = x - width / 2 + pitch * (index + 0.5) - height * 0.25
        for stroke in _LETTERS.get(letter, ()):
            points = [skia.Point(left + px * height * 0.5, y + (py - 1) * height * 0.5) for px, py in stroke]
            canvas.drawPath(skia.Path.Polygon(points, False), paint)
    bar = skia.Rect.MakeXYWH(x - width / 2, y + height * 0.78, width, height * 0.12)
    canvas.drawRect(bar, skia.Paint(AntiAlias=True, Color=rgba(pattern.colours[2])))


def emblem(canvas: skia.Canvas, pattern: Pattern, x: float, y: float) -> None:
    """Draw the pattern's emblem centred at (x, y); its period is the emblem's radius."""
    canvas.save()
    canvas.translate(x, y)
    canvas.scale(pattern.period, pattern.period)
    first, second = (skia.Paint(AntiAlias=True, Color=rgba(pattern.colours[k])) for k in (1, 2))
    _EMBLEMS[pattern.emblem](canvas, first, second)
    canvas.restore()


def _polygon(points: list[tuple[float, float]]) -> skia.Path:
    return skia.Path.Polygon([skia.Point(*point) for point in points], True)


def _rays(num: int, inner: float, outer: float) -> list[tuple[float, float]]:
    corners = []
    for k in range(2 * num):
        radius, angle = (inner if k % 2 else outer), math.pi * k / num - math.pi / 2
        corners.append((radius * math.cos(angle), radius * math.sin(angle)))
    return corners


def _circle(canvas: skia.Canvas, first: skia.Paint, second: skia.Paint) -> None:
    canvas.drawCircle(0, 0, 1, first)
    canvas.drawCircle(0, 0, 0.62, second)


def _star(canvas: skia.Canvas, first: skia.Paint, second: skia.Paint) -> None:
    canvas.drawPath(_polygon(_rays(5, 0.44, 1.08)), first)
    canvas.drawCircle(0, 0, 0.26, second)


def _mountain(canvas: skia.Canvas, first: skia.Paint, second: skia.Paint) -> None:
    canvas.drawCircle(0.45, -0.5, 0.34, second)
    canvas.drawPath(_polygon([(-1.1, 0.8), (-0.3, -0.7), (0.15, 0.1), (0.4, -0.25), (1.1, 0.8)]), first)


def _heart(canvas: skia.Canvas, first: skia.Paint, second: skia.Paint) -> None:
    path = skia.Path()
    path.moveTo(0, 0.95)
    path.cubicTo(-1.6, -0.1, -0.8, -1.2, 0, -0.45)
    path.cubicTo(0.8, -1.2, 1.6, -0.1, 0, 0.95)
    canvas.drawPath(path, first)
    canvas.drawCircle(-0.42, -0.35, 0.14, second)


def _bolt(canvas: skia.Canvas, first: skia.Paint, second: skia.Paint) -> None:
    canvas.drawCircle(0, 0, 1, second)
    canvas.drawPath(
        _polygon([(0.25, -1.1), (-0.55, 0.15), (-0.05, 0.15), (-0.25, 1.1), (0.55, -0.2), (0.05, -0.2)]), first
    )


def _waves(canvas: skia.Canvas, first: skia.Paint, second: skia.Paint) -> None:
    for row, paint in ((-0.6, first), (0.0, second), (0.6, first)):
        path = skia.Path()
        path.moveTo(-1.1, row)
        path.cubicTo(-0.6, row - 0.7, -0.45, row + 0.5, 0, row)
        path.cubicTo(0.45, row - 0.5, 0.6, row + 0.7, 1.1, row)
        line = skia.Paint(paint)
        line.setStyle(skia.Paint.kStroke_Style)
        line.setStrokeWidth(0.26)
        canvas.drawPath(path, line)


def _sun(canvas: skia.Canvas, first: skia.Paint, second: skia.Paint) -> None:
    canvas.drawPath(_polygon(_rays(12, 0.72, 1.1)), first)
    canvas.drawCircle(0, 0, 0.55, second)


def _diamond(canvas: skia.Canvas, first: skia.Paint, second: skia.Paint) -> None:
    canvas.drawPath(_polygon([(0, -1.1), (0.85, 0), (0, 1.1), (-0.85, 0)]), first)
    canvas.drawPath(_polygon([(0, -0.55), (0.42, 0), (0, 0.55), (-0.42, 0)]), second)


def _flower(canvas: skia.Canvas, first: skia.Paint, second: skia.Paint) -> None:
    for k in range(6):
        canvas.drawCircle(0.58 * math.cos(k * math.pi / 3), 0.58 * math.sin(k * math.pi / 3), 0.42, first)
    canvas.drawCircle(0, 0, 0.34, second)


def _stripe(canvas: skia.Canvas, first: skia.Paint, second: skia.Paint) -> None:
    for row, paint in ((-0.55, first), (0.0, second), (0.55, first)):
        canvas.drawRoundRect(skia.Rect.MakeLTRB(-1.2, row - 0.2, 1.2, row + 0.2), 0.2, 0.2, paint)


_EMBLEMS = {
    "circle": _circle,
    "star": _star,
    "mountain": _mountain,
    "heart": _heart,
    "bolt": _bolt,
    "waves": _waves,
    "sun": _sun,
    "diamond": _diamond,
    "flower": _flower,
    "stripe": _stripe,
}
