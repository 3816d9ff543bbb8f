"""Pixels, masks and keypoints move together and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tryon.geometry import Letterbox, keypoints_from_unit, keypoints_to_unit

SIDES = st.integers(16, 300)


@given(SIDES, SIDES, SIDES, SIDES)
def test_points_survive_there_and_back(height: int, width: int, canvas_h: int, canvas_w: int) -> None:
    box = Letterbox((height, width), (canvas_h, canvas_w))
    points_K2 = np.array([[0.0, 0.0], [width - 1.0, height - 1.0], [width / 3, height / 4]])
    np.testing.assert_allclose(box.inverse_points(box.points(points_K2)), points_K2, atol=1e-9)


@given(st.integers(40, 200), st.integers(40, 200), st.sampled_from([(64, 48), (128, 96), (256, 192)]))
def test_a_marked_square_stays_under_its_mask_and_its_point(
    height: int, width: int, canvas_hw: tuple[int, int]
) -> None:
    box = Letterbox((height, width), canvas_hw)
    image_HWC = np.zeros((height, width, 3), np.uint8)
    rows, columns = slice(height // 4, height // 2), slice(width // 4, width // 2)
    image_HWC[rows, columns] = 255
    canvas, mask = box.image(image_HWC, fill=0), box.mask((image_HWC[..., 0] > 0).astype(np.uint8))
    centre = np.array([[(columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2]])
    x, y = box.points(centre)[0]
    ys, xs = np.nonzero(mask)
    assert abs(xs.mean() - x) < 0.6
    assert abs(ys.mean() - y) < 0.6
    assert ((canvas[..., 0] > 127) != (mask > 0)).sum() <= 2 * (np.ptp(xs) + np.ptp(ys) + 2)


def test_masks_are_never_mixed() -> None:
    bits_HW = np.random.default_rng(0).choice(np.array([0, 1, 4, 5], np.uint8), (91, 47))
    assert set(np.unique(Letterbox((91, 47), (64, 48)).mask(bits_HW))) <= {0, 1, 4, 5}


def test_a_picture_of_the_canvas_size_is_unchanged_and_undone() -> None:
    image_HWC = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    box = Letterbox((64, 48), (64, 48))
    np.testing.assert_array_equal(box.image(image_HWC), image_HWC)
    np.testing.assert_array_equal(box.undo_image(image_HWC), image_HWC)


def test_borders_get_the_fill_and_undo_removes_them() -> None:
    box = Letterbox((100, 100), (64, 48))
    canvas = box.image(np.zeros((100, 100, 3), np.uint8), fill=255)
    assert canvas[0].min() == 255
    assert canvas[32].max() == 0
    assert box.undo_image(canvas).max() == 0


def test_unit_keypoints_are_the_same_at_every_size() -> None:
    photo_K3 = np.array([[10.0, 20.0, 0.9], [90.0, 150.0, 0.4], [5.0, 5.0, 0.0], [500.0, 5.0, 1.0]])
    units = []
    for canvas_hw in ((64, 48), (128, 96), (256, 192)):
        box = Letterbox((200, 150), canvas_hw)
        canvas_K3 = np.concatenate([box.points(photo_K3[:, :2]), photo_K3[:, 2:]], axis=1)
        units.append(keypoints_to_unit(canvas_K3, canvas_hw))
        back = keypoints_from_unit(units[-1], canvas_hw)
        np.testing.assert_allclose(back[:2, :2], canvas_K3[:2, :2], atol=1e-4)
    for unit in units[1:]:
        np.testing.assert_allclose(unit, units[0], atol=1e-6)
    assert units[0][:, 2].tolist() == [1, 1, 0, 0]
    assert units[0][2:].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert units[0][0] == pytest.approx([10.5 / 150, 20.5 / 200, 1])
