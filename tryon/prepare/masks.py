"""Stage `masks`: polygons of an annotation → one indexed PNG label map per photo, at the photo's size.

Polygons are drawn in layer order, so a higher layer covers a lower one; parts of one thing and several polygons
of one label simply fill their own pixels; a `__background__` polygon cuts back to index 0.

    tryon masks --config F --shard pairs/shards/KEY.tsv --data DIR --results R --out masks/KEY.parquet
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from tryon import config, images
from tryon.config import MasksConfig
from tryon.dataset import formats
from tryon.dataset.annotation import (
    HOLE,
    Annotated,
    LabelMap,
    check_labels,
    check_role,
    check_size,
)
from tryon.dataset.folder import PICTURE
from tryon.dataset.formats.interface import Reader
from tryon.dataset.manifest import read_shard
from tryon.dataset.mending import draw, select
from tryon.digests import code_digest, config_digest, digest
from tryon.environments import environment_digest
from tryon.errors import BadItem
from tryon.items import Done, Row, run_shard
from tryon.ontology import CATEGORIES, LABEL_INDEX
from tryon.provenance import write_provenance

STAGE = "masks"
LABELS_FILE = "labels.png"


def draw_label_map(annotation: Annotated, size_hw: tuple[int, int]) -> np.ndarray:
    """Draw the shapes of known categories; a label map stays what it is.

    Where the pixels of a shape lie is said in `dataset.mending.draw`.

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
        draw(labels_HW, shape, value)
    return labels_HW


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
    drawn = (labels_HW == LABEL_INDEX[category] for category in CATEGORIES) if role == "garment" else [labels_HW]
    if not any(mask_HW.any() for mask_HW in drawn):
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
    check_size(annotation, (photo.height, photo.width))
    annotation = select(annotation, photo.role)  # the stage `dataset` checked its shapes and recorded the repairs
    if cfg.unknown_label == "quarantine":
        check_labels(annotation)
    check_role(annotation, photo.role, needs_person=reader.annotates_person)
    labels_HW = draw_label_map(annotation, (photo.height, photo.width))
    check_drawn(labels_HW, annotation, photo.role)
    return Done({LABELS_FILE: images.encode_labels(labels_HW)})


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
        # the annotation's name is part of the key because reasons name files
        key_of=lambda photo: digest(
            [photo.annotation, photo.annotation_sha256, photo.height, photo.width, photo.role, *version]
        ),
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
