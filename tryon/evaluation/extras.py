"""Metrics of the final pictures that need a model or label maps: OKS, preserved regions, CLIP-I, DINO.

None of them is computed where its model or folder is not given; the summary then says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tryon import images
from tryon.config import Config, KeypointsConfig
from tryon.errors import BadItem, UserError
from tryon.evaluation.consistency import oks, preserved_iou
from tryon.evaluation.embeddings import Embedding, Kind, garment_crop
from tryon.prepare.keypoints import box_of_labels, load_model

if TYPE_CHECKING:
    from tryon.evaluation.judge import Entry, View
    from tryon.prepare.pose_model import Pose, PoseModel

EMBEDDINGS: dict[str, Kind] = {"clip_i": "clip", "dino": "dino"}
"""Kind of network by metric."""


def not_given(config: Config) -> dict[str, str]:
    """Metrics of this module that the settings leave out, with the reason."""
    cfg = config.evaluate
    reasons: dict[str, str] = {}
    if config.keypoints.source == "given":
        reasons["oks"] = "not computed: keypoints are given, so there is no model that could look at the results"
    elif not cfg.keypoint_consistency:
        reasons["oks"] = "not computed: evaluate.keypoint_consistency is off"
    if cfg.result_labels is None:
        reasons["preserved_iou"] = "not computed: no label maps of the results (evaluate.result_labels)"
    for metric, kind in EMBEDDINGS.items():
        if getattr(cfg, f"{kind}_model") is None:
            reasons[metric] = f"not computed: no model given (evaluate.{kind}_model)"
    return reasons


@dataclass(frozen=True, eq=False)
class OfPerson:
    """What is found once per pair, not once per result.

    Attributes:
        box_xyxy: of the person's silhouette; None where OKS is not computed.
        pose: what the model finds in the person photo.
        garments: embedding of the garment photo by metric.
    """

    box_xyxy: tuple[float, float, float, float] | None
    pose: Pose | None
    garments: dict[str, np.ndarray]


@dataclass
class Extras:
    """Models, opened on first use in each process.

    Attributes:
        keypoints: the pose model's settings; None: no OKS.
        labels: folder of the results' label maps; None: no preserved regions.
        models: folder of the network by metric (`EMBEDDINGS`).
    """

    keypoints: KeypointsConfig | None
    labels: Path | None
    models: dict[str, Path]
    _pose: PoseModel | None = field(default=None, init=False, repr=False)
    _embeddings: dict[str, Embedding] = field(default_factory=dict, init=False, repr=False)

    def open(self) -> Extras:
        """Load the models now, so that a wrong one is told before any picture is judged.

        Raises:
            UserError: a model or folder is not what it should be.
        """
        if self.keypoints is not None and self._pose is None:
            self._pose = load_model(self.keypoints)
        if self.labels is not None and not self.labels.is_dir():
            raise UserError(f"evaluate.result_labels: {self.labels}: no such folder; correct the path, or null")
        for metric, folder in self.models.items():
            if metric not in self._embeddings:
                self._embeddings[metric] = Embedding(EMBEDDINGS[metric], folder)
        return self

    def of_person(self, view: View) -> OfPerson:
        """What the person and the garment photo of a pair say."""
        self.open()
        box_xyxy, pose = None, None
        if self._pose is not None:
            try:
                box_xyxy = box_of_labels(view.person.labels_HW, "person")
                pose = self._pose.predict([view.person.image_HWC], [box_xyxy])[0]
            except BadItem:
                box_xyxy = None  # nobody is labelled at this size, so there is nothing to be consistent with
        garment_HWC = garment_crop(view.garment.image_HWC, view.cutout_HW > 0)
        garments = {}
        if garment_HWC is not None:
            garments = {metric: network(garment_HWC) for metric, network in self._embeddings.items()}
        return OfPerson(box_xyxy, pose, garments)

    def values(
        self, view: View, picture_HWC: np.ndarray, person: OfPerson, entry: Entry, pair_id: str
    ) -> dict[tuple[str, str], float | None]:
        """{(metric, region): value} of one result."""
        values: dict[tuple[str, str], float | None] = {}
        if self._pose is not None and self.keypoints is not None and person.box_xyxy is not None and person.pose:
            found = self._pose.predict([picture_HWC], [person.box_xyxy])[0]
            points_K3 = np.concatenate([person.pose.keypoints_K2, person.pose.scores_K[:, None]], axis=1)
            area_px = float((view.person.labels_HW > 0).sum())
            values["oks", "whole"] = oks(points_K3, found.keypoints_K2, area_px, self.keypoints.min_score)
        if self.labels is not None and entry.kind != "baseline":
            found_HW = self._labels_of(entry, pair_id, view.person.labels_HW.shape)
            values["preserved_iou", "kept"] = preserved_iou(view.person.labels_HW, found_HW, view.region_HW)
        crop_HWC = garment_crop(picture_HWC, view.expected_HW) if self._embeddings else None
        if crop_HWC is not None:
            for metric, vector in person.garments.items():
                values[metric, "expected"] = float(vector @ self._embeddings[metric](crop_HWC))
        return values

    def _labels_of(self, entry: Entry, pair_id: str, size_hw: tuple[int, ...]) -> np.ndarray:
        path = Path(str(self.labels)) / entry.system / entry.stage / f"{pair_id}.png"
        try:
            labels_HW = images.read_labels(path)
        except (OSError, ValueError) as error:
            raise UserError(
                f"evaluate.result_labels: {path}: not a label map ({error}); write an indexed PNG of this package's "
                "labels for every result, or set evaluate.result_labels to null"
            ) from None
        if labels_HW.shape != size_hw:
            raise UserError(f"evaluate.result_labels: {path}: {labels_HW.shape}, but the result is {size_hw}")
        return labels_HW


def open_extras(config: Config) -> Extras | None:
    """What the settings ask for; None where that is nothing."""
    reasons = not_given(config)
    cfg = config.evaluate
    extras = Extras(
        config.keypoints if "oks" not in reasons else None,
        Path(cfg.result_labels) if cfg.result_labels is not None else None,
        {
            metric: Path(str(getattr(cfg, f"{kind}_model")))
            for metric, kind in EMBEDDINGS.items()
            if metric not in reasons
        },
    )
    return extras if extras.keypoints is not None or extras.labels is not None or extras.models else None
