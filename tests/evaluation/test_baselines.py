"""Baselines on a case small enough to know by heart."""

from __future__ import annotations

import numpy as np
import pytest

from tryon.evaluation.baselines import BASELINES, baseline_pictures
from tryon.images import to_network

RED, BLUE = (200, 40, 40), (20, 40, 220)


@pytest.fixture
def case() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A grey person; rows 4..12 are to be repainted; the garment is half red, half blue and lands on rows 6..9,
    and also on rows 13..15, which are not to be touched."""
    person_HWC = np.full((16, 12, 3), 120, np.uint8)
    region_1HW = np.zeros((1, 16, 12), np.float32)
    region_1HW[:, 4:12] = 1
    garment_HWC, mask_1HW = np.zeros((16, 12, 3), np.float32), np.zeros((1, 16, 12), np.float32)
    garment_HWC[2:8] = to_network(np.array(RED, np.uint8))
    garment_HWC[8:14] = to_network(np.array(BLUE, np.uint8))
    mask_1HW[:, 2:14] = 1
    warped_HWC, warped_1HW = np.zeros((16, 12, 3), np.float32), np.zeros((1, 16, 12), np.float32)
    for rows in (slice(6, 9), slice(13, 15)):
        warped_HWC[rows] = to_network(np.array(RED, np.uint8))
        warped_1HW[:, rows] = 1
    return person_HWC, {
        "region_B1HW": region_1HW,
        "garment_B3HW": garment_HWC.transpose(2, 0, 1),
        "garment_mask_B1HW": mask_1HW,
        "prealigned_B3HW": warped_HWC.transpose(2, 0, 1),
        "prealigned_mask_B1HW": warped_1HW,
    }


def affine_of(case: tuple[np.ndarray, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The same garment, which an affine map puts two rows higher."""
    moved = {name: np.roll(case[1][name], -2, axis=1) for name in ("prealigned_B3HW", "prealigned_mask_B1HW")}
    return {**case[1], **moved}


def rows_of(picture_HWC: np.ndarray) -> list[tuple[int, ...]]:
    assert (picture_HWC == picture_HWC[:, :1]).all()
    return [tuple(int(value) for value in row) for row in picture_HWC[:, 0]]


def test_each_baseline_paints_what_its_name_says(case: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    grey, mean = (120, 120, 120), (110, 40, 130)
    pictures = baseline_pictures(*case, affine_of(case))
    assert list(pictures) == list(BASELINES)
    assert rows_of(pictures["keep"]) == [grey] * 16
    assert rows_of(pictures["paste"]) == [grey] * 4 + [RED] * 3 + [grey] * 4 + [RED] + [grey] * 4
    assert rows_of(pictures["paste_limbs"]) == [grey] * 6 + [RED] * 3 + [grey] * 7
    assert rows_of(pictures["mean_colour"]) == [grey] * 4 + [mean] * 8 + [grey] * 4
    assert rows_of(pictures["paste_mean_fill"]) == [grey] * 4 + [RED] * 3 + [mean] * 4 + [RED] + [grey] * 4
    assert rows_of(pictures["limbs_mean_fill"]) == [grey] * 4 + [mean] * 2 + [RED] * 3 + [mean] * 3 + [grey] * 4


def test_half_covered_pixels_are_mixed(case: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    person_HWC, arrays = case
    halved = {name: arrays[name] * 0.5 for name in ("prealigned_B3HW", "prealigned_mask_B1HW")}
    arrays = {**arrays, **halved}
    assert rows_of(baseline_pictures(person_HWC, arrays, arrays)["paste"])[7] == (160, 80, 80)


def test_every_byte_outside_the_region_stays(case: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    _, arrays = case
    person_HWC = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    outside_HW = arrays["region_B1HW"][0] == 0
    for picture_HWC in baseline_pictures(person_HWC, arrays, arrays).values():
        assert (picture_HWC[outside_HW] == person_HWC[outside_HW]).all()


def test_an_empty_garment_is_a_programming_error(case: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    person_HWC, arrays = case
    with pytest.raises(ValueError, match="empty"):
        baseline_pictures(person_HWC, {**arrays, "garment_mask_B1HW": np.zeros((1, 16, 12), np.float32)}, arrays)
