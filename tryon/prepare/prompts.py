"""What segment-anything is told about a part of a photo: a box, six points and a rough mask.

Box and mask come from the annotation's mask of the part (exact or coarse); points come from the keypoints where
these agree with the mask and from the mask's own shape otherwise. Training (`tryon fit-segmenter`) and the stage
`cutouts` build their prompts here, so that the model is asked in use what it was taught to answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tryon.ontology import CATEGORIES, KEYPOINT_NAMES, LABEL_INDEX

PERSON = "person"
BODY_PARTS = ("left_arm", "right_arm", "left_hand", "right_hand", "head")
PARTS = (*CATEGORIES, PERSON, *BODY_PARTS)

NUM_POINTS = 3  # of each kind
FOREGROUND, BACKGROUND, NO_POINT = 1, 0, -1  # segment-anything's point labels
BOX_MARGIN = 0.03  # of the box's longer side; annotations are often a little tight
SAFE_DISTANCE = 0.02  # of the box's longer side: points this near the outline might lie on its wrong side
MASK_LOGIT = 10.0  # about what segment-anything's own low-resolution masks reach

Weights = dict[str, float]
_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def _mean(*names: str) -> Weights:
    return dict.fromkeys(names, 1.0 / len(names))


_CHEST: Weights = {"left_shoulder": 0.3, "right_shoulder": 0.3, "left_hip": 0.2, "right_hip": 0.2}
_BELLY: Weights = {"left_shoulder": 0.15, "right_shoulder": 0.15, "left_hip": 0.35, "right_hip": 0.35}
_THIGHS = [_mean(f"{side}_hip", f"{side}_knee") for side in ("left", "right")]
_HEAD_AND_HANDS = [_mean("nose"), _mean("left_wrist"), _mean("right_wrist")]
_LEGS = [_mean(f"{side}_{joint}") for joint in ("knee", "ankle") for side in ("left", "right")]

# Body points that belong to a part, and that belong to something else, most telling first; each is a weighted mean
# of keypoints.
INSIDE: dict[str, list[Weights]] = {
    "up": [_CHEST, _BELLY, _mean(*_TORSO)],
    "down": [*_THIGHS, _mean("left_hip", "right_hip")],
    "dress": [_CHEST, _BELLY, _mean("left_hip", "right_hip")],
    PERSON: [_mean("nose"), _CHEST, _mean("left_hip", "right_hip")],
    **{
        f"{side}_arm": [
            _mean(f"{side}_elbow"),
            _mean(f"{side}_elbow", f"{side}_wrist"),
            _mean(f"{side}_shoulder", f"{side}_elbow"),
        ]
        for side in ("left", "right")
    },
    "left_hand": [],  # COCO has no point in a hand
    "right_hand": [],
    "head": [_mean("nose"), _mean("left_eye", "right_eye"), _mean("left_ear", "right_ear")],
}
OUTSIDE: dict[str, list[Weights]] = {
    "up": [*_HEAD_AND_HANDS, *_LEGS],
    "down": [_CHEST, *_HEAD_AND_HANDS, *_LEGS],
    "dress": [*_HEAD_AND_HANDS, *_LEGS],
    PERSON: [],
    **{f"{side}_arm": [_CHEST, _mean("nose"), *_LEGS] for side in ("left", "right")},
    **{f"{side}_hand": [_mean(f"{side}_elbow", f"{side}_wrist"), _mean(f"{side}_hip")] for side in ("left", "right")},
    "head": [_mean("left_shoulder", "right_shoulder"), *_HEAD_AND_HANDS[1:]],
}


@dataclass(frozen=True)
class Prompts:
    """One part's prompts in pixels of the photo.

    Attributes:
        box_xyxy: float32 [4], inclusive corners.
        points_N2: float32 [2 * NUM_POINTS, 2], (x, y).
        point_labels_N: int32; FOREGROUND, BACKGROUND or NO_POINT.
        mask_HW: uint8 {0, 1}, the rough mask.
    """

    box_xyxy: np.ndarray
    points_N2: np.ndarray
    point_labels_N: np.ndarray
    mask_HW: np.ndarray


def part_mask(labels_HW: np.ndarray, part: str) -> np.ndarray:
    """uint8 {0, 1} [H, W]: a garment category's label, or everything that is labelled for `person`.

    Masks of the body parts need keypoints too: `tryon.prepare.parts`.
    """
    mask_HW = labels_HW > 0 if part == PERSON else labels_HW == LABEL_INDEX[part]
    return mask_HW.astype(np.uint8)


def prompts_for(mask_HW: np.ndarray, keypoints_K3: np.ndarray, part: str) -> Prompts:
    """Box, points and mask of one part; the same input gives the same prompts.

    Args:
        mask_HW: uint8 {0, 1}, the annotated part; not empty.
        keypoints_K3: COCO-17: x, y in the photo's pixels, visibility (<= 0: not visible).
        part: one of `PARTS`.
    """
    x, y, width, height = cv2.boundingRect(mask_HW)
    longest_px = max(width, height)
    margin_px = BOX_MARGIN * longest_px
    image_h, image_w = mask_HW.shape
    box_xyxy = np.array(
        [
            max(x - margin_px, 0),
            max(y - margin_px, 0),
            min(x + width - 1 + margin_px, image_w - 1),
            min(y + height - 1 + margin_px, image_h - 1),
        ],
        np.float32,
    )
    inside = _points(mask_HW, _body_points(INSIDE[part], keypoints_K3), SAFE_DISTANCE * longest_px)
    left, top, right, bottom = box_xyxy.astype(int)
    around_HW = np.zeros_like(mask_HW)  # what is in the box but not of the part
    around_HW[top : bottom + 1, left : right + 1] = 1 - mask_HW[top : bottom + 1, left : right + 1]
    outside = _points(around_HW, _body_points(OUTSIDE[part], keypoints_K3), SAFE_DISTANCE * longest_px)
    labels = [FOREGROUND if k < len(inside) else NO_POINT for k in range(NUM_POINTS)]
    labels += [BACKGROUND if k < len(outside) else NO_POINT for k in range(NUM_POINTS)]
    empty = (0.0, 0.0)
    points = [*inside, *[empty] * (NUM_POINTS - len(inside)), *outside, *[empty] * (NUM_POINTS - len(outside))]
    return Prompts(box_xyxy, np.array(points, np.float32), np.array(labels, np.int32), mask_HW)


def mask_logits(mask_HW: np.ndarray, input_hw: tuple[int, int], image_px: int, mask_px: int) -> np.ndarray:
    """A rough mask as segment-anything's mask prompt.

    Args:
        mask_HW: uint8 {0, 1} in pixels of the photo.
        input_hw: size of the photo after scaling its longer side to `image_px`.
        image_px: side of the encoder's square, into whose top left corner the scaled photo is put.
        mask_px: side of the mask prompt.

    Returns:
        float32 [1, mask_px, mask_px]: logits in [-MASK_LOGIT, MASK_LOGIT]; mixed pixels lie between.
    """
    square_HW = np.zeros((image_px, image_px), np.float32)
    input_h, input_w = input_hw
    square_HW[:input_h, :input_w] = resize_share(mask_HW, input_hw)
    share_HW = cv2.resize(square_HW, (mask_px, mask_px), interpolation=cv2.INTER_AREA)
    return ((2.0 * share_HW - 1.0) * MASK_LOGIT)[None]


def resize_share(mask_HW: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """float32 in [0, 1]: a {0, 1} mask at another size, as the share of each pixel that it covers."""
    shrinks = size_hw[0] < mask_HW.shape[0]
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(mask_HW.astype(np.float32), (size_hw[1], size_hw[0]), interpolation=kind)


def _body_points(weights: list[Weights], keypoints_K3: np.ndarray) -> Iterator[np.ndarray]:
    """Weighted means of visible keypoints, where all of a mean's keypoints are visible."""
    for mean in weights:
        rows = [KEYPOINT_NAMES.index(name) for name in mean]
        if (keypoints_K3[rows, 2] > 0).all():
            yield np.average(keypoints_K3[rows, :2], axis=0, weights=list(mean.values()))


def _points(mask_HW: np.ndarray, wished: Iterator[np.ndarray], safe_px: float) -> list[tuple[float, float]]:
    """Up to NUM_POINTS points of a mask: wished ones that lie well inside, then the deepest places left.

    Places around a chosen point are left out, as far as the mask is deep there, so the points spread.
    """
    image_h, image_w = mask_HW.shape
    padded_HW = cv2.copyMakeBorder(mask_HW, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth_HW = cv2.distanceTransform(padded_HW, cv2.DIST_L2, 5)[1:-1, 1:-1].copy()
    chosen: list[tuple[float, float]] = []

    def choose(x: int, y: int) -> None:
        chosen.append((float(x), float(y)))
        cv2.circle(depth_HW, (x, y), max(1, round(1.3 * float(depth_HW[y, x]))), 0.0, -1)

    for point in wished:
        x, y = np.rint(point).astype(int)
        if len(chosen) < NUM_POINTS and 0 <= x < image_w and 0 <= y < image_h and depth_HW[y, x] > safe_px:
            choose(int(x), int(y))
    while len(chosen) < NUM_POINTS and depth_HW.max() >= 1.0:
        y, x = np.unravel_index(int(depth_HW.argmax()), depth_HW.shape)
        choose(int(x), int(y))
    return chosen
