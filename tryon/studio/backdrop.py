"""What stands behind people and under garments."""

from __future__ import annotations

import skia

from tryon.studio.curves import ellipse
from tryon.studio.easel import Easel, darker, lighter, linear, mix, radial, rgba
from tryon.studio.folds import SHADE
from tryon.studio.specs import Backdrop, Garment

WIDTH, HEIGHT = 0.75, 1.0  # backdrops are drawn in shares of the picture's height
FALLOFF = 0.16
"""How much darker the end of the backdrop is that lies away from the light."""


def _rect(left: float, top: float, right: float, bottom: float, round_by: float = 0.0) -> skia.Path:
    path = skia.Path()
    path.addRoundRect(skia.Rect.MakeLTRB(left, top, right, bottom), round_by, round_by)
    return path


def _everything(aspect: float) -> skia.Path:
    return _rect(-0.1, -0.1, aspect + 0.1, 1.1)


def draw_backdrop(easel: Easel, backdrop: Backdrop, light: float) -> None:
    """Fill the whole picture. Coordinates: the height of the picture is 1, the origin its upper left corner.

    Args:
        easel: where to draw.
        backdrop: what to draw.
        light: -1 from the image's left, 1 from the right; the backdrop is brighter on that side, as it is behind
            anybody lit from the side, so a picture whose garment is hidden still tells how the garment is lit.
    """
    height, width = easel.size_hw
    aspect = width / height
    everything = _everything(aspect)
    with easel.moved(skia.Matrix.Scale(height, height)):
        _draw_unlit(easel, backdrop, aspect)
        near, far = (0.0, aspect) if light < 0 else (aspect, 0.0)
        easel.fill(everything, linear((near, 0), (far, 0), [rgba(SHADE, 0.0), rgba(SHADE, FALLOFF)]))


def _draw_unlit(easel: Easel, backdrop: Backdrop, aspect: float) -> None:
    everything = _everything(aspect)
    if backdrop.kind == "plain":
        easel.fill(everything, backdrop.wall)
        easel.fill(everything, radial((aspect / 2, 0.42), 0.85, [rgba("#ffffff", 0.16), rgba("#000000", 0.10)]))
        return
    if backdrop.kind == "gradient":
        colours = [
            rgba(lighter(backdrop.wall, 0.22)),
            rgba(backdrop.wall),
            rgba(mix(backdrop.wall, backdrop.accent, 0.55)),
        ]
        easel.fill(everything, linear((0, 0), (aspect * 0.3, 1), colours))
        return
    colours = [rgba(lighter(backdrop.wall, 0.12)), rgba(darker(backdrop.wall, 0.06))]
    easel.fill(everything, linear((0, 0), (0, 1), colours))
    if backdrop.kind == "arch":
        _arch(easel, backdrop, aspect)
    if backdrop.kind == "room":
        _furniture(easel, backdrop, aspect)
    _floor(easel, backdrop, aspect)
    if backdrop.kind == "room" and backdrop.has_plant:
        _plant(easel, backdrop, aspect)


def _arch(easel: Easel, backdrop: Backdrop, aspect: float) -> None:
    middle, half = aspect / 2, aspect * 0.36
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(middle - half, 0.1, middle + half, 0.1 + 2 * half))
    path.addRect(skia.Rect.MakeLTRB(middle - half, 0.1 + half, middle + half, 1.2))
    easel.fill(path, mix(backdrop.wall, backdrop.accent, 0.55))


def _floor(easel: Easel, backdrop: Backdrop, aspect: float) -> None:
    line = backdrop.horizon
    easel.fill(
        _rect(-0.1, line, aspect + 0.1, 1.1),
        linear((0, line), (0, 1), [rgba(darker(backdrop.floor, 0.12)), rgba(lighter(backdrop.floor, 0.08))]),
    )
    if backdrop.kind == "room":
        easel.fill(_rect(-0.1, line - 0.022, aspect + 0.1, line), lighter(backdrop.wall, 0.45))
        for k in range(-6, 14):
            x = aspect / 2 + (k - 3.5) * 0.09
            board = skia.Path()
            board.moveTo(x, line)
            board.lineTo(aspect / 2 + (x - aspect / 2) * 2.2, 1.1)
            easel.stroke(board, darker(backdrop.floor, 0.45), 0.002, alpha=0.5)


def _furniture(easel: Easel, backdrop: Backdrop, aspect: float) -> None:
    """A framed picture on one side and a window on the other."""
    left = aspect * 0.06 if backdrop.side > 0 else aspect * 0.62
    frame = _rect(left, 0.16, left + aspect * 0.3, 0.42)
    easel.fill(frame, darker(backdrop.accent, 0.5), alpha=0.9)
    easel.fill(_rect(left + 0.01, 0.17, left + aspect * 0.3 - 0.01, 0.41), lighter(backdrop.accent, 0.65))
    with easel.inside(_rect(left + 0.01, 0.17, left + aspect * 0.3 - 0.01, 0.41)):
        _art(easel, backdrop, left + aspect * 0.15)
    pane = aspect * 0.66 if backdrop.side > 0 else aspect * 0.04
    easel.fill(_rect(pane, 0.1, pane + aspect * 0.3, 0.52), "#f7f5f0")
    for row in (0.11, 0.32):
        for column in (0.0, 0.15):
            x = pane + 0.01 + aspect * column
            easel.fill(
                _rect(x, row, x + aspect * 0.15 - 0.02, row + 0.19),
                linear((0, 0.1), (0, 0.5), [rgba("#bcd6e6"), rgba("#e3eef2")]),
            )


def _art(easel: Easel, backdrop: Backdrop, x: float) -> None:
    """What the framed picture shows."""
    deep, mild = backdrop.accent, lighter(backdrop.accent, 0.35)
    if backdrop.art == "sun":
        easel.fill(ellipse(x, 0.3, 0.055, 0.055), deep)
    elif backdrop.art == "hills":
        easel.fill(ellipse(x + 0.04, 0.24, 0.025, 0.025), "#d9a35f")
        easel.fill(ellipse(x - 0.06, 0.43, 0.11, 0.11), mild)
        easel.fill(ellipse(x + 0.07, 0.45, 0.12, 0.11), deep)
    elif backdrop.art == "arches":
        for radius, colour in ((0.08, mild), (0.055, deep), (0.03, lighter(deep, 0.65))):
            easel.fill(ellipse(x, 0.37, radius, radius * 1.3), colour)
    else:
        for k in range(5):
            easel.fill(
                _rect(x - 0.07, 0.2 + 0.042 * k, x + 0.07 - 0.02 * (k % 3), 0.222 + 0.042 * k), (deep, mild)[k % 2]
            )


def _plant(easel: Easel, backdrop: Backdrop, aspect: float) -> None:
    x = aspect * (0.1 if backdrop.side < 0 else 0.9)
    base = backdrop.horizon + 0.05
    for k in range(7):
        angle = (k - 3) * 0.33
        leaf = skia.Path()
        leaf.moveTo(x, base - 0.1)
        tip = (x + 0.13 * angle, base - 0.34 + 0.05 * abs(k - 3))
        leaf.quadTo(x + 0.13 * angle - 0.035, base - 0.2, *tip)
        leaf.quadTo(x + 0.13 * angle + 0.03, base - 0.18, x, base - 0.1)
        easel.fill(leaf, mix("#3f6b4a", "#7d9a5c", k / 6))
    pot = skia.Path.Polygon(
        [
            skia.Point(x - 0.05, base - 0.1),
            skia.Point(x + 0.05, base - 0.1),
            skia.Point(x + 0.036, base),
            skia.Point(x - 0.036, base),
        ],
        True,
    )
    easel.fill(pot, "#b5714f")


def draw_floor_shadow(easel: Easel, x: float, y: float, half_width: float, strength: float) -> None:
    """Where feet touch the floor; coordinates of the caller."""
    easel.fill(ellipse(x, y, half_width, half_width * 0.16), "#1c1014", alpha=strength, soft=half_width * 0.09)


def draw_table(easel: Easel, garment: Garment) -> None:
    """The light ground of a shop photo."""
    height, width = easel.size_hw
    aspect = width / height
    with easel.moved(skia.Matrix.Scale(height, height)):
        easel.fill(_everything(aspect), garment.backdrop)
        vignette = radial((aspect / 2, 0.45), 0.8, [rgba("#ffffff", 0.35), rgba("#6b6660", 0.06)])
        easel.fill(_everything(aspect), vignette)
