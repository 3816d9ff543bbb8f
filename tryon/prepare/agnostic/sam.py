"""Rule `sam`: cut-outs of garment and body parts, united, wrapped in their hull and grown; no strokes along bones.

Modelled on the AutoMasker of CatVTON (Chong et al. 2024; Zheng-Chong/CatVTON, model/cloth_masker.py), which takes
garments from human parsers and body parts from DensePose; here both come from the cut-outs that segment-anything
made in the stage `cutouts`, and from the label map where it was not asked for a part.

Removed: for a top the worn top or dress, bare arms without hands, and the skin of neck, chest and belly; for a bottom
the worn bottom or dress and the skin of legs; for a dress both. Each connected piece becomes its convex hull, which is
grown and rid of holes. Kept strictly: face, hair, hands, shoes, hat. The other half's clothes and skin stay as well,
but the growth may reach over them by `GROWTH` (the seam between top and bottom would trace both). A hull spans from
arm to arm and from leg to leg, so background is repainted too.

Keypoints divide the silhouette (hand from arm, torso from legs); they draw nothing. Without cut-outs (`cutouts.source:
annotations`, or a part that SAM was not asked for) the label map's masks take their place in the same function: the
region is then as exact as the annotation, no more.

Sizes: the growth is a fraction of `Body.unit_px` (the shoulder width).

# Differs from AutoMasker: no DensePose, so hidden body (an arm inside a sleeve) is known only as garment; hair is kept
# strictly, not weakly; growth is a fraction of the shoulder width instead of the picture's side; feet and hands are
# told by keypoints; holes that hold nothing which is kept are filled.
"""

from __future__ import annotations

import cv2
import numpy as np

from tryon.prepare.agnostic import anatomy
from tryon.prepare.agnostic.body import Body, filled

GROWTH = 0.12  # of Body.unit_px, as much as the rule `limbs` dilates the worn garment
ARMS = ("arms", "left_arm", "right_arm")
HANDS = ("hands", "left_hand", "right_hand")


def region(body: Body, category: str) -> np.ndarray:
    """Boolean [H, W]: what is repainted when a garment of a category is exchanged."""
    loose_HW = body.cut("person") & body.label("background")  # seen by the model, not annotated
    skin = anatomy.divide(body, body.label("person") | loose_HW)
    arms_HW = body.label("left_arm", "right_arm") | body.cut(*ARMS)
    hands_HW = anatomy.hands(body) | body.cut(*HANDS)
    up_HW, down_HW, dress_HW = (body.label(name) | body.cut(name) for name in ("up", "down", "dress"))
    head_HW = body.label("hair", "face") | body.cut("head")
    strictly_HW = head_HW | skin.head_HW | skin.shoes_HW
    upper_HW = (arms_HW & ~hands_HW) | skin.torso_HW | up_HW
    lower_HW = skin.legs_HW | down_HW
    if category == "up":
        core_HW, weakly_HW, strictly_HW = upper_HW | dress_HW, lower_HW & ~dress_HW, strictly_HW | hands_HW
        worn_HW = body.label("up", "dress")
    elif category == "down":
        core_HW, weakly_HW, strictly_HW = lower_HW | dress_HW, upper_HW & ~dress_HW, strictly_HW | arms_HW
        worn_HW = body.label("down", "dress")
    else:
        core_HW, weakly_HW, strictly_HW = upper_HW | lower_HW | dress_HW, body.nothing(), strictly_HW | hands_HW
        worn_HW = body.label("up", "down", "dress")
    strictly_HW &= ~worn_HW  # an annotated garment is repainted, whatever a cut-out of the head or a hand says
    region_HW = body.grown((_hulls(core_HW & ~strictly_HW) & ~weakly_HW) | worn_HW, GROWTH)
    return filled(region_HW & ~strictly_HW) & ~strictly_HW


def _hulls(mask_HW: np.ndarray) -> np.ndarray:
    """Boolean [H, W]: the convex hull of each connected piece."""
    plane_HW = np.zeros(mask_HW.shape, np.uint8)
    outlines, _ = cv2.findContours(mask_HW.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for outline in outlines:
        cv2.fillConvexPoly(plane_HW, cv2.convexHull(outline), 1)
    return plane_HW.astype(bool)
