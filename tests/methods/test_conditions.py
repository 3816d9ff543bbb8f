"""Conditions: ranges, what is hidden, one keypoint scale, one function for training and sampling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from mannequins import box, pair, stage

from tryon.config import SamplingConfig
from tryon.geometry import keypoints_to_unit
from tryon.methods.conditions import collate, condition_arrays, target_array
from tryon.methods.interface import Conditions
from tryon.packed import PackedPhoto

SIZE_HW = (32, 24)


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    return condition_arrays(*pair(seed, SIZE_HW), "up", SIZE_HW)


def test_ranges_and_shapes() -> None:
    found = arrays()
    for name, array in found.items():
        assert array.dtype == np.float32, name
        low, high = (-1, 1) if name.endswith("B3HW") else (0, 1)
        assert array.min() >= low, name
        assert array.max() <= high, name
        assert array.shape == ((17, 3) if name.endswith("BK3") else (int(name[-3]), *SIZE_HW)), name
    target = target_array(pair(0, SIZE_HW)[0])
    assert target.shape == (3, *SIZE_HW)
    assert -1 <= target.min() < 0 < target.max() <= 1
    assert set(np.unique(found["region_B1HW"])) == {0, 1}


def test_the_region_to_repaint_is_hidden_and_nothing_else() -> None:
    """A condition that shows the worn garment is the answer (seen in a public fork)."""
    person, garment = pair(0, SIZE_HW)
    found = condition_arrays(person, garment, "up", SIZE_HW)
    region_1HW = found["region_B1HW"]
    assert np.all(found["agnostic_B3HW"] * region_1HW == 0)
    assert np.array_equal(found["agnostic_B3HW"], target_array(person) * (1 - region_1HW))
    undressed = person.image_HWC.copy()
    undressed[person.regions_HW > 0] = 99
    other = condition_arrays(replace(person, image_HWC=undressed), garment, "up", SIZE_HW)
    assert all(np.array_equal(found[name], other[name]) for name in found)


def test_the_garment_is_cut_out() -> None:
    person, garment = pair(0, SIZE_HW)
    found = condition_arrays(person, garment, "up", SIZE_HW)
    assert np.all(found["garment_B3HW"] * (1 - found["garment_mask_B1HW"]) == 0)
    assert np.all(found["prealigned_B3HW"][:, found["prealigned_mask_B1HW"][0] == 0] == 0)
    outside = garment.image_HWC.copy()
    outside[garment.garments_HW == 0] = 3
    other = condition_arrays(person, replace(garment, image_HWC=outside), "up", SIZE_HW)
    assert all(np.array_equal(found[name], other[name]) for name in found)


def test_keypoints_have_one_scale() -> None:
    """Unit square of the canvas, the same numbers at every size, for person and garment alike."""
    keypoints_px_K3 = np.zeros((17, 3))
    keypoints_px_K3[5] = (11.5, 15.5, 0.9)
    unit_K3 = keypoints_to_unit(keypoints_px_K3, SIZE_HW)
    np.testing.assert_allclose(unit_K3[5], (0.5, 0.5, 1))
    person, garment = (replace(photo, keypoints_K3=unit_K3) for photo in pair(0, SIZE_HW))
    found = condition_arrays(person, garment, "up", SIZE_HW)
    assert np.array_equal(found["person_keypoints_BK3"], unit_K3)
    assert np.array_equal(found["garment_keypoints_BK3"], unit_K3)


def test_photos_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"person/p0 is on a canvas of \(32, 24\)"):
        condition_arrays(*pair(0, SIZE_HW), "up", (64, 48))


def striped(size_hw: tuple[int, int], num: int) -> PackedPhoto:
    """A garment of `num` pairs of dark and bright upright stripes, each pair as wide as the others."""
    garment = pair(0, size_hw)[1]
    height, width = size_hw
    left, right = 0.2 * width, 0.8 * width
    phase_W = (np.arange(width * 8) / 8 - left) / (right - left) * num % 1
    bright_W = (phase_W < 0.5).reshape(width, 8).mean(axis=1)  # by area, so that any size shows the same cloth
    image_HWC = np.broadcast_to((40 + 180 * bright_W)[:, None], (height, width, 3)).astype(np.uint8)
    return replace(garment, image_HWC=image_HWC)


def test_a_large_garment_photo_keeps_stripes_that_the_canvas_is_too_small_for() -> None:
    """The cut-out that attention reads stays that of the canvas; the warped copy comes from the large photo."""
    person, _ = pair(0, SIZE_HW)
    small, large = striped(SIZE_HW, 6), striped((256, 192), 6)
    as_before = condition_arrays(person, small, "up", SIZE_HW)
    found = condition_arrays(person, small, "up", SIZE_HW, large=large)
    changed = {name for name in found if not np.array_equal(found[name], as_before[name])}
    assert changed == {"prealigned_B3HW", "prealigned_mask_B1HW"}
    # what a camera of the canvas's resolution would see: the same warp on a fine canvas, averaged
    fine = condition_arrays(replace(pair(0, (256, 192))[0], keypoints_K3=person.keypoints_K3), large, "up", (256, 192))
    seen_3HW = fine["prealigned_B3HW"].reshape(3, 32, 8, 24, 8).mean(axis=(2, 4))
    inside_HW = fine["prealigned_mask_B1HW"].reshape(32, 8, 24, 8).min(axis=(1, 3)) == 1

    def error(arrays: dict[str, np.ndarray]) -> float:
        return float(np.abs(arrays["prealigned_B3HW"] - seen_3HW)[:, inside_HW].mean())

    assert error(found) < 0.03 < 0.1 < error(as_before)


def test_training_and_sampling_see_the_same_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reaches the network besides noise is equal in loss_B and in sample."""
    seen: list[tuple[torch.Tensor, ...]] = []
    tiny = stage()
    network = tiny.build().eval()
    conditions = collate([condition_arrays(*pair(seed), "up", (16, 12)) for seed in (0, 1)])
    forward = network.forward

    def watched(person: torch.Tensor, garment: torch.Tensor, *rest: torch.Tensor, **known: Any) -> torch.Tensor:
        seen.append((person[:, 3:].clone(), garment.clone(), rest[0], rest[1]))
        return forward(person, garment, *rest, **known)

    monkeypatch.setattr(network, "forward", watched)
    target = torch.stack([torch.from_numpy(target_array(pair(seed)[0])) for seed in (0, 1)])
    tiny.loss_B(network, target, conditions, torch.tensor([1, 2]), condition_dropout=False)
    tiny.sample(network, conditions, torch.tensor([1, 2]), SamplingConfig(num_steps=2))
    assert len(seen) == 3
    for sampled in seen[1:]:
        assert all(torch.equal(one, other) for one, other in zip(seen[0], sampled, strict=True))


def test_dropping_the_garment_nulls_all_of_it_and_keeps_the_person() -> None:
    conditions = collate([arrays(0), arrays(1)])
    dropped = conditions.without_garment(torch.tensor([True, False]))
    assert dropped.nulls_B.tolist() == [True, False]
    for name, tensor in dropped.tensors().items():
        if name == "is_null_B":
            continue
        original = conditions.tensors()[name]
        assert torch.equal(tensor[1], original[1]), name
        of_garment = name.startswith(("garment", "prealigned"))
        assert torch.equal(tensor[0], torch.zeros_like(original[0]) if of_garment else original[0]), name


def test_batches_select_join_and_move() -> None:
    conditions = collate([arrays(seed) for seed in range(3)])
    assert len(conditions) == 3
    joined = Conditions.cat([conditions.select(slice(0, 1)), conditions.select(torch.tensor([1, 2])).to("cpu")])
    assert all(torch.equal(joined.tensors()[name], tensor) for name, tensor in conditions.tensors().items())
    assert conditions.low_B3hw is None
    assert conditions.with_low(torch.zeros(3, 3, 16, 12)).select(slice(1, 3)).low_B3hw is not None


def test_the_wanted_category_decides_cut_out_and_region() -> None:
    person, garment = pair(0, SIZE_HW)
    legs = box(SIZE_HW, 0.6, 0.3, 1, 0.7).astype(np.uint8) * 2
    person = replace(person, regions_HW=person.regions_HW | legs)
    found = condition_arrays(person, replace(garment, garments_HW=garment.garments_HW | legs), "down", SIZE_HW)
    assert np.array_equal(found["region_B1HW"][0], (legs > 0).astype(np.float32))
    assert np.array_equal(found["garment_mask_B1HW"][0], (legs > 0).astype(np.float32))
