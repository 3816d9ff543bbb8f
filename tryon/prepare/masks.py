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
from tryon.dataset import formats
from tryon.dataset.annotation import (
    HOLE,
    Annotated,
    Bitmap,
    LabelMap,
    Polygon,
    check_labels,
    check_role,
    check_size,
)
from tryon.dataset.folder import PICTURE
from tryon.dataset.formats.interface import Reader
from tryon.dataset.manifest import read_shard
from tryon.digests import code_digest, config_digest, digest
from tryon.environments import environment_digest
from tryon.errors import BadItem
from tryon.items import Done, Row, Scalar, run_shard
from tryon.ontology import CATEGORIES, LABEL_INDEX, LABELS
from tryon.provenance import write_provenance

STAGE = "masks"
LABELS_FILE = "labels.png"


def draw_label_map(annotation: Annotated, size_hw: tuple[int, int]) -> np.ndarray:
    """Draw the shapes of known categories; a label map stays what it is.

    A vertex with whole-number coordinates is a pixel centre and its pixel is filled, which makes this the exact
    inverse of `cv2.findContours`; other coordinates go to the nearest centre. Vertices outside are clipped.

    Args:
        annotation: shapes in drawing order, or a label map.
        size_hw: height and width in pixels of the photo.

    Returns:
        uint8 [H, W]: indices into `ontology.LABELS`.

    Raises:
        BadItem: the annotation was made for a picture of another size.
    """
    check_size(annotation, size_hw)
    if isinstance(annotation, LabelMap):
        return annotation.labels_HW
    labels_HW = np.zeros(size_hw, np.uint8)
    for shape in annotation.shapes:
        value = 0 if shape.category == HOLE else LABEL_INDEX.get(shape.category)
        if value is None:
            continue  # an unknown category: the caller decides through annotation.check_labels
        if isinstance(shape, Polygon):
            vertices_K2 = np.rint(np.asarray(shape.points_xy)).astype(np.int32)
            cv2.fillPoly(labels_HW, [vertices_K2], color=value)
        else:
            _stamp(labels_HW, shape, value)
    return labels_HW


def _stamp(labels_HW: np.ndarray, shape: Bitmap, value: int) -> None:
    """Write a bitmap's pixels into the label map; what lies outside the photo is clipped."""
    height, width = labels_HW.shape
    top, left = max(shape.top, 0), max(shape.left, 0)
    bottom = min(shape.top + shape.mask_HW.shape[0], height)
    right = min(shape.left + shape.mask_HW.shape[1], width)
    if bottom > top and right > left:
        inside_HW = shape.mask_HW[top - shape.top : bottom - shape.top, left - shape.left : right - shape.left]
        labels_HW[top:bottom, left:right][inside_HW > 0] = value


def check_drawn(labels_HW: np.ndarray, annotation: Annotated, role: str) -> None:
    """Refuse a label map in which the shapes left nothing of the person or of the garment.

    Args:
        labels_HW: the drawn annotation.
        annotation: what was drawn.
        role: "person" or "garment".

    Raises:
        BadItem: every pixel was cut away, covered or lies outside the photo.
    """
    if role == PICTURE:
        return
    # parts may cover the `person` polygon whole, so a person photo needs any label; a garment photo needs a garment
    wanted = LABELS[1:] if role == "person" else CATEGORIES
    if not np.isin(labels_HW, [LABEL_INDEX[label] for label in wanted]).any():
        raise BadItem(
            f"{Path(annotation.file).name}: its shapes leave no pixel of a {role}; look for shapes outside the "
            "photo, wrong layers, or a hole over everything"
        )


def make_mask(photo: Row, data: Path, reader: Reader, cfg: MasksConfig) -> Done:
    """Label map of one photo.

    Args:
        photo: a manifest row.
        data: the data folder.
        reader: of the annotation's format.
        cfg: settings of this stage.

    Raises:
        BadItem: the annotation is unusable; the message becomes the quarantine reason.
    """
    annotation = reader.annotate(data, photo.annotation, photo.role)
    if cfg.unknown_label == "quarantine":
        check_labels(annotation)
    check_role(annotation, photo.role, needs_person=reader.annotates_person)
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
    settings = config.load(args.config)
    cfg, reader = settings.masks, formats.reader(settings.dataset)
    version = [
        config_digest(cfg, settings.dataset),
        code_digest(__name__, formats.module(settings.dataset)),
        environment_digest(STAGE),
    ]

    def process(photos: list[Row]) -> list[Done | BadItem]:
        try:
            return [make_mask(photos[0], args.data, reader, cfg)]
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
