"""Rule `hr_viton`: strokes whose radius follows the shoulder width, as HR-VITON draws them.

Source: Lee et al. 2022, HR-VITON, and its repository sangyun884/HR-VITON (cp_dataset.py; the "agnostic-v3.2" pictures
of the VITON-HD data): r = shoulder width / 16 + 1 px at 768x1024.

Removed (tops): shoulder line 12 r wide, ellipses of 5 r by 6 r at the shoulders, arms 10 r wide with discs of 5 r at
elbows and wrists, the torso as in `viton_hd`, a rectangle from the neck 9 r upwards and 5 r to each side; the labels
upper clothes, dress and torso skin of the parse rule. Kept: face, hair, hat, lower clothes, legs, shoes, and of the
arms' labels what lies outside the strokes and a disc of 4 r at the wrist: the hands.

Sizes: with the person's shoulder width, so it suits persons of any size; seen from the side they get thin strokes.

# Differs from HR-VITON: hair and hat are kept; the one extra pixel of r grows with the picture; without shoulders the
# radius follows `Body.unit_px`; picture rule and parse rule are one region here; bottoms and dresses, which HR-VITON
# does not know, get the same strokes along the legs (`strokes.legs`), a bottom keeping top, arms and shoes, a dress
# hands and shoes.
"""

from __future__ import annotations

import numpy as np

from tryon.prepare.agnostic import strokes
from tryon.prepare.agnostic.body import SIDES, Body, distance, middle
from tryon.prepare.agnostic.viton_hd import united

RADIUS_PER_SHOULDERS = 1 / 16
EXTRA_PX = 1.0  # at strokes.CANVAS_HW


def region(body: Body, category: str) -> np.ndarray:
    """Boolean [H, W]: what is repainted when a garment of a category is exchanged."""
    shoulders = body.pair("shoulder")
    width_px = distance(*shoulders) if shoulders else body.unit_px
    radius_px = RADIUS_PER_SHOULDERS * width_px + EXTRA_PX * strokes.canvas_scale(body)
    pen = strokes.Pen(body, radius_px)
    if category != "down":
        strokes.torso(pen, body)
        pen.box([middle(shoulders)] if shoulders else None, 5, 9, 5, 0)
        pen.line(shoulders, 12)
        pen.ellipse(shoulders, 5, 6)
        for side in SIDES:
            strokes.arms(pen, body, side, wrist=5)
    if category != "up":
        strokes.legs(pen, body)
    region_HW = united(body, pen.plane_HW, category)
    return region_HW if category == "down" else region_HW & ~_hands(body, radius_px)


def _hands(body: Body, radius_px: float) -> np.ndarray:
    """Boolean [H, W]: what of each arm's label its own strokes do not reach."""
    hands_HW = body.nothing()
    for side in SIDES:
        if body.at(f"{side}_elbow", f"{side}_wrist") is None:
            continue  # nothing tells a hand from its arm
        pen = strokes.Pen(body, radius_px)
        pen.ellipse(body.at(f"{side}_shoulder"), 5, 6)
        strokes.arms(pen, body, side, wrist=4)
        hands_HW |= body.label(f"{side}_arm") & ~pen.plane_HW
    return hands_HW
