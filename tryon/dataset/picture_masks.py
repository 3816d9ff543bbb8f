"""Garment masks that known data sets hold as pictures: a mask, a cut-out, or what one picture lacks of another."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tryon import images
from tryon.errors import BadItem

WHITE = 128  # the field's threshold for masks saved as JPEG
GREY_SHARE = 0.05  # of the pixels; a mask with more of them between black and white is none
GREY = (48, 208)  # JPEG's ringing stays nearer to black and white than this
BACKGROUND_TOLERANCE = 12  # grey levels of 256 per channel: JPEG noise and soft shadows on a plain background
PLAIN_SHARE = 0.9  # of the border's pixels that have to be of one colour
GARMENT_SHARE = (0.02, 0.98)  # of the picture; beyond it the flood leaked, or found no background
DARK = 24  # grey levels of 256: black after JPEG
CHANGED = 32  # grey levels of 256 between two JPEGs of one picture that mean more than compression
FLAT = 8  # grey levels of 256: what one colour becomes in a JPEG
CHANGED_SHARE = 0.2  # of an island in the filling's colour; with less it is something else of that colour
SPECK_PX = 16  # smaller islands are compression


def read_mask(path: Path) -> np.ndarray:
    """A black and white mask.

    Returns:
        Boolean [H, W], true where it is white.

    Raises:
        BadItem: missing, undecodable, grey or empty.
    """
    grey_HW = images.read_rgb(path).mean(axis=2)
    share = float(((grey_HW > GREY[0]) & (grey_HW < GREY[1])).mean())
    if share > GREY_SHARE:
        raise BadItem(f"{path.name}: a mask is black and white, but {share:.0%} of this one is grey; make it again")
    return _filled(grey_HW >= WHITE, path.name)


def read_red_mask(path: Path) -> np.ndarray:
    """A mask in red, (255, 0, 0), as segJSON2mask and SAM scripts of the ip/ig layout draw the garment.

    Returns:
        Boolean [H, W], true where it is red.

    Raises:
        BadItem: missing, undecodable or without red.
    """
    mask_HWC = images.read_rgb(path) >= WHITE
    return _filled(mask_HWC[..., 0] & ~mask_HWC[..., 1] & ~mask_HWC[..., 2], path.name)


def read_cutout(path: Path) -> np.ndarray:
    """What a cut-out on black shows.

    Returns:
        Boolean [H, W], true where it is not black; the dark spots inside belong to it.

    Raises:
        BadItem: missing, undecodable or black.
    """
    return _filled(_without_holes(images.read_rgb(path).max(axis=2) > DARK), path.name)


def garment_on_plain(path: Path) -> np.ndarray:
    """The garment of a shop photo with a plain background, which is flooded from the picture's border.

    Returns:
        Boolean [H, W], true on the garment.

    Raises:
        BadItem: missing, undecodable, the border is not of one colour, or the flood left almost nothing or all.
    """
    image_HWC = images.read_rgb(path).astype(np.int16)
    border_NC = np.concatenate([image_HWC[0], image_HWC[-1], image_HWC[:, 0], image_HWC[:, -1]])
    colour_C = np.median(border_NC, axis=0)
    plain_HW = np.abs(image_HWC - colour_C).max(axis=2) <= BACKGROUND_TOLERANCE
    share = float((np.abs(border_NC - colour_C).max(axis=1) <= BACKGROUND_TOLERANCE).mean())
    if share < PLAIN_SHARE:
        raise BadItem(
            f"{path.name}: no mask, and its background is not plain ({share:.0%} of the border is of one colour, "
            f"expected {PLAIN_SHARE:.0%}); put a mask of it where the data set keeps masks"
        )
    garment_HW = _without_holes(~plain_HW)
    found = float(garment_HW.mean())
    if not GARMENT_SHARE[0] <= found <= GARMENT_SHARE[1]:
        raise BadItem(
            f"{path.name}: no mask, and without its plain background {found:.1%} of the picture is left, expected "
            f"{GARMENT_SHARE[0]:.0%} to {GARMENT_SHARE[1]:.0%}; put a mask of it where the data set keeps masks"
        )
    return garment_HW


def removed_region(photo: Path, agnostic: Path) -> np.ndarray:
    """What the clothing-agnostic picture of a person lacks of the photo.

    Returns:
        Boolean [H, W], true where the two differ, and where the filling goes on in parts of the garment that have its
        colour themselves.

    Raises:
        BadItem: missing, undecodable, of different sizes, or alike.
    """
    photo_HWC, agnostic_HWC = images.read_rgb(photo), images.read_rgb(agnostic)
    if photo_HWC.shape != agnostic_HWC.shape:
        sizes = [f"{picture.shape[1]}x{picture.shape[0]}" for picture in (agnostic_HWC, photo_HWC)]
        raise BadItem(f"{agnostic.name}: {sizes[0]}, but the photo is {sizes[1]} (width x height); make it again")
    changed_HW = np.abs(photo_HWC.astype(np.int16) - agnostic_HWC).max(axis=2) > CHANGED
    if not changed_HW.any():
        raise BadItem(f"{agnostic.name}: shows what {photo.name} shows; it has to lack the clothes: make it again")
    filling_C = np.median(agnostic_HWC[changed_HW], axis=0)
    filled_HW = np.abs(agnostic_HWC - filling_C).max(axis=2) <= FLAT
    _, parts_HW = cv2.connectedComponents((filled_HW | changed_HW).astype(np.uint8), connectivity=4)
    shares = np.bincount(parts_HW.ravel(), changed_HW.ravel()) / np.bincount(parts_HW.ravel())
    shares[0] = 0.0  # neither
    removed_HW = (shares >= CHANGED_SHARE)[parts_HW] & (np.bincount(parts_HW.ravel()) >= SPECK_PX)[parts_HW]
    return _filled(_without_holes(removed_HW), agnostic.name)


def _without_holes(mask_HW: np.ndarray) -> np.ndarray:
    """A mask with every pixel that the picture's border cannot reach."""
    padded = np.pad(~mask_HW, 1, constant_values=True).astype(np.uint8)
    _, parts_HW = cv2.connectedComponents(padded, connectivity=4)
    return (parts_HW != parts_HW[0, 0])[1:-1, 1:-1]


def _filled(mask_HW: np.ndarray, name: str) -> np.ndarray:
    if not mask_HW.any():
        raise BadItem(f"{name}: shows no garment; make it again, or remove the photo")
    return mask_HW
