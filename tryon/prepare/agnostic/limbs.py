"""Rule `limbs`, this project's own and the default.

Removed: the worn garment, dilated, united with thick hulls round the torso down to a long hem, the neck hollow up to
the chin and both arms (tops), or round waist, legs and what hangs between them (bottoms), or both (dresses). Gaps that
would trace the garment are closed. Kept: hair, face, hands; shoes; and what belongs to the other half of the body: for
a bottom the arms and the top, but for the seam between the two.

Sizes: fractions of `Body.unit_px` (the shoulder width) or of a limb's length, so the region grows with the person, not
with the picture around. The fractions are measured: the smallest at which, on studio pictures, at least 99 % of the
pixels that really change lie inside (tests/prepare/test_agnostic.py).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tryon.prepare.agnostic.anatomy import hands, shoes
from tryon.prepare.agnostic.body import SIDES, Body, distance, middle

# Sizes in units (see above)
GARMENT_MARGIN = 0.12  # dilation of the worn garment: hides its exact outline
CLOSING = 0.25  # gaps narrower than this are filled: they would trace the garment's contour
TORSO_RADIUS = 0.24
HEM_RADIUS = 0.36  # tops hang wider below the waist
SLEEVE_RADIUS = 0.26
NECK_RADIUS = 0.14
LEG_RADIUS = 0.32
SKIRT_RADIUS = 0.36
SKIRT_FLARE = 0.45  # of a hem, to each side

# Sizes as fractions of a limb's length
HEM_REACH = 0.45  # of the torso, below the hips: a long top
WAIST_RISE = 0.22  # of the torso, above the hips: a high waistband
SKIRT_REACH = 0.6  # of the shin, below the knees


def region(body: Body, category: str) -> np.ndarray:
    """Boolean [H, W]: what is repainted when a garment of a category is exchanged."""
    if category == "up":
        return body.closed(_upper(body), CLOSING) & ~_kept(body, "hair", "face", "hands")
    if category == "down":
        return body.closed(_lower(body), CLOSING) & ~_kept(body, "hair", "face", "arms", "shoes", "top")
    region_HW = _upper(body) | _skirt(body) | body.grown(body.label("down"), GARMENT_MARGIN)
    return body.closed(region_HW, CLOSING) & ~_kept(body, "hair", "face", "hands", "shoes")


def _upper(body: Body) -> np.ndarray:
    """Where a top can be: worn top or dress, torso to below the hips, neck hollow, both arms."""
    bare_HW = body.label("left_arm", "right_arm") & ~hands(body)  # grown too, as a wrist may be out of the picture
    region_HW = body.grown(body.label("up", "dress") | bare_HW, GARMENT_MARGIN)
    for side in SIDES:
        region_HW |= body.limb(side, ("shoulder", "elbow", "wrist"), SLEEVE_RADIUS)
    shoulders, hips = body.pair("shoulder"), body.pair("hip")
    if shoulders and hips:
        below = HEM_REACH * (middle(hips) - middle(shoulders))
        region_HW |= body.hull([*shoulders, *hips], TORSO_RADIUS)
        region_HW |= body.hull([*hips, *(hip + below for hip in hips)], HEM_RADIUS)
    if shoulders:
        region_HW |= body.hull([*shoulders, *_chin(body)], NECK_RADIUS)
    return region_HW


def _chin(body: Body) -> list[np.ndarray]:
    """The lowest point of the face, if a face is labelled: a collar can reach up to it."""
    rows = np.flatnonzero(body.label("face").any(axis=1))
    if not len(rows):
        return []
    columns = np.flatnonzero(body.label("face")[rows[-1]])
    return [np.array([columns.mean(), rows[-1]])]


def _lower(body: Body) -> np.ndarray:
    """Where trousers or a skirt can be: worn bottom or dress, waist, legs down to the ankles, between them."""
    body.legs()
    region_HW = body.grown(body.label("down", "dress"), GARMENT_MARGIN) | _waist(body)
    for side in SIDES:
        region_HW |= body.limb(side, ("hip", "knee", "ankle"), LEG_RADIUS)
    region_HW |= _skirt(body)
    knees, ankles = body.pair("knee"), body.pair("ankle")
    if knees and ankles:
        region_HW |= body.hull([*knees, *ankles], LEG_RADIUS)  # a long skirt
    return region_HW


def _waist(body: Body) -> np.ndarray:
    shoulders, hips = body.pair("shoulder"), body.pair("hip")
    if not (shoulders and hips):
        return np.zeros(body.labels_HW.shape, bool)
    rise = WAIST_RISE * (middle(shoulders) - middle(hips))
    return body.hull([*hips, *(hip + rise for hip in hips)], TORSO_RADIUS)


def _skirt(body: Body) -> np.ndarray:
    """Where a skirt or the lower part of a dress can be: from the hips to below the knees, wider downwards."""
    body.legs()
    hips, knees, ankles = body.pair("hip"), body.pair("knee"), body.pair("ankle")
    if not (hips and knees and ankles):
        return np.zeros(body.labels_HW.shape, bool)
    outward = (hips[0] - hips[1]) / max(distance(*hips), 1e-6) * SKIRT_FLARE * body.unit_px
    left, right = (knee + SKIRT_REACH * (ankle - knee) for knee, ankle in zip(knees, ankles, strict=True))
    return body.hull([*hips, *knees, left + outward, right - outward], SKIRT_RADIUS)


def _kept(body: Body, *parts: str) -> np.ndarray:
    """Boolean [H, W]: the union of body parts that stay."""
    kept_HW = np.zeros(body.labels_HW.shape, bool)
    for part in parts:
        kept_HW |= _PARTS[part](body)
    return kept_HW


def _top(body: Body) -> np.ndarray:
    """The top that stays when the bottom changes, without the seam between the two, which would trace the bottom."""
    return body.label("up") & ~body.grown(body.label("down"), GARMENT_MARGIN)


_PARTS: dict[str, Callable[[Body], np.ndarray]] = {
    "hair": lambda body: body.label("hair"),
    "face": lambda body: body.label("face"),
    "arms": lambda body: body.label("left_arm", "right_arm"),
    "hands": hands,
    "shoes": shoes,
    "top": _top,
}
