"""From two packed photos to what a network sees: the same function in training, sampling and baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import torch

from tryon.images import to_network
from tryon.methods.interface import Conditions
from tryon.methods.prealign import prealign
from tryon.ontology import CATEGORY_BIT
from tryon.packed import PackedPhoto, PackedPhotos

Warp: TypeAlias = Callable[..., tuple[np.ndarray, np.ndarray]]


class Pair(Protocol):
    """A person and a garment to put on, by ids of packed photos."""

    @property
    def person(self) -> str: ...  # noqa: D102 (see the class)

    @property
    def garment(self) -> str: ...  # noqa: D102

    @property
    def category(self) -> str: ...  # noqa: D102


def condition_arrays(
    person: PackedPhoto,
    garment: PackedPhoto,
    category: str,
    size_hw: tuple[int, int],
    warp: Warp = prealign,
    large: PackedPhoto | None = None,
) -> dict[str, np.ndarray]:
    """The conditions of one pair, without batch axis.

    Args:
        person: the photo to repaint.
        garment: the photo that shows the garment: a shop photo, or another person who wears it.
        category: "up", "down" or "dress": which cut-out is put on and which region is repainted.
        size_hw: the canvas that both photos have to be on.
        warp: `prealign`, or the same with a memory.
        large: the garment photo at a larger size, which is then the one that is warped.

    Returns:
        Arrays under the names of `Conditions`' fields without the batch axis, float32, channels first.
    """
    for photo in (person, garment):
        if photo.size_hw != tuple(size_hw):
            raise ValueError(f"{photo.id} is on a canvas of {photo.size_hw}, the stage wants {tuple(size_hw)}")
    bit = CATEGORY_BIT[category]
    region_HW1 = _bit_plane(person.regions_HW, bit)
    garment_mask_HW1 = _bit_plane(garment.garments_HW, bit)
    source = large or garment
    warped_HWC, warped_mask_HW = warp(
        source.image_HWC,
        _bit_plane(source.garments_HW, bit)[..., 0],
        source.keypoints_K3,
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


def packed_arrays(
    packed: PackedPhotos,
    pair: Pair,
    size_hw: tuple[int, int],
    garment_hw: tuple[int, int],
    warp: Warp = prealign,
) -> dict[str, np.ndarray]:
    """`condition_arrays` of a pair of packed photos.

    Args:
        packed: holds both photos at both sizes.
        pair: ids and category.
        size_hw: the canvas.
        garment_hw: size of the garment photo that is warped (`Stage.garment_hw`).
        warp: see `condition_arrays`.
    """
    person, garment = packed.read(pair.person, size_hw), packed.read(pair.garment, size_hw)
    large = packed.read(pair.garment, garment_hw) if garment_hw != size_hw else None
    return condition_arrays(person, garment, pair.category, size_hw, warp, large)


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
