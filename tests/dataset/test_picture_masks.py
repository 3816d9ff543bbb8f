"""Masks from pictures: white, red, what is left of a plain background, and what one picture lacks of another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tryon.dataset import picture_masks
from tryon.errors import BadItem

SIZE_HW = (120, 90)


def square(value: tuple[int, int, int], background: tuple[int, int, int], side: int = 40) -> np.ndarray:
    image_HWC = np.full((*SIZE_HW, 3), background, np.uint8)
    image_HWC[30 : 30 + side, 20 : 20 + side] = value
    return image_HWC


def save(path: Path, image_HWC: np.ndarray) -> Path:
    Image.fromarray(image_HWC).save(path, **({"quality": 85} if path.suffix == ".jpg" else {}))
    return path


def assert_square(found_HW: np.ndarray, side: int = 40, border_px: int = 1) -> None:
    """The square, up to what JPEG does to its border."""
    wanted_HW = square((1, 1, 1), (0, 0, 0), side)[..., 0] > 0
    assert found_HW.shape == SIZE_HW
    assert abs(int(found_HW.sum()) - side**2) <= 4 * border_px * side
    assert (found_HW & wanted_HW).sum() >= (side - 2 * border_px) ** 2


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_white_mask_survives_jpeg(tmp_path: Path, suffix: str) -> None:
    assert_square(picture_masks.read_mask(save(tmp_path / f"a{suffix}", square((255,) * 3, (0,) * 3))), border_px=0)


def test_a_grey_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match=r"a\.png: a mask is black and white, but 15% of this one is grey"):
        picture_masks.read_mask(save(tmp_path / "a.png", square((128,) * 3, (0,) * 3)))


def test_an_empty_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match=r"a\.png: shows no garment"):
        picture_masks.read_mask(save(tmp_path / "a.png", square((0,) * 3, (0,) * 3)))


def test_red_is_the_garment_and_green_is_not(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", square((255, 0, 0), (124, 252, 0)))
    assert_square(picture_masks.read_red_mask(path))
    with pytest.raises(BadItem, match="shows no garment"):
        picture_masks.read_red_mask(save(tmp_path / "b.jpg", square((124, 252, 0), (124, 252, 0))))


def test_dark_spots_inside_a_cutout_belong_to_it(tmp_path: Path) -> None:
    image_HWC = square((180, 90, 60), (0, 0, 0))
    image_HWC[40:50, 30:40] = 3
    assert_square(picture_masks.read_cutout(save(tmp_path / "a.jpg", image_HWC)))


@pytest.mark.parametrize("background", [(255, 255, 255), (240, 240, 235), (20, 20, 20)])
def test_a_garment_on_a_plain_background_is_found(tmp_path: Path, background: tuple[int, int, int]) -> None:
    image_HWC = square((180, 90, 60), background)
    image_HWC[40:50, 30:40] = background  # a print in the background's colour
    # chroma is stored at half size, which blurs the border by two pixels
    assert_square(picture_masks.garment_on_plain(save(tmp_path / "a.jpg", image_HWC)), border_px=2)


@pytest.mark.parametrize(
    ("image_HWC", "told"),
    [
        (square((250,) * 3, (255,) * 3), "0.0% of the picture is left, expected 2% to 98%"),
        (square((0,) * 3, (255,) * 3, side=10), "0.9% of the picture is left"),
        (np.arange(120 * 90 * 3).reshape(120, 90, 3).astype(np.uint8), "its background is not plain"),
    ],
)
def test_a_flood_that_leaks_or_finds_no_background_is_refused(tmp_path: Path, image_HWC: np.ndarray, told: str) -> None:
    with pytest.raises(BadItem, match=r"a\.png: no mask") as refused:
        picture_masks.garment_on_plain(save(tmp_path / "a.png", image_HWC))
    assert told in str(refused.value)


def test_a_garment_that_fills_the_picture_is_refused(tmp_path: Path) -> None:
    image_HWC = np.full((200, 200, 3), 90, np.uint8)
    image_HWC[:1], image_HWC[-1:], image_HWC[:, :1], image_HWC[:, -1:] = 255, 255, 255, 255
    with pytest.raises(BadItem, match=r"98\.0% of the picture is left|98\.\d% of the picture is left"):
        picture_masks.garment_on_plain(save(tmp_path / "a.png", image_HWC))


@pytest.mark.parametrize("fill", [0, 128, 255])
def test_what_is_removed_is_found_also_where_the_garment_has_the_fillings_colour(tmp_path: Path, fill: int) -> None:
    rng = np.random.default_rng(0)
    photo_HWC = rng.integers(150, 200, (*SIZE_HW, 3)).astype(np.uint8)
    photo_HWC[30:70, 20:60] = (200, 30, 40)
    photo_HWC[40:50, 20:60] = fill  # a stripe
    agnostic_HWC = photo_HWC.copy()
    agnostic_HWC[30:70, 20:60] = fill
    photo, agnostic = save(tmp_path / "a.jpg", photo_HWC), save(tmp_path / "b.jpg", agnostic_HWC)
    assert_square(picture_masks.removed_region(photo, agnostic), border_px=3)


def test_two_pictures_that_are_alike_or_of_two_sizes_are_refused(tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", square((9, 200, 9), (90, 90, 90)))
    with pytest.raises(BadItem, match=r"b\.png: shows what a\.png shows"):
        picture_masks.removed_region(photo, save(tmp_path / "b.png", square((9, 200, 9), (90, 90, 90))))
    with pytest.raises(BadItem, match=r"b\.png: 90x60, but the photo is 90x120"):
        picture_masks.removed_region(photo, save(tmp_path / "b.png", square((9, 200, 9), (90, 90, 90))[:60]))
