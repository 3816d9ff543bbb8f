"""The order of the samples is a function of (seed, step): no worker, process or restart changes it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import rig
import torch

from tryon.errors import UserError
from tryon.packed import PackedPhotos
from tryon.training.feed import (
    Batch,
    CanvasPhotos,
    Pair,
    TrainFeed,
    data_digest,
    fixed_batches,
    index_at,
    read_pairs,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rig.write_data(folder)
    return folder


@pytest.fixture(scope="module")
def photos(data: Path) -> CanvasPhotos:
    return CanvasPhotos(packed(data), rig.SIZE_HW)


@pytest.fixture(scope="module")
def pairs(data: Path) -> list[Pair]:
    return read_pairs(data / "pairs.parquet", "train_paired", packed(data))[0]


def packed(data: Path) -> PackedPhotos:
    return PackedPhotos(sorted((data / "pack").glob("*.safetensors")))


def feed(pairs: list[Pair], photos: CanvasPhotos, rank: int = 0, num_ranks: int = 1, **train: object) -> TrainFeed:
    return TrainFeed(pairs, photos, rig.stage_config(**train).train, rank=rank, num_ranks=num_ranks)


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    """The same samples in the same order, bit for bit, however they are cut into batches."""
    assert [id_ for batch in found for id_ in batch.pair_ids] == [id_ for batch in expected for id_ in batch.pair_ids]
    for name in expected[0].conditions.tensors():
        assert torch.equal(
            torch.cat([batch.conditions.tensors()[name] for batch in found]),
            torch.cat([batch.conditions.tensors()[name] for batch in expected]),
        )
    assert torch.equal(torch.cat([b.target_B3HW for b in found]), torch.cat([b.target_B3HW for b in expected]))
    assert torch.equal(torch.cat([b.seeds_B for b in found]), torch.cat([b.seeds_B for b in expected]))


def all_batches(feed: TrainFeed, first: int = 0, last: int = 6) -> list[Batch]:
    return [batch for _, batches in feed.steps(first, last) for batch in batches]


@pytest.mark.parametrize("num_samples", [1, 2, 7, 100])
def test_every_sample_once_per_epoch_in_another_order(num_samples: int) -> None:
    epochs = [
        [index_at(epoch * num_samples + offset, num_samples, seed=3) for offset in range(num_samples)]
        for epoch in range(3)
    ]
    for order in epochs:
        assert sorted(order) == list(range(num_samples))
    if num_samples == 100:
        assert epochs[0] != epochs[1] != epochs[2]
        assert epochs[0] != [index_at(offset, 100, seed=4) for offset in range(100)]


def test_batches_run_through_epochs_without_a_gap(pairs: list[Pair], photos: CanvasPhotos) -> None:
    seen = [id_ for batch in all_batches(feed(pairs, photos), 0, 7) for id_ in batch.pair_ids]
    assert len(seen) == 28  # 7 steps of 4 = 4 epochs of 7
    assert set(Counter(seen).values()) == {4}
    assert len({tuple(seen[start : start + 7]) for start in range(0, 28, 7)}) > 1


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int, pairs: list[Pair], photos: CanvasPhotos) -> None:
    assert_same(all_batches(feed(pairs, photos, workers=workers)), all_batches(feed(pairs, photos)))


def test_workers_start_after_opencv_used_its_threads(pairs: list[Pair], photos: CanvasPhotos) -> None:
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((1024, 1024, 3), np.float32), (31, 31), 3)  # starts OpenCV's threads
    assert len(all_batches(feed(pairs, photos, workers=1))) == len(all_batches(feed(pairs, photos)))


def test_processes_share_the_same_batch(pairs: list[Pair], photos: CanvasPhotos) -> None:
    whole = all_batches(feed(pairs, photos))
    ranks = [all_batches(feed(pairs, photos, rank, 2)) for rank in range(2)]
    assert_same([part for step in zip(*ranks, strict=True) for part in step], whole)


def test_accumulation_cuts_the_same_batch(pairs: list[Pair], photos: CanvasPhotos) -> None:
    parts = all_batches(feed(pairs, photos, accumulation=3))
    assert [len(part) for part in parts[:3]] == [1, 1, 2]
    assert_same(parts, all_batches(feed(pairs, photos)))


def test_a_restart_continues_the_order(pairs: list[Pair], photos: CanvasPhotos) -> None:
    straight = all_batches(feed(pairs, photos), 0, 6)
    assert_same(all_batches(feed(pairs, photos), 2, 6), straight[2:])


def test_the_whole_batch_is_known_to_every_rank(pairs: list[Pair], photos: CanvasPhotos) -> None:
    other = feed(pairs, photos, 1, 2)
    whole = next(iter(feed(pairs, photos).steps(5, 6)))[1][0]
    assert [pair.pair_id for pair, _ in other.samples(5)] == whole.pair_ids


def test_seeds_never_repeat(pairs: list[Pair], photos: CanvasPhotos) -> None:
    seeds = torch.cat([batch.seeds_B for batch in all_batches(feed(pairs, photos), 0, 40)])
    assert len(set(seeds.tolist())) == 160


def test_values_lie_in_the_networks_range(pairs: list[Pair], photos: CanvasPhotos) -> None:
    batch = all_batches(feed(pairs, photos))[0]
    for name in ("agnostic_B3HW", "garment_B3HW", "prealigned_B3HW"):
        picture = getattr(batch.conditions, name)
        assert picture.dtype == torch.float32
        assert -1 <= picture.min() < -0.5
        assert 0.5 < picture.max() <= 1
    assert -1 <= batch.target_B3HW.min() < -0.9
    assert 0.9 < batch.target_B3HW.max() <= 1
    region = batch.conditions.region_B1HW
    assert set(region.unique().tolist()) == {0.0, 1.0}
    kept = (1 - region) * batch.target_B3HW
    assert torch.equal(batch.conditions.agnostic_B3HW, kept), "the region is removed, the rest is the person"


def test_fixed_batches_do_not_depend_on_their_size(pairs: list[Pair], photos: CanvasPhotos) -> None:
    def draw(batch_size: int) -> list[Batch]:
        return list(fixed_batches(pairs, photos, seed=1, purpose="validation", batch_size=batch_size))

    assert_same(draw(3), draw(7))


def test_uneven_shares_are_refused(pairs: list[Pair], photos: CanvasPhotos) -> None:
    with pytest.raises(UserError, match=r"batch_size 4 cannot be shared by 3 processes"):
        feed(pairs, photos, 0, 3)
    with pytest.raises(UserError, match=r"batch_size 4 cannot be shared by 2 processes in 3 parts each"):
        feed(pairs, photos, 0, 2, accumulation=3)
    with pytest.raises(UserError, match=r"in 5 parts each"):
        feed(pairs, photos, accumulation=5)


def test_a_pair_with_a_quarantined_photo_is_named(data: Path) -> None:
    half = PackedPhotos([data / "pack" / "shard0.safetensors"])  # photos 0, 2, 4, …
    usable, skipped = read_pairs(data / "pairs.parquet", "train_paired", half)
    assert [pair.pair_id for pair in usable] == ["p0__p0", "p2__p2", "p4__p4", "p6__p6"]
    assert skipped == ["p1__p1", "p3__p3", "p5__p5"]


def test_digest_covers_what_is_learned_from_and_nothing_else(
    data: Path, pairs: list[Pair], photos: CanvasPhotos, tmp_path: Path
) -> None:
    known = data_digest(pairs, photos)
    rig.write_data(tmp_path / "resharded", num_shards=5)
    assert data_digest(pairs, CanvasPhotos(packed(tmp_path / "resharded"), rig.SIZE_HW)) == known
    rig.write_data(tmp_path / "other_val", white_person=rig.NUM_TRAIN)
    assert data_digest(pairs, CanvasPhotos(packed(tmp_path / "other_val"), rig.SIZE_HW)) == known
    rig.write_data(tmp_path / "other_train", white_person=0)
    assert data_digest(pairs, CanvasPhotos(packed(tmp_path / "other_train"), rig.SIZE_HW)) != known
    assert data_digest(pairs[1:], photos) != known


def test_a_larger_garment_photo_is_warped_and_belongs_to_the_data(data: Path, pairs: list[Pair]) -> None:
    plain, large = (CanvasPhotos(packed(data), rig.SIZE_HW, size_hw) for size_hw in (None, rig.LARGE_HW))
    assert [photo.size_hw for photo in plain.garments(pairs[0].garment)] == [rig.SIZE_HW]
    assert [photo.size_hw for photo in large.garments(pairs[0].garment)] == [rig.SIZE_HW, rig.LARGE_HW]
    assert data_digest(pairs, plain) != data_digest(pairs, large)
    one, other = (next(fixed_batches(pairs, p, seed=0, purpose="x", batch_size=4)).conditions for p in (plain, large))
    changed = {name for name, plane in one.tensors().items() if not torch.equal(plane, other.tensors()[name])}
    assert {"prealigned_B3HW"} <= changed <= {"prealigned_B3HW", "prealigned_mask_B1HW"}
