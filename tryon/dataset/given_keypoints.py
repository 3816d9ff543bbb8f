"""Keypoints that come with the photos: mmpose prediction JSON, read and checked.

The format is what mmpose's inferencer writes for one picture: a list of persons
``{"keypoints": 17 x [x, y], "keypoint_scores": 17, "bbox": [[x1, y1, x2, y2]], "bbox_score": …}``, or that list
under the key `instance_info`. Score 0 means that a point is not visible.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tryon import files
from tryon.errors import BadItem
from tryon.ontology import KEYPOINT_NAMES

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
NUM_WHOLE_BODY = 133  # COCO-WholeBody: its first 17 are COCO's
FIX = "write it with mmpose's inferencer, or remove it"


def read_given(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    """Keypoints of the person with the highest box score.

    Args:
        path: the JSON file.
        size_hw: height and width of the photo in pixels.

    Returns:
        float64 [17, 3]: x and y in photo pixels, score.

    Raises:
        BadItem: missing, not such a file, or points far outside the photo; names the file, the cause and the fix.
    """
    person = max(_people(path), key=_box_score)
    keypoints_K3 = _points(person, path.name)
    check_inside(keypoints_K3, size_hw, path.name)
    return keypoints_K3


def read_near(path: Path, size_hw: tuple[int, int], box_xyxy: Box) -> tuple[np.ndarray, tuple[str, ...]]:
    """Keypoints of the person who stands where the annotation is.

    Args:
        path: the JSON file.
        size_hw: height and width of the photo in pixels.
        box_xyxy: left, top, right, bottom of what is annotated, in pixels.

    Returns:
        float64 [17, 3] as `read_given`, of the person whose visible points' box has the largest IoU with `box_xyxy`,
        and where nobody stands there, of the largest; and a repair "kind: detail" where there was a choice.

    Raises:
        BadItem: as `read_given`.
    """
    people = [_points(person, path.name) for person in _people(path)]
    chosen, repairs = choose_near(people, box_xyxy, path.name)
    check_inside(people[chosen], size_hw, path.name)
    return people[chosen], repairs


def choose_near(people: list[np.ndarray], box_xyxy: Box, name: str) -> tuple[int, tuple[str, ...]]:
    """The rule of `read_near` for people who are read already.

    Args:
        people: float64 [17, 3] of each, at least one: x and y in photo pixels, score (0: not visible).
        box_xyxy: left, top, right, bottom of what is annotated, in pixels.
        name: where they come from, for the repair.

    Returns:
        The index of the one who is taken, and a repair "kind: detail" where there was a choice.
    """
    boxes = [_box_of_points(keypoints_K3) for keypoints_K3 in people]
    overlaps = [_iou(box, box_xyxy) for box in boxes]
    is_there = max(overlaps) > 0
    ranks = overlaps if is_there else [_area(box) for box in boxes]
    chosen = ranks.index(max(ranks))
    if len(people) == 1:
        return chosen, ()
    why = f"overlaps the annotation most (IoU {overlaps[chosen]:.2f})" if is_there else "is the largest"
    return chosen, (f"several people: of {len(people)} in {name} the one who {why}",)


def _people(path: Path) -> list[dict[str, Any]]:
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        raise BadItem(f"{path.name}: no such keypoint file; restore it, or set keypoints.source: mmpose") from None
    except (ValueError, RecursionError, OSError) as error:
        raise BadItem(f"{path.name}: not JSON ({error}); {FIX}") from None
    if isinstance(value, dict):
        value = value.get("instance_info")
    if not isinstance(value, list) or not value or not all(isinstance(person, dict) for person in value):
        raise BadItem(f"{path.name}: not an mmpose prediction, which is a list of persons; {FIX}")
    return value


def _box_of_points(keypoints_K3: np.ndarray) -> Box:
    """The box of the visible points; of none an empty one."""
    points_K2 = keypoints_K3[keypoints_K3[:, 2] > 0, :2]
    if not len(points_K2):
        return 0.0, 0.0, 0.0, 0.0
    (left, top), (right, bottom) = points_K2.min(axis=0), points_K2.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _iou(a: Box, b: Box) -> float:
    both = _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    return both / max(_area(a) + _area(b) - both, 1e-9)


def _box_score(person: dict[str, Any]) -> float:
    score = person.get("bbox_score", 0.0)
    return float(score) if isinstance(score, (int, float)) else 0.0


def _points(person: dict[str, Any], name: str) -> np.ndarray:
    try:
        points_K2 = np.asarray(person["keypoints"], np.float64)
        scores_K = np.asarray(person["keypoint_scores"], np.float64)
    except KeyError as error:
        raise BadItem(f"{name}: a person without {error}; {FIX}") from None
    except (ValueError, TypeError):
        raise BadItem(f"{name}: keypoints or keypoint_scores hold something that is no number; {FIX}") from None
    count = len(KEYPOINT_NAMES)
    if points_K2.shape not in ((count, 2), (NUM_WHOLE_BODY, 2)) or scores_K.shape != points_K2.shape[:1]:
        raise BadItem(
            f"{name}: keypoints of shape {points_K2.shape} and scores of shape {scores_K.shape}; expected {count} COCO "
            f"points [x, y] and {count} scores; {FIX}"
        )
    if not (np.isfinite(points_K2).all() and np.isfinite(scores_K).all()):
        raise BadItem(f"{name}: keypoints or scores are not finite; {FIX}")
    return np.concatenate([points_K2, scores_K[:, None]], axis=1)[:count]


def check_inside(keypoints_K3: np.ndarray, size_hw: tuple[int, int], name: str) -> None:
    """Refuse visible points that lie more than a tenth of the photo outside.

    Args:
        keypoints_K3: COCO-17: x and y in photo pixels, score (0: not visible).
        size_hw: height and width of the photo in pixels.
        name: where they come from, for the message.

    Raises:
        BadItem: they belong to another picture or to another size of it.
    """
    height, width = size_hw
    share_K2 = keypoints_K3[:, :2] / (width, height)
    outside_K = (keypoints_K3[:, 2] > 0) & ((share_K2 < -0.1) | (share_K2 > 1.1)).any(axis=1)
    if outside_K.any():
        index = int(np.argmax(outside_K))
        x, y = keypoints_K3[index, :2]
        raise BadItem(
            f"{name}: {KEYPOINT_NAMES[index]} lies at ({x:.0f}, {y:.0f}), outside the photo of {width}x{height}; "
            "the keypoints belong to another picture or to another size of it: predict them again"
        )
