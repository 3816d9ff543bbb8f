"""Stage `cutouts`: garment cut-outs, person silhouettes and the region to repaint, one set of masks per photo.

segment-anything's image encoder runs once per photo, and what it saw is kept (tryon.prepare.encoder); its small
decoder then answers for every garment category that is annotated there, for the person and for the body parts of
`cutouts.parts`, prompted by box, points and mask (tryon.prepare.prompts). Cut-outs with poor scores are marked for
the report's review sheet (tryon.prepare.quality). With `cutouts.source: annotations` the label map is trusted and no
model is loaded. The region to repaint follows the rule `cutouts.agnostic` (tryon.prepare.agnostic).

    tryon cutouts --config F --shard pairs/shards/KEY.tsv --masks masks/KEY.parquet \
        --keypoints keypoints/KEY.parquet --data DIR --results R --out cutouts/KEY.parquet
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tryon import config, files, images
from tryon.config import CutoutsConfig
from tryon.dataset.folder import PICTURE
from tryon.dataset.manifest import read_shard
from tryon.digests import code_digest, config_digest, digest
from tryon.environments import environment_digest
from tryon.errors import BadItem, UserError
from tryon.items import Done, Row, run_shard
from tryon.ontology import CATEGORIES, CATEGORY_BIT, PERSON_BIT
from tryon.prepare import quality
from tryon.prepare.agnostic import repaint_region, with_cuts
from tryon.prepare.embeddings import Embeddings
from tryon.prepare.parts import garments_in, part_bits, rough_masks
from tryon.prepare.prompts import PERSON
from tryon.prepare.quality import Cut
from tryon.weights import resolve, weights_digest

if TYPE_CHECKING:
    from tryon.prepare.cutter import SamCutter

STAGE = "cutouts"
GARMENTS_FILE, REGIONS_FILE, PERSON_FILE, PARTS_FILE = "garments.png", "regions.png", "person.png", "parts.png"
UPSTREAM = {"masks": "labels.png", "keypoints": "keypoints.json"}  # stage: its file that this stage reads


@dataclass(frozen=True)
class Opened:
    """One photo, ready to be cut; arrays as for `cut_photo`."""

    sha256: str
    role: str
    image_HWC: np.ndarray
    labels_HW: np.ndarray
    keypoints_K3: np.ndarray


def cut_photo(
    image_HWC: np.ndarray,
    labels_HW: np.ndarray,
    keypoints_K3: np.ndarray,
    *,
    role: str,
    cfg: CutoutsConfig,
    cutter: SamCutter | None,
    embedding_CGG: np.ndarray | None = None,
) -> Done:
    """All masks of one photo.

    Args:
        image_HWC: uint8 RGB.
        labels_HW: uint8 indices into `ontology.LABELS`, same height and width.
        keypoints_K3: COCO-17: x, y in the photo's pixels, visibility (<= 0: not visible).
        role: "person" or "garment".
        cfg: settings of this stage.
        cutter: the model; None trusts the label map.
        embedding_CGG: what `cutter.encoder` made of the photo; None: it is asked now.

    Raises:
        BadItem: no garment is labelled, or a cut-out has little to do with its annotation.
    """
    rough = rough_masks(labels_HW, keypoints_K3, role, cfg.parts)
    if cutter is None:
        cuts = {part: Cut(mask_HW) for part, mask_HW in rough.items()}
    elif embedding_CGG is None:
        cuts = cutter.cut(image_HWC, rough, keypoints_K3)
    else:
        cuts = cutter.cut_encoded(embedding_CGG, rough, keypoints_K3)
    scores = quality.scores_of(cuts, rough)
    quality.refuse_strangers(scores, cfg.min_agreement)
    masks = {part: cut.mask_HW for part, cut in cuts.items()}
    garments_HW = _bits({part: masks[part] for part in CATEGORIES if part in masks}, labels_HW.shape)
    regions_HW, missing = _regions(labels_HW, cuts, keypoints_K3, role, cfg.agnostic)
    person_HW = masks[PERSON] * np.uint8(PERSON_BIT) if PERSON in masks else np.zeros_like(labels_HW)
    return Done(
        {
            GARMENTS_FILE: images.encode_mask_bits(garments_HW),
            REGIONS_FILE: images.encode_mask_bits(regions_HW),
            PERSON_FILE: images.encode_mask_bits(person_HW),
            PARTS_FILE: images.encode_mask_bits(part_bits(masks, cfg.parts, labels_HW.shape)),
        },
        {
            "backend": cfg.model_type if cutter else "annotations",
            "parts": ",".join(cuts),
            **quality.facts(scores, cfg),
            "missing_keypoints": ",".join(missing),
        },
    )


def uncut(labels_HW: np.ndarray) -> Done:
    """The empty masks of a mere picture, in which there is nothing to cut."""
    empty = images.encode_mask_bits(np.zeros_like(labels_HW))
    return Done(
        dict.fromkeys((GARMENTS_FILE, REGIONS_FILE, PERSON_FILE, PARTS_FILE), empty), {"backend": "none", "parts": ""}
    )


def _regions(
    labels_HW: np.ndarray, cuts: dict[str, Cut], keypoints_K3: np.ndarray, role: str, rule: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Bits of the region to repaint for every category (none in a garment photo), and what its rule missed."""
    if role != PERSON:
        return np.zeros_like(labels_HW), ()
    masks = {part: cut.mask_HW for part, cut in cuts.items()}
    seen_HW = with_cuts(labels_HW, masks)
    regions = {category: repaint_region(rule, seen_HW, keypoints_K3, category, masks) for category in CATEGORIES}
    bits_HW = _bits({category: region.mask_HW for category, region in regions.items()}, labels_HW.shape)
    return bits_HW, tuple(dict.fromkeys(name for region in regions.values() for name in region.missing))


def _bits(masks: dict[str, np.ndarray], size_hw: tuple[int, ...]) -> np.ndarray:
    bits_HW = np.zeros(size_hw, np.uint8)
    for category, mask_HW in masks.items():
        bits_HW |= mask_HW * np.uint8(CATEGORY_BIT[category])
    return bits_HW


def read_keypoints(path: Path, min_score: float) -> np.ndarray:
    """float64 [17, 3] of a keypoints.json: x, y in pixels of the photo; visibility 1 from `min_score` on, else 0."""
    value = files.read_json(path)
    visible_K = np.asarray(value["scores"], np.float64) >= min_score
    return np.column_stack([np.asarray(value["keypoints"], np.float64), visible_K])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--shard", type=Path, required=True, help="pairs/shards/KEY.tsv")
    parser.add_argument("--masks", type=Path, required=True, help="masks/KEY.parquet of the same shard")
    parser.add_argument("--keypoints", type=Path, required=True, help="keypoints/KEY.parquet of the same shard")
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    parser.add_argument("--results", type=Path, required=True, help="results folder, whose items/ holds finished masks")
    parser.add_argument("--out", type=Path, required=True, help="table to write: cutouts/KEY.parquet")


def run(args: argparse.Namespace) -> None:
    """Make the cut-outs of one shard."""
    settings = config.load(args.config)
    cfg = settings.cutouts
    uses_sam = cfg.source == "sam"
    version = [
        config_digest(cfg),
        code_digest(__name__),
        environment_digest(STAGE),
        settings.keypoints.min_score,
        weights_digest(cfg.checkpoint, cfg.sha256) if uses_sam else None,
    ]
    cutters: list[SamCutter] = []  # loaded at the first photo that needs it: a cached shard loads nothing
    embeddings = Embeddings(args.results / "items", cfg) if uses_sam else None

    def cutter() -> SamCutter:
        if not cutters:
            cutters.append(load_cutter(cfg))
        return cutters[0]

    def process(photos: list[Row]) -> list[Done | BadItem]:
        opened = [_open(photo, args.data, args.results, settings.keypoints.min_score) for photo in photos]
        usable = {
            item.sha256: item.image_HWC for item in opened if not isinstance(item, BadItem) and item.role != PICTURE
        }
        seen = embeddings.of(usable, lambda images: cutter().encoder.encode(images)) if embeddings else {}
        return [item if isinstance(item, BadItem) else cut(item, seen.get(item.sha256)) for item in opened]

    def cut(item: Opened, embedding_CGG: np.ndarray | None) -> Done | BadItem:
        if item.role == PICTURE:
            return uncut(item.labels_HW)
        try:
            done = cut_photo(
                item.image_HWC,
                item.labels_HW,
                item.keypoints_K3,
                role=item.role,
                cfg=cfg,
                cutter=cutter() if uses_sam else None,
                embedding_CGG=embedding_CGG,
            )
        except BadItem as problem:
            return problem
        return replace(done, facts=done.facts | {"embedding": embeddings.key(item.sha256) if embeddings else None})

    run_shard(
        stage=STAGE,
        rows=_rows(read_shard(args.shard), {"masks": args.masks, "keypoints": args.keypoints}),
        key_of=lambda photo: digest([photo.sha256, photo.role, photo.masks_key, photo.keypoints_key, *version]),
        process=process,
        store=args.results / "items",
        out=args.out,
        batch_size=cfg.batch_size if uses_sam else 1,
    )


def _open(photo: Row, data: Path, results: Path, min_score: float) -> Opened | BadItem:
    """A photo and what the stages before this one made of it, or why it cannot be used."""
    try:
        for stage in UPSTREAM:
            if getattr(photo, f"{stage}_status") != "ok":
                raise BadItem(str(getattr(photo, f"{stage}_reason")))
        opened = Opened(
            photo.sha256,
            photo.role,
            images.read_rgb(data / photo.file),
            images.read_labels(results / photo.masks_file),
            read_keypoints(results / photo.keypoints_file, min_score),
        )
        if opened.role != PICTURE:
            garments_in(opened.labels_HW)  # before the encoder is asked
    except BadItem as problem:
        return problem
    return opened


def load_cutter(cfg: CutoutsConfig) -> SamCutter:
    """The model that the settings name."""
    import torch

    from tryon.prepare import sam
    from tryon.prepare.cutter import SamCutter

    path = resolve(cfg.checkpoint, cfg.sha256, setting="cutouts.checkpoint")
    device = cfg.device if cfg.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    return SamCutter(sam.load(cfg.model_type, path, device), cfg.precision)


def _rows(photos: pd.DataFrame, tables: dict[str, Path]) -> pd.DataFrame:
    """The shard's photos with each upstream stage's status, reason, key and file, joined by id."""
    rows = photos
    for stage, path in tables.items():
        table = pd.read_parquet(path).rename(columns={UPSTREAM[stage]: "file"})
        table = table.reindex(columns=["id", "status", "reason", "key", "file"])
        absent = sorted(set(photos["id"]) - set(table["id"]))
        if absent:
            raise UserError(
                f"{path}: no row for {', '.join(absent[:5])} ({len(absent)} photos of the shard); it was made from "
                f"another shard: run `tryon {stage}` on this one"
            )
        table.columns = ["id", *(f"{stage}_{column}" for column in table.columns[1:])]
        rows = rows.merge(table, on="id", validate="one_to_one")
    return rows
