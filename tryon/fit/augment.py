"""Augmentations of pose crops, registered with mmpose for `resources/pose/pose_config.py`.

mmpose takes blur and erasing from the package albumentations; these few lines do the same with OpenCV. All draw
from numpy's global generator, which mmengine's Runner seeds.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from tryon.shims import import_mmpose

import_mmpose()

from mmcv.transforms import BaseTransform  # noqa: E402 (mmcv imports only after the shims)
from mmpose.registry import TRANSFORMS  # noqa: E402


@TRANSFORMS.register_module()
class RandomGrey(BaseTransform):
    """Replace the colours by their luminance.

    Args:
        prob: chance per crop.
    """

    def __init__(self, prob: float) -> None:
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``results["img"]`` (uint8 BGR [H, W, 3])."""
        if np.random.rand() < self.prob:
            grey_HW = cv2.cvtColor(results["img"], cv2.COLOR_BGR2GRAY)
            results["img"] = cv2.cvtColor(grey_HW, cv2.COLOR_GRAY2BGR)
        return results


@TRANSFORMS.register_module()
class RandomBlurNoise(BaseTransform):
    """Soften a crop and add noise: phones, JPEG and scaling do both.

    Args:
        blur_prob: chance of a Gaussian blur.
        noise_prob: chance of Gaussian noise.
        max_sigma_px: largest blur in pixels of the crop.
        max_noise: largest standard deviation of the noise in grey levels.
    """

    def __init__(self, blur_prob: float, noise_prob: float, max_sigma_px: float = 1.5, max_noise: float = 12.0) -> None:
        self.blur_prob = blur_prob
        self.noise_prob = noise_prob
        self.max_sigma_px = max_sigma_px
        self.max_noise = max_noise

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``results["img"]`` (uint8 BGR [H, W, 3])."""
        image_HWC = results["img"]
        if np.random.rand() < self.blur_prob:
            image_HWC = cv2.GaussianBlur(image_HWC, (0, 0), np.random.uniform(0.3, self.max_sigma_px))
        if np.random.rand() < self.noise_prob:
            noise_HWC = np.random.normal(0.0, np.random.uniform(1.0, self.max_noise), image_HWC.shape)
            image_HWC = np.clip(image_HWC + noise_HWC, 0, 255).astype(np.uint8)
        results["img"] = image_HWC
        return results


@TRANSFORMS.register_module()
class RandomErase(BaseTransform):
    """Cover a rectangle with one colour, so that no single patch decides where a keypoint is.

    Args:
        prob: chance per crop.
        side_share: smallest and largest side of the rectangle as a share of the crop's.
    """

    def __init__(self, prob: float, side_share: tuple[float, float] = (0.1, 0.35)) -> None:
        self.prob = prob
        self.side_share = side_share

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``results["img"]`` (uint8 BGR [H, W, 3])."""
        if np.random.rand() < self.prob:
            image_HWC = results["img"].copy()
            size_hw = np.array(image_HWC.shape[:2])
            sides = np.maximum(1, (np.random.uniform(*self.side_share, size=2) * size_hw).astype(int))
            top, left = (np.random.randint(0, whole - side + 1) for whole, side in zip(size_hw, sides, strict=True))
            image_HWC[top : top + sides[0], left : left + sides[1]] = np.random.randint(0, 256, size=3)
            results["img"] = image_HWC
        return results
