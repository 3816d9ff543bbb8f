"""Body parts that our label map does not name: hands, shoes, and the skin of torso and legs.

The label `person` holds what no other label covers: neck, legs, shoes, hat. Rules that come from parse maps with more
labels need it divided, which is done by the nearest bone of the skeleton, in any pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tryon.prepare.agnostic.body import SIDES, Body, middle

# Sizes in `Body.unit_px`
HAND_RADIUS = 0.42
HAND_START = 0.04  # a hand begins this far past the wrist
SHOE_START = 0.10  # a shoe begins this far past the ankle
SHOE_RADIUS = 0.65

HAND_REACH = 1.4  # of the forearm, from the elbow to the finger tips


@dataclass(frozen=True)
class Skin:
    """A silhouette divided; boolean [H, W] each.

    Attributes:
        torso_HW: neck, chest and belly, as a parse map's "torso skin".
        legs_HW: legs without shoes.
        shoes_HW: shoes and feet.
        head_HW: what hair and face do not cover of it: hats, headphones.
    """

    torso_HW: np.ndarray
    legs_HW: np.ndarray
    shoes_HW: np.ndarray
    head_HW: np.ndarray


def hands(body: Body) -> np.ndarray:
    """Each hand on its own arm's label: near crossed wrists lies the other forearm, which a sleeve may cover."""
    left_HW, right_HW = (
        body.label(f"{side}_arm") & body.beyond(side, "elbow", "wrist", HAND_START, HAND_RADIUS) for side in SIDES
    )
    return left_HW | right_HW


def shoes(body: Body) -> np.ndarray:
    """Shoes and feet: what the label `person` covers past the ankles."""
    beyond = [body.beyond(side, "knee", "ankle", SHOE_START, SHOE_RADIUS) for side in SIDES]
    return body.label("person") & (beyond[0] | beyond[1])


def divide(body: Body, person_HW: np.ndarray | None = None) -> Skin:
    """Give each bare pixel to the nearest bone that is visible: head, torso, legs or, for nobody here, arms.

    Without shoulders there is no torso and without hips and knees there are no legs to be near to. What is nearest to
    an arm is the fringe of that arm's label, or something held.

    Args:
        body: the person; knees and ankles out of the picture are added to it (`Body.legs`).
        person_HW: boolean; None: the label `person`.
    """
    person_HW = body.label("person") if person_HW is None else person_HW
    body.legs()
    rows, columns = np.nonzero(person_HW)
    pixels_N2 = np.column_stack([columns, rows]).astype(np.float32)
    bones = _bones(body)
    if not bones:
        return Skin(*(body.nothing() for _ in range(4)))
    distances_BN = np.stack([_distances(pixels_N2, start, end) for _, start, end in bones])
    owners_N = np.array([owner for owner, _, _ in bones])[distances_BN.argmin(axis=0)]
    planes = {}
    for owner in ("torso", "leg", "head"):
        planes[owner] = body.nothing()
        planes[owner][rows[owners_N == owner], columns[owners_N == owner]] = True
    shoes_HW = planes["leg"] & shoes(body)
    return Skin(planes["torso"], planes["leg"] & ~shoes_HW, shoes_HW, planes["head"])


def _bones(body: Body) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Owner, start and end of every bone whose ends are visible."""
    bones: list[tuple[str, np.ndarray, np.ndarray]] = []
    shoulders, hips, nose = body.pair("shoulder"), body.pair("hip"), body.at("nose")
    if shoulders:
        bones.append(("torso", shoulders[0], shoulders[1]))
        if nose:
            up = nose[0] - middle(shoulders)
            bones.append(("torso", middle(shoulders), middle(shoulders) + 0.5 * up))  # the neck ends at the chin
            bones.append(("head", nose[0], nose[0] + up))
        if hips:
            bones += [("torso", shoulder, hip) for shoulder, hip in zip(shoulders, hips, strict=True)]
            bones.append(("torso", middle(shoulders), middle(hips)))
    for side in SIDES:
        for start, end, reach in (("shoulder", "elbow", 1.0), ("elbow", "wrist", HAND_REACH)):
            names = (f"{side}_{start}", f"{side}_{end}")
            if all(name in body.points for name in names):  # an arm out of sight is not missed
                inner, outer = (body.points[name] for name in names)
                bones.append(("arm", inner, inner + reach * (outer - inner)))
        for start, end in (("hip", "knee"), ("knee", "ankle")):
            points = body.at(f"{side}_{start}", f"{side}_{end}")
            if points:
                bones.append(("leg", points[0], points[1]))
        ankle = body.at(f"{side}_ankle")
        if ankle:
            bones.append(("leg", ankle[0], ankle[0]))
    return bones


def _distances(pixels_N2: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """float32 [N]: squared distance of points to a segment."""
    along = (end - start).astype(np.float32)
    from_start_N2 = pixels_N2 - start.astype(np.float32)
    share_N = np.clip(from_start_N2 @ along / max(float(along @ along), 1e-6), 0, 1)
    return ((from_start_N2 - share_N[:, None] * along) ** 2).sum(axis=1)
