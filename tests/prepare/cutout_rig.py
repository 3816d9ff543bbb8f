"""What the tests of the stage `cutouts` share: a results folder as the stages before it leave it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tryon import files, images
from tryon.cli import main
from tryon.dataset.folder import scan
from tryon.dataset.manifest import COLUMNS, frame, write_shard
from tryon.fit.segmenter_data import Example

ROOT = Path(__file__).resolve().parent.parent.parent
WEIGHTS = ROOT / "resources" / "segmenter" / "sam.pth"


class Results:
    """A results folder that holds what the stages before this one would have written for some photos."""

    def __init__(self, root: Path, data: Path, examples: list[Example]) -> None:
        self.root, self.data = root, data
        self.out = root / "cutouts" / "k.parquet"
        photos = {photo.id: photo for photo in scan(data).photos}
        rows, masks, keypoints = [], [], []
        for example in examples:
            photo = photos[example.id]
            name = example.id.replace("/", "-")
            files.write_bytes(root / f"{name}.labels.png", images.encode_labels(example.labels_HW))
            points = {"keypoints": example.keypoints_K3[:, :2].tolist(), "scores": example.keypoints_K3[:, 2].tolist()}
            files.write_json(root / f"{name}.keypoints.json", points)
            height, width = example.labels_HW.shape
            rows.append(
                dict.fromkeys(COLUMNS)
                | {"id": photo.id, "role": photo.role, "file": photo.file, "width": width, "height": height}
                | {"sha256": files.sha256_file(data / photo.file), "annotation": photo.annotation}
                | {"annotation_sha256": "0", "identity": name, "categories": "up"}
            )
            state = {"id": photo.id, "status": "ok", "reason": None, "key": name}
            masks.append({**state, "labels.png": f"{name}.labels.png"})
            keypoints.append({**state, "keypoints.json": f"{name}.keypoints.json"})
        write_shard(root / "k.tsv", frame(rows))
        files.write_parquet(root / "masks.parquet", pd.DataFrame(masks))
        files.write_parquet(root / "keypoints.parquet", pd.DataFrame(keypoints))

    def refuse(self, stage: str, photo_id: str, reason: str) -> None:
        """Mark a photo as quarantined by an earlier stage."""
        table = pd.read_parquet(self.root / f"{stage}.parquet")
        table.loc[table["id"] == photo_id, ["status", "reason"]] = ["quarantined", reason]
        table.loc[table["id"] == photo_id, table.columns[-1]] = None
        files.write_parquet(self.root / f"{stage}.parquet", table)

    def run(self, **cutouts: object) -> int:
        """The command's exit code."""
        settings = {
            "cutouts": {"checkpoint": str(WEIGHTS), "device": "cpu", **cutouts},
            "stages": {"base": {"kind": "parallel_unet", "size": [64, 48]}},
            "cascade": ["base"],
        }
        files.write_json(self.root / "config.json", settings)
        flags = {
            "config": "config.json",
            "shard": "k.tsv",
            "masks": "masks.parquet",
            "keypoints": "keypoints.parquet",
        }
        given = [part for flag, name in flags.items() for part in (f"--{flag}", str(self.root / name))]
        rest = ["--data", str(self.data), "--results", str(self.root), "--out", str(self.out)]
        return main(["cutouts", *given, *rest])

    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.out).set_index("id")

    def bits(self, photo_id: str, name: str) -> np.ndarray:
        return images.read_mask_bits(self.root / self.table().loc[photo_id, name])
