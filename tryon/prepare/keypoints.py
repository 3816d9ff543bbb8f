"""Stage `keypoints`: a photo and its label map → 17 COCO keypoints with scores, by an mmpose top-down model.

The box that the model is given comes from the label map: the person in a person photo, the garment in a garment
photo (whose keypoints are the places where the wearer's joints would be; see `resources/pose/README.md`). So of several
people in a photo the annotated one is found; a file of given keypoints may hold several, and the one who overlaps the
annotation is taken.

    tryon keypoints --config F --shard pairs/shards/KEY.tsv --masks masks/KEY.parquet --data DIR --results R
        --out keypoints/KEY.parquet
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tryon import config, files, images, weights
from tryon.config import DatasetConfig, KeypointsConfig
from tryon.dataset import formats
from tryon.dataset.folder import PICTURE
from tryon.dataset.formats.interface import Reader
from tryon.dataset.manifest import read_shard
from tryon.digests import code_digest, config_digest, digest
from tryon.environments import environment_digest
from tryon.errors import BadItem, UserError
from tryon.items import Done, Row, Scalar, run_shard
from tryon.ontology import CATEGORIES, KEYPOINT_NAMES, LABEL_INDEX
from tryon.prepare.masks import LABELS_FILE
from tryon.prepare.outline import joints_of_outline

if TYPE_CHECKING:
    from tryon.prepare.pose_model import Pose, PoseModel

STAGE = "keypoints"
KEYPOINTS_FILE = "keypoints.json"
GARMENT_VALUES = [LABEL_INDEX[name] for name in CATEGORIES]

Box = tuple[float, float, float, float]


def box_of_labels(labels_HW: np.ndarray, role: str) -> Box:
    """Tight box round what a label map shows.

    Args:
        labels_HW: uint8 indices into `ontology.LABELS`.
        role: "person" (everything that is labelled) or "garment" (garment labels only).

    Returns:
        Left, top, right, bottom: the outermost labelled pixel centres.

    Raises:
        BadItem: the label map is empty.
    """
    wanted_HW = labels_HW > 0 if role == "person" else np.isin(labels_HW, GARMENT_VALUES)
    rows, columns = np.flatnonzero(wanted_HW.any(axis=1)), np.flatnonzero(wanted_HW.any(axis=0))
    if len(rows) < 2 or len(columns) < 2:
        raise BadItem(
            f"no {role} in the label map, so there is no box to look for keypoints in; annotate the {role} "
            "or remove the photo"
        )
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])


def encode(
    keypoints_K3: np.ndarray,
    box_xyxy: Box,
    *,
    role: str,
    cfg: KeypointsConfig,
    source: str,
    repairs: tuple[str, ...] = (),
) -> Done:
    """The stage's file and facts for one photo.

    Args:
        keypoints_K3: x and y in photo pixels, score.
        box_xyxy: the box in photo pixels.
        role: "person" or "garment".
        cfg: settings of the stage; points that score less than `min_score` count as not visible: their score in the
            file is 0.
        source: "mmpose", "given" or "none".
        repairs: what was chosen or mended, as "kind: detail".

    Returns:
        keypoints.json: `keypoints` 17 x [x, y], `scores` (0: not visible), `raw_scores`, `bbox_xyxy`. Coordinates are
        rounded to 0.01 px and scores to 0.0001, beyond which two machines differ.

    Raises:
        BadItem: too few points of a person are visible.
    """
    visible_K = keypoints_K3[:, 2] >= max(cfg.min_score, 1e-4)
    scores_K = keypoints_K3[:, 2].round(4)
    value = {
        "keypoints": keypoints_K3[:, :2].round(2).tolist(),
        "scores": np.where(visible_K, scores_K, 0.0).tolist(),
        "raw_scores": scores_K.tolist(),
        "bbox_xyxy": [round(side, 2) for side in box_xyxy],
    }
    num_visible = int(visible_K.sum())
    # the joints of a garment photo are guesses at where a wearer's would be; most published models know none there
    if role == "person" and num_visible < cfg.min_visible:
        raise BadItem(
            f"nobody found: {num_visible} of {len(scores_K)} keypoints score {cfg.min_score} or more, expected at "
            f"least {cfg.min_visible} (keypoints.min_visible); take another photo, or give keypoints"
        )
    mean_score = round(float(scores_K[visible_K].mean()), 4) if num_visible else 0.0
    content = json.dumps(value, sort_keys=True).encode()
    facts: dict[str, Scalar] = {
        "num_visible": num_visible,
        "mean_score": mean_score,
        "source": source,
        "doubtful": source != "none" and mean_score < cfg.doubtful_score,
        "repairs": "\n".join(repairs),
    }
    return Done({KEYPOINTS_FILE: content}, facts)


class Keypoints:
    """Finds or reads the keypoints of batches of photos.

    Args:
        cfg: settings of the stage.
        reader: of the data folder's format.
        data: the data folder.
        results: the results folder, which the label maps' paths are relative to.
        model: makes the model; called only if a photo needs it.
    """

    def __init__(
        self, cfg: KeypointsConfig, reader: Reader, data: Path, results: Path, model: Callable[[], PoseModel]
    ) -> None:
        self.cfg = cfg
        self.reader = reader
        self.data = data
        self.results = results
        self.model = model

    def process(self, photos: list[Row]) -> list[Done | BadItem]:
        """Results for rows of `join_masks`, in order; one model call for the batch."""
        outcomes: list[Done | BadItem | None] = []
        found: list[tuple[np.ndarray, Box, str]] = []
        for photo in photos:
            try:
                if photo.labels_status != "ok":
                    raise BadItem(photo.labels_reason)
                if self._has_none(photo):
                    outcomes.append(self._none(photo))
                    continue
                box_xyxy = box_of_labels(images.read_labels(self.results / photo.labels_path), photo.role)
                if self._is_given(photo):
                    outcomes.append(self._read(photo, box_xyxy))
                else:
                    found.append((images.read_rgb(self.data / photo.file), box_xyxy, photo.role))
                    outcomes.append(None)
            except BadItem as problem:
                outcomes.append(problem)
        predicted = iter(self._predict(found))
        return [next(predicted) if outcome is None else outcome for outcome in outcomes]

    def _is_given(self, photo: Row) -> bool:
        return self.cfg.source == "given" or (self.cfg.source == "given_else_mmpose" and photo.keypoints is not None)

    def _has_none(self, photo: Row) -> bool:
        """Whether nobody may look for keypoints: in a mere picture, or where the layout marks none in such photos."""
        marks_none = photo.role not in self.reader.keypoint_roles
        return photo.role == PICTURE or (self.cfg.source == "given" and marks_none)

    def _none(self, photo: Row) -> Done:
        whole = (0.0, 0.0, photo.width - 1.0, photo.height - 1.0)
        return encode(np.zeros((len(KEYPOINT_NAMES), 3)), whole, role=photo.role, cfg=self.cfg, source="none")

    def _read(self, photo: Row, box_xyxy: Box) -> Done:
        if photo.keypoints is None:
            raise BadItem(
                f"{photo.id}: no file keypoints/{photo.id}.json, or where else its layout keeps keypoints, which "
                "keypoints.source: given asks for; add it or set given_else_mmpose"
            )
        size_hw = (photo.height, photo.width)
        keypoints_K3, repairs = self.reader.keypoints_near(self.data, photo.keypoints, size_hw, box_xyxy)
        if photo.role == "garment" and self.cfg.given_garments == "outline":
            keypoints_K3 = joints_of_outline(keypoints_K3, photo.categories.split(",")[0])
        return encode(keypoints_K3, box_xyxy, role=photo.role, cfg=self.cfg, source="given", repairs=repairs)

    def _predict(self, found: list[tuple[np.ndarray, Box, str]]) -> list[Done | BadItem]:
        if not found:
            return []
        poses = self.model().predict([image_HWC for image_HWC, _, _ in found], [box for _, box, _ in found])
        return [self._encode(pose, box_xyxy, role) for pose, (_, box_xyxy, role) in zip(poses, found, strict=True)]

    def _encode(self, pose: Pose, box_xyxy: Box, role: str) -> Done | BadItem:
        keypoints_K3 = np.concatenate([pose.keypoints_K2, pose.scores_K[:, None]], axis=1)
        try:
            return encode(keypoints_K3, box_xyxy, role=role, cfg=self.cfg, source="mmpose")
        except BadItem as problem:
            return problem


def join_masks(photos: pd.DataFrame, masks_table: Path) -> pd.DataFrame:
    """The shard's photos with what the stage `masks` made of them: status, reason, path and key of the label map.

    A photo that was refused there gets its row here too, refused for the same reason: later stages want a row of
    every photo, so that a table of another shard is noticed.

    Raises:
        UserError: the masks table is missing or is another shard's.
    """
    try:
        masks = pd.read_parquet(masks_table)
    except FileNotFoundError:
        raise UserError(f"{masks_table}: no such table; run the stage `masks` first") from None
    missing = sorted(set(photos["id"]) - set(masks["id"]))
    if missing:
        raise UserError(f"{masks_table} has no row for {missing[0]}: it belongs to another shard; run `masks` again")
    num_refused = int((masks["status"] != "ok").sum())
    if num_refused:
        print(f"{STAGE}: {num_refused} photos have no label map (see {masks_table})", file=sys.stderr)
    columns = masks.reindex(columns=["id", "status", "reason", LABELS_FILE, "key"])
    columns.columns = ["id", "labels_status", "labels_reason", "labels_path", "labels_key"]
    return photos.merge(columns, on="id", validate="one_to_one")


def load_model(cfg: KeypointsConfig) -> PoseModel:
    """The model that the settings name; importing mmpose takes some ten seconds.

    Raises:
        UserError: a file is missing, damaged, has another sha256, or does not fit the other.
    """
    from tryon.prepare.pose_model import PoseModel

    checkpoint = weights.resolve(cfg.checkpoint, cfg.sha256, setting="keypoints.checkpoint")
    return PoseModel(weights.find_config(cfg.config), checkpoint, device=cfg.device)


def given_digest(photo: Row, cfg: KeypointsConfig) -> str | None:
    """Digest of the photo's own keypoint file, where the settings read it."""
    return None if cfg.source == "mmpose" else photo.keypoints_sha256


def version(cfg: KeypointsConfig, dataset: DatasetConfig) -> list[str]:
    """Digests of everything but the photo that a result depends on; how given points are read only where they are."""
    parts = [config_digest(cfg), code_digest(__name__), environment_digest(STAGE)]
    if cfg.source != "mmpose":
        parts += [config_digest(dataset), code_digest(formats.module(dataset))]
    if cfg.source != "given":
        checkpoint = weights.resolve(cfg.checkpoint, cfg.sha256, setting="keypoints.checkpoint")
        parts += [files.sha256_file(weights.find_config(cfg.config)), files.sha256_file(checkpoint)]
    return parts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--shard", type=Path, required=True, help="pairs/shards/KEY.tsv")
    parser.add_argument("--masks", type=Path, required=True, help="masks/KEY.parquet")
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    parser.add_argument("--results", type=Path, required=True, help="results folder, whose items/ holds finished work")
    parser.add_argument("--out", type=Path, required=True, help="table to write: keypoints/KEY.parquet")


def run(args: argparse.Namespace) -> None:
    """Find the keypoints of one shard's photos."""
    settings = config.load(args.config)
    cfg = settings.keypoints
    common = version(cfg, settings.dataset)
    reader = formats.reader(settings.dataset)

    run_shard(
        stage=STAGE,
        rows=join_masks(read_shard(args.shard), args.masks),
        key_of=lambda photo: digest([photo.sha256, photo.labels_key, photo.role, given_digest(photo, cfg), *common]),
        process=Keypoints(cfg, reader, args.data, args.results, cache(lambda: load_model(cfg))).process,
        store=args.results / "items",
        out=args.out,
        batch_size=cfg.batch_size,
    )
