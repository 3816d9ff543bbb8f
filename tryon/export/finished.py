"""What the stages made of each photo, read back from a results folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tryon import files, images
from tryon.dataset.manifest import Photo, photos_of, read_manifest, read_shard
from tryon.errors import BadItem, UserError
from tryon.ontology import CATEGORIES, CATEGORY_BIT, LABEL_INDEX
from tryon.prepare.pack import UPSTREAM, join_stages

PERSON = "person"


@dataclass(frozen=True, eq=False)
class Finished:
    """One photo after the stages masks, keypoints and cutouts, in its own upright pixels.

    Attributes:
        photo: its row of the manifest.
        file: the picture.
        labels_HW: uint8 indices into `ontology.LABELS`.
        garments_HW: uint8 bits of `ontology.CATEGORY_BIT`, the cut-outs.
        regions_HW: uint8 bits of `ontology.CATEGORY_BIT`, what is repainted when such a garment is exchanged.
        keypoints_K3: float64 COCO-17 x, y and score; 0 where not visible.
        box_xyxy: the box that the keypoints were looked for in.
    """

    photo: Photo
    file: Path
    labels_HW: np.ndarray
    garments_HW: np.ndarray
    regions_HW: np.ndarray
    keypoints_K3: np.ndarray
    box_xyxy: tuple[float, float, float, float]

    @property
    def name(self) -> str:
        """Without role and suffix."""
        return self.photo.id.partition("/")[2]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the photo in pixels."""
        return int(self.labels_HW.shape[0]), int(self.labels_HW.shape[1])

    def with_cutouts(self) -> np.ndarray:
        """The label map with garments as their cut-outs have them.

        A cut-out takes what was background or `person`, never another label; what it gives up becomes `person` in a
        person photo and background in a garment photo.
        """
        labels_HW = self.labels_HW.copy()
        person, background = LABEL_INDEX[PERSON], LABEL_INDEX["background"]
        left_over = person if self.photo.role == PERSON else background
        for category in CATEGORIES:
            cut_HW = (self.garments_HW & CATEGORY_BIT[category]) > 0
            labels_HW[(labels_HW == LABEL_INDEX[category]) & ~cut_HW] = left_over
            labels_HW[cut_HW & np.isin(labels_HW, (background, person))] = LABEL_INDEX[category]
        return labels_HW


class Results:
    """The finished photos of a results folder.

    Args:
        results: the results folder.
        data: the data folder.

    Attributes:
        photos: rows of the manifest of photos that all three stages could use, by id.
        refused: (stage, reason) of every other photo, by id.

    Raises:
        UserError: the stages have not run.
    """

    def __init__(self, results: Path, data: Path) -> None:
        self.root = results
        self.data = data
        shards = results / "pairs" / "shards.txt"
        if not shards.is_file():
            raise UserError(f"{shards}: no such file; run the workflow up to the stage `cutouts` first")
        rows = {photo.id: photo for photo in photos_of(read_manifest(results / "dataset" / "manifest.parquet"))}
        self.photos: dict[str, Photo] = {}
        self.refused: dict[str, tuple[str, str]] = {}
        self._paths: dict[str, dict[str, str]] = {}
        for key in shards.read_text(encoding="utf-8").split():
            tables = {stage: results / stage / f"{key}.parquet" for stage in UPSTREAM}
            for stage, table in tables.items():
                if not table.is_file():
                    raise UserError(f"{table}: no such table; run the stage `{stage}` first")
            paths, refused = join_stages(read_shard(results / "pairs" / "shards" / f"{key}.tsv"), tables)
            self._paths |= paths
            self.refused |= refused
        self.photos = {id_: rows[id_] for id_ in sorted(self._paths)}

    def load(self, id_: str) -> Finished:
        """Read what was made of a photo.

        Raises:
            BadItem: the photo has another size than its label map.
        """
        photo, paths = self.photos[id_], self._paths[id_]
        pose = files.read_json(self.root / paths["keypoints.json"])
        finished = Finished(
            photo,
            self.data / photo.file,
            images.read_labels(self.root / paths["labels.png"]),
            images.read_mask_bits(self.root / paths["garments.png"]),
            images.read_mask_bits(self.root / paths["regions.png"]),
            np.column_stack([np.asarray(pose["keypoints"], np.float64), pose["scores"]]),
            tuple(pose["bbox_xyxy"]),
        )
        if finished.size_hw != (photo.height, photo.width):
            raise BadItem(f"{photo.file}: its label map has another size; the photo changed, so run the workflow again")
        return finished

    def pairs(self) -> pd.DataFrame:
        """The table of the stage `pairs`.

        Raises:
            UserError: it is missing.
        """
        path = self.root / "pairs" / "pairs.parquet"
        if not path.is_file():
            raise UserError(f"{path}: no such table; run the stage `pairs` first")
        return pd.read_parquet(path)
