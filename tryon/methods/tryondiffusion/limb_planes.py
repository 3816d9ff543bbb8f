"""The person's limbs drawn as planes: every pixel is told how near each limb is.

Pose tokens tell a network where the joints are; which limb is near, it has to work out for every pixel. Other try-on
systems give their networks pictures of the pose for that (heat maps since VITON, skeletons drawn by OpenPose). These
planes are the same, a function of the keypoints alone.
"""

from __future__ import annotations

import torch

from tryon.ontology import KEYPOINT_NAMES

LIMBS = (
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
)
"""Joints at the ends of each drawn line, one plane per line."""

WIDTH = 0.04
"""Distance from a limb's middle line, in heights of the canvas, at which its plane has fallen to 1/e: about an arm."""


def limb_planes(keypoints_BK3: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    """exp(-(distance to the limb / WIDTH)^2) at the centre of every pixel.

    Args:
        keypoints_BK3: x, y in [0, 1] and visibility.
        size_hw: height and width of the canvas.

    Returns:
        float32 [B, len(LIMBS), H, W] in [0, 1]; 0 where an end of the limb is not visible.
    """
    height, width = size_hw
    device = keypoints_BK3.device
    keypoints_BK3 = keypoints_BK3.float()
    scale_2 = torch.tensor([width / height, 1.0], device=device)  # to heights of the canvas, along both axes
    index_2L = torch.tensor([[KEYPOINT_NAMES.index(name) for name in ends] for ends in LIMBS], device=device).T
    start_BL2, end_BL2 = (keypoints_BK3[:, index_L, :2] * scale_2 for index_L in index_2L)
    is_shown_BL = (keypoints_BK3[:, index_2L, 2] > 0).all(dim=1)
    xs = (torch.arange(width, device=device) + 0.5) / height
    ys = (torch.arange(height, device=device) + 0.5) / height
    from_start_yBLHW = ys[:, None] - start_BL2[..., 1, None, None]
    from_start_xBLHW = xs - start_BL2[..., 0, None, None]
    along_BL2 = end_BL2 - start_BL2
    along_x, along_y = along_BL2[..., 0, None, None], along_BL2[..., 1, None, None]
    squared = (along_x.square() + along_y.square()).clamp(min=1e-8)
    share_BLHW = ((from_start_xBLHW * along_x + from_start_yBLHW * along_y) / squared).clamp(0, 1)
    distance2_BLHW = (from_start_xBLHW - share_BLHW * along_x).square() + (
        from_start_yBLHW - share_BLHW * along_y
    ).square()
    return torch.exp(-distance2_BLHW / WIDTH**2) * is_shown_BL[..., None, None]
