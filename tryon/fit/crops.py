"""A data folder with keypoints → small crops and COCO files that mmpose's CocoDataset reads.

Training decodes every photo some thirty times; the crops hold just what the augmentations can reach, at about the
network's resolution, so decoding costs less than the network does.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tryon import files, images
from tryon.config import DatasetConfig
from tryon.dataset import formats
from tryon.dataset.folder import PhotoFiles
from tryon.dataset.formats.interface import Reader
from tryon.errors import BadItem, UserError
from tryon.ontology import KEYPOINT_NAMES, SKELETON
from tryon.prepare.keypoints import Box, box_of_labels
from tryon.prepare.masks import draw_label_map

OWN_FORMAT = DatasetConfig()
PADDING = 1.25  # mmpose's GetBBoxCenterScale
REACH = 1.6  # rotation by 30 degrees (1.37), scale 1.25 and shift 0.16 seldom meet; what lies beyond becomes black
OVERSAMPLING = 1.5  # resolution of a crop relative to the network's input


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo whose keypoints are known.

    Attributes:
        id: "person/NAME" or "garment/NAME".
        file: the picture.
        box_xyxy: box of the label map in photo pixels.
        keypoints_K3: float64 [17, 3]: x and y in photo pixels, score (0: not visible).
    """

    id: str
    file: Path
    box_xyxy: Box
    keypoints_K3: np.ndarray

    @property
    def role(self) -> str:
        """``person`` or ``garment``."""
        return self.id.split("/")[0]


def labelled_photos(data: Path, dataset: DatasetConfig = OWN_FORMAT) -> Iterator[tuple[LabelledPhoto, np.ndarray]]:
    """Every photo of a data folder that has an annotation and keypoints, with its pixels (uint8 RGB).

    Photos without keypoints are left out (own annotations often cover a part); unusable ones too, each with a line
    on stderr.

    Args:
        data: the data folder.
        dataset: how the folder is read.

    Raises:
        UserError: not a single photo can be used, or the folder has another layout.
    """
    reader = formats.reader(dataset)
    listing = reader.scan(data)
    for id_, problem in listing.problems:
        print(f"left out {id_}: {problem}", file=sys.stderr)
    count = 0
    for photo in listing.photos:
        if photo.keypoints is None:
            continue
        try:
            yield _read(data, reader, photo)
            count += 1
        except BadItem as problem:
            print(f"left out {photo.id}: {problem}", file=sys.stderr)
    if not count:
        raise UserError(
            f"{data}: no photo with keypoints; a photo needs an annotation and keypoints/person/NAME.json or "
            "keypoints/garment/NAME.json (mmpose prediction JSON), or keypoints in the annotations of its format"
        )


def _read(data: Path, reader: Reader, photo: PhotoFiles) -> tuple[LabelledPhoto, np.ndarray]:
    if photo.annotation is None or photo.keypoints is None:
        raise BadItem("no annotation, so there is no box round what the keypoints belong to; annotate the photo")
    file = data / photo.file
    image_HWC = images.read_rgb(file)
    size_hw = (image_HWC.shape[0], image_HWC.shape[1])
    labels_HW = draw_label_map(reader.annotate(data, photo.annotation, photo.role), size_hw)
    keypoints_K3 = reader.keypoints(data, photo.keypoints, size_hw)
    return LabelledPhoto(photo.id, file, box_of_labels(labels_HW, photo.role), keypoints_K3), image_HWC


def is_held_out(photo_id: str, share: float) -> bool:
    """Whether a photo is for validation: by a hash of its name, so person NAME and garment NAME go together."""
    name = photo_id.split("/", 1)[1]
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32 < share


def cut(photo: LabelledPhoto, image_HWC: np.ndarray, input_wh: tuple[int, int]) -> tuple[np.ndarray, Box, np.ndarray]:
    """Cut out what the augmentations can reach and scale it to about the network's resolution.

    Args:
        photo: box and keypoints in photo pixels.
        image_HWC: its pixels, uint8 RGB.
        input_wh: width and height of the network's input in pixels.

    Returns:
        The crop (uint8 RGB), and the box and the keypoints in crop pixels.
    """
    left, top, right, bottom = photo.box_xyxy
    # the smallest region of the input's aspect ratio round the padded box, as mmpose's TopdownAffine takes it
    region_h = max(bottom - top, (right - left) * input_wh[1] / input_wh[0]) * PADDING
    region_w = region_h * input_wh[0] / input_wh[1]
    centre_x, centre_y = (left + right) / 2, (top + bottom) / 2
    height, width = image_HWC.shape[:2]
    x0, x1 = (int(np.clip(centre_x + side * region_w * REACH / 2, 0, width)) for side in (-1, 1))
    y0, y1 = (int(np.clip(centre_y + side * region_h * REACH / 2, 0, height)) for side in (-1, 1))
    scale = min(1.0, OVERSAMPLING * input_wh[1] / region_h)
    crop_wh = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    # mmpose samples the full photo bilinearly, which aliases; half of the crops are made so, half are smooth
    is_smooth = is_held_out(f"smooth/{photo.id}", 0.5)
    crop_HWC = cv2.resize(
        image_HWC[y0:y1, x0:x1], crop_wh, interpolation=cv2.INTER_AREA if is_smooth else cv2.INTER_LINEAR
    )
    scale_xy = np.array([crop_wh[0] / (x1 - x0), crop_wh[1] / (y1 - y0)])

    def to_crop(points_K2: np.ndarray) -> np.ndarray:
        return np.asarray((points_K2 - (x0, y0) + 0.5) * scale_xy - 0.5)

    keypoints_K3 = photo.keypoints_K3.copy()
    keypoints_K3[:, :2] = to_crop(keypoints_K3[:, :2])
    (crop_left, crop_top), (crop_right, crop_bottom) = to_crop(np.array([[left, top], [right, bottom]]))
    return crop_HWC, (crop_left, crop_top, crop_right, crop_bottom), keypoints_K3


def write_crops(
    data: Path,
    out: Path,
    input_wh: tuple[int, int],
    held_out_share: float,
    dataset: DatasetConfig = OWN_FORMAT,
) -> dict[str, int]:
    """Write `out`/train.json, `out`/val.json (COCO) and the crops that they name.

    Args:
        data: data folder.
        out: folder to write into.
        input_wh: width and height of the network's input in pixels.
        held_out_share: share of photos for val.json.
        dataset: how the folder is read.

    Returns:
        Number of photos in train and in val.

    Raises:
        UserError: no photo can be used, or all fell on one side.
    """
    sets: dict[str, list[tuple[str, Box, np.ndarray, tuple[int, int]]]] = {"train": [], "val": []}
    for photo, image_HWC in labelled_photos(data, dataset):
        crop_HWC, box_xyxy, keypoints_K3 = cut(photo, image_HWC, input_wh)
        name = f"{photo.id}.jpg"
        files.write_bytes(out / name, images.encode_jpeg(crop_HWC))
        split = "val" if is_held_out(photo.id, held_out_share) else "train"
        sets[split].append((name, box_xyxy, keypoints_K3, crop_HWC.shape[:2]))
    counts = {split: len(photos) for split, photos in sets.items()}
    if not all(counts.values()):
        raise UserError(
            f"{data}: {counts['train']} photos to train on and {counts['val']} held out; both need at least one: add "
            "photos, or change --held-out"
        )
    for split, photos in sets.items():
        files.write_json(out / f"{split}.json", _coco(photos))
    return counts


def _coco(photos: list[tuple[str, Box, np.ndarray, tuple[int, int]]]) -> dict[str, object]:
    annotations, pictures = [], []
    for index, (name, (left, top, right, bottom), keypoints_K3, (height, width)) in enumerate(photos, start=1):
        visible_K = keypoints_K3[:, 2] > 0
        flat = np.concatenate([keypoints_K3[:, :2] * visible_K[:, None], 2 * visible_K[:, None]], axis=1)
        pictures.append({"id": index, "file_name": name, "width": width, "height": height})
        annotations.append(
            {
                "id": index,
                "image_id": index,
                "category_id": 1,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "keypoints": flat.ravel().tolist(),
                "num_keypoints": int(visible_K.sum()),
                "iscrowd": 0,
            }
        )
    skeleton = [[first + 1, second + 1] for first, second in SKELETON]
    category = {"id": 1, "name": "person", "keypoints": list(KEYPOINT_NAMES), "skeleton": skeleton}
    return {"images": pictures, "annotations": annotations, "categories": [category]}
