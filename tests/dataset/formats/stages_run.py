"""The stages from dataset to pack, in this process, on one data folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tryon import files, images
from tryon.dataset import dataset, manifest
from tryon.packed import PackedPhotos
from tryon.prepare import cutouts, keypoints, masks, pack, pairs

SIZE_HW = (64, 48)


class Run:
    """Results of all stages; tables are indexed by id."""

    def __init__(self, root: Path, results: Path, **settings: Any) -> None:  # noqa: ANN401 (as a configuration file)
        self.root, self.results = root, results
        values = {
            "stages": {"base": {"kind": "regression", "size": list(SIZE_HW)}},
            "cascade": ["base"],
            "max_quarantined": 0.0,
            "keypoints": {"source": "given"},
            "cutouts": {"source": "annotations"},
            "pairs": {"unpaired_strategy": "given"},
            **settings,
        }
        values["pairs"] = {"num_shards": 1, **values["pairs"]}
        self.config = results / "config.json"
        results.mkdir(parents=True, exist_ok=True)
        self.config.write_text(json.dumps(values), encoding="utf-8")
        folder = results / "dataset"
        self._call(
            dataset.run, data=root, out=folder / "manifest.parquet", quarantine=folder / "quarantine.csv", jobs=1
        )
        self.photos = manifest.read_manifest(folder / "manifest.parquet").set_index("id")
        self._call(pairs.run, manifest=folder / "manifest.parquet", data=root, out_dir=results / "pairs")
        self.pairs = pd.read_parquet(results / "pairs/pairs.parquet")
        (key,) = (results / "pairs/shards.txt").read_text().split()
        paths = {stage: results / stage / f"{key}.parquet" for stage in ("masks", "keypoints", "cutouts", "pack")}
        common = {"shard": results / f"pairs/shards/{key}.tsv", "data": root, "results": results}
        self._call(masks.run, **common, out=paths["masks"])
        self._call(keypoints.run, **common, masks=paths["masks"], out=paths["keypoints"])
        upstream = {stage: paths[stage] for stage in ("masks", "keypoints")}
        self._call(cutouts.run, **common, **upstream, out=paths["cutouts"])
        upstream["cutouts"] = paths["cutouts"]
        self._call(pack.run, **common, **upstream, out=results / "pack/k.safetensors", table=paths["pack"])
        self.tables = {stage: pd.read_parquet(path).set_index("id") for stage, path in paths.items()}

    def _call(self, run: Callable[[argparse.Namespace], None], **arguments: object) -> None:
        run(argparse.Namespace(config=str(self.config), **arguments))

    def ids(self, stage: str, status: str = "ok") -> set[str]:
        """Photos with this status in a stage's table."""
        table = self.tables[stage]
        return set(table.index[table["status"] == status])

    def labels(self, id_: str) -> np.ndarray:
        """The label map of a photo."""
        return images.read_labels(self.results / self.tables["masks"].loc[id_, masks.LABELS_FILE])

    def points(self, id_: str) -> np.ndarray:
        """float64 [17, 3]: keypoints of a photo and their scores."""
        value = files.read_json(self.results / self.tables["keypoints"].loc[id_, keypoints.KEYPOINTS_FILE])
        return np.column_stack([value["keypoints"], value["scores"]])

    def plane(self, id_: str, name: str) -> np.ndarray:
        """A plane of cut-out bits."""
        return images.read_mask_bits(self.results / self.tables["cutouts"].loc[id_, name])

    def packed(self) -> PackedPhotos:
        """What trainers read."""
        return PackedPhotos([self.results / "pack/k.safetensors"])

    def splits(self) -> dict[str, str]:
        """Split by person id, of the pairs."""
        return dict(zip(self.pairs["person"], self.pairs["split"], strict=True))
