"""Stage `cutouts`: garment cut-outs, person silhouettes and the region to repaint, one set of masks per photo.

segment-anything's image encoder runs once per photo; its small decoder then answers for every garment category
that is annotated there, and for the person, prompted by box, points and mask (tryon.prepare.prompts). With
`cutouts.source: annotations` the label map is trusted and no model is loaded. The region to repaint follows the
rule `cutouts.agnostic` (tryon.prepare.agnostic).

    tryon cutouts --config F --shard pairs/shards/KEY.tsv --masks masks/KEY.parquet \
        --keypoints keypoints/KEY.parquet --data DIR --results R --out cutouts/KEY.parquet
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tryon import config, files, images
from tryon.config import CutoutsConfig
from tryon.dataset.manifest import read_shard
from tryon.digests import code_digest, config_digest, digest
from tryon.environments import environment_digest
from tryon.errors import BadItem, UserError
from tryon.items import Done, Row, run_shard
from tryon.ontology import CATEGORIES, CATEGORY_BIT, LABEL_INDEX, PERSON_BIT
from tryon.prepare.agnostic import repaint_region, with_cuts
from tryon.prepare.prompts import PERSON, mask_logits, part_mask, prompts_for
from tryon.weights import resolve, weights_digest

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

STAGE = "cutouts"
GARMENTS_FILE, REGIONS_FILE, PERSON_FILE = "garments.png", "regions.png", "person.png"
SPECK_SHARE = 0.001  # islands and holes below this share of a mask's area are the decoder's noise
UPSTREAM = {"masks": "labels.png", "keypoints": "keypoints.json"}  # stage: its file that this stage reads


@dataclass(frozen=True)
class Cut:
    """One part's mask.

    Attributes:
        mask_HW: uint8 {0, 1} in pixels of the photo.
        predicted_iou: the model's own estimate of its IoU with the truth; None where the annotation is trusted.
    """

    mask_HW: np.ndarray
    predicted_iou: float | None = None


class SamCutter:
    """Cuts parts out of photos with a segment-anything model."""

    def __init__(self, sam: Sam) -> None:
        """Wrap a model; see `tryon.prepare.sam.load`."""
        from segment_anything import SamPredictor

        self.predictor = SamPredictor(sam)

    def cut(self, image_HWC: np.ndarray, parts: dict[str, np.ndarray], keypoints_K3: np.ndarray) -> dict[str, Cut]:
        """Refine the rough masks of a photo's parts; the image encoder runs once.

        Args:
            image_HWC: uint8 RGB.
            parts: rough mask (uint8 {0, 1} [H, W], not empty) by part.
            keypoints_K3: COCO-17: x, y in the photo's pixels, visibility (<= 0: not visible).
        """
        self.predictor.set_image(image_HWC)
        cuts = {part: self._cut_part(part, mask_HW, keypoints_K3) for part, mask_HW in parts.items()}
        self.predictor.reset_image()
        return cuts

    def _cut_part(self, part: str, rough_HW: np.ndarray, keypoints_K3: np.ndarray) -> Cut:
        model = self.predictor.model
        prompts = prompts_for(rough_HW, keypoints_K3, part)
        masks_1HW, scores_1, _ = self.predictor.predict(
            point_coords=prompts.points_N2,
            point_labels=prompts.point_labels_N,
            box=prompts.box_xyxy,
            mask_input=mask_logits(
                rough_HW,
                self.predictor.input_size,
                model.image_encoder.img_size,
                model.prompt_encoder.mask_input_size[0],
            ),
            multimask_output=False,  # box, points and mask together leave nothing ambiguous
        )
        return Cut(without_specks(masks_1HW[0]), round(float(scores_1[0]), 4))


def without_specks(mask_HW: np.ndarray) -> np.ndarray:
    """uint8 {0, 1}: a boolean mask without tiny islands and holes; its largest island always stays."""
    from segment_anything.utils.amg import remove_small_regions

    smallest_px = SPECK_SHARE * float(mask_HW.sum())
    mask_HW, _ = remove_small_regions(mask_HW, smallest_px, "holes")
    mask_HW, _ = remove_small_regions(mask_HW, smallest_px, "islands")
    return mask_HW.astype(np.uint8)


def iou(a_HW: np.ndarray, b_HW: np.ndarray) -> float:
    """Intersection over union of two {0, 1} masks; 1 where both are empty."""
    union = np.logical_or(a_HW, b_HW).sum()
    return float(np.logical_and(a_HW, b_HW).sum() / union) if union else 1.0


def cut_photo(
    image_HWC: np.ndarray,
    labels_HW: np.ndarray,
    keypoints_K3: np.ndarray,
    *,
    role: str,
    cfg: CutoutsConfig,
    cutter: SamCutter | None,
) -> Done:
    """All masks of one photo.

    Args:
        image_HWC: uint8 RGB.
        labels_HW: uint8 indices into `ontology.LABELS`, same height and width.
        keypoints_K3: COCO-17: x, y in the photo's pixels, visibility (<= 0: not visible).
        role: "person" or "garment".
        cfg: settings of this stage.
        cutter: the model; None trusts the label map.

    Raises:
        BadItem: no garment is labelled, or a cut-out has little to do with its annotation.
    """
    parts = {part: part_mask(labels_HW, part) for part in CATEGORIES if (labels_HW == LABEL_INDEX[part]).any()}
    if not parts:
        raise BadItem(f"no garment is annotated; draw one of {', '.join(CATEGORIES)} in ISAT, or remove the photo")
    if role == PERSON:
        parts[PERSON] = part_mask(labels_HW, PERSON)
    cuts = cutter.cut(image_HWC, parts, keypoints_K3) if cutter else {part: Cut(mask) for part, mask in parts.items()}
    agreement = {part: iou(cut.mask_HW, parts[part]) for part, cut in cuts.items()}
    worst = min(agreement, key=lambda part: agreement[part])
    if agreement[worst] < cfg.min_agreement:
        raise BadItem(
            f"the cut-out of {worst!r} overlaps its annotation by IoU {agreement[worst]:.2f} only, expected at least "
            f"{cfg.min_agreement} (cutouts.min_agreement); correct the annotation, use a larger model (cutouts."
            "model_type), or set cutouts.source: annotations"
        )
    garments_HW = _bits({part: cut.mask_HW for part, cut in cuts.items() if part != PERSON}, labels_HW.shape)
    regions_HW, missing = _regions(labels_HW, cuts, keypoints_K3, role, cfg.agnostic)
    person_HW = cuts[PERSON].mask_HW * np.uint8(PERSON_BIT) if PERSON in cuts else np.zeros_like(labels_HW)
    scores = [cut.predicted_iou for cut in cuts.values() if cut.predicted_iou is not None]
    return Done(
        {
            GARMENTS_FILE: images.encode_mask_bits(garments_HW),
            REGIONS_FILE: images.encode_mask_bits(regions_HW),
            PERSON_FILE: images.encode_mask_bits(person_HW),
        },
        {
            "backend": cfg.model_type if cutter else "annotations",
            "parts": ",".join(cuts),
            "predicted_iou": min(scores) if scores else None,
            "agreement": round(agreement[worst], 4),
            "missing_keypoints": ",".join(missing),
        },
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

    def cutter() -> SamCutter | None:
        if uses_sam and not cutters:
            cutters.append(load_cutter(cfg))
        return cutters[0] if uses_sam else None

    def process(photos: list[Row]) -> list[Done | BadItem]:
        photo = photos[0]
        try:
            for stage in UPSTREAM:
                if getattr(photo, f"{stage}_status") != "ok":
                    raise BadItem(str(getattr(photo, f"{stage}_reason")))
            return [
                cut_photo(
                    images.read_rgb(args.data / photo.file),
                    images.read_labels(args.results / photo.masks_file),
                    read_keypoints(args.results / photo.keypoints_file, settings.keypoints.min_score),
                    role=photo.role,
                    cfg=cfg,
                    cutter=cutter(),
                )
            ]
        except BadItem as problem:
            return [problem]

    run_shard(
        stage=STAGE,
        rows=_rows(read_shard(args.shard), {"masks": args.masks, "keypoints": args.keypoints}),
        key_of=lambda photo: digest([photo.sha256, photo.role, photo.masks_key, photo.keypoints_key, *version]),
        process=process,
        store=args.results / "items",
        out=args.out,
    )


def load_cutter(cfg: CutoutsConfig) -> SamCutter:
    """The model that the settings name."""
    import torch

    from tryon.prepare import sam

    path = resolve(cfg.checkpoint, cfg.sha256, setting="cutouts.checkpoint")
    device = cfg.device if cfg.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    return SamCutter(sam.load(cfg.model_type, path, device))


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
