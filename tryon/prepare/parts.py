"""Which parts of a photo are cut out, and the rough mask of each that its annotation gives.

Garments and, in a person photo, the person are always cut out. `cutouts.parts` adds body parts: arms (with hands),
hands (what an arm's label holds beyond the wrist, as the agnostic rules draw it) and head (hair and face), each where
its label is, and the background, which is what the other cut-outs leave. Left and right are asked for one by one: two
separate places in one prompt confuse the model.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tryon.errors import BadItem
from tryon.ontology import CATEGORIES, LABEL_INDEX, PART_BIT
from tryon.prepare.agnostic import HAND_RADIUS, HAND_START, SIDES, Body
from tryon.prepare.prompts import PERSON, part_mask

MEMBERS = {
    "arms": ("left_arm", "right_arm"),
    "hands": ("left_hand", "right_hand"),
    "head": ("head",),
    "background": (),
}
"""Prompted parts behind each body part of `cutouts.parts`; nothing is asked for the background."""

SMALLEST_PART = 0.0005  # of the picture's area: of a body part below this an IoU says nothing, and it is not asked for


def garments_in(labels_HW: np.ndarray) -> list[str]:
    """Garment categories that are annotated.

    Raises:
        BadItem: none is.
    """
    found = [category for category in CATEGORIES if (labels_HW == LABEL_INDEX[category]).any()]
    if not found:
        raise BadItem(f"no garment is annotated; draw one of {', '.join(CATEGORIES)} in ISAT, or remove the photo")
    return found


def rough_masks(
    labels_HW: np.ndarray, keypoints_K3: np.ndarray, role: str, asked: Collection[str]
) -> dict[str, np.ndarray]:
    """What the annotation says about every part that is asked for and there.

    Args:
        labels_HW: uint8 indices into `ontology.LABELS`.
        keypoints_K3: COCO-17: x, y in the photo's pixels, visibility (<= 0: not visible).
        role: "person" or "garment"; a garment photo has garments alone.
        asked: names in `ontology.PART_BIT`.

    Returns:
        uint8 {0, 1} [H, W], not empty, by part: garments, "person", then members of `MEMBERS`.

    Raises:
        BadItem: no garment is annotated.
    """
    parts = {category: part_mask(labels_HW, category) for category in garments_in(labels_HW)}
    if role != PERSON:
        return parts
    parts[PERSON] = part_mask(labels_HW, PERSON)
    body = Body(labels_HW, keypoints_K3)
    for name in (member for group, members in MEMBERS.items() if group in asked for member in members):
        mask_HW = _body_part(body, name)
        if mask_HW.mean() > SMALLEST_PART:
            parts[name] = mask_HW.astype(np.uint8)
    return parts


def part_bits(masks: dict[str, np.ndarray], asked: Collection[str], size_hw: tuple[int, ...]) -> np.ndarray:
    """The plane of body parts: uint8 [H, W] of bits in `ontology.PART_BIT`, none where nothing is asked for.

    Args:
        masks: uint8 {0, 1} by part, as `rough_masks` names them.
        asked: names in `ontology.PART_BIT`.
        size_hw: height and width of the photo.
    """
    bits_HW = np.zeros(size_hw, np.uint8)
    for group in asked:
        for member in MEMBERS[group]:
            if member in masks:
                bits_HW |= masks[member] * np.uint8(PART_BIT[group])
    if "background" in asked:
        covered_HW = np.any([masks[part] for part in (*CATEGORIES, PERSON) if part in masks], axis=0)
        bits_HW |= np.where(covered_HW, 0, PART_BIT["background"]).astype(np.uint8)
    return bits_HW


def _body_part(body: Body, name: str) -> np.ndarray:
    """Boolean [H, W]."""
    if name == "head":
        return body.label("hair", "face")
    side, joint = name.split("_")
    assert side in SIDES
    arm_HW = body.label(f"{side}_arm")
    return arm_HW if joint == "arm" else arm_HW & body.beyond(side, "elbow", "wrist", HAND_START, HAND_RADIUS)
