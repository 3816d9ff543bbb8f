"""How near a picture is to the truth, pixel by pixel: the whole picture, or a region of it.

Used by `tryon evaluate`. Every function takes uint8 RGB pictures of one size and works on values in [0, 1].
PSNR alone flatters blur, so it never stands alone here: SSIM and gradient-magnitude similarity see texture,
CIEDE2000 sees colour as an eye does, and `gradient_ratio` says plainly how much sharpness was lost.

Axes: H height, W width, C channels. Gradients are Prewitt's, on luminance (Rec. 601) in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

PSNR_CAP_DB = 60.0
"""PSNR of equal pictures. Rounding to 8 bit alone makes 58.9 dB, so beyond 60 dB there is nothing to tell."""

GMS_C = 170 / 255**2
"""c of Xue et al. 2014 (T = 170 on 8-bit values), for luminance in [0, 1]."""

PREWITT_X = np.array([[1, 0, -1], [1, 0, -1], [1, 0, -1]], np.float64) / 3
LUMA_REC601 = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Metric:
    """One column of the metric table.

    Attributes:
        name: as in `metrics.parquet`.
        title: as in the report, with the unit.
        better: which direction is good; "one" and "zero" name the ideal.
        digits: decimals worth printing.
        meaning: one sentence, with the formula.
    """

    name: str
    title: str
    better: Literal["higher", "lower", "one", "zero"]
    digits: int
    meaning: str


METRICS = (
    Metric(
        "psnr", "PSNR, dB", "higher", 2,
        "10 log10(1 / mean squared error) on RGB in [0, 1]; the mean is over per-picture dB; capped at 60.",
    ),
    Metric(
        "ssim", "SSIM", "higher", 3,
        "Wang et al. 2004 on colour: Gaussian window 11x11, sigma 1.5, data range 1; a region averages the SSIM map.",
    ),
    Metric(
        "gms", "GMS", "higher", 3,
        "Gradient-magnitude similarity (Xue et al. 2014): mean of (2 g1 g2 + c) / (g1² + g2² + c), Prewitt on "
        "luminance, c = 170/255².",
    ),
    Metric(
        "lpips", "LPIPS", "lower", 3,
        "Zhang et al. 2018, version 0.1; a region averages the spatial map.",
    ),
    Metric(
        "delta_e", "ΔE₀₀", "lower", 2,
        "CIEDE2000 colour difference, mean over pixels; about 1 is just noticeable.",
    ),
    Metric(
        "mean_delta_e", "ΔE₀₀ of mean", "lower", 2,
        "CIEDE2000 between the two mean colours: a colour cast, blind to texture and place.",
    ),
    Metric(
        "gradient_ratio", "sharpness", "one", 2,
        "Mean gradient magnitude divided by the truth's: below 1 is blur, above 1 is noise or false edges.",
    ),
    Metric(
        "outside_error", "outside error", "lower", 2,
        "Mean absolute difference from the person photo where nothing was to be repainted, in 8-bit levels.",
    ),
    Metric(
        "garment_delta_e", "ΔE₀₀ to garment", "lower", 2,
        "CIEDE2000 between the garment cut-out's mean colour and the picture's where the garment should lie; "
        "needs no truth.",
    ),
    *(
        Metric(
            f"drift_{name}", f"drift of {name}", "zero", 2,
            "Mean of the picture minus the truth in this channel, in 8-bit levels: a tint where it keeps its sign.",
        )
        for name in ("red", "green", "blue")
    ),
    Metric(
        "oks", "OKS", "higher", 3,
        "COCO's object keypoint similarity between the person and the result, found by one pose model: mean of "
        "exp(-d² / (2 s² k²)) over visible points, s² the silhouette's area, k COCO's constant of the joint.",
    ),
    Metric(
        "preserved_iou", "preserved IoU", "higher", 3,
        "Mean over labels of intersection over union of the person's and the result's label maps, outside the "
        "repainted region.",
    ),
    Metric(
        "clip_i", "CLIP-I", "higher", 3,
        "Cosine of CLIP's image embeddings of the garment photo and of the result, each cropped to the garment, white "
        "around it.",
    ),
    Metric(
        "dino", "DINO", "higher", 3,
        "Cosine of a DINO network's class tokens of the garment photo and of the result, cropped as for CLIP-I.",
    ),
)  # fmt: skip
METRIC = {metric.name: metric for metric in METRICS}


def luminance(image_HWC: np.ndarray) -> np.ndarray:
    """uint8 RGB → Rec. 601 luminance, float64 [H, W] in [0, 1]."""
    return (image_HWC.astype(np.float64) / 255) @ LUMA_REC601


def gradient_magnitude(image_HWC: np.ndarray) -> np.ndarray:
    """Prewitt gradient magnitude of the luminance, float64 [H, W]; borders are mirrored."""
    luma_HW = luminance(image_HWC)
    across_HW = cv2.filter2D(luma_HW, -1, PREWITT_X, borderType=cv2.BORDER_REFLECT)
    down_HW = cv2.filter2D(luma_HW, -1, PREWITT_X.T, borderType=cv2.BORDER_REFLECT)
    return np.hypot(across_HW, down_HW)


def psnr_from_squared_error(squared_error: np.ndarray) -> float:
    """PSNR in dB of squared errors of values in [0, 1], capped at `PSNR_CAP_DB`."""
    return float(-10 * np.log10(max(float(squared_error.mean()), 10 ** (-PSNR_CAP_DB / 10))))


def gms_map(gradient_a_HW: np.ndarray, gradient_b_HW: np.ndarray) -> np.ndarray:
    """Gradient-magnitude similarity per pixel, Xue et al. 2014, Eq. 3.

    Differs from the paper: pictures are not averaged and halved first, since ours are small already.
    """
    both_HW = gradient_a_HW**2 + gradient_b_HW**2 + GMS_C
    return (2 * gradient_a_HW * gradient_b_HW + GMS_C) / both_HW


def compare(
    picture_HWC: np.ndarray, truth_HWC: np.ndarray, regions: Mapping[str, np.ndarray]
) -> dict[tuple[str, str], float]:
    """Every pixel metric of one picture against its truth, in the whole picture and in regions.

    Args:
        picture_HWC: uint8 RGB.
        truth_HWC: uint8 RGB of the same size.
        regions: boolean masks [H, W] by name; an empty one gives no value.

    Returns:
        {(metric, region): value}; the region "whole" is always there.
    """
    for image_HWC in (picture_HWC, truth_HWC):
        if image_HWC.dtype != np.uint8 or image_HWC.shape != truth_HWC.shape:
            raise ValueError(
                f"metrics compare uint8 pictures of one size; got {picture_HWC.dtype} {picture_HWC.shape} "
                f"and {truth_HWC.dtype} {truth_HWC.shape}"
            )
    picture, truth = picture_HWC / 255.0, truth_HWC / 255.0
    squared_error_HWC = (picture - truth) ** 2
    ssim_mean, ssim_HWC = structural_similarity(
        truth, picture, channel_axis=-1, data_range=1.0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    gradient_HW, true_gradient_HW = gradient_magnitude(picture_HWC), gradient_magnitude(truth_HWC)
    similar_HW = gms_map(gradient_HW, true_gradient_HW)
    delta_e_HW = deltaE_ciede2000(rgb2lab(truth), rgb2lab(picture))

    values: dict[tuple[str, str], float] = {}
    everything_HW = np.ones(truth_HWC.shape[:2], bool)
    for region, mask_HW in {"whole": everything_HW, **regions}.items():
        if not mask_HW.any():
            continue
        values["psnr", region] = psnr_from_squared_error(squared_error_HWC[mask_HW])
        # scikit-image leaves the border out of the whole picture's mean; a region keeps all its pixels
        values["ssim", region] = float(ssim_mean if region == "whole" else ssim_HWC[mask_HW].mean())
        values["gms", region] = float(similar_HW[mask_HW].mean())
        values["delta_e", region] = float(delta_e_HW[mask_HW].mean())
        values["mean_delta_e", region] = _mean_delta_e(picture[mask_HW], truth[mask_HW])
        true_gradient = float(true_gradient_HW[mask_HW].mean())
        if true_gradient > 0:
            values["gradient_ratio", region] = float(gradient_HW[mask_HW].mean()) / true_gradient
    return values


def outside_error(picture_HWC: np.ndarray, person_HWC: np.ndarray, repaint_HW: np.ndarray) -> float | None:
    """Mean absolute difference from the person photo where nothing was to be repainted.

    Returns:
        8-bit levels [0, 255]; None if everything was to be repainted.
    """
    kept_HW = ~repaint_HW.astype(bool)
    if not kept_HW.any():
        return None
    return float(np.abs(picture_HWC[kept_HW].astype(np.int16) - person_HWC[kept_HW]).mean())


def garment_delta_e(
    picture_HWC: np.ndarray, expected_HW: np.ndarray, garment_HWC: np.ndarray, garment_mask_HW: np.ndarray
) -> float | None:
    """Colour kept from shop photo to result, without any truth.

    Args:
        picture_HWC: the result, uint8 RGB.
        expected_HW: where the garment should lie in it (the garment warped by keypoints, inside the region).
        garment_HWC: the garment photo, uint8 RGB.
        garment_mask_HW: the garment's cut-out mask in its photo.

    Returns:
        CIEDE2000 between the two mean colours; None if either mask is empty.
    """
    expected_HW, garment_mask_HW = expected_HW.astype(bool), garment_mask_HW.astype(bool)
    if not expected_HW.any() or not garment_mask_HW.any():
        return None
    return _mean_delta_e(picture_HWC[expected_HW] / 255.0, garment_HWC[garment_mask_HW] / 255.0)


def _mean_delta_e(pixels_N3: np.ndarray, true_pixels_N3: np.ndarray) -> float:
    """CIEDE2000 of two mean colours; means are taken in RGB, where blurring a texture leaves them alone."""
    return float(deltaE_ciede2000(rgb2lab(true_pixels_N3.mean(axis=0)), rgb2lab(pixels_N3.mean(axis=0))))


def colour_drift(
    picture_HWC: np.ndarray, truth_HWC: np.ndarray, region_HW: np.ndarray
) -> dict[tuple[str, str], float | None]:
    """Mean signed error of each channel where the picture was repainted.

    Of one picture it says little; its mean over many is the tint that a stage adds.

    Args:
        picture_HWC: uint8 RGB.
        truth_HWC: uint8 RGB of the same size.
        region_HW: bool, what was repainted.

    Returns:
        8-bit levels by (drift_red | drift_green | drift_blue, "repainted"); nothing where the region is empty.
    """
    if not region_HW.any():
        return {}
    error_C = (picture_HWC[region_HW].astype(np.float64) - truth_HWC[region_HW]).mean(axis=0)
    return {(f"drift_{name}", "repainted"): float(e) for name, e in zip(("red", "green", "blue"), error_C, strict=True)}
