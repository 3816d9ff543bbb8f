"""Limbs as planes: bright along each limb, dark elsewhere, and dark altogether where a joint is unknown."""

from __future__ import annotations

import math

import torch
from mannequins import TINY, batch, stage

from tryon.methods.tryondiffusion.limb_planes import LIMBS, WIDTH, limb_planes
from tryon.ontology import KEYPOINT_NAMES

FOREARM = LIMBS.index(("left_elbow", "left_wrist"))
ELBOW, WRIST = KEYPOINT_NAMES.index("left_elbow"), KEYPOINT_NAMES.index("left_wrist")


def pose(elbow_xy: tuple[float, float], wrist_xy: tuple[float, float]) -> torch.Tensor:
    keypoints_BK3 = torch.zeros(1, len(KEYPOINT_NAMES), 3)
    keypoints_BK3[0, ELBOW] = torch.tensor([*elbow_xy, 1.0])
    keypoints_BK3[0, WRIST] = torch.tensor([*wrist_xy, 1.0])
    return keypoints_BK3


def test_a_plane_falls_with_the_distance_from_its_limb() -> None:
    height, width = 100, 80
    row, column = 40, 30
    level = (row + 0.5) / height
    planes = limb_planes(pose((0.1, level), (0.9, level)), (height, width))
    assert planes.shape == (1, len(LIMBS), height, width)
    for away_px in (0, 2, 4, 8):
        wanted = math.exp(-((away_px / height / WIDTH) ** 2))
        for side in (-1, 1):
            assert abs(planes[0, FOREARM, row + side * away_px, column] - wanted) < 1e-5
    # beyond the wrist the distance is that to the wrist, in heights of the canvas along both axes
    beyond_px = 79.5 - 0.9 * width
    assert abs(planes[0, FOREARM, row, 79] - math.exp(-((beyond_px / height / WIDTH) ** 2))) < 1e-5


def test_a_limb_with_an_unknown_end_is_not_drawn() -> None:
    keypoints_BK3 = pose((0.2, 0.5), (0.8, 0.5))
    assert limb_planes(keypoints_BK3, (64, 48))[0, FOREARM].max() > 0.9
    others = [index for index in range(len(LIMBS)) if index != FOREARM]
    assert limb_planes(keypoints_BK3, (64, 48))[0, others].max() == 0
    keypoints_BK3[0, WRIST] = 0
    assert limb_planes(keypoints_BK3, (64, 48)).max() == 0


def test_a_limb_of_no_length_is_a_spot() -> None:
    plane_HW = limb_planes(pose((0.5, 0.5), (0.5, 0.5)), (64, 48))[0, FOREARM]
    assert plane_HW.isfinite().all()
    assert plane_HW.argmax() // 48 in (31, 32)


def test_the_network_is_given_a_plane_per_limb() -> None:
    target_B3HW, conditions = batch(2)
    tiny, without = stage(), stage(network={**TINY, "limb_planes": False})
    assert tiny.person_channels == without.person_channels + len(LIMBS)
    known = tiny._known(conditions, torch.zeros(2, dtype=torch.float64), torch.tensor([1, 2]))
    given = tiny._person_planes(target_B3HW, known)
    assert torch.equal(given[-1], limb_planes(conditions.person_keypoints_BK3, tiny.size_hw))
    assert given[-1].max() > 0.5
    assert sum(planes.shape[1] for planes in given) == tiny.person_channels
