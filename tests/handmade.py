"""Small data folders for tests: drawn from names, annotated, in the layout of a user's folder."""

from __future__ import annotations

import csv
import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tryon.config import DatasetConfig
from tryon.dataset import formats, manifest

SIZE_HW = (32, 24)
ISAT = DatasetConfig()
READER = formats.reader(ISAT)
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 of pixel centres, all inside


def polygon(category: str, box: Box, layer: float, group: int = 1) -> dict:
    x0, y0, x1, y1 = box
    return {
        "category": category,
        "group": group,
        "layer": layer,
        "segmentation": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]],
        "area": 0,
        "bbox": list(box),
        "iscrowd": False,
        "note": "",
    }


def annotation(objects: list[dict], size_hw: tuple[int, int] = SIZE_HW, name: str = "x.jpg") -> dict:
    info = {"description": "ISAT", "folder": "", "name": name, "width": size_hw[1], "height": size_hw[0], "depth": 3}
    return {"info": info, "objects": objects}


def person_objects(categories: tuple[str, ...] = ("up",)) -> list[dict]:
    boxes = {"up": (7, 9, 16, 18), "down": (7, 19, 16, 29), "dress": (7, 9, 16, 29)}
    parts = [polygon(name, boxes[name], 2.0 + index, 2 + index) for index, name in enumerate(categories)]
    return [polygon("person", (6, 2, 17, 30), 1.0), *parts]


def garment_objects(category: str = "up") -> list[dict]:
    return [polygon(category, (4, 5, 19, 26), 1.0)]


def save_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def add_photo(
    root: Path, id_: str, objects: list[dict] | None, *, size_hw: tuple[int, int] = SIZE_HW, suffix: str = ".jpg"
) -> Path:
    """A photo whose content depends on its id, with its annotation (None: without one)."""
    path = root / f"{id_}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(id_.encode()))
    image_HWC = np.full((*size_hw, 3), rng.integers(0, 200, 3), np.uint8)
    image_HWC[8:20] += rng.integers(0, 50, 3).astype(np.uint8)
    Image.fromarray(image_HWC).save(path, quality=95)
    if objects is not None:
        save_json(root / "annotations" / f"{id_}.json", annotation(objects, size_hw, path.name))
    return path


def make_folder(
    root: Path,
    persons: dict[str, str | None],
    garments: list[str],
    *,
    category: str = "up",
    identities: dict[str, str] | None = None,
) -> Path:
    """A folder of persons (name → garment worn) and shop photos; photos.csv says who wears what."""
    lines = [("photo", "identity", "garment")]
    for name, garment in persons.items():
        add_photo(root, f"person/{name}", person_objects((category,)))
        lines.append((f"person/{name}.jpg", (identities or {}).get(name, name), garment or ""))
    for name in garments:
        add_photo(root, f"garment/{name}", garment_objects(category))
    with (root / "photos.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)
    return root


def table(rows: list[dict]) -> pd.DataFrame:
    """A manifest from the facts that pairing reads; the rest is filled in."""
    filled = []
    for row in rows:
        role, _, name = row["id"].partition("/")
        filled.append(
            {
                "role": role,
                "file": f"{row['id']}.jpg",
                "sha256": name,
                "width": 24,
                "height": 32,
                "annotation": f"annotations/{row['id']}.json",
                "annotation_sha256": name,
                "identity": name,
                "garment": name if role == "garment" else None,
                "categories": "up",
                # a picture of its own, unless the row says otherwise
                "pixels": hashlib.sha256(row["id"].encode()).hexdigest()[:16],
                "phash": hashlib.sha256(row["id"].encode()).hexdigest(),
                **row,
            }
        )
    return manifest.frame(filled)
