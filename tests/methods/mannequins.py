"""Packed photos drawn from rectangles: a person in a two-coloured top, and the top by itself."""

from __future__ import annotations

import numpy as np
import torch

from tryon.config import StageConfig
from tryon.methods.conditions import collate, condition_arrays, target_array
from tryon.methods.interface import Conditions, Stage
from tryon.methods.seeds import generator
from tryon.methods.tryondiffusion.stages import STAGES
from tryon.ontology import CATEGORY_BIT, KEYPOINT_NAMES, LABEL_INDEX
from tryon.packed import PackedPhoto

JOINTS = {
    "nose": (0.5, 0.15),
    "left_shoulder": (0.66, 0.3),
    "right_shoulder": (0.34, 0.3),
    "left_elbow": (0.78, 0.45),
    "right_elbow": (0.22, 0.45),
    "left_wrist": (0.82, 0.6),
    "right_wrist": (0.18, 0.62),
    "left_hip": (0.62, 0.62),
    "right_hip": (0.38, 0.62),
}
FLAT = {
    "left_shoulder": (0.7, 0.2),
    "right_shoulder": (0.3, 0.2),
    "left_elbow": (0.92, 0.5),
    "right_elbow": (0.08, 0.5),
    "left_hip": (0.7, 0.8),
    "right_hip": (0.3, 0.8),
}
UP = CATEGORY_BIT["up"]


def keypoints(points: dict[str, tuple[float, float]], jitter: np.ndarray | None = None) -> np.ndarray:
    """Unit keypoints [17, 3] of named points; the others are invisible."""
    keypoints_K3 = np.zeros((len(KEYPOINT_NAMES), 3), np.float32)
    for index, name in enumerate(KEYPOINT_NAMES):
        if name in points:
            keypoints_K3[index] = (*points[name], 1)
            if jitter is not None:
                keypoints_K3[index, :2] += jitter[index]
    return keypoints_K3


def box(size_hw: tuple[int, int], top: float, left: float, bottom: float, right: float) -> np.ndarray:
    """Boolean rectangle in shares of the canvas."""
    mask_HW = np.zeros(size_hw, bool)
    height, width = size_hw
    mask_HW[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
    return mask_HW


def pair(seed: int, size_hw: tuple[int, int] = (16, 12)) -> tuple[PackedPhoto, PackedPhoto]:
    """A person and the top that the person wears."""
    draws = generator(seed, "mannequin")
    above, below, skin, ground = draws.integers(20, 236, (4, 3)).astype(np.uint8)
    jitter = draws.uniform(-0.03, 0.03, (len(KEYPOINT_NAMES), 2)).astype(np.float32)

    person_HWC = np.broadcast_to(ground, (*size_hw, 3)).copy()
    worn_HW = box(size_hw, 0.3, 0.3, 0.65, 0.7)
    person_HWC[box(size_hw, 0.05, 0.4, 0.3, 0.6)] = skin
    person_HWC[worn_HW] = above
    person_HWC[worn_HW & box(size_hw, 0.5, 0, 1, 1)] = below
    labels_HW = np.zeros(size_hw, np.uint8)
    labels_HW[worn_HW] = LABEL_INDEX["up"]
    labels_HW[box(size_hw, 0.3, 0.7, 0.6, 0.85)] = LABEL_INDEX["left_arm"]
    region_HW = box(size_hw, 0.25, 0.15, 0.75, 0.85)
    person = PackedPhoto(
        f"person/p{seed}",
        person_HWC,
        labels_HW,
        worn_HW.astype(np.uint8) * UP,
        region_HW.astype(np.uint8) * UP,
        keypoints(JOINTS, jitter),
    )

    garment_HWC = np.full((*size_hw, 3), 250, np.uint8)
    flat_HW = box(size_hw, 0.2, 0.2, 0.8, 0.8)
    garment_HWC[flat_HW] = above
    garment_HWC[flat_HW & box(size_hw, 0.5, 0, 1, 1)] = below
    none_HW = np.zeros(size_hw, np.uint8)
    garment = PackedPhoto(
        f"garment/g{seed}", garment_HWC, none_HW, flat_HW.astype(np.uint8) * UP, none_HW, keypoints(FLAT)
    )
    return person, garment


def batch(num: int, size_hw: tuple[int, int] = (16, 12)) -> tuple[torch.Tensor, Conditions]:
    """Targets and conditions of the pairs 0 … num-1."""
    pairs = [pair(seed, size_hw) for seed in range(num)]
    target_B3HW = torch.stack([torch.from_numpy(target_array(person)) for person, _ in pairs])
    return target_B3HW, collate([condition_arrays(*photos, "up", size_hw) for photos in pairs])


TINY = {
    "channels": [16, 24],
    "blocks": [1, 1],
    "self_attention": [False, True],
    "cross_attention": [False, True],
    "head_channels": 8,
    "stem_stride": 1,
    "embedding_channels": 32,
}
PLAIN = {"channels": [16, 32], "blocks": [1, 1], "self_attention": [False] * 2, "cross_attention": [False] * 2}


def stage(kind: str = "parallel_unet", **settings: object) -> Stage:
    """A tiny stage; settings replace those of `StageConfig`."""
    is_imagen = kind == "imagen_sr"
    values: dict[str, object] = {"kind": kind, "size": (16, 12), "network": PLAIN if is_imagen else TINY}
    if kind.endswith("_sr"):
        values |= {"size": (32, 24), "low_size": (16, 12)}
    return STAGES[kind]("tiny", StageConfig.model_validate({**values, **settings}))


def awake(network: torch.nn.Module) -> torch.nn.Module:
    """Random numbers in every weight that starts at zero, so that outputs depend on inputs."""
    draws = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weights in network.parameters():
            if weights.abs().max() == 0:
                weights.copy_(0.1 * torch.randn(weights.shape, generator=draws))
    return network.eval()
