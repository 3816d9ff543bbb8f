"""Small data folders in the layouts of known data sets, made from pictures of the studio.

Six people: four in train, two in test (in the DressCode layout by category). What is written is what the tests
compare with: a `Sample` keeps label maps and keypoints in our own terms.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from tryon import images
from tryon.config import DatasetConfig
from tryon.dataset import formats
from tryon.dataset.parse_maps import LIP_COLOURS, TABLES, Space, pascal_colours
from tryon.keypoints import BODY_25, COCO_17, OPENPOSE_18, convert
from tryon.ontology import CATEGORIES, LABEL_INDEX, LABELS
from tryon.prepare.masks import draw_label_map

NUM_TRAIN = 4
WHITE = 250  # a plain background that is not exactly white


@dataclass
class Sample:
    """One person in a garment, and the garment.

    Attributes:
        number: serial.
        category: of the garment.
        person_HWC, garment_HWC: uint8 RGB; the garment lies on a plain background.
        labels_HW, shop_HW: label maps in the ontology's numbers.
        keypoints_K3, shop_K3: COCO points in pixels, score 1 or 0.
    """

    number: int
    category: str
    person_HWC: np.ndarray
    garment_HWC: np.ndarray
    labels_HW: np.ndarray
    shop_HW: np.ndarray
    keypoints_K3: np.ndarray
    shop_K3: np.ndarray

    @property
    def part(self) -> str:
        return "train" if self.number < NUM_TRAIN else "test"


def samples(rendered: Path) -> list[Sample]:
    """The first six people of a rendered folder."""
    reader = formats.reader(DatasetConfig())
    found = []
    for number in range(6):
        read = {}
        for role, name in (("person", f"p{number:05d}"), ("garment", f"g{number:05d}")):
            image_HWC = images.read_rgb(rendered / role / f"{name}.jpg")
            drawn = reader.annotate(rendered, f"annotations/{role}/{name}.json", role)
            labels_HW = draw_label_map(drawn, image_HWC.shape[:2])
            points_K3 = reader.keypoints(rendered, f"keypoints/{role}/{name}.json", image_HWC.shape[:2])
            points_K3[:, 2] = points_K3[:, 2] > 0
            read[role] = (image_HWC, labels_HW, points_K3 * points_K3[:, 2:])
        (person_HWC, labels_HW, points_K3), (garment_HWC, shop_HW, shop_K3) = read["person"], read["garment"]
        category = next(name for name in CATEGORIES if (shop_HW == LABEL_INDEX[name]).any())
        shop_HWC = np.where((shop_HW > 0)[..., None], np.minimum(garment_HWC, 200), WHITE).astype(np.uint8)
        found.append(Sample(number, category, person_HWC, shop_HWC, labels_HW, shop_HW, points_K3, shop_K3))
    return found


def as_category(sample: Sample, category: str) -> Sample:
    """The same pictures, called otherwise: the two labels change places."""
    exchanged = np.arange(len(LABELS), dtype=np.uint8)
    pair = [LABEL_INDEX[sample.category], LABEL_INDEX[category]]
    exchanged[pair] = pair[::-1]
    return replace(sample, category=category, labels_HW=exchanged[sample.labels_HW], shop_HW=exchanged[sample.shop_HW])


def numbers_of(labels_HW: np.ndarray, space: Space) -> np.ndarray:
    """Our labels in a parser's numbers: the first of each label."""
    first = {ours: number for number, (_, ours) in reversed(list(enumerate(TABLES[space])))}
    return np.array([first[label] for label in LABELS], np.uint8)[labels_HW]


def save_indexed(path: Path, numbers_HW: np.ndarray, colours: Iterable[tuple[int, int, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.frombytes("P", numbers_HW.shape[::-1], np.ascontiguousarray(numbers_HW, np.uint8).tobytes())
    picture.putpalette([channel for colour in colours for channel in colour])
    picture.save(path)


def schp_palette(count: int) -> list[tuple[int, int, int]]:
    """As SCHP writes it: PASCAL's colours for its numbers, grey levels for the rest."""
    return [*pascal_colours(count), *((number,) * 3 for number in range(count, 256))]


VITON_HD_PALETTE = [tuple(max(0, channel - (channel >= 170)) for channel in colour) for colour in LIP_COLOURS[:20]]
"""255 → 254, 170 → 169, 221 → 220 as measured (reference/try-on-field.md §3)."""


def save_picture(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def save_mask(path: Path, mask_HW: np.ndarray) -> None:
    save_picture(path, mask_HW.astype(np.uint8) * np.uint8(255))


def save_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def openpose(points_K3: np.ndarray, names: tuple[str, ...], key: str) -> dict:
    return {"version": 1.3, "people": [{key: convert(points_K3, COCO_17, names).ravel().tolist()}]}


def viton_hd(root: Path, people: list[Sample], *, dashes: bool = False) -> Path:
    """Either spelling of the folders."""
    parse, pose, mask = (
        ("image-parse", "openpose-json", "cloth_mask") if dashes else ("image-parse-v3", "openpose_json", "cloth-mask")
    )
    for sample in people:
        part, name = root / sample.part, f"{sample.number:05d}_00"
        save_picture(part / "image" / f"{name}.jpg", sample.person_HWC)
        save_indexed(part / parse / f"{name}.png", numbers_of(sample.labels_HW, "cihp"), VITON_HD_PALETTE)
        points = openpose(sample.keypoints_K3, BODY_25, "pose_keypoints_2d")
        save_text(part / pose / f"{name}_keypoints.json", json.dumps(points))
        save_picture(part / "cloth" / f"{name}.jpg", sample.garment_HWC)
        save_mask(part / mask / f"{name}.jpg", sample.shop_HW > 0)
    save_lists(root, people, "{0:05d}_00.jpg {1:05d}_00.jpg\n")
    return root


def viton(root: Path, people: list[Sample]) -> Path:
    for sample in people:
        part, person, garment = root / sample.part, f"{sample.number:06d}_0", f"{sample.number:06d}_1"
        save_picture(part / "image" / f"{person}.jpg", sample.person_HWC)
        save_picture(part / "image-parse-new" / f"{person}.png", numbers_of(sample.labels_HW, "lip"))
        points = openpose(sample.keypoints_K3, OPENPOSE_18, "pose_keypoints")
        save_text(part / "pose" / f"{person}_keypoints.json", json.dumps(points))
        save_picture(part / "cloth" / f"{garment}.jpg", sample.garment_HWC)
        save_mask(part / "cloth-mask" / f"{garment}.jpg", sample.shop_HW > 0)
    save_lists(root, people, "{0:06d}_0.jpg {1:06d}_1.jpg\n")
    return root


def save_lists(root: Path, people: list[Sample], line: str) -> None:
    """Paired ones for train, for test everybody in the garment of somebody else."""
    for part in ("train", "test"):
        numbers = [sample.number for sample in people if sample.part == part]
        turned = numbers if part == "train" else [*numbers[1:], *numbers[:1]]
        save_text(root / f"{part}_pairs.txt", "".join(line.format(*pair) for pair in zip(numbers, turned, strict=True)))


DRESSCODE_PART = {"up": "upper_body", "down": "lower_body", "dress": "dresses"}


def dresscode(root: Path, people: list[Sample]) -> Path:
    """Masks for even numbers only; keypoints at 384x512; numbers begin anew in each category."""
    for sample in people:
        part, number = root / DRESSCODE_PART[sample.category], f"{sample.number:06d}"
        save_picture(part / "images" / f"{number}_0.jpg", sample.person_HWC)
        save_picture(part / "images" / f"{number}_1.jpg", sample.garment_HWC)
        save_indexed(part / "label_maps" / f"{number}_4.png", numbers_of(sample.labels_HW, "atr"), schp_palette(18))
        if sample.number % 2 == 0:
            save_mask(part / "masks" / f"{number}_1.png", sample.shop_HW > 0)
        height, width = sample.labels_HW.shape
        rows_K3 = convert(sample.keypoints_K3, COCO_17, OPENPOSE_18)
        shown_K1 = rows_K3[:, 2:] > 0
        points_K2 = (rows_K3[:, :2] + 0.5) * (384 / width, 512 / height) - 0.5
        rows_K4 = np.concatenate([points_K2, rows_K3[:, 2:], np.arange(18)[:, None]], axis=1)
        rows_K4[~shown_K1[:, 0], :3] = -1.0
        save_text(part / "keypoints" / f"{number}_2.json", json.dumps({"keypoints": rows_K4.tolist()}))
    for category, part in DRESSCODE_PART.items():
        numbers = [sample.number for sample in people if sample.category == category]
        for test, names in ((False, ["train_pairs"]), (True, ["test_pairs_paired", "test_pairs_unpaired"])):
            mine = [number for number in numbers if (number >= NUM_TRAIN) == test]
            for name in names:
                turned = [*mine[1:], *mine[:1]] if "unpaired" in name else mine
                lines = [f"{one:06d}_0.jpg\t{two:06d}_1.jpg\n" for one, two in zip(mine, turned, strict=True)]
                save_text(root / part / f"{name}.txt", "".join(lines))
    return root


def without_clothes(sample: Sample, fill: int) -> np.ndarray:
    worn_HW = sample.labels_HW == LABEL_INDEX[sample.category]
    return np.where(worn_HW[..., None], np.uint8(fill), sample.person_HWC)


def tryondiffusion_folders(root: Path, people: list[Sample]) -> Path:
    """The garment is shown on the person itself; ig_mask, as JPEG in red and lawn green, in val only."""
    for sample in people:
        part, name = root / ("train" if sample.part == "train" else "val"), f"{sample.number:07d}"
        worn_HW1 = (sample.labels_HW == LABEL_INDEX[sample.category])[..., None]
        lit_HWC = np.maximum(sample.person_HWC, 40)  # a garment that is black would look like the black round it
        save_picture(part / "ip" / f"{name}.jpg", sample.person_HWC)
        save_picture(part / "ia" / f"{name}.jpg", without_clothes(sample, 0))
        save_picture(part / "ig" / f"{name}.jpg", lit_HWC)
        save_picture(part / "ic" / f"{name}.jpg", np.where(worn_HW1, lit_HWC, np.uint8(0)))
        for folder in ("jp", "jg"):
            save_text(part / folder / f"{name}.json", json.dumps(sample.keypoints_K3[:, :2].ravel().tolist()))
        if part.name == "val":
            coloured = np.where(worn_HW1, np.array([255, 0, 0]), np.array([124, 252, 0])).astype(np.uint8)
            save_picture(part / "ig_mask" / f"{name}.jpg", coloured)
    return root


def training_guide(root: Path, people: list[Sample]) -> Path:
    """Person poses as shares of the picture, garment poses in pixels."""
    for sample in people:
        name, height_width = f"item{sample.number}", sample.labels_HW.shape
        save_picture(root / "person_images" / f"{name}.jpg", sample.person_HWC)
        save_picture(root / "ca_images" / f"{name}.jpg", without_clothes(sample, 128))
        save_picture(root / "garment_images" / f"{name}.jpg", sample.garment_HWC)
        for folder, points_K3, size_wh in (
            ("person_poses", sample.keypoints_K3, height_width[::-1]),
            ("garment_poses", sample.shop_K3, None),
        ):
            rows_K3 = convert(points_K3, COCO_17, OPENPOSE_18)
            points_K2 = rows_K3[:, :2] if size_wh is None else (rows_K3[:, :2] + 0.5) / size_wh
            (root / folder).mkdir(exist_ok=True)
            np.save(root / folder / f"{name}.npy", np.where(rows_K3[:, 2:] > 0, points_K2, 0.0).astype(np.float32))
    return root


def image_folder(root: Path, people: list[Sample]) -> Path:
    for sample in people:
        save_picture(root / sample.category / f"{sample.number}.jpg", sample.person_HWC)
    return root
