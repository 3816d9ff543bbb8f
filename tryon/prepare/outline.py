"""Corners of a garment that lies flat → the joints of whoever would wear it.

People who mark garment photos put points where they can see something: shoulder seams, cuffs, hem corners,
waistband corners, leg openings. A cuff is not an elbow and a hem is not a hip, and a warp that takes them for such
stretches every garment to one length. Here the joints are placed by the proportions of a standard body, the same
that the studio lays its garments on.
"""

from __future__ import annotations

import numpy as np

from tryon.ontology import KEYPOINT_NAMES

# in shoulder widths of the standard body (tryon/studio/specs.py, STANDARD_BODY in FLAT_POSE)
TORSO = 1.41  # middle of the shoulders to middle of the hips
HIPS = 0.495  # hip joint to hip joint
UPPER_ARM = 0.90
FOREARM = 0.74
THIGH = SHIN = 1.19
WAISTBAND = 0.85  # corner to corner
WAIST_RISE = 0.25 * TORSO  # waistband above the hip joints

LONG_SLEEVE = 1.1  # a cuff beyond this many upper arms is past the elbow
LONG_LEG = 1.15  # a leg opening beyond this many thighs is past the knee
SIDES = ("left", "right")
INDEX = {name: index for index, name in enumerate(KEYPOINT_NAMES)}


def joints_of_outline(corners_K3: np.ndarray, category: str) -> np.ndarray:
    """The wearer's joints for the corners of a flat garment.

    Args:
        corners_K3: x, y in photo pixels and score; 5/6 shoulders, 7/8 cuffs, 11/12 hem corners (tops), side seams
            at hip height (dresses) or waistband corners (bottoms), 15/16 leg openings.
        category: "up", "down" or "dress".

    Returns:
        float64 [17, 3]: shoulders, elbows and hips (tops, dresses), wrists for long sleeves, knees (dresses,
        bottoms), ankles for long legs; score 0 where the corners do not tell.
    """
    marks = {name: corners_K3[index, :2] for name, index in INDEX.items() if corners_K3[index, 2] > 0}
    joints = _bottom_joints(marks) if category == "down" else _top_joints(marks, is_dress=category == "dress")
    joints_K3 = np.zeros((len(KEYPOINT_NAMES), 3))
    for name, place_2 in joints.items():
        joints_K3[INDEX[name]] = (*place_2, 1.0)
    return joints_K3


def _top_joints(marks: dict[str, np.ndarray], *, is_dress: bool) -> dict[str, np.ndarray]:
    if not {"left_shoulder", "right_shoulder", "left_hip", "right_hip"} <= marks.keys():
        return {name: place_2 for name, place_2 in marks.items() if name.endswith("shoulder")}
    shoulders_2 = (marks["left_shoulder"] + marks["right_shoulder"]) / 2
    hem_2 = (marks["left_hip"] + marks["right_hip"]) / 2
    across_2 = marks["left_shoulder"] - marks["right_shoulder"]
    width, down_2 = float(np.linalg.norm(across_2)), _unit(hem_2 - shoulders_2)
    hips_2 = hem_2 if is_dress else shoulders_2 + TORSO * width * down_2
    joints: dict[str, np.ndarray] = {}
    for side, sign in zip(SIDES, (0.5, -0.5), strict=True):
        shoulder_2 = joints[f"{side}_shoulder"] = marks[f"{side}_shoulder"]
        joints[f"{side}_hip"] = hips_2 + sign * HIPS * across_2
        if is_dress:
            joints[f"{side}_knee"] = joints[f"{side}_hip"] + THIGH * width * down_2
        if f"{side}_elbow" in marks:
            sleeve_2 = marks[f"{side}_elbow"] - shoulder_2
            joints[f"{side}_elbow"] = shoulder_2 + UPPER_ARM * width * _unit(sleeve_2)
            if np.linalg.norm(sleeve_2) > LONG_SLEEVE * UPPER_ARM * width:
                joints[f"{side}_wrist"] = shoulder_2 + (UPPER_ARM + FOREARM) * width * _unit(sleeve_2)
    return joints


def _bottom_joints(marks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if not {"left_hip", "right_hip", "left_ankle", "right_ankle"} <= marks.keys():
        return {}
    waist_2 = (marks["left_hip"] + marks["right_hip"]) / 2
    down_2 = _unit((marks["left_ankle"] + marks["right_ankle"]) / 2 - waist_2)
    across_2 = (marks["left_hip"] - marks["right_hip"]) / WAISTBAND  # as long as the shoulders are wide
    width = float(np.linalg.norm(across_2))
    joints: dict[str, np.ndarray] = {}
    for side, sign in zip(SIDES, (0.5, -0.5), strict=True):
        hip_2 = joints[f"{side}_hip"] = waist_2 + WAIST_RISE * width * down_2 + sign * HIPS * across_2
        leg_2 = marks[f"{side}_ankle"] - hip_2
        joints[f"{side}_knee"] = hip_2 + THIGH * width * _unit(leg_2)
        if np.linalg.norm(leg_2) > LONG_LEG * THIGH * width:
            joints[f"{side}_ankle"] = hip_2 + (THIGH + SHIN) * width * _unit(leg_2)
    return joints


def _unit(vector_2: np.ndarray) -> np.ndarray:
    return vector_2 / max(float(np.linalg.norm(vector_2)), 1e-9)
