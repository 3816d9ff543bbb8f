"""Stage `masks`: polygons of an annotation → one indexed PNG label map per photo, at the photo's size.

Polygons are drawn in layer order, so a higher layer covers a lower one; parts of one thing and several polygons
of one label simply fill their own pixels; a `__background__` polygon cuts back to index 0.

    tryon masks --config F --shard pairs/shards/KEY.tsv --data DIR --results R --out masks/KEY.parquet
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from tryon import config, images
from tryon.config import MasksConfig
from tryon.dataset import isat
from tryon.dataset.isat import Annotation
from tryon.dataset.manifest import read_shard
from tryon.digests import code_digest, config_digest, digest
from tryon.environments import environment_digest
from tryon.errors import BadItem
from tryon.items import Done, Row, Scalar, run_shard
from tryon.ontology import CATEGORIES, LABEL_INDEX, LABELS
from tryon.provenance import write_provenance

STAGE = "masks"
LABELS_FILE = "labels.png"


def draw_label_map(annotation: Annotation, size_hw: tuple[int, int]) -> np.ndarray:
    """Draw the polygons of known categories.

    A vertex with whole-number coordinates is a pixel centre and its pixel is filled, which makes this the exact
    inverse of `cv2.findContours`; other coordinates go to the nearest centre. Vertices outside are clipped.

    Args:
        annotation: polygons in drawing order.
        size_hw: height and width in pixels of the photo.

    Returns:
        uint8 [H, W]: indices into `ontology.LABELS`.

    Raises:
        BadItem: the annotation was made for a picture of another size.
    """
    isat.check_size(annotation, size_hw)
    labels_HW = np.zeros(size_hw, np.uint8)
    for polygon in annotation.polygons:
        value = 0 if polygon.category == isat.HOLE else LABEL_INDEX.get(polygon.category)
        if value is None:
            continue  # an unknown category: the caller decides through isat.check_labels
        vertices_K2 = np.rint(np.asarray(polygon.points_xy)).astype(np.int32)
        cv2.fillPoly(labels_HW, [vertices_K2], color=value)
    return labels_HW


def check_drawn(labels_HW: np.ndarray, annotation: Annotation, role: str) -> None:
    """Refuse a label map in which the polygons left nothing of the person or of the garment.

    Args:
        labels_HW: the drawn annotation.
        annotation: what was drawn.
        role: "person" or "garment".

    Raises:
        BadItem: every pixel was cut away, covered or lies outside the photo.
    """
    # parts may cover the `person` polygon whole, so a person photo needs any label; a garment photo needs a garment
    wanted = LABELS[1:] if role == "person" else CATEGORIES
    if not np.isin(labels_HW, [LABEL_INDEX[label] for label in wanted]).any():
        raise BadItem(
            f"{Path(annotation.file).name}: its polygons leave no pixel of a {role}; look for polygons outside the "
            "photo, wrong layers, or a hole over everything"
        )


def make_mask(photo: Row, data: Path, cfg: MasksConfig) -> Done:
    """Label map of one photo.

    Args:
        photo: a manifest row.
        data: the data folder.
        cfg: settings of this stage.

    Raises:
        BadItem: the annotation is unusable; the message becomes the quarantine reason.
    """
    annotation = isat.read(data / photo.annotation)
    if cfg.unknown_label == "quarantine":
        isat.check_labels(annotation)
    isat.check_role(annotation, photo.role)
    labels_HW = draw_label_map(annotation, (photo.height, photo.width))
    check_drawn(labels_HW, annotation, photo.role)
    shares = np.bincount(labels_HW.ravel(), minlength=len(LABELS)) / labels_HW.size
    facts: dict[str, Scalar] = {
        f"share_{label}": round(float(share), 6) for label, share in zip(LABELS, shares, strict=True)
    }
    return Done({LABELS_FILE: images.encode_labels(labels_HW)}, facts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--shard", type=Path, required=True, help="pairs/shards/KEY.tsv")
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    parser.add_argument("--results", type=Path, required=True, help="results folder, whose items/ holds finished masks")
    parser.add_argument("--out", type=Path, required=True, help="table to write: masks/KEY.parquet")


def run(args: argparse.Namespace) -> None:
    """Make the label maps of one shard."""
    started = time.monotonic()
    cfg = config.load(args.config).masks
    version = [config_digest(cfg), code_digest(__name__), environment_digest(STAGE)]

    def process(photos: list[Row]) -> list[Done | BadItem]:
        try:
            return [make_mask(photos[0], args.data, cfg)]
        except BadItem as problem:
            return [problem]

    run_shard(
        stage=STAGE,
        rows=read_shard(args.shard),
        key_of=lambda photo: digest([photo.annotation_sha256, photo.height, photo.width, photo.role, *version]),
        process=process,
        store=args.results / "items",
        out=args.out,
    )
    write_provenance(
        args.out,
        stage=STAGE,
        config=version[0],
        code=version[1],
        inputs={"shard": args.shard.stem},
        seconds=time.monotonic() - started,
    )
