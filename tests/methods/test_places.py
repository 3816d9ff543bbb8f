"""One frame for the garment's cells and the person's."""

from __future__ import annotations

import torch

from tryon.methods.tryondiffusion.places import cell_places, garment_to_person, moved


def keypoints(num_visible: int = 17, num: int = 2) -> torch.Tensor:
    points_BK3 = torch.rand(num, 17, 3, generator=torch.Generator().manual_seed(3))
    points_BK3[..., 2] = 1
    points_BK3[:, num_visible:] = 0
    return points_BK3


def test_cells_lie_at_their_centres_row_by_row() -> None:
    assert cell_places((2, 4), torch.device("cpu"))[:5].tolist() == [
        [0.25, 0.125],
        [0.25, 0.375],
        [0.25, 0.625],
        [0.25, 0.875],
        [0.75, 0.125],
    ]


def test_the_map_takes_the_garments_joints_to_the_persons() -> None:
    garment_BK3 = keypoints()
    linear_22, offset_2 = torch.tensor([[0.6, 0.1], [-0.2, 0.8]]), torch.tensor([0.2, 0.1])
    person_BK3 = garment_BK3.clone()
    person_BK3[..., [1, 0]] = garment_BK3[..., [1, 0]] @ linear_22.T + offset_2
    map_B23 = garment_to_person(person_BK3, garment_BK3)
    found_BK2 = torch.stack([moved(garment_BK3[i][:, [1, 0]], map_B23)[i] for i in range(2)])
    torch.testing.assert_close(found_BK2, person_BK3[..., [1, 0]], atol=5e-3, rtol=0)


def test_without_common_joints_a_cell_stays_where_it_is() -> None:
    places_N2 = cell_places((3, 2), torch.device("cpu"))
    map_B23 = garment_to_person(keypoints(), keypoints(num_visible=0))
    torch.testing.assert_close(moved(places_N2, map_B23), places_N2.expand(2, -1, -1))


def test_one_joint_moves_the_garment_and_does_not_turn_it() -> None:
    garment_BK3 = keypoints(num_visible=1)
    person_BK3 = garment_BK3.clone()
    person_BK3[:, 0, :2] = person_BK3[:, 0, :2] * 0.5 + 0.3
    map_B23 = garment_to_person(person_BK3, garment_BK3)
    found_B2 = torch.stack([moved(garment_BK3[i, :1, [1, 0]], map_B23)[i, 0] for i in range(2)])
    torch.testing.assert_close(found_B2, person_BK3[:, 0, [1, 0]], atol=1e-3, rtol=0)


def test_bf16_autocast_does_not_blur_places() -> None:
    person_BK3, garment_BK3 = keypoints(), keypoints().flip(0)
    exact_B23 = garment_to_person(person_BK3, garment_BK3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(garment_to_person(person_BK3, garment_BK3), exact_B23)
