"""From two packed photos to what a network sees: the same function in training, sampling and baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from tryon.images import to_network
from tryon.methods.interface import Conditions
from tryon.methods.prealign import prealign
from tryon.ontology import CATEGORY_BIT
from tryon.packed import PackedPhoto


def condition_arrays(
    person: PackedPhoto,
    garment: PackedPhoto,
    category: str,
    size_hw: tuple[int, int],
    warp: Callable[..., tuple[np.ndarray, np.ndarray]] = prealign,
) -> dict[str, np.ndarray]:
    """The conditions of one pair, without batch axis.

    Args:
        person: the photo to repaint.
        garment: the photo that shows the garment: a shop photo, or another person who wears it.
        category: "up", "down" or "dress": which cut-out is put on and which region is repainted.
        size_hw: the canvas that both photos have to be on.
        warp: `prealign`, or the same with a memory.

    Returns:
        Arrays under the names of `Conditions`' fields without the batch axis, float32, channels first.
    """
    for photo in (person, garment):
        if photo.size_hw != tuple(size_hw):
            raise ValueError(f"{photo.id} is on a canvas of {photo.size_hw}, the stage wants {tuple(size_hw)}")
    bit = CATEGORY_BIT[category]
    region_HW1 = _bit_plane(person.regions_HW, bit)
    garment_mask_HW1 = _bit_plane(garment.garments_HW, bit)
    warped_HWC, warped_mask_HW = warp(
        garment.image_HWC,
        garment_mask_HW1[..., 0],
        garment.keypoints_K3,
        person.keypoints_K3,
        category,
        size_hw,
    )
    warped_mask_HW1 = warped_mask_HW[..., None]
    planes = {
        "agnostic_B3HW": to_network(person.image_HWC) * (1 - region_HW1),
        "region_B1HW": region_HW1,
        "garment_B3HW": to_network(garment.image_HWC) * garment_mask_HW1,
        "garment_mask_B1HW": garment_mask_HW1,
        "prealigned_B3HW": to_network(warped_HWC) * warped_mask_HW1,
        "prealigned_mask_B1HW": warped_mask_HW1,
    }
    arrays = {name: np.ascontiguousarray(plane.transpose(2, 0, 1)) for name, plane in planes.items()}
    arrays["person_keypoints_BK3"] = person.keypoints_K3.astype(np.float32)
    arrays["garment_keypoints_BK3"] = garment.keypoints_K3.astype(np.float32)
    return arrays


def target_array(person: PackedPhoto) -> np.ndarray:
    """The picture that a paired sample is trained towards: float32 [3, H, W] in [-1, 1]."""
    return np.ascontiguousarray(to_network(person.image_HWC).transpose(2, 0, 1))


def worn_array(person: PackedPhoto, category: str) -> np.ndarray:
    """Where that picture shows the garment: float32 [1, H, W], 1 there."""
    return np.ascontiguousarray(_bit_plane(person.garments_HW, CATEGORY_BIT[category]).transpose(2, 0, 1))


def collate(samples: Sequence[Mapping[str, np.ndarray]]) -> Conditions:
    """A batch of `condition_arrays` results."""
    return Conditions(**{name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]})


def _bit_plane(bits_HW: np.ndarray, bit: int) -> np.ndarray:
    """float32 [H, W, 1]: 1 where the bit is set."""
    return ((bits_HW & bit) > 0).astype(np.float32)[..., None]
