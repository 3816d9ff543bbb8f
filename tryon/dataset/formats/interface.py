"""What a format has to answer, so that all that comes later knows photos and not files.

Only the standard library is imported here and at the top of every reader's module: the Snakefile and `tryon check`
list folders before anything else runs. What decodes pixels is imported where it is needed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tryon.config import DatasetConfig
from tryon.dataset import lists
from tryon.dataset.annotation import Annotated
from tryon.dataset.folder import Listing
from tryon.dataset.lists import GivenPair, PhotoFacts

if TYPE_CHECKING:
    import numpy as np


class Reader(ABC):
    """One annotation format or dataset layout.

    An annotation is named by a reference: a path relative to the data folder, followed by ``#ENTRY`` where one file
    holds the annotations of many photos. Only the reader that made a reference takes it apart.

    Args:
        cfg: settings of the section `dataset`.
    """

    watched: ClassVar[tuple[str, ...]]
    """Folders and files, relative to the data folder, whose content matters; globs such as ``train/*`` are allowed."""

    annotates_person: ClassVar[bool] = True
    """Whether person photos carry the person's silhouette; if not, the label map of a person shows clothes alone."""

    keypoint_roles: ClassVar[tuple[str, ...]] = ("person", "garment")
    """Roles whose photos can have given keypoints; of others, no point is visible where keypoints.source is `given`."""

    pairs_file: ClassVar[str] = lists.PAIRS_FILE
    """The file that `given_pairs` reads, for messages; empty where its mistakes name the file themselves."""

    def __init__(self, cfg: DatasetConfig) -> None:
        self.cfg = cfg

    @abstractmethod
    def scan(self, root: Path) -> Listing:
        """List the photos of a data folder and the files that belong to them, without decoding anything.

        Raises:
            UserError: the folder is missing or has another layout; the message shows the one expected.
        """

    @abstractmethod
    def annotate(self, root: Path, annotation: str, role: str) -> Annotated:
        """Read the annotation of one photo.

        Args:
            root: the data folder.
            annotation: a reference that `scan` gave.
            role: "person" or "garment".

        Raises:
            BadItem: missing or malformed; the message names the file, the cause and the fix.
        """

    def facts(self, root: Path, listing: Listing) -> dict[str, PhotoFacts] | None:
        """Who wears what, by photo id, and the split that the layout fixes; None where only names tell.

        Raises:
            UserError: a list of the folder has mistakes; all of them are named.
        """
        return lists.read_photos_csv(root)

    def has_pairs(self, root: Path) -> bool:
        """Whether the folder lists pairs at all."""
        return (root / self.pairs_file).is_file()

    def given_pairs(self, root: Path, listing: Listing) -> tuple[list[GivenPair], list[str]]:
        """The pairs that the folder lists, and its mistakes.

        Raises:
            UserError: there is no list.
        """
        return lists.read_pairs_txt(root, listing)

    def annotation_sha256(self, root: Path, annotation: str, sha256: dict[str, str]) -> str:
        """Digest of what one reference stands for; of a shared file only the photo's own entry counts.

        Args:
            root: the data folder.
            annotation: a reference that `scan` gave.
            sha256: digest of every watched file by its path relative to the data folder.
        """
        return sha256[annotation]

    def keypoints(self, root: Path, keypoints: str, size_hw: tuple[int, int]) -> np.ndarray:
        """Read the given keypoints of one photo.

        Args:
            root: the data folder.
            keypoints: a reference that `scan` gave.
            size_hw: height and width of the photo in pixels.

        Returns:
            float64 [17, 3]: COCO points, x and y in photo pixels, score (0: not visible).

        Raises:
            BadItem: missing, malformed, or of another picture.
        """
        from tryon.dataset.given_keypoints import read_given

        return read_given(root / keypoints, size_hw)

    def num_people(self, root: Path, keypoints: str) -> int | None:
        """How many people the given keypoints of a photo hold, of whom `keypoints` took one; None where it is unknown.

        Raises:
            BadItem: as `keypoints`.
        """
        return None

    def keypoints_near(
        self, root: Path, keypoints: str, size_hw: tuple[int, int], box_xyxy: tuple[float, float, float, float]
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """As `keypoints`, of the person who stands in a box where the format holds several.

        Args:
            root: the data folder.
            keypoints: a reference that `scan` gave.
            size_hw: height and width of the photo in pixels.
            box_xyxy: left, top, right, bottom of what is annotated, in pixels.

        Returns:
            The keypoints, and how they were chosen as repairs "kind: detail", where there was a choice.

        Raises:
            BadItem: as `keypoints`.
        """
        num_people = self.num_people(root, keypoints) or 1
        chosen = (f"several people: of {num_people} in {keypoints} one was taken",) if num_people > 1 else ()
        return self.keypoints(root, keypoints, size_hw), chosen

    def category(self, label: str) -> str:
        """The ontology's name of a label of the files, by `dataset.labels`; other names stay as they are."""
        return self.cfg.labels.get(label, label)
