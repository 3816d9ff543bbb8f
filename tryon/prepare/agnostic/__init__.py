"""The clothing-agnostic person: which pixels are repainted when a garment of a category is exchanged.

A rule is a pure function of (label map, keypoints, category), in one small module each; `cutouts.agnostic` names it.
`tryon cutouts` calls it, in pixels of the photo, and training, sampling and evaluation read what it made from the same
packed photos: there is no second implementation for inference. docs/agnostic.md says which rule is for what.

A good region covers whatever *another* garment of the category may change (longer sleeves, a longer hem, a higher
collar) and does not give away the outline of the one that is worn. Face and hair stay, in every rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tryon.ontology import CATEGORIES, KEYPOINT_NAMES, LABEL_INDEX
from tryon.prepare.agnostic import hr_viton, limbs, ootd, sam, viton_hd
from tryon.prepare.agnostic.anatomy import HAND_RADIUS, HAND_START
from tryon.prepare.agnostic.body import SIDES, Body

__all__ = ["HAND_RADIUS", "HAND_START", "RULES", "SIDES", "Body", "Region", "repaint_region", "with_cuts"]

RULES: dict[str, Callable[[Body, str], np.ndarray]] = {
    "limbs": limbs.region,
    "viton_hd": viton_hd.region,
    "hr_viton": hr_viton.region,
    "ootd": ootd.region,
    "sam": sam.region,
}
"""Rules by the name that `cutouts.agnostic` gives."""


@dataclass(frozen=True)
class Region:
    """What a rule answers.

    Attributes:
        mask_HW: uint8 {0, 1}; 1 = repaint.
        missing: names of keypoints that the rule would have used but that are not visible. Legs are then taken to
            be where they must be; any other shape that needs the point is left out, and what remains is the worn
            garment, grown as far as the rule grows it.
    """

    mask_HW: np.ndarray
    missing: tuple[str, ...]


def repaint_region(
    rule: str,
    labels_HW: np.ndarray,
    keypoints_K3: np.ndarray,
    category: str,
    cuts: Mapping[str, np.ndarray] | None = None,
) -> Region:
    """Apply a rule.

    Args:
        rule: name in `RULES`.
        labels_HW: uint8 indices into `ontology.LABELS`, in photo pixels, with the cloth that cut-outs found
            (`with_cuts`).
        keypoints_K3: COCO-17 keypoints of the person: x, y in photo pixels, visibility (<= 0: not visible).
        category: garment category that is exchanged.
        cuts: cut-outs by part, uint8 (0: outside) [H, W]: garment categories, "person", and whichever of "arms",
            "hands", "head" (or "left_arm" and so on) there are; only the rule `sam` looks at them.

    Returns:
        The region and the keypoints that were missed.

    Raises:
        ValueError: no such category, or keypoints of another kind.
    """
    if category not in CATEGORIES:
        raise ValueError(f"no region for category {category!r}; categories are {', '.join(CATEGORIES)}")
    if keypoints_K3.shape != (len(KEYPOINT_NAMES), 3):
        raise ValueError(f"keypoints have shape {keypoints_K3.shape}; expected ({len(KEYPOINT_NAMES)}, 3)")
    body = Body(labels_HW, keypoints_K3, cuts)
    mask_HW = RULES[rule](body, category).astype(np.uint8)
    return Region(mask_HW, tuple(name for name in KEYPOINT_NAMES if name in body.missed))


def with_cuts(labels_HW: np.ndarray, cuts: Mapping[str, np.ndarray]) -> np.ndarray:
    """A label map with the cloth that a model finds beyond a rough annotation: it has to be repainted too.

    Args:
        labels_HW: uint8 indices into `ontology.LABELS`.
        cuts: cut-outs by part; garment categories count, where the map says background or person.
    """
    seen_HW = labels_HW.copy()
    free_HW = np.isin(labels_HW, [LABEL_INDEX["background"], LABEL_INDEX["person"]])
    for category in CATEGORIES:
        if category in cuts:
            seen_HW[free_HW & (cuts[category] > 0)] = LABEL_INDEX[category]
    return seen_HW
