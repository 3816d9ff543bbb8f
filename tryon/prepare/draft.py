"""A label map for a photo that nobody has annotated, so that the stages of the workflow can take it.

The stages `keypoints` and `cutouts` start from a label map. Here it is drafted: a silhouette is cut by colour
(cv2.grabCut, Rother et al. 2004) from where the body must be by its keypoints, or from what differs from the borders of
a garment photo, and then cut again by the segmenter; a person's silhouette is divided among the nearest bones.

What a draft cannot know and an annotation can: hair below the shoulders counts as top, a sleeve counts as arm, a dress
counts as top and bottom, and everything at the head counts as face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from tryon.errors import BadItem
from tryon.ontology import KEYPOINT_NAMES, LABEL_INDEX
from tryon.prepare.agnostic import SIDES, Body
from tryon.prepare.agnostic.anatomy import divide
from tryon.prepare.agnostic.body import disc, filled
from tryon.prepare.prompts import PERSON
from tryon.prepare.quality import iou

if TYPE_CHECKING:
    from tryon.prepare.cutter import SamCutter
    from tryon.prepare.pose_model import PoseModel

Box = tuple[float, float, float, float]

WORKING_PX = 384  # longer side of the picture that colours are cut in
ITERATIONS = 5
SEED = 0  # of the colour clusters

# Of Body.unit_px: what is surely the body, and how far from its bones it may reach
SURE = {"torso": 0.10, "arm": 0.06, "leg": 0.08, "head": 0.12}
MAYBE = {"torso": 0.50, "arm": 0.32, "leg": 0.42, "head": 0.75}

BOX_MARGIN = 0.12  # round the visible keypoints, of the box's longer side: head and feet reach beyond them
ROUNDS = 3  # of looking for keypoints in the box that the last ones span

BORDER = 0.02  # of the sides: the rim of a garment photo, which shows background
FAR = 24.0  # in units of CIELAB, 0 to 100: colours that differ from the rim by more may be the garment
SMALLEST_GARMENT, LARGEST_GARMENT = 0.02, 0.92  # share of the photo
SMALLEST_PERSON = 0.02
SMALL_PIECE = 0.1  # of the largest piece's area: smaller ones are not of the garment or person
MAIN_PIECE = 0.5  # of all pieces' area
GAP = 0.06  # of the longer side: between the figures of a print
MIN_AGREEMENT = 0.5  # IoU of the cut by colour and the segmenter's

NEIGHBOUR_WIDTH = 0.2  # of the photo, beside the person: room for another one
NEIGHBOUR_SCORE, NEIGHBOUR_POINTS = 0.6, 10  # keypoints that nobody is taken for

HEAD = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


def find_person(image_HWC: np.ndarray, model: PoseModel, min_score: float) -> np.ndarray:
    """Keypoints of the person in a photo, without a box to start from: look, frame what was found, look again.

    Args:
        image_HWC: uint8 RGB.
        model: top-down, so it wants a box.
        min_score: a keypoint below it is not visible.

    Returns:
        float64 [17, 3]: x, y in pixels, 1 where visible else 0.

    Raises:
        BadItem: no body is found.
    """
    height, width = image_HWC.shape[:2]
    box: Box = (0.0, 0.0, width - 1.0, height - 1.0)
    keypoints_K3 = np.zeros((len(KEYPOINT_NAMES), 3))
    for _ in range(ROUNDS):
        (pose,) = model.predict([image_HWC], [box])
        keypoints_K3 = np.column_stack([pose.keypoints_K2, pose.scores_K >= min_score])
        visible_N2 = keypoints_K3[keypoints_K3[:, 2] > 0, :2]
        if len(visible_N2) < 2:
            break
        box = _framed(visible_N2, (height, width))
    body = Body(np.zeros((1, 1), np.uint8), keypoints_K3)
    if not (body.pair("shoulder") or body.pair("hip")):
        found = ", ".join(body.points) or "none"
        raise BadItem(
            f"no person found: neither shoulders nor hips are seen (keypoints found: {found}); take a photo of one "
            "whole upper body, name a better model in keypoints.checkpoint, or give an annotation"
        )
    return keypoints_K3


def draft_person(image_HWC: np.ndarray, keypoints_K3: np.ndarray, cutter: SamCutter) -> np.ndarray:
    """Label map of a person photo.

    Args:
        image_HWC: uint8 RGB.
        keypoints_K3: of `find_person`.
        cutter: the segmenter.

    Returns:
        uint8 [H, W]: indices into `ontology.LABELS`.

    Raises:
        BadItem: no silhouette stands out.
    """
    rough_HW = _person_by_colour(image_HWC, keypoints_K3)
    if rough_HW.mean() < SMALLEST_PERSON:
        raise BadItem("no person found: nothing stands out where the keypoints are; take a photo on a plainer ground")
    exact_HW = _cut(image_HWC, rough_HW, PERSON, keypoints_K3, cutter)
    body = Body(exact_HW * np.uint8(LABEL_INDEX["person"]), keypoints_K3)
    skin = divide(body, exact_HW > 0)
    arms_HW = (exact_HW > 0) & ~(skin.torso_HW | skin.legs_HW | skin.shoes_HW | skin.head_HW)
    labels_HW = exact_HW * np.uint8(LABEL_INDEX["person"])
    labels_HW[skin.torso_HW & _below_neck(body)] = LABEL_INDEX["up"]
    labels_HW[skin.legs_HW] = LABEL_INDEX["down"]
    labels_HW[skin.head_HW] = LABEL_INDEX["face"]
    nearest_HW = _nearer_arm(body)
    for index, side in enumerate(SIDES):
        labels_HW[arms_HW & (nearest_HW == index)] = LABEL_INDEX[f"{side}_arm"]
    return labels_HW


def draft_garment(image_HWC: np.ndarray, category: str, cutter: SamCutter) -> np.ndarray:
    """Label map of a shop photo: one garment on a ground of other colours.

    Args:
        image_HWC: uint8 RGB.
        category: what it shows.
        cutter: the segmenter.

    Returns:
        uint8 [H, W]: indices into `ontology.LABELS`.

    Raises:
        BadItem: nothing, or everything, stands out from the borders.
    """
    rough_HW = _garment_by_colour(image_HWC)
    share = float(rough_HW.mean())
    if not SMALLEST_GARMENT <= share <= LARGEST_GARMENT:
        raise BadItem(
            f"no garment found: {share:.0%} of the photo differs from its borders, expected {SMALLEST_GARMENT:.0%} to "
            f"{LARGEST_GARMENT:.0%}; take a photo of the garment alone, whole, on a ground of another colour, or give "
            "an annotation"
        )
    exact_HW = _cut(image_HWC, rough_HW, category, np.zeros((len(KEYPOINT_NAMES), 3)), cutter)
    return exact_HW * np.uint8(LABEL_INDEX[category])


def others(image_HWC: np.ndarray, labels_HW: np.ndarray, model: PoseModel, min_score: float) -> int:
    """How many sides of a person, left and right, show another one; the person found is painted over first."""
    ground = np.median(_rim(image_HWC), axis=0).astype(np.uint8)
    rest_HWC = image_HWC.copy()
    rest_HWC[cv2.dilate((labels_HW > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0] = ground
    columns = np.flatnonzero((labels_HW > 0).any(axis=0))
    height, width = labels_HW.shape
    sides = [(0, int(columns[0])), (int(columns[-1]), width - 1)]
    found = 0
    for left, right in sides:
        if right - left < NEIGHBOUR_WIDTH * width:
            continue
        (pose,) = model.predict([rest_HWC], [(float(left), 0.0, float(right), height - 1.0)])
        inside_K = (pose.keypoints_K2[:, 0] >= left) & (pose.keypoints_K2[:, 0] <= right)
        sure_K = (pose.scores_K >= max(min_score, NEIGHBOUR_SCORE)) & inside_K
        found += int(sure_K.sum() >= NEIGHBOUR_POINTS)
    return found


def _framed(points_N2: np.ndarray, size_hw: tuple[int, int]) -> Box:
    (left, top), (right, bottom) = points_N2.min(axis=0), points_N2.max(axis=0)
    margin = BOX_MARGIN * max(right - left, bottom - top)
    return (
        float(max(0.0, left - margin)),
        float(max(0.0, top - margin)),
        float(min(size_hw[1] - 1.0, right + margin)),
        float(min(size_hw[0] - 1.0, bottom + margin)),
    )


def _cut(
    image_HWC: np.ndarray, rough_HW: np.ndarray, part: str, keypoints_K3: np.ndarray, cutter: SamCutter
) -> np.ndarray:
    """The segmenter's mask of a part; the rough one where the two are not about the same thing."""
    exact_HW = cutter.cut(image_HWC, {part: rough_HW}, keypoints_K3)[part].mask_HW
    return exact_HW if iou(exact_HW, rough_HW) >= MIN_AGREEMENT else rough_HW


def _person_by_colour(image_HWC: np.ndarray, keypoints_K3: np.ndarray) -> np.ndarray:
    """uint8 {0, 1} [H, W]."""
    small_HWC, scale = _small(image_HWC)
    points_K3 = keypoints_K3 * (scale, scale, 1.0)
    sure_HW, maybe_HW = (_body(small_HWC.shape[:2], points_K3, radii) for radii in (SURE, MAYBE))
    mask_HW = np.full(small_HWC.shape[:2], cv2.GC_BGD, np.uint8)
    mask_HW[maybe_HW] = cv2.GC_PR_FGD
    mask_HW[sure_HW] = cv2.GC_FGD
    return _by_colour(small_HWC, mask_HW, image_HWC.shape[:2])


def _body(size_hw: tuple[int, ...], keypoints_K3: np.ndarray, radii: dict[str, float]) -> np.ndarray:
    """Boolean [H, W]: hulls and strokes round the bones that are visible."""
    body = Body(np.zeros(size_hw, np.uint8), keypoints_K3)
    shoulders, hips = body.pair("shoulder"), body.pair("hip")
    mask_HW = body.hull([*(shoulders or []), *(hips or [])] or None, radii["torso"])
    for side in SIDES:
        mask_HW |= body.limb(side, ("shoulder", "elbow", "wrist"), radii["arm"])
        mask_HW |= body.limb(side, ("hip", "knee", "ankle"), radii["leg"])
    head = [body.points[name] for name in HEAD if name in body.points]
    return mask_HW | body.hull(head or None, radii["head"])


def _garment_by_colour(image_HWC: np.ndarray) -> np.ndarray:
    """uint8 {0, 1} [H, W]."""
    small_HWC, _ = _small(image_HWC)
    lab_HWC = cv2.cvtColor(small_HWC.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    distance_HW = np.linalg.norm(lab_HWC - np.median(_rim(lab_HWC), axis=0), axis=2)
    far_HW = distance_HW > FAR / 2
    if _is_scattered(far_HW):  # a print on cloth of the ground's colour
        return _unscattered(far_HW, image_HWC.shape[:2])
    mask_HW = np.where(far_HW, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask_HW[distance_HW > 2 * FAR] = cv2.GC_FGD
    border_y, border_x = (max(1, round(BORDER * side)) for side in small_HWC.shape[:2])
    mask_HW[:border_y] = mask_HW[-border_y:] = cv2.GC_BGD
    mask_HW[:, :border_x] = mask_HW[:, -border_x:] = cv2.GC_BGD
    return _by_colour(small_HWC, mask_HW, image_HWC.shape[:2])


def _is_scattered(mask_HW: np.ndarray) -> bool:
    """Whether no piece of a mask is most of it."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask_HW.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    return bool(len(areas)) and areas.max() < MAIN_PIECE * areas.sum()


def _unscattered(mask_HW: np.ndarray, size_hw: tuple[int, ...]) -> np.ndarray:
    """uint8 {0, 1}: the pieces of a mask and what lies between them."""
    reach_px = max(1, round(GAP * max(mask_HW.shape)))
    padded_HW = np.pad(mask_HW.astype(np.uint8), reach_px)
    closed_HW = cv2.morphologyEx(padded_HW, cv2.MORPH_CLOSE, disc(reach_px / 2))
    return _main_pieces(filled(closed_HW > 0)[reach_px:-reach_px, reach_px:-reach_px], size_hw)


def _rim(image_HWC: np.ndarray) -> np.ndarray:
    """Pixels [N, 3] of the borders."""
    y, x = (max(1, round(BORDER * side)) for side in image_HWC.shape[:2])
    return np.concatenate(
        [part.reshape(-1, 3) for part in (image_HWC[:y], image_HWC[-y:], image_HWC[:, :x], image_HWC[:, -x:])]
    )


def _small(image_HWC: np.ndarray) -> tuple[np.ndarray, float]:
    scale = min(1.0, WORKING_PX / max(image_HWC.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in image_HWC.shape[1::-1])
    return cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA), scale


def _by_colour(small_HWC: np.ndarray, mask_HW: np.ndarray, size_hw: tuple[int, ...]) -> np.ndarray:
    """uint8 {0, 1} at the photo's size: what grabCut makes of a guess."""
    if (mask_HW & 1).any() and not (mask_HW & 1).all():
        cv2.setRNGSeed(SEED)
        bgr_HWC = np.ascontiguousarray(small_HWC[..., ::-1])
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(bgr_HWC, mask_HW, (0, 0, 0, 0), *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return _main_pieces((mask_HW & 1) > 0, size_hw)  # GC_FGD and GC_PR_FGD are odd


def _main_pieces(found_HW: np.ndarray, size_hw: tuple[int, ...]) -> np.ndarray:
    """uint8 {0, 1} at the photo's size: a mask without its small pieces."""
    count, pieces_HW, stats, _ = cv2.connectedComponentsWithStats(found_HW.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros(size_hw, np.uint8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept_HW = np.isin(pieces_HW, 1 + np.flatnonzero(areas >= SMALL_PIECE * areas.max())).astype(np.float32)
    return (cv2.resize(kept_HW, size_hw[1::-1], interpolation=cv2.INTER_LINEAR) > 0.5).astype(np.uint8)


def _below_neck(body: Body) -> np.ndarray:
    """Boolean [H, 1]: rows below the higher shoulder; neck and hair above stay what they are, `person`."""
    shoulders = body.pair("shoulder")
    rows_H1 = np.arange(body.labels_HW.shape[0])[:, None]
    return rows_H1 >= min(point[1] for point in shoulders) if shoulders else rows_H1 >= 0


def _nearer_arm(body: Body) -> np.ndarray:
    """uint8 [H, W]: index into SIDES of the arm whose bones are nearer; the other one's where an arm is not visible."""
    distances = []
    for side in SIDES:
        bones_HW = body.limb(side, ("shoulder", "elbow", "wrist"), 0.0)
        seen = cv2.distanceTransform((~bones_HW).astype(np.uint8), cv2.DIST_L2, 5) if bones_HW.any() else None
        distances.append(np.full(bones_HW.shape, np.inf, np.float32) if seen is None else seen)
    return np.argmin(distances, axis=0).astype(np.uint8)
