"""Rule `ootd`: worn garment and arm strokes, dilated, holes filled, by category, as OOTDiffusion and IDM-VTON do it.

Source: `get_mask_location` in levihsu/OOTDiffusion (run/utils_ootd.py), which yisol/IDM-VTON uses too: arms 60 px wide
and the garment dilated by 10 px (5x5, five times), arms by 8 px, neck by 2 px at 384x512.

Removed (tops): the labels up and dress, torso skin, and the arms as strokes that reach 1.2 forearms from the elbow,
each dilated. Bottoms: down, dress and the skin of legs, dilated. Dresses: up, down and dress, with arms and neck as for
a top. Kept: hair, face, shoes, hat; a top keeps lower clothes; a bottom keeps the top and the arms; hands are what the
strokes leave of the arms' labels. No torso or leg shape is drawn: the outline is the worn garment's, some pixels wider,
so it tells what was worn, and hides little where another garment is larger.

Sizes: pixels of the 384x512 canvas that holds the whole photo, so they grow with the picture.

# Differs from OOTDiffusion: hair is kept; what is kept stays also where a region encloses it (there a hole fill takes
# it back); all pieces of the region stay, not the largest alone, which would leave parts of the worn garment in sight;
# a dress counts as worn for bottoms too; an arm whose wrist is missing is repainted whole, as there.
"""

from __future__ import annotations

import cv2
import numpy as np

from tryon.prepare.agnostic import strokes
from tryon.prepare.agnostic.anatomy import divide
from tryon.prepare.agnostic.body import SIDES, Body, filled

CANVAS_HW = (512, 384)
ARM_WIDTH_PX = 60.0
ARM_REACH = 1.2  # of the forearm, from the elbow: the stroke ends past the wrist
GARMENT_DILATION_PX, ARM_DILATION_PX, NECK_DILATION_PX = 10.0, 8.0, 2.0


def region(body: Body, category: str) -> np.ndarray:
    """Boolean [H, W]: what is repainted when a garment of a category is exchanged."""
    scale = strokes.canvas_scale(body, CANVAS_HW)
    skin = divide(body)
    worn_HW = {
        "up": body.label("up", "dress"),
        "down": body.label("down", "dress") | skin.legs_HW,
        "dress": body.label("up", "down", "dress"),
    }[category]
    region_HW = _dilated(worn_HW, GARMENT_DILATION_PX * scale)
    kept_HW = body.label("hair", "face") | skin.shoes_HW | skin.head_HW
    if category == "down":
        kept_HW |= body.label("up", "left_arm", "right_arm")
    else:
        arms_HW = _arms(body, scale)
        kept_HW |= body.label("left_arm", "right_arm") & ~arms_HW
        region_HW |= _dilated(skin.torso_HW, NECK_DILATION_PX * scale) | _dilated(arms_HW, ARM_DILATION_PX * scale)
    if category == "up":
        kept_HW |= body.label("down")
    return filled(region_HW & ~kept_HW) & ~kept_HW


def _arms(body: Body, scale: float) -> np.ndarray:
    """Boolean [H, W]: strokes along the arms, or an arm's whole label where its wrist is missing."""
    arms_HW = body.nothing()
    for side in SIDES:
        joints = body.at(f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        if joints is None:
            arms_HW |= body.label(f"{side}_arm")
            continue
        shoulder, elbow, wrist = joints
        pen = strokes.Pen(body, ARM_WIDTH_PX / 2 * scale)
        pen.line([shoulder, elbow], 2)
        pen.line([elbow, elbow + ARM_REACH * (wrist - elbow)], 2)
        pen.ellipse([shoulder, elbow], 1, 1)
        arms_HW |= pen.plane_HW
    return arms_HW


def _dilated(mask_HW: np.ndarray, distance_px: float) -> np.ndarray:
    """Boolean [H, W]: dilated by a square, as repeated 5x5 dilations are."""
    size = 2 * round(distance_px) + 1
    return cv2.dilate(mask_HW.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)
