"""Aligned augmentation of a training pair: whatever moves or recolours a picture does it to all that belongs to it.

It acts on packed photos before `condition_arrays`, so masks, keypoints, the agnostic person and the warped
garment follow by construction, and all of it is a function of an explicit seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from tryon.config import AugmentConfig
from tryon.methods.seeds import generator
from tryon.ontology import KEYPOINT_FLIP, LABEL_FLIP
from tryon.packed import PackedPhoto

SATURATION_RANGE = 0.5
"""At strength 1 the saturation changes by up to this share."""
BRIGHTNESS_RANGE = 64.0
"""At strength 1 the brightness changes by up to this many grey levels."""
GREY_AXIS = np.full(3, 1 / np.sqrt(3.0))


def augment(
    person: PackedPhoto, garments: Sequence[PackedPhoto], seed: int, cfg: AugmentConfig
) -> tuple[PackedPhoto, list[PackedPhoto]]:
    """A changed copy of a pair, still a true pair.

    Args:
        person: the photo that becomes condition and target.
        garments: the photo of the garment that the person wears, at one size or at several.
        seed: the sample's seed; the same seed gives the same change.
        cfg: chances and strengths.
    """
    draws = generator(seed, "augment")
    is_flipped = draws.random() < cfg.flip
    colour = _colour_change(draws, cfg.colour)
    shift_yx = np.rint(draws.uniform(-cfg.shift, cfg.shift, 2) * person.size_hw).astype(int)
    photos = [person, *garments]
    if is_flipped:
        photos = [flip(photo) for photo in photos]
    if cfg.colour > 0:
        photos = [recolour(photo, *colour) for photo in photos]
    person, *changed = photos
    if shift_yx.any():
        person = shift(person, int(shift_yx[0]), int(shift_yx[1]))
    return person, changed


def flip(photo: PackedPhoto) -> PackedPhoto:
    """The mirrored photo; left and right change places among keypoints and labels. Twice is the original."""
    keypoints_K3 = photo.keypoints_K3[list(KEYPOINT_FLIP)].copy()
    visible_K = keypoints_K3[:, 2] > 0
    keypoints_K3[visible_K, 0] = 1 - keypoints_K3[visible_K, 0]
    return replace(
        photo,
        image_HWC=np.ascontiguousarray(photo.image_HWC[:, ::-1]),
        labels_HW=np.asarray(LABEL_FLIP, np.uint8)[photo.labels_HW[:, ::-1]],
        garments_HW=np.ascontiguousarray(photo.garments_HW[:, ::-1]),
        regions_HW=np.ascontiguousarray(photo.regions_HW[:, ::-1]),
        keypoints_K3=keypoints_K3,
    )


def shift(photo: PackedPhoto, down_px: int, right_px: int) -> PackedPhoto:
    """The photo moved by whole pixels; points that leave become invisible.

    The border is repeated in every plane alike: what is repainted at the border is so where it is repeated, too, or the
    worn garment would be seen there.
    """
    height, width = photo.size_hw
    keypoints_K3 = photo.keypoints_K3.copy()
    keypoints_K3[:, :2] += np.array([right_px / width, down_px / height], np.float32)
    is_inside_K = ((keypoints_K3[:, :2] >= 0) & (keypoints_K3[:, :2] <= 1)).all(axis=1)
    keypoints_K3[~(is_inside_K & (keypoints_K3[:, 2] > 0))] = 0
    return replace(
        photo,
        image_HWC=_moved(photo.image_HWC, down_px, right_px),
        labels_HW=_moved(photo.labels_HW, down_px, right_px),
        garments_HW=_moved(photo.garments_HW, down_px, right_px),
        regions_HW=_moved(photo.regions_HW, down_px, right_px),
        keypoints_K3=keypoints_K3,
    )


def recolour(photo: PackedPhoto, matrix_33: np.ndarray, offset: float) -> PackedPhoto:
    """The photo with the colours of its garments changed, and only those.

    Args:
        photo: a person or a garment photo.
        matrix_33: acts on RGB about mid-grey.
        offset: added to every channel, in grey levels.
    """
    is_garment_HW = photo.garments_HW > 0
    image_HWC = photo.image_HWC.copy()
    colours_N3 = image_HWC[is_garment_HW].astype(np.float32)
    changed_N3 = (colours_N3 - 127.5) @ matrix_33.T.astype(np.float32) + 127.5 + offset
    image_HWC[is_garment_HW] = np.clip(np.rint(changed_N3), 0, 255).astype(np.uint8)
    return replace(photo, image_HWC=image_HWC)


def _colour_change(draws: np.random.Generator, strength: float) -> tuple[np.ndarray, float]:
    """A rotation of hue about the grey axis, times a change of saturation, and a change of brightness."""
    angle = draws.uniform(-np.pi, np.pi) * strength
    saturation = 1 + draws.uniform(-SATURATION_RANGE, SATURATION_RANGE) * strength
    brightness = draws.uniform(-BRIGHTNESS_RANGE, BRIGHTNESS_RANGE) * strength
    rotation_33, _ = cv2.Rodrigues(GREY_AXIS * angle)
    grey_33 = np.outer(GREY_AXIS, GREY_AXIS)
    return grey_33 + saturation * (rotation_33 - grey_33), float(brightness)


def _moved(plane: np.ndarray, down_px: int, right_px: int) -> np.ndarray:
    matrix_23 = np.array([[1, 0, right_px], [0, 1, down_px]], np.float64)
    height, width = plane.shape[:2]
    return cv2.warpAffine(plane, matrix_23, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
