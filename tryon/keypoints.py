"""Keypoint sets of the field and the way between them: COCO-17 (ours), OpenPose's 18 (COCO model) and BODY_25.

Points go by name. What a target set has and the source lacks is made only where it follows from two visible points
(neck: the middle of the shoulders; mid_hip: the middle of the hips), else it is not visible; nothing is guessed.
A point that is not visible is (0, 0, 0).

Orders: https://github.com/CMU-Perceptual-Computing-Lab/openpose (doc/02_output.md) for the two OpenPose sets.
"""

from __future__ import annotations

import numpy as np

from tryon.ontology import KEYPOINT_NAMES

COCO_17 = KEYPOINT_NAMES

_BODY = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)
_LEGS = ("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle")
_HEAD = ("right_eye", "left_eye", "right_ear", "left_ear")

OPENPOSE_18 = (*_BODY, *_LEGS, *_HEAD)
BODY_25 = (
    *_BODY,
    "mid_hip",
    *_LEGS,
    *_HEAD,
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
)

CONVENTION = {COCO_17: "coco_17", OPENPOSE_18: "openpose_18", BODY_25: "body_25"}[KEYPOINT_NAMES]
"""The set that packed photos hold and networks are given; weights and checkpoints of another one are refused."""

MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
"""Points that are the middle of two others; as trustworthy as the less sure of them."""


def convert(points_K3: np.ndarray, source: tuple[str, ...], target: tuple[str, ...]) -> np.ndarray:
    """Keypoints of one set as those of another.

    Args:
        points_K3: x, y in pixels and a score, in the order of `source`; score <= 0 means not visible.
        source: names of the set that they are in, such as `BODY_25`.
        target: names of the wanted set.

    Returns:
        float64 [len(target), 3]; (0, 0, 0) where a point is not visible.

    Raises:
        ValueError: the array does not fit `source`.
    """
    if points_K3.shape != (len(source), 3):
        raise ValueError(
            f"keypoints have shape {points_K3.shape}; a set of {len(source)} points needs an x, y, score each"
        )
    visible = {name: row for name, row in zip(source, np.asarray(points_K3, np.float64), strict=True) if row[2] > 0}
    converted_K3 = np.zeros((len(target), 3))
    for index, name in enumerate(target):
        if name in visible:
            converted_K3[index] = visible[name]
        elif name in MIDDLES and name not in source and all(end in visible for end in MIDDLES[name]):
            one, other = (visible[end] for end in MIDDLES[name])
            converted_K3[index] = (*((one[:2] + other[:2]) / 2), min(one[2], other[2]))
    return converted_K3


def scaled(points_K3: np.ndarray, from_hw: tuple[int, int], to_hw: tuple[int, int]) -> np.ndarray:
    """Points given in pixels of a picture as pixels of the same picture at another size (tryon/geometry.py).

    Args:
        points_K3: x, y and score.
        from_hw: height and width that the points were measured in.
        to_hw: height and width of the photo.

    Returns:
        float64 [K, 3]; points that are not visible stay as they are.
    """
    scaled_K3 = np.array(points_K3, np.float64)
    visible_K = scaled_K3[:, 2] > 0
    scale_xy = np.array([to_hw[1] / from_hw[1], to_hw[0] / from_hw[0]])
    scaled_K3[visible_K, :2] = (scaled_K3[visible_K, :2] + 0.5) * scale_xy - 0.5
    return scaled_K3
