"""Batches as a pure function of (seed, step): the same for any number of workers and processes.

Position p counts samples over the whole run; step s of a run with batches of b holds the positions
s*b … s*b + b - 1. Position p is sample ``permutation(seed, epoch)[p % n]`` of epoch p // n, and everything
random about it (augmentation, noise, dropout) comes from ``seed_of(seed, "train", step, p)``. So there is no
sampler state to save: a restart asks for the step it needs. Rank r of w takes the r-th of w equal slices.
"""

from __future__ import annotations

import functools
import hashlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from tryon.config import AugmentConfig, TrainConfig
from tryon.digests import digest
from tryon.errors import UserError
from tryon.methods import seeds
from tryon.methods.augment import augment
from tryon.methods.conditions import Warp, collate, condition_arrays, target_array, worn_array
from tryon.methods.interface import Conditions
from tryon.methods.prealign import prealign
from tryon.packed import PLANES, PackedPhoto, PackedPhotos
from tryon.training.memo import WarpMemo
from tryon.training.stopping import StopRequest

CACHE_BYTES = 1 << 30  # decoded photos kept in memory; a demo fits whole, a large pack stays on disk


@dataclass(frozen=True)
class Pair:
    """One person and one garment, known by ids."""

    pair_id: str
    person: str
    garment: str
    category: str


@dataclass(frozen=True)
class Batch:
    """Samples ready for a loss.

    Attributes:
        target_B3HW: the true picture, float32 in [-1, 1].
        worn_B1HW: 1 where the true picture shows the garment, else 0.
        conditions: of the same samples.
        seeds_B: int64 [B]; all randomness of a sample comes from its seed.
        pair_ids: ids in the same order.
    """

    target_B3HW: torch.Tensor
    worn_B1HW: torch.Tensor
    conditions: Conditions
    seeds_B: torch.Tensor
    pair_ids: list[str]

    def __len__(self) -> int:
        return len(self.pair_ids)


def read_pairs(path: Path | str, list_name: str, photos: PackedPhotos) -> tuple[list[Pair], list[str]]:
    """The pairs of one list whose photos are packed, and the ids of those that cannot be used.

    Args:
        path: pairs.parquet.
        list_name: such as "train_paired".
        photos: the packed photos.

    Returns:
        Pairs in the order of their ids, and ids of pairs with a photo that was quarantined on the way.
    """
    import pandas as pd

    table = pd.read_parquet(path)
    split, kind = list_name.split("_")
    table = table[(table["split"] == split) & (table["kind"] == kind)].sort_values("pair_id")
    usable, skipped = [], []
    for row in table.itertuples():
        if row.person in photos and row.garment in photos:
            usable.append(Pair(str(row.pair_id), str(row.person), str(row.garment), str(row.category)))
        else:
            skipped.append(str(row.pair_id))
    return usable, skipped


class CanvasPhotos:
    """Packed photos for one canvas, the first gigabyte of them kept in memory, and how to warp their garments.

    Args:
        packed: the photos.
        size_hw: the canvas.
        garment_hw: size at which garments are warped; None: that of the canvas.
    """

    def __init__(
        self, packed: PackedPhotos, size_hw: tuple[int, int], garment_hw: tuple[int, int] | None = None
    ) -> None:
        self._packed = packed
        self.size_hw, self.garment_hw = size_hw, garment_hw or size_hw
        self._cache: dict[tuple[str, tuple[int, int]], PackedPhoto] = {}
        self._bytes_left = CACHE_BYTES
        self.warp = WarpMemo()

    def read(self, id_: str) -> PackedPhoto:
        """One photo on the canvas; treat its arrays as read-only."""
        return self._read(id_, self.size_hw)

    def garments(self, id_: str) -> list[PackedPhoto]:
        """A garment's photo on the canvas and, where that is another size, as it is warped."""
        return [self._read(id_, size_hw) for size_hw in dict.fromkeys((self.size_hw, self.garment_hw))]

    def _read(self, id_: str, size_hw: tuple[int, int]) -> PackedPhoto:
        if (id_, size_hw) in self._cache:
            return self._cache[id_, size_hw]
        photo = self._packed.read(id_, size_hw)
        num_bytes = sum(plane.nbytes for plane in planes_of(photo).values())
        if num_bytes <= self._bytes_left:
            self._bytes_left -= num_bytes
            self._cache[id_, size_hw] = photo
        return photo


def planes_of(photo: PackedPhoto) -> dict[str, np.ndarray]:
    """The arrays of a packed photo by the name of their plane."""
    return dict(
        zip(
            PLANES,
            (photo.image_HWC, photo.labels_HW, photo.garments_HW, photo.regions_HW, photo.keypoints_K3),
            strict=True,
        )
    )


def data_digest(pairs: Sequence[Pair], photos: CanvasPhotos) -> str:
    """Digest of exactly what a stage learns from: these pairs and the content of their photos at its sizes.

    A photo of the test split, another size or another sharding of the same photos leaves it unchanged.
    """
    garments = {pair.garment for pair in pairs}
    ids = sorted({pair.person for pair in pairs} | garments)
    return digest(
        {
            "pairs": [[pair.pair_id, pair.person, pair.garment, pair.category] for pair in pairs],
            "photos": {id_: _content(photos.read(id_)) for id_ in ids},
            "garments": {id_: [_content(photo) for photo in photos.garments(id_)[1:]] for id_ in sorted(garments)},
        }
    )


def _content(photo: PackedPhoto) -> str:
    content = hashlib.sha256()
    for name, plane in planes_of(photo).items():
        content.update(f"{name} {plane.dtype} {plane.shape}".encode())
        content.update(np.ascontiguousarray(plane).data)
    return content.hexdigest()


@functools.lru_cache(maxsize=4)
def permutation(num_samples: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which one epoch visits the samples: int64 [num_samples]."""
    return seeds.generator(seed, "order", epoch).permutation(num_samples)


def index_at(position: int, num_samples: int, seed: int) -> int:
    """Index of the sample at a position of the run."""
    epoch, offset = divmod(position, num_samples)
    return int(permutation(num_samples, seed, epoch)[offset])


def make_batch(samples: Sequence[tuple[Pair, int]], photos: CanvasPhotos, augment_cfg: AugmentConfig | None) -> Batch:
    """Read, augment (unless None) and stack pairs with their seeds."""
    targets, worn, conditions = [], [], []
    for pair, seed in samples:
        person, garments = photos.read(pair.person), photos.garments(pair.garment)
        warp: Warp = photos.warp
        if augment_cfg is not None:
            person, garments = augment(person, garments, seed, augment_cfg)
            if augment_cfg.colour > 0 or augment_cfg.shift > 0:
                warp = prealign  # no two warps are the same, so none is worth remembering
        targets.append(torch.from_numpy(target_array(person)))
        worn.append(torch.from_numpy(worn_array(person, pair.category)))
        conditions.append(
            condition_arrays(person, garments[0], pair.category, photos.size_hw, warp, large=garments[-1])
        )
    return Batch(
        target_B3HW=torch.stack(targets),
        worn_B1HW=torch.stack(worn),
        conditions=collate(conditions),
        seeds_B=torch.tensor([seed for _, seed in samples], dtype=torch.int64),
        pair_ids=[pair.pair_id for pair, _ in samples],
    )


class TrainFeed(Dataset[Batch]):
    """Micro-batches of one rank; item i is part ``i % accumulation`` of step ``i // accumulation``.

    Args:
        pairs: what to learn from.
        photos: where their pictures are.
        cfg: batch_size (of all ranks together), accumulation, seed, augment, workers.
        rank: of this process.
        num_ranks: number of processes.

    Raises:
        UserError: the batch cannot be shared out evenly.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        photos: CanvasPhotos,
        cfg: TrainConfig,
        *,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        try:
            share = cfg.share_of_batch(num_ranks)
        except ValueError as error:  # more or fewer processes were started than the settings say
            raise UserError(f"train.{error}") from None
        self._pairs, self._photos, self._cfg = list(pairs), photos, cfg
        self._first, self._share = rank * share, share

    def samples(self, step: int) -> list[tuple[Pair, int]]:
        """The whole batch of a step, over all ranks: pairs and seeds in the order of their positions."""
        start = step * self._cfg.batch_size
        return [
            (
                self._pairs[index_at(position, len(self._pairs), self._cfg.seed)],
                seeds.seed_of(self._cfg.seed, "train", step, position),
            )
            for position in range(start, start + self._cfg.batch_size)
        ]

    def __getitem__(self, item: int) -> Batch:
        step, part = divmod(item, self._cfg.accumulation)
        own = self.samples(step)[self._first : self._first + self._share]
        cuts = [self._share * k // self._cfg.accumulation for k in range(self._cfg.accumulation + 1)]
        return make_batch(own[cuts[part] : cuts[part + 1]], self._photos, self._cfg.augment)

    def steps(self, first: int, last: int) -> Iterator[tuple[int, list[Batch]]]:
        """This rank's micro-batches of the steps first … last - 1, prepared ahead by `workers` processes."""
        num_parts = self._cfg.accumulation
        if self._cfg.workers:
            # a fork has none of OpenCV's threads yet waits for them for ever: end them before there is one
            cv2.setNumThreads(1)
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=range(first * num_parts, last * num_parts),
            num_workers=self._cfg.workers,
            # children of the trainer itself: they end when it is killed, and share its cached photos
            multiprocessing_context="fork" if self._cfg.workers else None,
            collate_fn=_as_it_is,
            worker_init_fn=_prepare_worker,
        )
        parts: list[Batch] = []
        step = first
        for batch in loader:
            parts.append(batch)
            if len(parts) == num_parts:
                yield step, parts
                step, parts = step + 1, []


def fixed_batches(
    pairs: Sequence[Pair], photos: CanvasPhotos, *, seed: int, purpose: str, batch_size: int
) -> Iterator[Batch]:
    """Batches that never change: no augmentation, and seeds that belong to the pairs."""
    samples = [(pair, seeds.seed_of(seed, purpose, pair.pair_id)) for pair in pairs]
    for start in range(0, len(samples), batch_size):
        yield make_batch(samples[start : start + batch_size], photos, None)


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 (DataLoader's type for a whole item)
    return batch


def _prepare_worker(_: int) -> None:
    """Make a worker outlive the signals that ask the trainer to save.

    A scheduler signals the whole process group; a trainer whose workers are gone could not finish its step.
    """
    for number in StopRequest.SIGNALS:
        signal.signal(number, signal.SIG_IGN)
