"""The one vocabulary of labels, garment categories and keypoints (COCO-17)."""

from __future__ import annotations

LABELS = ("background", "person", "up", "down", "dress", "hair", "face", "left_arm", "right_arm")
"""Index = value in a label map. `person` is what no other label covers: neck, legs, shoes, hat."""

LABEL_INDEX = {name: index for index, name in enumerate(LABELS)}

PALETTE = (
    (0, 0, 0),
    (148, 163, 184),
    (239, 68, 68),
    (59, 130, 246),
    (217, 70, 239),
    (120, 53, 15),
    (253, 186, 116),
    (34, 197, 94),
    (234, 179, 8),
)
"""RGB colour of each label in indexed PNGs and in the report."""

CATEGORIES = ("up", "down", "dress")
"""Garment categories: upper body, lower body, dress."""

CATEGORY_BIT = {"up": 1, "down": 2, "dress": 4}
"""Bit of each category in mask planes that hold one mask per category."""

PERSON_BIT = 1
"""Bit of the silhouette in a person plane."""

PART_BIT = {"arms": 1, "hands": 2, "head": 4, "background": 8}
"""Bit of each part in a plane of body parts (parts.png). Arms include their hands, head is hair and face, and the
background is what neither a garment nor the person covers; edges of neighbours may overlap by a pixel or two."""

KEYPOINT_NAMES = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""The 17 COCO keypoints; left and right are the person's own (left = image right when facing the camera)."""

KEYPOINT_FLIP = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""Keypoint k of a mirrored picture is keypoint KEYPOINT_FLIP[k] of the original."""

LABEL_FLIP = (0, 1, 2, 3, 4, 5, 6, 8, 7)
"""Label l of a mirrored picture is label LABEL_FLIP[l] of the original (left and right arm change places)."""

SKELETON = (
    (5, 7),
    (7, 9),
    (6, 8),
    (8, 10),
    (5, 6),
    (11, 12),
    (5, 11),
    (6, 12),
    (11, 13),
    (13, 15),
    (12, 14),
    (14, 16),
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
)
"""Limbs as pairs of keypoint indices, for drawing."""
