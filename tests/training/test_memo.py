"""A remembered warp is the one that would have been computed, for every pair, mirrored or not."""

from __future__ import annotations

import numpy as np
import pytest
import rig

from tryon.methods.augment import flip
from tryon.methods.conditions import condition_arrays
from tryon.methods.prealign import prealign
from tryon.packed import PackedPhoto, PackedPhotos
from tryon.training import memo
from tryon.training.memo import WarpMemo


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[PackedPhoto, PackedPhoto]]:
    folder = tmp_path_factory.mktemp("data")
    rig.write_data(folder)
    packed = PackedPhotos(sorted((folder / "pack").glob("*.safetensors")))
    pairs = [
        (packed.read(f"person/p{i}", rig.SIZE_HW), packed.read(f"garment/p{j}", rig.SIZE_HW))
        for i, j in ((0, 0), (0, 1), (1, 1), (2, 0))
    ]
    return pairs + [(flip(person), flip(garment)) for person, garment in pairs]


def test_conditions_are_the_same_with_and_without_memory(photos: list[tuple[PackedPhoto, PackedPhoto]]) -> None:
    warp = WarpMemo()
    for _ in range(3):
        for person, garment in photos:
            for category in ("up", "dress"):
                found = condition_arrays(person, garment, category, rig.SIZE_HW, warp)
                expected = condition_arrays(person, garment, category, rig.SIZE_HW)
                assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_each_pair_is_warped_once(
    photos: list[tuple[PackedPhoto, PackedPhoto]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*args: object, **options: object) -> tuple[np.ndarray, np.ndarray]:
        calls.append(args)
        return prealign(*args, **options)

    monkeypatch.setattr(memo, "prealign", counted)
    warp = WarpMemo()
    for _ in range(3):
        for person, garment in photos:
            condition_arrays(person, garment, "up", rig.SIZE_HW, warp)
    assert len(calls) == len(warp) == len(photos)
    garment = photos[0][1]
    arguments = (garment.image_HWC, garment.garments_HW & 1, garment.keypoints_K3, photos[0][0].keypoints_K3)
    for options in ({}, {"limbs": False}):
        warp(*arguments, "up", rig.SIZE_HW, **options)
    assert len(warp) == len(photos) + 2, "options count"


def test_a_full_memory_still_answers(photos: list[tuple[PackedPhoto, PackedPhoto]]) -> None:
    height, width = rig.SIZE_HW
    warp = WarpMemo(num_bytes=2 * height * width * 7)  # two results: uint8 RGB and float32 coverage
    for person, garment in photos:
        found = condition_arrays(person, garment, "up", rig.SIZE_HW, warp)
        expected = condition_arrays(person, garment, "up", rig.SIZE_HW)
        assert np.array_equal(found["prealigned_B3HW"], expected["prealigned_B3HW"])
    assert len(warp) == 2
