"""How well a keypoint model does on photos whose keypoints are known: PCK and visibility."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np

from tryon.dataset.folder import ROLES
from tryon.fit.crops import LabelledPhoto
from tryon.prepare.pose_model import PoseModel

PCK_THRESHOLD = 0.05  # share of the longer side of the box, as mmpose's PCKAccuracy(thr=0.05, norm_item="bbox")


def score(
    model: PoseModel,
    photos: Iterable[tuple[LabelledPhoto, np.ndarray]],
    *,
    min_score: float,
    batch_size: int = 32,
    progress: Callable[[int], None] = lambda num_done: None,
) -> dict[str, float | int]:
    """Compare predicted with known keypoints, through the same code as the stage `keypoints`.

    PCK@0.05: share of the visible keypoints that lie within 0.05 of the longer side of the photo's box.

    Args:
        model: the model to judge.
        photos: known keypoints with the photo's pixels (uint8 RGB).
        min_score: score from which a keypoint counts as predicted visible.
        batch_size: photos per call of the model.
        progress: told the number of photos done, after each batch.

    Returns:
        `pck_005_mean` over person photos, `pck_005_garment_mean` over garment photos (both over visible points),
        `visibility_accuracy_mean` over all points of all photos, `worst_keypoint` and counts.
    """
    close: dict[str, list[np.ndarray]] = {role: [] for role in ROLES}
    visible: dict[str, list[np.ndarray]] = {role: [] for role in ROLES}
    agrees: list[np.ndarray] = []
    num_done = 0
    for batch in _batches(photos, batch_size):
        poses = model.predict([image for _, image in batch], [photo.box_xyxy for photo, _ in batch])
        for (photo, _), pose in zip(batch, poses, strict=True):
            left, top, right, bottom = photo.box_xyxy
            error_K = np.linalg.norm(pose.keypoints_K2 - photo.keypoints_K3[:, :2], axis=1)
            visible_K = photo.keypoints_K3[:, 2] > 0
            close[photo.role].append(error_K <= PCK_THRESHOLD * max(right - left, bottom - top))
            visible[photo.role].append(visible_K)
            agrees.append((pose.scores_K >= min_score) == visible_K)
        num_done += len(batch)
        progress(num_done)
    person, garment = (_pck(close[role], visible[role]) for role in ROLES)
    return {
        **({"pck_005_mean": person} if person is not None else {}),
        **({"pck_005_garment_mean": garment} if garment is not None else {}),
        "visibility_accuracy_mean": round(float(np.mean(agrees)), 4),
        "num_persons": len(close["person"]),
        "num_garments": len(close["garment"]),
        "num_points": int(sum(np.sum(flags) for role in ROLES for flags in visible[role])),
    }


def _pck(close: list[np.ndarray], visible: list[np.ndarray]) -> float | None:
    visible_NK = np.array(visible)
    if not visible_NK.any():
        return None
    return round(float(np.array(close)[visible_NK].mean()), 4)


def _batches(
    photos: Iterable[tuple[LabelledPhoto, np.ndarray]], batch_size: int
) -> Iterator[list[tuple[LabelledPhoto, np.ndarray]]]:
    iterator = iter(photos)
    while batch := list(islice(iterator, batch_size)):
        yield batch
