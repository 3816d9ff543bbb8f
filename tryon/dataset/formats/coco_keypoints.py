"""Keypoints of the people of one picture of a COCO file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tryon.dataset.formats.coco_file import Entry, has_keypoints
from tryon.dataset.formats.run_lengths import FIX
from tryon.dataset.formats.shapes import number
from tryon.errors import BadItem

if TYPE_CHECKING:
    import numpy as np

NUM_KEYPOINTS = 17
NUM_WHOLE_BODY = 133


def posed(entries: list[Entry], reference: str) -> list[Entry]:
    """The entries that have keypoints, at least one.

    Raises:
        BadItem: there is none; names the reference, the cause and the fix.
    """
    found = [entry for entry in entries if has_keypoints(entry)]
    if not found:
        raise BadItem(f"{reference}: no keypoints of this picture; annotate them, or set keypoints.source: mmpose")
    return found


def largest_of(entries: list[Entry]) -> Entry:
    """The entry with the largest box."""
    return max(entries, key=_box_area)


def place_of(entry: Entry, reference: str) -> str:
    """What messages call the keypoints of an entry."""
    return f"{reference}: keypoints of annotation {entry.get('id')}"


def points_of(entry: Entry, reference: str) -> np.ndarray:
    """The keypoints of one entry; those of a whole body start with the 17.

    Returns:
        float64 [17, 3]: x and y in photo pixels; v 1 and 2 (hidden, visible) give score 1, v 0 gives 0.

    Raises:
        BadItem: they are not 17 or 133 times x, y, v.
    """
    import numpy as np

    place = place_of(entry, reference)
    values = entry["keypoints"]
    if not isinstance(values, list) or len(values) not in (3 * NUM_KEYPOINTS, 3 * NUM_WHOLE_BODY):
        found = f"{len(values)} numbers" if isinstance(values, list) else type(values).__name__
        raise BadItem(f"{place} are {found}, expected {NUM_KEYPOINTS} times x, y, v; {FIX}")
    numbers = [number(value, place, FIX) for value in values[: 3 * NUM_KEYPOINTS]]
    points_K3 = np.asarray(numbers, np.float64).reshape(NUM_KEYPOINTS, 3)
    points_K3[:, 2] = points_K3[:, 2] > 0
    return points_K3


def _box_area(entry: Entry) -> float:
    box = entry.get("bbox")
    sides = box[2:4] if isinstance(box, list) and len(box) == 4 else [0.0, 0.0]
    width, height = (value if isinstance(value, (int, float)) else 0.0 for value in sides)
    return float(width * height)
