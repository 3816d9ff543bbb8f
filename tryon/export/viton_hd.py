"""The VITON-HD layout, which most try-on trainers read: the pairs of one garment category, 1024x768.

    {train,val,test}_pairs.txt        "PERSON.jpg CLOTH.jpg"; train: the garment worn, else another one where there is
    SPLIT/image  cloth                JPEG
    SPLIT/cloth-mask                  JPEG, white: the garment (read with a threshold of 128)
    SPLIT/image-parse-v3              indexed PNG, ids and palette of VITON-HD (LIP/CIHP, 20)
    SPLIT/openpose_json               NAME_keypoints.json, BODY_25; no feet
    SPLIT/agnostic-v3.2               JPEG, what is repainted in grey 128
    SPLIT/agnostic-mask               NAME_mask.png, white: what is repainted
    SPLIT/image-parse-agnostic-v3.2   the parse map, 0 where repainted

`cloth/NAME.jpg` is the garment that `image/NAME.jpg` wears; another garment of a pair list is the cloth of a person of
the split who wears it, else `cloth/garment_NAME.jpg`. DensePose and drawn skeletons are not made here, and `val` is a
third split. Layout and palette: docs/data.md.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from tryon import files, images
from tryon.dataset.parse_maps import LIP_COLOURS
from tryon.errors import BadItem, UserError
from tryon.export.finished import PERSON, Finished, Results
from tryon.geometry import Letterbox
from tryon.keypoints import BODY_25, COCO_17, convert
from tryon.ontology import CATEGORY_BIT, KEYPOINT_NAMES, LABEL_INDEX

SIZE_HW = (1024, 768)
GREY = 128
QUALITY = 95

ROUNDED_DOWN = {255: 254, 221: 220, 170: 169}
PALETTE = [tuple(ROUNDED_DOWN.get(part, part) for part in colour) for colour in LIP_COLOURS[:20]]
"""RGB of the ids 0 to 19, as measured on image-parse-v3 of the data set."""

PARSE_ID = {"hair": 2, "up": 5, "dress": 6, "down": 9, "face": 13, "left_arm": 14, "right_arm": 15}
HAT, NECK, LEFT_LEG, RIGHT_LEG = 1, 10, 16, 17  # what `person` is divided into


def parse_map(labels_HW: np.ndarray, keypoints_K3: np.ndarray) -> np.ndarray:
    """Label map → ids of VITON-HD's parse maps.

    `person` is what no other label covers. It is given to the nearest bone: trunk and neck to 10 (torso skin), a leg
    to 16 or 17 (shoes and socks too: these labels do not tell them apart); above the eyes it is a hat, 1.

    Args:
        labels_HW: uint8 indices into `ontology.LABELS`.
        keypoints_K3: COCO-17 x, y in the same pixels, score; 0 where not visible.

    Returns:
        uint8 [H, W] of 0 to 19.
    """
    table = np.zeros(256, np.uint8)
    for label, number in PARSE_ID.items():
        table[LABEL_INDEX[label]] = number
    parse_HW = table[labels_HW]
    rows_N, columns_N = np.nonzero(labels_HW == LABEL_INDEX[PERSON])
    parse_HW[rows_N, columns_N] = _body_part(np.column_stack([columns_N, rows_N]).astype(np.float64), keypoints_K3)
    return parse_HW


def _body_part(points_N2: np.ndarray, keypoints_K3: np.ndarray) -> np.ndarray:
    at = {name: row[:2] for name, row in zip(KEYPOINT_NAMES, keypoints_K3, strict=True) if row[2] > 0}
    trunk = [
        np.mean([at[f"{side}_{joint}"] for side in ("left", "right")], axis=0)
        for joint in ("shoulder", "hip")
        if {f"left_{joint}", f"right_{joint}"} <= at.keys()
    ]
    bones = {
        NECK: [*([at["nose"]] if "nose" in at else []), *trunk],
        LEFT_LEG: [at[name] for name in ("left_hip", "left_knee", "left_ankle") if name in at][-3:],
        RIGHT_LEG: [at[name] for name in ("right_hip", "right_knee", "right_ankle") if name in at][-3:],
    }
    parts = [NECK]
    distances = [_distance(points_N2, bones[NECK])]
    for part in (LEFT_LEG, RIGHT_LEG):
        if len(bones[part]) > 1:  # a hip alone is no leg
            parts.append(part)
            distances.append(_distance(points_N2, bones[part]))
    found_N = np.array(parts, np.uint8)[np.argmin(distances, axis=0)]
    eyes = [at[name][1] for name in ("left_eye", "right_eye") if name in at]
    if eyes:
        found_N[points_N2[:, 1] < min(eyes)] = HAT
    return found_N


def _distance(points_N2: np.ndarray, chain: list[np.ndarray]) -> np.ndarray:
    """From points to a chain of bones; infinite where there is none."""
    found_N = np.full(len(points_N2), np.inf)
    for start, end in zip(chain, chain[1:] or chain, strict=False):
        along = end - start
        share_N = np.clip((points_N2 - start) @ along / max(float(along @ along), 1e-9), 0, 1)
        found_N = np.minimum(found_N, np.hypot(*(points_N2 - start - share_N[:, None] * along).T))
    return found_N


class VitonHdWriter:
    """Writes the pairs of one category.

    Args:
        out: the folder to write.
        results: the finished photos.
        category: up, down or dress.
        fill: grey level of borders where a photo has another aspect ratio than the canvas.

    Attributes:
        left_out: reasons of pairs that the layout cannot hold, by photo id.

    Raises:
        UserError: no pair is of the category.
    """

    def __init__(self, out: Path, results: Results, category: str, fill: int) -> None:
        self.out = out
        self.results = results
        self.category = category
        self.fill = fill
        self.left_out: dict[str, str] = {}
        pairs = results.pairs()
        pairs = pairs[pairs["category"] == category].sort_values("pair_id")
        if pairs.empty:
            raise UserError(f"{results.root / 'pairs'}: no pair of the category {category}; choose another --category")
        self.worn: dict[tuple[str, str], str] = {}  # (split, person): whose garment is its cloth
        self.lines: dict[str, list[tuple[str, str, str]]] = defaultdict(list)  # split: person, garment, kind
        for row in pairs.itertuples(index=False):
            if not self._is_usable(row.person) or not self._is_usable(row.garment):
                continue
            if row.kind == "paired":
                # several sources of one garment: its shop photo if there is one, as the layout has shop photos
                known = self.worn.get((row.split, row.person))
                if known is None or known.startswith(f"{PERSON}/"):
                    self.worn[row.split, row.person] = row.garment
            self.lines[row.split].append((row.person, row.garment, row.kind))

    def _is_usable(self, id_: str) -> bool:
        name = id_.partition("/")[2]
        if id_ not in self.results.photos:
            stage, reason = self.results.refused.get(id_, ("dataset", "not in the manifest"))
            self.left_out[id_] = f"{stage}: {reason}"
        elif len(name.split()) != 1:
            self.left_out[id_] = "its name holds blanks, which divide the names in VITON-HD's lists; rename the photo"
        return id_ not in self.left_out

    @property
    def jobs(self) -> list[tuple[str, str, str | None]]:
        """(split, photo id, name of the cloth or None for a person), everything that has to be written."""
        persons = {(split, person) for split, lines in self.lines.items() for person, _, _ in lines}
        cloths = {(split, garment): name for split in self.lines for garment, name in self._cloths(split).items()}
        worn = [(split, garment, _name(person)) for (split, person), garment in self.worn.items()]
        others = [(split, garment, name) for (split, garment), name in cloths.items()]
        return [
            *((split, person, None) for split, person in sorted(persons)),
            *sorted({*worn, *others}),
        ]

    def _cloths(self, split: str) -> dict[str, str]:
        """Name of the cloth of each garment that a list of the split puts on somebody."""
        wearers: dict[str, str] = {}
        for (where, person), garment in sorted(self.worn.items()):
            if where == split:
                wearers.setdefault(garment, _name(person))
        asked = {garment for _, garment, kind in self.lines[split] if kind == "unpaired"}
        return {garment: wearers.get(garment, f"garment_{_name(garment)}") for garment in asked}

    def write(self, split: str, id_: str, cloth: str | None) -> None:
        """Write the files of one job.

        Raises:
            BadItem: the photo cannot be decoded any more.
        """
        finished = self.results.load(id_)
        image_HWC = images.read_rgb(finished.file)
        if image_HWC.shape[:2] != finished.size_hw:
            raise BadItem(f"{finished.photo.file}: the photo changed while stages ran; run the workflow again")
        box = Letterbox(finished.size_hw, SIZE_HW)
        if cloth is None:
            self._write_person(self.out / split, finished, image_HWC, box)
        else:
            self._write_cloth(self.out / split, cloth, finished, image_HWC, box)

    def _write_person(self, folder: Path, finished: Finished, image_HWC: np.ndarray, box: Letterbox) -> None:
        name = finished.name
        image_HWC = box.image(image_HWC, self.fill)
        repainted_HW = box.mask((finished.regions_HW & CATEGORY_BIT[self.category] > 0).astype(np.uint8)) > 0
        points_K2 = box.points(finished.keypoints_K3[:, :2])
        keypoints_K3 = np.column_stack([points_K2, finished.keypoints_K3[:, 2]])
        parse_HW = parse_map(box.mask(finished.labels_HW), keypoints_K3)
        agnostic_HWC = np.where(repainted_HW[..., None], np.uint8(GREY), image_HWC)
        flat = convert(keypoints_K3, COCO_17, BODY_25).round(3).ravel().tolist()
        absent = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")
        person = {"person_id": [-1], "pose_keypoints_2d": flat, **{key: [] for key in absent}}
        contents = {
            f"image/{name}.jpg": images.encode_jpeg(image_HWC, QUALITY),
            f"image-parse-v3/{name}.png": encode_parse(parse_HW),
            f"openpose_json/{name}_keypoints.json": json.dumps({"version": 1.3, "people": [person]}).encode(),
            f"agnostic-v3.2/{name}.jpg": images.encode_jpeg(agnostic_HWC, QUALITY),
            f"agnostic-mask/{name}_mask.png": images.encode_mask_bits(repainted_HW.astype(np.uint8) * 255),
            f"image-parse-agnostic-v3.2/{name}.png": encode_parse(np.where(repainted_HW, np.uint8(0), parse_HW)),
        }
        for file, content in contents.items():
            files.write_bytes(folder / file, content)

    def _write_cloth(self, folder: Path, cloth: str, finished: Finished, image_HWC: np.ndarray, box: Letterbox) -> None:
        garment_HW = (finished.garments_HW & CATEGORY_BIT[self.category]) > 0
        if finished.photo.role == PERSON:  # another person's garment stands for a shop photo: cut out, on white
            image_HWC = np.where(garment_HW[..., None], image_HWC, np.uint8(255))
        mask_HW = box.mask(garment_HW.astype(np.uint8)) * np.uint8(255)
        files.write_bytes(folder / "cloth" / f"{cloth}.jpg", images.encode_jpeg(box.image(image_HWC, self.fill)))
        stream = io.BytesIO()
        Image.fromarray(mask_HW).save(stream, "JPEG", quality=100)
        files.write_bytes(folder / "cloth-mask" / f"{cloth}.jpg", stream.getvalue())

    def close(self, failed: set[str]) -> None:
        """Write the lists, without photos that could not be written."""
        for split in sorted(self.lines):
            cloths = self._cloths(split)
            paired, unpaired = [], []
            for person, garment, kind in self.lines[split]:
                if {person, garment, self.worn.get((split, person), garment)} & failed:
                    continue
                if kind == "paired":
                    paired.append(f"{_name(person)}.jpg {_name(person)}.jpg")
                else:
                    unpaired.append(f"{_name(person)}.jpg {cloths[garment]}.jpg")
            lines = paired if split == "train" or not unpaired else unpaired
            files.write_text(self.out / f"{split}_pairs.txt", "".join(f"{line}\n" for line in dict.fromkeys(lines)))


def encode_parse(parse_HW: np.ndarray) -> bytes:
    """Indexed PNG bytes of a parse map with VITON-HD's palette."""
    picture = Image.frombytes("P", (parse_HW.shape[1], parse_HW.shape[0]), np.ascontiguousarray(parse_HW).tobytes())
    picture.putpalette([channel for colour in PALETTE for channel in colour])
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def _name(id_: str) -> str:
    return id_.partition("/")[2]
