"""Rule `viton_hd`: strokes of a fixed radius along the skeleton, as VITON-HD draws them.

Source: Choi et al. 2021, VITON-HD, and its repository shadow2496/VITON-HD (datasets.py): r = 20 px at 768x1024.

Removed (tops): shoulder line and arms 10 r wide, discs of 5 r at shoulders, elbows and wrists (which take most of a
hand along), torso polygon with its sides, ellipses of 3 r by 6 r at the hips, a square of 7 r round the neck; the
labels upper clothes, dress and torso skin of its parse rule. Kept: face, hair, hat, lower clothes, legs, shoes.

Sizes: r = 20 px of the 768x1024 canvas that holds the whole photo, so it grows with the picture and not with the
person: right for catalogue pictures of one scale, too wide for a person who is small in the picture.

# Differs from VITON-HD: hair and hat are kept (there the strokes and the neck square paint over them, and a network has
# to invent them anew); picture rule and parse rule are one region here; bottoms and dresses, which VITON-HD does not
# know, get the same strokes along the legs (`strokes.legs`), a bottom keeping top, arms and shoes, a dress shoes.
"""

from __future__ import annotations

import numpy as np

from tryon.prepare.agnostic import strokes
from tryon.prepare.agnostic.anatomy import Skin, divide
from tryon.prepare.agnostic.body import SIDES, Body, middle

RADIUS_PX = 20.0  # at strokes.CANVAS_HW


def region(body: Body, category: str) -> np.ndarray:
    """Boolean [H, W]: what is repainted when a garment of a category is exchanged."""
    pen = strokes.Pen(body, RADIUS_PX * strokes.canvas_scale(body))
    if category != "down":
        shoulders = body.pair("shoulder")
        pen.line(shoulders, 10)
        pen.ellipse(shoulders, 5, 5)
        for side in SIDES:
            strokes.arms(pen, body, side, wrist=5)
        strokes.torso(pen, body)
        pen.box([middle(shoulders)] if shoulders else None, 7, 7, 7, 7)
    if category != "up":
        strokes.legs(pen, body)
    return united(body, pen.plane_HW, category)


def united(body: Body, strokes_HW: np.ndarray, category: str) -> np.ndarray:
    """Boolean [H, W]: strokes and the parse rule's labels, without what stays."""
    skin = divide(body)
    removed_HW = strokes_HW | _worn(body, skin, category)
    kept_HW = body.label("hair", "face") | skin.head_HW | skin.shoes_HW
    if category == "up":
        kept_HW |= body.label("down") | skin.legs_HW
    if category == "down":
        kept_HW |= body.label("up", "left_arm", "right_arm") | skin.torso_HW
    return removed_HW & ~kept_HW


def _worn(body: Body, skin: Skin, category: str) -> np.ndarray:
    if category == "up":
        return body.label("up", "dress") | skin.torso_HW
    if category == "down":
        return body.label("down", "dress") | skin.legs_HW
    return body.label("up", "down", "dress") | skin.torso_HW | skin.legs_HW
