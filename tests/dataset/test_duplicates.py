"""What the manifest keeps of a photo's content finds copies of a picture and tells different pictures apart."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tryon import images
from tryon.config import PairsConfig
from tryon.dataset.duplicates import fingerprints
from tryon.prepare.near_hashes import parse

NEAR = PairsConfig().leak_distance


def distance(one: dict[str, str], other: dict[str, str]) -> int:
    return int(np.bitwise_count(parse([one["phash"]]) ^ parse([other["phash"]])).sum())


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


@pytest.fixture(scope="module")
def pictures(rendered: Path) -> list[Image.Image]:
    return [Image.fromarray(images.read_rgb(path)) for path in sorted(rendered.glob("person/*.jpg"))]


def of(image: Image.Image) -> dict[str, str]:
    return fingerprints(np.asarray(image))


def test_equal_pixels_have_equal_digests_whatever_their_file(tmp_path: Path, pictures: list[Image.Image]) -> None:
    pictures[0].save(tmp_path / "a.png")
    pictures[0].save(tmp_path / "b.bmp")
    one, other = (fingerprints(images.read_rgb(tmp_path / name)) for name in ("a.png", "b.bmp"))
    assert one == other
    turned = np.asarray(pictures[0])[::-1]
    assert fingerprints(turned)["pixels"] != one["pixels"]
    assert fingerprints(np.asarray(pictures[0]).reshape(192, 256, 3))["pixels"] != one["pixels"], "the shape counts"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(half, id="half the size"),
        pytest.param(lambda image: jpeg(image, 70), id="recompressed"),
        pytest.param(lambda image: jpeg(half(image), 85), id="a thumbnail"),
        pytest.param(lambda image: ImageEnhance.Brightness(image).enhance(1.1), id="brighter"),
    ],
)
def test_a_copy_of_a_picture_is_near_it(pictures: list[Image.Image], change: object) -> None:
    for picture in pictures:
        copy = change(picture)  # type: ignore[operator]
        assert distance(of(picture), of(copy)) <= NEAR
        assert of(picture)["pixels"] != of(copy)["pixels"]


def test_different_people_are_far_apart(pictures: list[Image.Image]) -> None:
    distances = [distance(of(one), of(other)) for one, other in combinations(pictures, 2)]
    assert min(distances) > 2 * NEAR


def test_different_real_photos_are_far_apart(photos: Path) -> None:
    found = [fingerprints(images.read_rgb(path)) for role in ("person", "garment") for path in photos.glob(f"{role}/*")]
    assert len(found) > 10
    assert min(distance(one, other) for one, other in combinations(found, 2)) > 2 * NEAR
