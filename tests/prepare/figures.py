"""A drawn figure for the tests of the agnostic rules: label map and keypoints of known shape."""

import dataclasses

import cv2
import numpy as np

from tryon.ontology import KEYPOINT_FLIP, KEYPOINT_NAMES, LABEL_FLIP, LABEL_INDEX
from tryon.prepare.agnostic import repaint_region

SIZE_HW = (400, 300)
JOINTS = {  # a person who stands facing the camera, arms a little away from the body
    "nose": (150, 50),
    "left_shoulder": (185, 90),
    "right_shoulder": (115, 90),
    "left_elbow": (205, 145),
    "right_elbow": (95, 145),
    "left_wrist": (215, 195),
    "right_wrist": (85, 195),
    "left_hip": (175, 190),
    "right_hip": (125, 190),
    "left_knee": (175, 275),
    "right_knee": (125, 275),
    "left_ankle": (175, 355),
    "right_ankle": (125, 355),
}


@dataclasses.dataclass(frozen=True)
class Figure:
    labels_HW: np.ndarray
    keypoints_K3: np.ndarray

    def region(self, category: str, rule: str = "limbs") -> np.ndarray:
        return repaint_region(rule, self.labels_HW, self.keypoints_K3, category).mask_HW

    def missing(self, category: str, rule: str) -> tuple[str, ...]:
        return repaint_region(rule, self.labels_HW, self.keypoints_K3, category).missing

    def mirrored(self) -> "Figure":
        keypoints_K3 = self.keypoints_K3[list(KEYPOINT_FLIP)].copy()
        keypoints_K3[:, 0] = self.labels_HW.shape[1] - 1 - keypoints_K3[:, 0]
        return Figure(np.array(LABEL_FLIP, np.uint8)[self.labels_HW[:, ::-1]], keypoints_K3)

    def twice(self) -> "Figure":
        return Figure(self.labels_HW.repeat(2, 0).repeat(2, 1), self.keypoints_K3 * (2, 2, 1))

    def moved(self, down_px: int, right_px: int) -> "Figure":
        """Elsewhere in the same picture, which must have room for it."""
        labels_HW = np.roll(self.labels_HW, (down_px, right_px), (0, 1))
        return Figure(labels_HW, self.keypoints_K3 + (right_px, down_px, 0))

    def padded(self, px: int) -> "Figure":
        """With background on every side."""
        return Figure(np.pad(self.labels_HW, px), self.keypoints_K3 + (px, px, 0))

    def without(self, *names: str) -> "Figure":
        keypoints_K3 = self.keypoints_K3.copy()
        keypoints_K3[[KEYPOINT_NAMES.index(name) for name in names], 2] = 0
        return dataclasses.replace(self, keypoints_K3=keypoints_K3)

    def mask(self, *labels: str) -> np.ndarray:
        return np.isin(self.labels_HW, [LABEL_INDEX[label] for label in labels])


def keypoints(joints: dict[str, tuple[float, float]]) -> np.ndarray:
    return np.array([(*joints[name], 1.0) if name in joints else (0.0, 0.0, 0.0) for name in KEYPOINT_NAMES])


def draw(*, sleeve: float = 0.5, hem_y: int = 200, flare: int = 0) -> Figure:
    """A figure in a top whose sleeves cover `sleeve` of each arm, and in trousers."""
    labels_HW = np.zeros(SIZE_HW, np.uint8)
    joints = {name: np.array(point) for name, point in JOINTS.items()}

    def stroke(label: str, start: np.ndarray, end: np.ndarray, width: int) -> None:
        cv2.line(labels_HW, start.tolist(), np.rint(end).astype(int).tolist(), LABEL_INDEX[label], width)

    for side in ("left", "right"):
        hip, knee, ankle = (joints[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        stroke("down", hip, knee, 34)
        stroke("down", knee, ankle, 26)
        stroke("person", ankle + (0, 15), ankle + (0, 25), 24)  # shoe
    stroke("person", np.array([150, 60]), np.array([150, 95]), 30)  # neck
    torso = [(112, 80), (188, 80), (180 + flare, hem_y), (120 - flare, hem_y)]
    cv2.fillPoly(labels_HW, [np.array(torso)], LABEL_INDEX["up"])
    cv2.circle(labels_HW, (150, 42), 30, LABEL_INDEX["hair"], -1)
    cv2.ellipse(labels_HW, (150, 50), (20, 26), 0, 0, 360, LABEL_INDEX["face"], -1)
    for side in ("left", "right"):
        shoulder, elbow, wrist = (joints[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
        stroke(f"{side}_arm", shoulder, elbow, 16)
        stroke(f"{side}_arm", elbow, wrist, 16)
        stroke(f"{side}_arm", wrist, wrist + 0.35 * (wrist - elbow), 16)  # hand
        if sleeve:
            stroke("up", shoulder, shoulder + min(1.0, 2 * sleeve) * (elbow - shoulder), 24)
        if sleeve > 0.5:
            stroke("up", elbow, elbow + (2 * sleeve - 1) * (wrist - elbow), 20)
    return Figure(labels_HW, keypoints(JOINTS))


def hand(side: str) -> tuple[int, int]:
    wrist, elbow = (np.array(JOINTS[f"{side}_{joint}"]) for joint in ("wrist", "elbow"))
    x, y = np.rint(wrist + 0.3 * (wrist - elbow)).astype(int)
    return int(y), int(x)
