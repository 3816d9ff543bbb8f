"""What costs nothing to do: the pictures that a trained cascade has to beat.

Used by `tryon evaluate` and shown by `tryon report`. A baseline sees the same conditions as the networks, from
the same function, at every size it is judged at, and like them it leaves what lies outside the region as it is.

- keep: the person photo unchanged.
- paste: the garment cut-out, moved to the person by one affine map of keypoints, over the person's own picture.
- paste_limbs: the same with sleeves and trouser legs that follow their limbs, as the networks are given it.
- mean_colour: the region in the garment's mean colour.
- paste_mean_fill: mean_colour with paste over it; hard to beat in PSNR by anything that draws texture, because the
  mean is what PSNR likes best.
- limbs_mean_fill: the same with the limb-following garment; as near as a picture comes without learning.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tryon.images import from_network, to_network

BASELINES = {
    "keep": ("keep", "the person unchanged"),
    "paste": ("paste", "the garment over the person, one affine map"),
    "paste_limbs": ("paste, limbs", "the same, sleeves follow the arms"),
    "mean_colour": ("mean colour", "the region in the garment's mean colour"),
    "paste_mean_fill": ("paste + mean fill", "paste over the mean colour"),
    "limbs_mean_fill": ("paste, limbs + mean fill", "paste, limbs over the mean colour"),
}
"""Names as in the tables; a short title and a description for the report."""


def baseline_pictures(
    person_HWC: np.ndarray, arrays: Mapping[str, np.ndarray], affine_arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Every baseline's picture of one pair.

    Args:
        person_HWC: the person photo on the canvas, uint8 RGB.
        arrays: of `methods.conditions.condition_arrays` for the pair at the same size.
        affine_arrays: the same, with the garment warped by one affine map (`prealign` without limbs).

    Returns:
        uint8 RGB [H, W, 3] by the names of `BASELINES`.
    """
    region_HW1 = _last(arrays["region_B1HW"])
    kept_HWC = to_network(person_HWC)  # from_network gives exactly these bytes back wherever nothing is painted
    filled_HWC = np.where(region_HW1 > 0, mean_garment_colour(arrays), kept_HWC)
    return {
        "keep": person_HWC,
        "paste": _pasted(affine_arrays, kept_HWC),
        "paste_limbs": _pasted(arrays, kept_HWC),
        "mean_colour": from_network(filled_HWC),
        "paste_mean_fill": _pasted(affine_arrays, filled_HWC),
        "limbs_mean_fill": _pasted(arrays, filled_HWC),
    }


def _pasted(arrays: Mapping[str, np.ndarray], below_HWC: np.ndarray) -> np.ndarray:
    """The warped garment, which is premultiplied by its coverage, over a picture, inside the region."""
    region_HW1 = _last(arrays["region_B1HW"])
    alpha_HW1 = _last(arrays["prealigned_mask_B1HW"]) * region_HW1
    return from_network(_last(arrays["prealigned_B3HW"]) * region_HW1 + (1 - alpha_HW1) * below_HWC)


def mean_garment_colour(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean RGB of the garment cut-out, float32 [3] in [-1, 1]: the single colour with the highest PSNR to it."""
    mask_HW = arrays["garment_mask_B1HW"][0] > 0
    if not mask_HW.any():
        raise ValueError("a baseline needs a garment, but its mask is empty; such a pair is dropped before")
    return _last(arrays["garment_B3HW"])[mask_HW].mean(axis=0)


def _last(plane_CHW: np.ndarray) -> np.ndarray:
    return np.moveaxis(plane_CHW, 0, -1)
