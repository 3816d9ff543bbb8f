"""The garment warped to the person by keypoints: an input of the networks and the *paste* baseline.

Keypoints mean the same in both photos: the wearer's joints (tryon/prepare/outline.py makes them of cuffs and hems).
The trunk follows an affine map from joints to joints. Sleeves and trouser legs follow their own limb, bent at elbow
and knee, and lie over the trunk.

Maps go backwards, from canvas pixel to garment pixel, on a grid finer than the canvas which is then averaged: a
garment photo usually shows the garment larger than the person does, and may be larger than the canvas itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from tryon.geometry import keypoints_from_unit
from tryon.ontology import KEYPOINT_NAMES

Chain = tuple[int, ...]


def _indices(*names: str) -> Chain:
    return tuple(KEYPOINT_NAMES.index(name) for name in names)


SHOULDERS = _indices("left_shoulder", "right_shoulder")
HIPS = _indices("left_hip", "right_hip")
KNEES = _indices("left_knee", "right_knee")
ANKLES = _indices("left_ankle", "right_ankle")

JOINTS = {"up": SHOULDERS + HIPS, "dress": SHOULDERS + HIPS, "down": HIPS + KNEES + ANKLES}
"""Keypoints to which the trunk is fitted."""

_ARMS = (
    _indices("left_shoulder", "left_elbow", "left_wrist"),
    _indices("right_shoulder", "right_elbow", "right_wrist"),
)
_LEGS = (_indices("left_hip", "left_knee", "left_ankle"), _indices("right_hip", "right_knee", "right_ankle"))
LIMBS = {"up": _ARMS, "dress": _ARMS, "down": _LEGS}
"""Joints of each limb, from the trunk outwards."""

SUPERSAMPLING = 2
"""Grid points per pixel of the canvas along each axis, at least; more where the garment photo is larger than twice."""
JOINT_RADIUS = 0.3
"""The trunk reaches this far over a limb's root, as a share of the shoulder or hip width, so that no gap opens."""
MAX_CONDITION = 25.0
"""Above this ratio of spreads the points are almost on a line and only a similarity is fitted."""
BONE_STRETCH = (0.4, 2.5)
"""Limits of a bone's stretch relative to the trunk: a limb that points at the camera looks short."""


def prealign(
    garment_HWC: np.ndarray,
    garment_mask_HW: np.ndarray,
    garment_keypoints_K3: np.ndarray,
    person_keypoints_K3: np.ndarray,
    category: str,
    canvas_hw: tuple[int, int],
    *,
    limbs: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Warp a garment to a person's pose.

    Args:
        garment_HWC: uint8 RGB photo of the garment.
        garment_mask_HW: non-zero on the garment.
        garment_keypoints_K3: of the garment photo, in [0, 1] of its canvas, with visibility.
        person_keypoints_K3: of the person photo, in [0, 1] of its canvas, with visibility.
        category: "up", "down" or "dress".
        canvas_hw: height and width of the result; the garment photo may have another size.
        limbs: whether sleeves and trouser legs follow their own limb; False is one affine map for all.

    Returns:
        uint8 RGB [H, W, 3] (black outside) and its coverage, float32 [H, W] in [0, 1]. Where the keypoints that
        an affine map needs are not visible in both photos, it is a similarity (two points), a translation (one)
        or nothing at all: then the garment stays where it is on its canvas.
    """
    source_K3 = keypoints_from_unit(garment_keypoints_K3, garment_HWC.shape[:2]).astype(np.float64)
    target_K3 = keypoints_from_unit(person_keypoints_K3, canvas_hw).astype(np.float64)
    trunk = _fitted(source_K3, target_K3, JOINTS[category])
    is_garment_HW = garment_mask_HW > 0
    chains = _limb_chains(trunk, source_K3, target_K3, category) if limbs else []
    parts = _split(is_garment_HW, source_K3, [axis for axis, _ in chains], category)
    grid_HW2 = _fine_grid(canvas_hw, max(SUPERSAMPLING, math.ceil(garment_HWC.shape[0] / canvas_hw[0])))
    layers = [_layer(garment_HWC, parts[0], _affine_map(trunk, grid_HW2))]
    for (_, bones), part_HW in zip(chains, parts[1:], strict=True):
        if part_HW.any():
            layers.append(_layer(garment_HWC, part_HW, _chain_map(bones, grid_HW2)))
    return _compose(layers, canvas_hw)


@dataclass(frozen=True)
class Bone:
    """A bone on the person and the map that takes canvas points around it to the garment photo."""

    start_2: np.ndarray
    end_2: np.ndarray
    to_source_23: np.ndarray


def _fitted(source_K3: np.ndarray, target_K3: np.ndarray, joints: Chain) -> np.ndarray:
    """Least-squares map [2, 3], canvas to garment photo, of as many degrees of freedom as shown points carry."""
    shown = [index for index in joints if source_K3[index, 2] > 0 and target_K3[index, 2] > 0]
    if not shown:
        return np.eye(2, 3)
    from_N2, to_N2 = target_K3[shown, :2], source_K3[shown, :2]
    centre_from, centre_to = from_N2.mean(axis=0), to_N2.mean(axis=0)
    centred_from, centred_to = from_N2 - centre_from, to_N2 - centre_to
    spreads = np.linalg.svd(centred_from, compute_uv=False)
    if len(shown) >= 3 and spreads[0] < MAX_CONDITION * spreads[1]:
        linear_22 = np.linalg.lstsq(centred_from, centred_to, rcond=None)[0].T
    elif spreads[0] > 1e-3:
        linear_22 = _similarity(centred_from, centred_to)
    else:
        linear_22 = np.eye(2)
    return np.column_stack([linear_22, centre_to - linear_22 @ centre_from])


def _similarity(from_N2: np.ndarray, to_N2: np.ndarray) -> np.ndarray:
    """Rotation times scale [2, 2] between centred points, as one complex factor."""
    source, target = from_N2 @ [1, 1j], to_N2 @ [1, 1j]
    factor = (source.conj() @ target) / (source.conj() @ source).real
    return np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])


def _limb_chains(
    trunk_23: np.ndarray, source_K3: np.ndarray, target_K3: np.ndarray, category: str
) -> list[tuple[np.ndarray, list[Bone]]]:
    """Of each limb that both photos show: its joints on the garment photo [N, 2], and its bones on the person."""
    if not all(source_K3[list(HIPS if category == "down" else SHOULDERS), 2] > 0):
        return []  # nothing tells limb from trunk
    scale = float(np.sqrt(abs(np.linalg.det(trunk_23[:, :2]))))
    chains = []
    for limb in LIMBS[category]:
        joints_N2 = _visible(limb, source_K3)
        bones = _bones(joints_N2, _visible(limb, target_K3), scale)
        if bones:
            chains.append((joints_N2, bones))
    return chains


def _visible(limb: Chain, keypoints_K3: np.ndarray) -> np.ndarray:
    """Points [N, 2] of a limb up to its first one that is not visible."""
    shown = keypoints_K3[list(limb), 2] > 0
    return keypoints_K3[list(limb), :2][: int(shown.argmin()) if not shown.all() else len(limb)]


def _bones(axis_N2: np.ndarray, points_N2: np.ndarray, scale: float) -> list[Bone]:
    """Bone to bone: along it as long as the garment's, across it at the trunk's scale."""
    bones: list[Bone] = []
    count = min(len(axis_N2), len(points_N2))
    for (source, source_end), (start, end) in zip(pairwise(axis_N2[:count]), pairwise(points_N2[:count]), strict=True):
        length = np.linalg.norm(end - start)
        if min(length, np.linalg.norm(source_end - source)) < 1e-3:
            break  # the limb points at the camera: nothing to follow beyond this joint
        along = np.clip(np.linalg.norm(source_end - source) / length, BONE_STRETCH[0] * scale, BONE_STRETCH[1] * scale)
        bones.append(_bone(source, source_end - source, start, end, float(along), scale))
    return bones


def _bone(
    source_2: np.ndarray, direction_2: np.ndarray, start_2: np.ndarray, end_2: np.ndarray, along: float, across: float
) -> Bone:
    linear_22 = _frame(_unit(direction_2)) @ np.diag([along, across]) @ _frame(_unit(end_2 - start_2)).T
    return Bone(start_2, end_2, np.column_stack([linear_22, source_2 - linear_22 @ start_2]))


def _unit(vector_2: np.ndarray) -> np.ndarray:
    return vector_2 / np.linalg.norm(vector_2)


def _frame(direction_2: np.ndarray) -> np.ndarray:
    """Columns: the direction and its normal."""
    return np.array([[direction_2[0], -direction_2[1]], [direction_2[1], direction_2[0]]])


def _split(is_garment_HW: np.ndarray, source_K3: np.ndarray, axes: list[np.ndarray], category: str) -> list[np.ndarray]:
    """Garment pixels of the trunk, then of each limb; the trunk reaches over the limbs' roots."""
    if not axes:
        return [is_garment_HW]
    height, width = is_garment_HW.shape
    grid_HW2 = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float64)
    corners = _outline(source_K3, category)
    to_trunk_HW = _polygon_distance(grid_HW2, corners)
    to_limbs_LHW = np.stack([_chain_distance(grid_HW2, axis) for axis in axes])
    is_limb_HW = to_limbs_LHW.min(axis=0) < to_trunk_HW
    nearest_HW = to_limbs_LHW.argmin(axis=0)
    radius = JOINT_RADIUS * np.linalg.norm(corners[1] - corners[0])
    is_root_HW = np.minimum.reduce([np.linalg.norm(grid_HW2 - axis[0], axis=-1) for axis in axes]) < radius
    limbs = [is_garment_HW & is_limb_HW & (nearest_HW == number) for number in range(len(axes))]
    return [is_garment_HW & (~is_limb_HW | is_root_HW), *limbs]


def _outline(source_K3: np.ndarray, category: str) -> np.ndarray:
    """Corners [N, 2] of what a garment pixel has to be nearer to than to a limb, to count as trunk."""
    indices = HIPS if category == "down" else (*SHOULDERS, *reversed(HIPS))
    return source_K3[[index for index in indices if source_K3[index, 2] > 0], :2]


def _polygon_distance(points_HW2: np.ndarray, corners_N2: np.ndarray) -> np.ndarray:
    """Distance to a filled polygon (to a segment, for two corners)."""
    distance_HW = _chain_distance(points_HW2, np.concatenate([corners_N2, corners_N2[:1]]))
    if len(corners_N2) > 2:
        inside_HW = np.zeros(points_HW2.shape[:2], np.uint8)
        cv2.fillPoly(inside_HW, [np.rint(corners_N2).astype(np.int32)], 1)
        distance_HW = np.where(inside_HW > 0, 0.0, distance_HW)
    return distance_HW


def _chain_distance(points_HW2: np.ndarray, chain_N2: np.ndarray) -> np.ndarray:
    """Distance to a chain of segments."""
    segments = pairwise(chain_N2)
    return np.minimum.reduce([_segment_distance(points_HW2, start, end) for start, end in segments])


def _segment_distance(points_HW2: np.ndarray, start_2: np.ndarray, end_2: np.ndarray) -> np.ndarray:
    # axis by axis, which is faster than on pairs (x, y): most of a warp's time is spent here
    (x, y), (across, down) = start_2, end_2 - start_2
    xs_HW, ys_HW = points_HW2[..., 0] - x, points_HW2[..., 1] - y
    share_HW = ((xs_HW * across + ys_HW * down) / max(across**2 + down**2, 1e-9)).clip(0, 1)
    return np.sqrt((xs_HW - share_HW * across) ** 2 + (ys_HW - share_HW * down) ** 2)


def _fine_grid(canvas_hw: tuple[int, int], fineness: int) -> np.ndarray:
    """Canvas coordinates (x, y) of the pixel centres of a grid `fineness` times as fine, [sH, sW, 2]."""
    ys, xs = ((np.arange(size * fineness, dtype=np.float64) + 0.5) / fineness - 0.5 for size in canvas_hw)
    return np.stack(np.meshgrid(xs, ys), axis=-1)


def _affine_map(to_source_23: np.ndarray, grid_HW2: np.ndarray) -> np.ndarray:
    return (grid_HW2 @ to_source_23[:, :2].T + to_source_23[:, 2]).astype(np.float32)


def _chain_map(bones: list[Bone], grid_HW2: np.ndarray) -> np.ndarray:
    """Blend of the bones' maps, by inverse distance to the fourth: smooth at joints, sharp elsewhere."""
    weights = [1 / (_segment_distance(grid_HW2, bone.start_2, bone.end_2) + 0.5) ** 4 for bone in bones]
    maps = [grid_HW2 @ bone.to_source_23[:, :2].T + bone.to_source_23[:, 2] for bone in bones]
    blended_HW2 = np.sum([weight[..., None] * mapped for weight, mapped in zip(weights, maps, strict=True)], axis=0)
    return (blended_HW2 / np.sum(weights, axis=0)[..., None]).astype(np.float32)


def _layer(garment_HWC: np.ndarray, part_HW: np.ndarray, map_HW2: np.ndarray) -> np.ndarray:
    """Premultiplied RGB and coverage [sH, sW, 4] of one part, pulled through a map."""
    coverage_HW1 = part_HW[..., None].astype(np.float32)
    source_HW4 = np.concatenate([garment_HWC * coverage_HW1, coverage_HW1], axis=-1)
    xs_HW, ys_HW = np.ascontiguousarray(map_HW2[..., 0]), np.ascontiguousarray(map_HW2[..., 1])
    return cv2.remap(source_HW4, xs_HW, ys_HW, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def _compose(layers: list[np.ndarray], canvas_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Later layers over earlier ones, averaged down to the canvas."""
    result_HW4 = layers[0]
    for layer_HW4 in layers[1:]:
        result_HW4 = layer_HW4 + (1 - layer_HW4[..., 3:]) * result_HW4
    result_HW4 = cv2.resize(result_HW4, (canvas_hw[1], canvas_hw[0]), interpolation=cv2.INTER_AREA)
    coverage_HW = np.clip(result_HW4[..., 3], 0, 1)
    colour_HWC = result_HW4[..., :3] / np.maximum(coverage_HW, 1e-6)[..., None]
    colour_HWC[coverage_HW < 1e-3] = 0
    return np.clip(np.rint(colour_HWC), 0, 255).astype(np.uint8), coverage_HW
