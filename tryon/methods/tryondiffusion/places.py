"""Where the cells of a feature map lie, and where the garment's cells would lie on the person.

Attention finds the garment's cell for a place on the person sooner if both are told in one frame. Poses of both photos
give such a frame: the affine map that takes the garment photo's joints to the person's.
"""

from __future__ import annotations

import torch

RIDGE = 1e-3
"""Pull towards "the same place", against joints whose errors are about 0.03 of the canvas: it decides only what visible
joints leave open (all of it, where the two photos share none)."""


def cell_places(size_hw: tuple[int, int] | torch.Size, device: torch.device) -> torch.Tensor:
    """Centres (y, x) of a map's cells in shares of the canvas, row by row; float32 [H * W, 2]."""
    height, width = size_hw
    ys = (torch.arange(height, device=device) + 0.5) / height
    xs = (torch.arange(width, device=device) + 0.5) / width
    return torch.stack([ys[:, None].expand(height, width), xs.expand(height, width)], dim=-1).flatten(0, 1)


def garment_to_person(person_keypoints_BK3: torch.Tensor, garment_keypoints_BK3: torch.Tensor) -> torch.Tensor:
    """The affine map that takes the garment photo's joints to the person's, by ridge regression.

    Minimises sum_k w_k |M (y, x, 1)_k - (y, x)_k|^2 + RIDGE |M - I|^2, w_k = 1 where joint k is visible in both.

    Args:
        person_keypoints_BK3: x, y in [0, 1] and visibility.
        garment_keypoints_BK3: the same for the garment photo.

    Returns:
        float32 [B, 2, 3], for (y, x, 1).
    """
    with torch.autocast(person_keypoints_BK3.device.type, enabled=False):  # bf16 would blur places by a cell
        person_BK3, garment_BK3 = person_keypoints_BK3.float(), garment_keypoints_BK3.float()
        weight_BK1 = ((person_BK3[..., 2:] > 0) & (garment_BK3[..., 2:] > 0)).float()
        from_BK3 = torch.cat([garment_BK3[..., [1, 0]], torch.ones_like(weight_BK1)], dim=-1)
        to_BK2 = person_BK3[..., [1, 0]]
        identity_33 = torch.eye(3, device=from_BK3.device)
        gram_B33 = from_BK3.mT @ (weight_BK1 * from_BK3) + RIDGE * identity_33
        moments_B32 = from_BK3.mT @ (weight_BK1 * to_BK2) + RIDGE * identity_33[:, :2]
        return torch.linalg.solve(gram_B33, moments_B32).mT


def moved(places_N2: torch.Tensor, map_B23: torch.Tensor) -> torch.Tensor:
    """Places (y, x) under the affine map of each sample; float32 [B, N, 2]."""
    with torch.autocast(places_N2.device.type, enabled=False):
        return places_N2 @ map_B23[:, :, :2].mT + map_B23[:, None, :, 2]
