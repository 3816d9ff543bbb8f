"""COCO: one JSON file of all photos, with run-length codes and keypoints (format: tryon/dataset/formats/coco.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tryon import __version__, files
from tryon.export.annotations import AnnotationWriter, Json
from tryon.export.finished import Finished
from tryon.export.pieces import PERSON, box_of, silhouette_and_labels
from tryon.ontology import CATEGORIES, KEYPOINT_NAMES, LABEL_INDEX, LABELS, SKELETON


class CocoWriter(AnnotationWriter):
    """COCO: one entry per label with a compressed run-length code; `person` is the silhouette and has the keypoints.

    A garment photo's keypoints stand in the entry of its garment.
    """

    def __init__(self, out: Path, *, use_cutouts: bool) -> None:
        super().__init__(out, use_cutouts=use_cutouts)
        self._images: list[Json] = []
        self._annotations: list[Json] = []

    def write(self, finished: Finished, labels_HW: np.ndarray, picture: str) -> None:
        """See `AnnotationWriter`."""
        role = finished.photo.role
        image = len(self._images) + 1
        height, width = labels_HW.shape
        self._images.append({"id": image, "file_name": f"{role}/{picture}", "width": width, "height": height})
        planes = silhouette_and_labels(labels_HW, role)
        carriers = [label for label, _ in planes if label == PERSON or (role != PERSON and label in CATEGORIES)]
        for label, mask_HW in planes:
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image,
                    "category_id": LABEL_INDEX[label],
                    "iscrowd": 0,
                    **_coded(mask_HW),
                    **(_coco_keypoints(finished.keypoints_K3) if [label] == carriers[:1] else {}),
                }
            )

    def close(self) -> None:
        """Write the one file of all photos."""
        skeleton = [[first + 1, second + 1] for first, second in SKELETON]
        body = {"keypoints": list(KEYPOINT_NAMES), "skeleton": skeleton}
        categories = [
            {
                "id": LABEL_INDEX[label],
                "name": label,
                "supercategory": PERSON,
                **(body if label in (PERSON, *CATEGORIES) else {}),
            }
            for label in LABELS[1:]
        ]
        files.write_json(
            self.out / "annotations" / "instances.json",
            {
                "info": {"description": f"written by tryon {__version__}"},
                "images": self._images,
                "annotations": self._annotations,
                "categories": categories,
            },
        )


def _coded(mask_HW: np.ndarray) -> Json:
    from pycocotools import mask as coco_mask

    code = coco_mask.encode(np.asfortranarray(mask_HW.astype(np.uint8)))
    left, top, right, bottom = box_of(mask_HW)
    return {
        "segmentation": {"size": list(mask_HW.shape), "counts": code["counts"].decode()},
        "area": int(mask_HW.sum()),
        "bbox": [left, top, right - left + 1, bottom - top + 1],
    }


def _coco_keypoints(keypoints_K3: np.ndarray) -> Json:
    """x, y, v: 2 where visible, and three zeros where not."""
    visible_K1 = keypoints_K3[:, 2:] > 0
    flat = np.concatenate([keypoints_K3[:, :2] * visible_K1, 2 * visible_K1], axis=1)
    return {"keypoints": flat.ravel().tolist(), "num_keypoints": int(visible_K1.sum())}
