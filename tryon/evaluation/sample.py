"""`tryon sample`: the trained stages chained into try-on pictures, coarse to fine, for the configured lists.

A system is the cascade, one reference stage, or the oracle: each later stage of the cascade by itself, starting from
the truth, so that its own faults can be told from those it inherits. Every stage's picture is kept as PNG under
sample/SYSTEM/STAGE/PAIR.png; the next stage starts from those bytes, so what a stage was given can be looked at.
A picture depends on its weights, its two photos, its stage's sampling settings and its own seed (seed, "sample", stage,
pair_id); work goes in fixed chunks of the sorted pairs, and a chunk that was cut off is made again whole. With
`sample.gpus` above 1, as many processes share the chunks of each stage; which one makes a chunk changes no byte.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tryon import files, images
from tryon.config import CASCADE, ORACLE, Config, SampleConfig, load
from tryon.digests import code_digest, config_digest, digest
from tryon.environments import environment_digest
from tryon.errors import UserError
from tryon.evaluation.crew import Crew
from tryon.evaluation.pair_lists import Pair, listed_pairs, reasons_to_drop
from tryon.evaluation.pictures import has_key, read_picture, write_picture
from tryon.evaluation.trained import Trained, read_trained
from tryon.evaluation.true_lows import TrueLows
from tryon.methods.conditions import collate, packed_arrays
from tryon.methods.seeds import seed_of
from tryon.ontology import CATEGORY_BIT
from tryon.packed import PackedPhoto, PackedPhotos, check_quarantined, tables_beside
from tryon.provenance import write_provenance

INDEX_COLUMNS = ("pair_id", "list", "stage", "size", "file", "key", "status", "reason")
PROGRESS_EVERY_S = 10.0
NO_TRUTH = "nobody knows its true picture, which a stage could be fed with"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `tryon sample`."""
    parser.add_argument("--config", type=Path, required=True, help="configuration, YAML or JSON")
    parser.add_argument("--system", required=True, help="'cascade', 'oracle', or the name of one stage in references")
    parser.add_argument("--data", type=Path, help="data folder, where the truths lie (for the oracle)")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet")
    parser.add_argument("--packs", type=Path, nargs="+", required=True, help="pack/*.safetensors")
    parser.add_argument("--weights", type=Path, nargs="+", required=True, help="train/STAGE/weights.safetensors")
    parser.add_argument("--results", type=Path, required=True, help="results folder")
    parser.add_argument("--out", type=Path, required=True, help="index of the pictures (parquet)")


def run(args: argparse.Namespace) -> None:
    """Sample every pair of the configured lists and write the index."""
    started = time.monotonic()
    config = load(args.config)
    torch.set_num_threads(config.sample.threads)
    crew = Crew.assemble()
    tables = tables_beside(args.packs)
    check_quarantined(tables, config.max_quarantined)
    packed = PackedPhotos(args.packs)
    packed.refuse_other_rule(config.cutouts.agnostic)
    names = stages_of(config, args.system)
    trained = read_trained(config, names, args.weights, packed.agnostic)

    pairs = listed_pairs(args.pairs, config.sample.lists)
    dropped = reasons_to_drop(pairs, packed, tables)
    dropped |= _empty_masks([p for p in pairs if p.pair_id not in dropped], packed, trained[0].stage.size_hw)
    lows = true_lows(args, config)
    if lows is not None:
        dropped |= {p.pair_id: NO_TRUTH for p in pairs if p.truth is None and p.pair_id not in dropped}
    kept = [pair for pair in pairs if pair.pair_id not in dropped]
    if crew.is_first:
        processes = f", {crew.size} processes" if crew.size > 1 else ""
        _say(f"sample {args.system}: {len(kept)} pairs, {len(dropped)} dropped, stages {', '.join(names)}{processes}")

    code = code_digest("tryon.evaluation.sample")
    version = [code, environment_digest("sample", [config.stages[name].kind for name in names])]
    sampler = ChainSampler(packed, kept, config.sample, args.results, args.system, version, crew, lows)
    for link in trained:
        sampler.run_stage(link)
    crew.part()
    if not crew.is_first:
        return
    files.write_parquet(args.out, sampler.index(pairs, dropped))

    seconds = time.monotonic() - started
    facts = {"num_pairs": len(kept), "num_made": sampler.num_made, "num_reused": sampler.num_reused}
    files.append_jsonl(
        args.results / "journal" / "sample.jsonl",
        {
            "system": args.system,
            **facts,
            "seconds": round(seconds, 3),
            "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        },
    )
    write_provenance(
        args.out,
        stage="sample",
        config=config_digest(config.sample, [config.stages[name] for name in names]),
        code=code,
        inputs={"pairs": files.sha256_file(args.pairs)}
        | {f"weights {link.stage.name}": link.sha256 for link in trained},
        seconds=seconds,
    )


def stages_of(config: Config, system: str) -> list[str]:
    """Stage names of a system, coarse to fine."""
    if system == CASCADE:
        return list(config.cascade)
    if system == ORACLE and ORACLE in config.systems:
        return config.cascade[1:]
    if system not in config.references:
        known = ", ".join(config.systems)
        raise UserError(f"--system {system}: no such system; the configuration has: {known}")
    if config.stages[system].low_size is not None:
        raise UserError(f"--system {system}: a reference starts from nothing, but this stage enlarges pictures")
    return [system]


def true_lows(args: argparse.Namespace, config: Config) -> TrueLows | None:
    """Where the oracle's stages start from; None for every other system."""
    if args.system != ORACLE:
        return None
    if args.data is None:
        raise UserError("--system oracle starts from true pictures: give their folder by --data")
    return TrueLows(args.data, config.pack.fill)


@dataclass
class ChainSampler:
    """Samples one stage after the other, each from the pictures of the stage before, or from the truth.

    Attributes:
        packed: photos at every stage's size.
        pairs: what to sample, in order.
        cfg: sampler settings.
        results: results folder.
        system: folder below results/sample.
        version: digests of code and environment, part of every key.
        crew: the processes that share the work.
        true_lows: what every stage starts from; None: from the pictures of the stage before.
    """

    packed: PackedPhotos
    pairs: list[Pair]
    cfg: SampleConfig
    results: Path
    system: str
    version: list[str]
    crew: Crew
    true_lows: TrueLows | None = None

    def __post_init__(self) -> None:
        self.device = self.crew.device
        self.num_made = self.num_reused = 0
        self._low: Trained | None = None
        self._keys: dict[str, str] = {}  # pair_id → key of its picture at the stage before
        self._photo_digests: dict[tuple[str, tuple[int, int]], str] = {}
        self._rows: list[dict[str, object]] = []

    def run_stage(self, link: Trained) -> None:
        """Make every missing picture of one stage, then let the next stage start from them."""
        name = link.stage.name
        keys = {pair.pair_id: self._key(pair, link) for pair in self.pairs}
        chunks = [self.pairs[at : at + self.cfg.batch_size] for at in range(0, len(self.pairs), self.cfg.batch_size)]
        stale = [
            chunk for chunk in chunks if not all(has_key(self._path(name, pair), keys[pair.pair_id]) for pair in chunk)
        ]
        num_stale = sum(map(len, stale))
        self.num_made += num_stale
        self.num_reused += len(self.pairs) - num_stale
        self.crew.wait()  # all have looked at the same files before one of them writes any
        own = self.crew.share(stale)
        if own:
            network = link.network(self.device)
            member = f" [{self.crew.rank + 1}/{self.crew.size}]" if self.crew.size > 1 else ""
            for chunk in _progress(own, f"sample {self.system}/{name}{member}", len(self.pairs) - num_stale):
                for pair, image_HWC in zip(chunk, self._sample(chunk, link, network), strict=True):
                    write_picture(self._path(name, pair), image_HWC, keys[pair.pair_id])
        self.crew.wait()  # the next stage starts from all of these pictures
        size = "x".join(map(str, link.stage.size_hw))
        for pair in self.pairs:
            path = self._path(name, pair).relative_to(self.results).as_posix()
            row = {"pair_id": pair.pair_id, "list": pair.list, "stage": name, "size": size, "file": path}
            self._rows.append({**row, "key": keys[pair.pair_id], "status": "ok", "reason": None})
        self._keys, self._low = keys, link

    def index(self, pairs: Sequence[Pair], dropped: Mapping[str, str]) -> pd.DataFrame:
        """One row per picture, and one per dropped pair with its reason."""
        lost = [
            {"pair_id": pair.pair_id, "list": pair.list, "status": "dropped", "reason": dropped[pair.pair_id]}
            for pair in pairs
            if pair.pair_id in dropped
        ]
        table = pd.DataFrame([*self._rows, *lost], columns=list(INDEX_COLUMNS))
        return table.astype(object).where(table.notna(), None)

    def _sample(self, chunk: Sequence[Pair], link: Trained, network: torch.nn.Module) -> list[np.ndarray]:
        """uint8 RGB pictures of a chunk."""
        stage = link.stage
        arrays = [packed_arrays(self.packed, pair, stage.size_hw, stage.garment_hw) for pair in chunk]
        lows = None
        if self.true_lows is not None:
            lows = [self.true_lows.low(pair, link.stage) for pair in chunk]
        elif self._low is not None:
            before = self._low.stage
            lows = [read_picture(self._path(before.name, pair), before.size_hw) for pair in chunk]
        pair_ids = [pair.pair_id for pair in chunk]
        return sample_batch(link, network, arrays, lows, pair_ids, self.cfg, self.device)

    def _path(self, stage: str, pair: Pair) -> Path:
        return self.results / "sample" / self.system / stage / f"{pair.pair_id}.png"

    def _key(self, pair: Pair, link: Trained) -> str:
        """Digest of everything the pair's picture depends on (its seed is a function of these)."""
        stage = link.stage
        photos = [(pair.person, stage.size_hw), (pair.garment, stage.size_hw), (pair.garment, stage.garment_hw)]
        return digest(
            {
                "version": self.version,
                "weights": link.sha256,
                "settings": config_digest(stage.cfg, self.cfg.of_stage(stage.name), self.cfg.seed),
                "pair": [pair.pair_id, pair.category],
                "photos": [self._photo_digest(*photo) for photo in photos],
                "low": self._low_key(pair, link),
            }
        )

    def _low_key(self, pair: Pair, link: Trained) -> str | None:
        if self.true_lows is None:
            return self._keys.get(pair.pair_id)
        return hashlib.sha256(self.true_lows.low(pair, link.stage).tobytes()).hexdigest()

    def _photo_digest(self, photo: str, size_hw: tuple[int, int]) -> str:
        if (photo, size_hw) not in self._photo_digests:
            self._photo_digests[photo, size_hw] = _content_digest(self.packed.read(photo, size_hw))
        return self._photo_digests[photo, size_hw]


@torch.inference_mode()
def sample_batch(
    link: Trained,
    network: torch.nn.Module,
    arrays: Sequence[Mapping[str, np.ndarray]],
    lows: Sequence[np.ndarray] | None,
    pair_ids: Sequence[str],
    cfg: SampleConfig,
    device: torch.device,
) -> list[np.ndarray]:
    """One stage's pictures of a batch.

    Args:
        link: the stage and where its weights are from.
        network: with these weights, on the device.
        arrays: `condition_arrays` of each pair at the stage's size.
        lows: uint8 RGB pictures of the stage before; None for a first stage.
        pair_ids: what a pair's seed is made of.
        cfg: sampler settings.
        device: where to compute.

    Returns:
        uint8 RGB [H, W, 3] each.

    Raises:
        UserError: a picture is not finite.
    """
    conditions = collate(arrays)
    if lows is not None:
        low_BHWC = np.stack([images.to_network(low_HWC) for low_HWC in lows])
        conditions = conditions.with_low(torch.from_numpy(low_BHWC).permute(0, 3, 1, 2).contiguous())
    name = link.stage.name
    seeds_B = torch.tensor([seed_of(cfg.seed, "sample", name, pair_id) for pair_id in pair_ids])
    images_B3HW = link.stage.sample(network, conditions.to(device), seeds_B, cfg.of_stage(name))
    images_BHWC = images_B3HW.float().cpu().permute(0, 2, 3, 1).numpy()
    if not np.isfinite(images_BHWC).all():
        raise UserError(f"{link.weights}: stage {name} makes pictures that are not finite; train it again")
    return [images.from_network(image_HWC) for image_HWC in images_BHWC]


def _content_digest(photo: PackedPhoto) -> str:
    content = hashlib.sha256()
    for plane in (photo.image_HWC, photo.labels_HW, photo.garments_HW, photo.regions_HW, photo.keypoints_K3):
        content.update(np.ascontiguousarray(plane).data)
    return content.hexdigest()


def _empty_masks(pairs: Iterable[Pair], packed: PackedPhotos, size_hw: tuple[int, int]) -> dict[str, str]:
    """Why pairs have nothing to put on, or nowhere: an empty cut-out or region on the smallest canvas."""
    reasons: dict[str, str] = {}
    canvas = "x".join(map(str, size_hw))
    for pair in pairs:
        bit = CATEGORY_BIT[pair.category]
        if not (packed.read(pair.garment, size_hw).garments_HW & bit).any():
            reasons[pair.pair_id] = f"{pair.garment}: no cut-out of category {pair.category} at {canvas}"
        elif not (packed.read(pair.person, size_hw).regions_HW & bit).any():
            reasons[pair.pair_id] = f"{pair.person}: no region to repaint for category {pair.category} at {canvas}"
    return reasons


def _progress(chunks: Sequence[Sequence[Pair]], label: str, num_reused: int) -> Iterator[Sequence[Pair]]:
    """The chunks, with a progress line about every ten seconds."""
    started = last = time.monotonic()
    num_all, num_done = sum(map(len, chunks)), 0
    for chunk in chunks:
        yield chunk
        num_done, now = num_done + len(chunk), time.monotonic()
        if now - last > PROGRESS_EVERY_S or num_done == num_all:
            last, rate = now, num_done / max(now - started, 1e-9)
            left_s = (num_all - num_done) / rate
            _say(f"{label}: {num_done}/{num_all} pictures, {num_reused} reused, {rate:.2f}/s, {left_s:.0f} s left")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
