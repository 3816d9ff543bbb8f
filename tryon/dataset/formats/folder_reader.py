"""The project's own layout, person/ garment/ annotations/, for formats with one JSON file per photo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tryon.dataset import folder
from tryon.dataset.folder import Listing
from tryon.dataset.formats.interface import Reader
from tryon.errors import BadItem

if TYPE_CHECKING:
    import numpy as np


class FolderReader(Reader):
    """Lists photos as tryon/dataset/folder.py describes; what a JSON file means is left to the format."""

    watched: ClassVar[tuple[str, ...]] = (
        "person",
        "garment",
        "annotations/person",
        "annotations/garment",
        "keypoints/person",
        "keypoints/garment",
        "truth",
        "pairs.txt",
        "photos.csv",
    )

    def scan(self, root: Path) -> Listing:
        """See `formats.interface.Reader`."""
        return folder.scan(root, follow_links=self.cfg.follow_links)

    def keypoints_near(
        self, root: Path, keypoints: str, size_hw: tuple[int, int], box_xyxy: tuple[float, float, float, float]
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """See `formats.interface.Reader`: mmpose writes everybody whom it finds."""
        from tryon.dataset.given_keypoints import read_near

        if not keypoints.endswith(".json"):  # not a file of mmpose's but an entry of one that only the format knows
            return super().keypoints_near(root, keypoints, size_hw, box_xyxy)
        return read_near(root / keypoints, size_hw, box_xyxy)


def read_json(path: Path, tool: str) -> object:
    """The value of a JSON file (UTF-8, a byte-order mark is allowed).

    Args:
        path: the file.
        tool: who writes such files, for messages.

    Raises:
        BadItem: missing, unreadable, not UTF-8 or not JSON.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise BadItem(f"{path.name}: no such annotation; annotate the photo in {tool} and save it there") from None
    except OSError as error:
        raise BadItem(f"{path.name}: cannot be read ({error.strerror}); check the file's permissions") from None
    except UnicodeDecodeError:
        raise BadItem(f"{path.name}: not UTF-8 text; save the annotation again from {tool}") from None
    except (ValueError, RecursionError) as error:  # ValueError: not JSON, or a number of too many digits
        raise BadItem(f"{path.name}: not JSON ({error}); save the annotation again from {tool}") from None


def guess_format(value: object) -> str:
    """What a JSON value that is not of the expected format looks like."""
    if not isinstance(value, dict):
        return f"a JSON {type(value).__name__}"
    if "shapes" in value:
        return "LabelMe JSON"
    if "info" in value and "objects" in value:
        return "ISAT JSON"
    if "images" in value and "annotations" in value:
        return "COCO JSON"
    return f"a JSON object with the keys {', '.join(sorted(map(str, value))[:6]) or '(none)'}"
