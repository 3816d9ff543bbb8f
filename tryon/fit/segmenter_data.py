"""Annotated photos as training examples of a small segment-anything model.

An annotation that a user draws is coarser than the picture, and cut-outs are only worth a model if they are better
than the mask that prompts it. So the rough mask of an example is its true mask after `coarsen`; the true mask is
what the model has to answer. Pictures are varied far beyond the studio's look, so that photos are not foreign.
Every function that draws random numbers takes the generator that it draws from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tryon import images
from tryon.config import DatasetConfig
from tryon.dataset import folder, formats
from tryon.dataset.annotation import check_labels
from tryon.errors import UserError
from tryon.geometry import Letterbox
from tryon.ontology import CATEGORIES, KEYPOINT_FLIP, KEYPOINT_NAMES, LABEL_FLIP, LABEL_INDEX
from tryon.prepare.masks import draw_label_map
from tryon.prepare.prompts import PERSON, part_mask

Rng = np.random.Generator

# How far a rough mask may be off, in shares of the square root of its area
OUTLINE_ERROR = 0.03  # tolerance of the polygon
SIZE_ERROR = 0.03  # dilation or erosion
WARP_ERROR = 0.025  # smooth displacement
EXACT_SHARE = 0.15  # of the examples have an exact rough mask: the model must learn to leave those alone

OWN_FORMAT = DatasetConfig()
SMALLEST_PART = 0.002  # of the picture's area: parts below this are not asked for


@dataclass(frozen=True)
class Example:
    """One annotated photo.

    Attributes:
        id: "person/NAME" or "garment/NAME".
        image_HWC: uint8 RGB.
        labels_HW: uint8 indices into `ontology.LABELS`.
        keypoints_K3: x, y in pixels of image_HWC and visibility (0 or 1).
    """

    id: str
    image_HWC: np.ndarray
    labels_HW: np.ndarray
    keypoints_K3: np.ndarray

    @property
    def parts(self) -> list[str]:
        """Garment categories that are annotated, and the person in a person photo."""
        smallest_px = SMALLEST_PART * self.labels_HW.size
        found = [part for part in CATEGORIES if (self.labels_HW == LABEL_INDEX[part]).sum() > smallest_px]
        is_person = self.id.startswith(PERSON) and (self.labels_HW > 0).sum() > smallest_px
        return [*found, PERSON] if is_person else found


def list_photos(
    data: Path, splits: Iterable[str] | None, dataset: DatasetConfig = OWN_FORMAT
) -> list[folder.PhotoFiles]:
    """Annotated photos of a data folder, sorted by id.

    Args:
        data: the data folder.
        splits: only photos that the folder's list puts into one of these; None: all photos.
        dataset: how the folder is read.

    Raises:
        UserError: the folder has no such photos.
    """
    reader = formats.reader(dataset)
    listing = reader.scan(data)
    photos = [photo for photo in listing.photos if photo.annotation]
    if splits is not None:
        facts = reader.facts(data, listing)
        if facts is None:
            raise UserError(f"{data}: no photos.csv, which would say what is held out; give another folder to score on")
        photos = [photo for photo in photos if photo.id in facts and facts[photo.id].split in set(splits)]
    if not photos:
        raise UserError(f"{data}: no annotated photos{f' in the splits {splits}' if splits else ''}; nothing to learn")
    return photos


def read_example(
    data: Path, photo: folder.PhotoFiles, longest_px: int | None = None, dataset: DatasetConfig = OWN_FORMAT
) -> Example:
    """Decode one photo, its annotation and its keypoints (none visible where none are given).

    Args:
        data: the data folder.
        photo: its files.
        longest_px: scale the longer side down to this; None keeps the size.
        dataset: how the folder is read.

    Raises:
        BadItem: one of the files is unusable.
    """
    assert photo.annotation is not None
    reader = formats.reader(dataset)
    image_HWC = images.read_rgb(data / photo.file)
    size_hw = (image_HWC.shape[0], image_HWC.shape[1])
    annotation = reader.annotate(data, photo.annotation, photo.role)
    check_labels(annotation)
    labels_HW = draw_label_map(annotation, size_hw)
    keypoints_K3 = np.zeros((len(KEYPOINT_NAMES), 3))
    if photo.keypoints:
        keypoints_K3 = reader.keypoints(data, photo.keypoints, size_hw)
        keypoints_K3[:, 2] = keypoints_K3[:, 2] > 0
    if longest_px is not None and max(size_hw) > longest_px:
        scale = longest_px / max(size_hw)
        box = Letterbox(size_hw, (max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale))))
        image_HWC, labels_HW = box.image(image_HWC), box.mask(labels_HW)
        keypoints_K3 = np.column_stack([box.points(keypoints_K3[:, :2]), keypoints_K3[:, 2]])
    return Example(photo.id, image_HWC, labels_HW, keypoints_K3)


def coarsen(mask_HW: np.ndarray, rng: Rng) -> np.ndarray:
    """A rough version of a mask: a coarse polygon, too large or too small, and shifted here and there.

    Args:
        mask_HW: uint8 {0, 1}; not empty.
        rng: generator.

    Returns:
        uint8 {0, 1}; the input where roughening would leave nothing.
    """
    scale_px = float(np.sqrt(mask_HW.sum()))
    contours, _ = cv2.findContours(mask_HW, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    tolerance_px = rng.uniform(0, OUTLINE_ERROR) * scale_px
    polygons = [cv2.approxPolyDP(contour, tolerance_px, True) for contour in contours]
    rough_HW = np.zeros_like(mask_HW)
    cv2.fillPoly(rough_HW, polygons, 1)  # even-odd: contours of holes cut them out again
    radius_px = rng.uniform(-SIZE_ERROR, SIZE_ERROR) * scale_px
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(abs(radius_px)) + 1,) * 2)
    rough_HW = cv2.dilate(rough_HW, kernel) if radius_px > 0 else cv2.erode(rough_HW, kernel)
    rough_HW = _warp(rough_HW, rng.uniform(0, WARP_ERROR) * scale_px, rng)
    return rough_HW if rough_HW.any() else mask_HW


def _warp(mask_HW: np.ndarray, size_px: float, rng: Rng) -> np.ndarray:
    """Move a mask by a smooth random field of displacements with this standard deviation."""
    coarse_662 = rng.normal(0, size_px, (6, 6, 2)).astype(np.float32)
    height, width = mask_HW.shape
    field_HW2 = cv2.resize(coarse_662, (width, height), interpolation=cv2.INTER_CUBIC)
    rows_HW, columns_HW = np.mgrid[:height, :width].astype(np.float32)
    return cv2.remap(
        mask_HW, columns_HW + field_HW2[..., 0], rows_HW + field_HW2[..., 1], cv2.INTER_NEAREST, borderValue=0
    )


def vary(example: Example, image_px: int, others: list[Example], rng: Rng) -> Example:
    """Another picture of the same thing: moved, on other ground, in other colours, less sharp.

    Args:
        example: an annotated photo.
        image_px: longer side of the result.
        others: photos whose parts serve as backgrounds and textures.
        rng: generator.
    """
    moved = _move(example, image_px, rng)
    image_HWC = moved.image_HWC.astype(np.float32)
    if rng.random() < 0.5:
        image_HWC = _composite(image_HWC, _texture(image_HWC.shape[:2], others, rng), moved.labels_HW == 0, 1.0)
    if rng.random() < 0.25 and len(moved.parts):
        cloth_HW = part_mask(moved.labels_HW, moved.parts[0]) > 0
        strength = rng.uniform(0.2, 0.8)
        image_HWC = _composite(image_HWC, _texture(image_HWC.shape[:2], others, rng), cloth_HW, strength)
    image_HWC = _colour(image_HWC, rng)
    return Example(moved.id, np.clip(image_HWC, 0, 255).astype(np.uint8), moved.labels_HW, moved.keypoints_K3)


def _move(example: Example, image_px: int, rng: Rng) -> Example:
    """Scale, turn, shift and perhaps mirror a photo onto a canvas of a varied aspect ratio."""
    height, width = example.labels_HW.shape
    aspect = width / height * np.exp(rng.uniform(-0.1, 0.35))
    canvas_w, canvas_h = (image_px, round(image_px / aspect)) if aspect > 1 else (round(image_px * aspect), image_px)
    scale = min(canvas_w / width, canvas_h / height) * np.exp(rng.uniform(-0.25, 0.4))
    turn = np.deg2rad(rng.uniform(-10, 10))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    rotate = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear_22 = rotate @ np.diag([mirror, 1.0])
    centre = np.array([canvas_w, canvas_h]) * (0.5 + rng.uniform(-0.08, 0.08, 2))
    affine_23 = np.column_stack([linear_22, centre - linear_22 @ np.array([width / 2, height / 2])])
    size_wh = (canvas_w, canvas_h)
    image_HWC = cv2.warpAffine(
        example.image_HWC, affine_23, size_wh, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    labels_HW = cv2.warpAffine(example.labels_HW, affine_23, size_wh, flags=cv2.INTER_NEAREST, borderValue=0)
    points_K2 = example.keypoints_K3[:, :2] @ linear_22.T + affine_23[:, 2]
    inside_K = ((points_K2 >= 0) & (points_K2 < size_wh)).all(axis=1)
    keypoints_K3 = np.column_stack([points_K2, (example.keypoints_K3[:, 2] > 0) & inside_K])
    if mirror < 0:
        labels_HW = np.array(LABEL_FLIP, np.uint8)[labels_HW]
        keypoints_K3 = keypoints_K3[list(KEYPOINT_FLIP)]
    return Example(example.id, image_HWC, labels_HW, keypoints_K3)


def _composite(image_HWC: np.ndarray, texture_HWC: np.ndarray, where_HW: np.ndarray, strength: float) -> np.ndarray:
    """Lay a texture over part of a picture, with edges as soft as a camera's."""
    alpha_HW = strength * cv2.GaussianBlur(where_HW.astype(np.float32), (0, 0), 0.7)
    return image_HWC + alpha_HW[..., None] * (texture_HWC - image_HWC)


def _texture(size_hw: tuple[int, ...], others: list[Example], rng: Rng) -> np.ndarray:
    """float32 [H, W, 3] in [0, 255]: a piece of another photo, coloured noise of one grain size, or stripes."""
    height, width = size_hw[0], size_hw[1]
    kind = rng.integers(3)
    if kind == 0:
        other_HWC = others[int(rng.integers(len(others)))].image_HWC
        side_h, side_w = (max(8, int(side * rng.uniform(0.1, 0.9))) for side in other_HWC.shape[:2])
        top, left = rng.integers(other_HWC.shape[0] - side_h + 1), rng.integers(other_HWC.shape[1] - side_w + 1)
        piece_HWC = other_HWC[top : top + side_h, left : left + side_w]
        return cv2.resize(piece_HWC, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    first_3, second_3 = rng.uniform(0, 255, (2, 3))
    if kind == 1:
        cells = int(rng.integers(2, 64))
        noise_HWC = rng.uniform(0, 1, (cells, cells, 1 if rng.random() < 0.5 else 3)).astype(np.float32)
        share_HWC = cv2.resize(noise_HWC, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    else:
        angle, period_px = rng.uniform(0, np.pi), rng.uniform(4, 60)
        rows_HW, columns_HW = np.mgrid[:height, :width]
        wave_HW = np.sin(2 * np.pi * (columns_HW * np.cos(angle) + rows_HW * np.sin(angle)) / period_px)
        share_HWC = (1 / (1 + np.exp(-8 * wave_HW)))[..., None]
    return (first_3 + share_HWC * (second_3 - first_3)).astype(np.float32)


def _colour(image_HWC: np.ndarray, rng: Rng) -> np.ndarray:
    """Light, contrast, saturation, tint; then perhaps blur and noise."""
    grey_HW1 = image_HWC.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.5, 1.4)
    image_HWC = grey_HW1 + saturation * (image_HWC - grey_HW1)
    image_HWC = 128 + rng.uniform(0.6, 1.3) * (image_HWC - 128)
    image_HWC = image_HWC * rng.uniform(0.85, 1.15, 3) + rng.uniform(-30, 30)
    if rng.random() < 0.3:
        image_HWC = cv2.GaussianBlur(image_HWC, (0, 0), rng.uniform(0.3, 1.3))
    if rng.random() < 0.3:
        image_HWC = image_HWC + rng.normal(0, rng.uniform(1, 10), image_HWC.shape)
    return image_HWC.astype(np.float32)
