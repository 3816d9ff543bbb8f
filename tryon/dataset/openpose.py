"""Keypoint files of the known data sets: OpenPose JSON, DressCode's 18 x 4, flat lists and .npy arrays → COCO-17.

OpenPose writes ``{"people": [{"pose_keypoints_2d": [x, y, score, …]}]}`` with 25 points (BODY_25) or 18 (its older
COCO model, whose key was `pose_keypoints`); a point that was not found is (0, 0, 0).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tryon.dataset.formats.folder_reader import read_json
from tryon.dataset.given_keypoints import check_inside
from tryon.errors import BadItem
from tryon.keypoints import BODY_25, COCO_17, OPENPOSE_18, convert, scaled

POINT_KEYS = ("pose_keypoints_2d", "pose_keypoints")
SETS = {3 * len(names): names for names in (OPENPOSE_18, BODY_25)}
DRESSCODE_HW = (512, 384)  # the size that DressCode's keypoints were found at, whatever the photo's
FIX = "run OpenPose on this photo again, or delete the file and set keypoints.source: given_else_mmpose"


def read_openpose(path: Path, size_hw: tuple[int, int], labels_HW: np.ndarray | None) -> np.ndarray:
    """The keypoints of an OpenPose file.

    Of several people it is the one with most visible points on the person of the label map, and without one the
    largest.

    Args:
        path: the JSON file.
        size_hw: height and width of the photo in pixels; the points are in its pixels.
        labels_HW: label map of the photo (0: background), or None.

    Returns:
        float64 [17, 3]: COCO points, x, y and score.

    Raises:
        BadItem: missing, not such a file, nobody found, or points far outside the photo.
    """
    people = [_person(person, path.name) for person in _people(path)]
    if not people:
        raise BadItem(f"{path.name}: OpenPose found nobody in this photo (people is empty); {FIX}")
    chosen = max(people, key=lambda points_K3: (_on_person(points_K3, labels_HW), _area(points_K3)))
    check_inside(chosen, size_hw, path.name)
    return chosen


def num_people(path: Path) -> int:
    """How many people an OpenPose file holds.

    Raises:
        BadItem: not such a file.
    """
    return len(_people(path))


def read_dresscode(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    """The keypoints of a DressCode file, ``{"keypoints": 18 x [x, y, score, number]}``.

    Args:
        path: the JSON file.
        size_hw: height and width of the photo in pixels.

    Returns:
        float64 [17, 3]: COCO points in pixels of the photo, x, y and score.

    Raises:
        BadItem: missing, not such a file, or no point is visible.
    """
    value = read_json(path, "OpenPose")
    rows = value.get("keypoints") if isinstance(value, dict) else None
    points_K4 = _numbers(rows, path.name)
    if points_K4.size != 4 * len(OPENPOSE_18):
        raise BadItem(f"{path.name}: expected `keypoints`, 18 x [x, y, score, number], found {_shown(rows)}; {FIX}")
    points_K3 = points_K4.reshape(-1, 4)[:, :3]
    points_K3[~(points_K3 > 0).all(axis=1)] = 0.0  # what was not found stands there as 0 or -1
    keypoints_K3 = scaled(convert(points_K3, OPENPOSE_18, COCO_17), DRESSCODE_HW, size_hw)
    return _with_someone(keypoints_K3, size_hw, path.name)


def read_flat(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    """The keypoints of a flat JSON list [x1, y1, …] of 17 COCO points in pixels, which says nothing about scores.

    Args:
        path: the JSON file.
        size_hw: height and width of the photo in pixels.

    Returns:
        float64 [17, 3]: the points; score 1 inside the photo, 0 outside it.

    Raises:
        BadItem: missing, not such a file, or no point lies in the photo.
    """
    value = read_json(path, "the pose script")
    points = _numbers(value, path.name)
    if points.size != 2 * len(COCO_17):
        raise BadItem(f"{path.name}: expected a flat list of 34 numbers (17 x [x, y]), found {_shown(value)}; {FIX}")
    points_K2 = points.reshape(-1, 2)
    return _with_someone(_seen_inside(points_K2, size_hw), size_hw, path.name)


def read_npy(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    """The keypoints of a NumPy file of 18 OpenPose points [x, y].

    Values that all lie in [0, 1] are shares of the picture's width and height (nobody is one pixel large), others
    pixels. A point at or left of, or above, 0, or not finite, is not visible.

    Args:
        path: the .npy file, float or integer [18, 2].
        size_hw: height and width of the photo in pixels.

    Returns:
        float64 [17, 3]: COCO points in pixels of the photo, x, y and 1, or 0 where not visible.

    Raises:
        BadItem: missing, not such an array, or no point is visible.
    """
    try:
        points_K2 = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise BadItem(f"{path.name}: no such keypoint file; {FIX}") from None
    except (OSError, ValueError, EOFError) as error:
        raise BadItem(f"{path.name}: not a plain NumPy array ({error}); {FIX}") from None
    if not isinstance(points_K2, np.ndarray) or points_K2.shape != (18, 2) or points_K2.dtype.kind not in "fiu":
        found = f"{points_K2.dtype} {points_K2.shape}" if isinstance(points_K2, np.ndarray) else "an archive"
        raise BadItem(f"{path.name}: holds {found}, expected numbers of shape (18, 2); {FIX}")
    points_K2 = np.nan_to_num(points_K2.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    visible_K1 = (points_K2 > 0).all(axis=1, keepdims=True)
    if points_K2.max(initial=0.0) <= 1.0:
        points_K2 = points_K2 * (size_hw[1], size_hw[0]) - 0.5
    points_K3 = np.concatenate([points_K2, np.ones((18, 1))], axis=1) * visible_K1
    return _with_someone(convert(points_K3, OPENPOSE_18, COCO_17), size_hw, path.name)


def _people(path: Path) -> list[Any]:
    value = read_json(path, "OpenPose")
    people = value.get("people") if isinstance(value, dict) else None
    if not isinstance(people, list):
        raise BadItem(f"{path.name}: not an OpenPose file, which has a list `people`; {FIX}")
    return people


def _person(person: object, name: str) -> np.ndarray:
    key = next((key for key in POINT_KEYS if isinstance(person, dict) and key in person), None)
    if key is None:
        raise BadItem(f"{name}: a person without {' or '.join(POINT_KEYS)}; {FIX}")
    assert isinstance(person, dict)  # else there is no key
    points = _numbers(person[key], name)
    if points.size not in SETS:
        raise BadItem(
            f"{name}: {key} holds {points.size} numbers; expected 75 (BODY_25) or 54 (OpenPose's 18 points), each x, "
            f"y, score; {FIX}"
        )
    return convert(points.reshape(-1, 3), SETS[points.size], COCO_17)


def _numbers(value: object, name: str) -> np.ndarray:
    """Flat float64 copy of nested lists of finite numbers."""
    if not isinstance(value, list):
        raise BadItem(f"{name}: expected a list of numbers, found {_shown(value)}; {FIX}")
    flat: list[float] = []
    for item in value:
        for number in item if isinstance(item, list) else [item]:
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
                raise BadItem(f"{name}: holds {number!r} where a number is expected; {FIX}")
            flat.append(float(number))
    return np.array(flat)


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _seen_inside(points_K2: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Points with score 1 where they lie in the photo, (0, 0, 0) elsewhere."""
    inside_K1 = ((points_K2 > -0.5) & (points_K2 < np.array(size_hw[::-1]) - 0.5)).all(axis=1, keepdims=True)
    return np.concatenate([points_K2, np.ones((len(points_K2), 1))], axis=1) * inside_K1


def _with_someone(keypoints_K3: np.ndarray, size_hw: tuple[int, int], name: str) -> np.ndarray:
    if not (keypoints_K3[:, 2] > 0).any():
        raise BadItem(f"{name}: nobody found, no point is visible in the photo; {FIX}")
    check_inside(keypoints_K3, size_hw, name)
    return keypoints_K3


def _on_person(points_K3: np.ndarray, labels_HW: np.ndarray | None) -> int:
    """Visible points that lie on a labelled pixel."""
    if labels_HW is None:
        return 0
    points_K2 = np.rint(points_K3[points_K3[:, 2] > 0, :2]).astype(int)
    height, width = labels_HW.shape
    inside_K = ((points_K2 >= 0) & (points_K2 < (width, height))).all(axis=1)
    return int((labels_HW[points_K2[inside_K, 1], points_K2[inside_K, 0]] > 0).sum())


def _area(points_K3: np.ndarray) -> float:
    """Of the box round the visible points, in square pixels."""
    points_K2 = points_K3[points_K3[:, 2] > 0, :2]
    return float(np.prod(np.ptp(points_K2, axis=0))) if len(points_K2) else 0.0
