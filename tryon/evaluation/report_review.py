"""The report's review sheet: cut-outs that a person should look at, doubtful ones first.

On every photo two outlines: what the annotation says, and what segment-anything made of it; with the scores and the
reasons of tryon.prepare.quality.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from tryon import files, images
from tryon.config import Config
from tryon.errors import BadItem
from tryon.evaluation.drawings import Figure, figure
from tryon.evaluation.report_facts import Results
from tryon.evaluation.report_text import Text, glued, known, same, say
from tryon.geometry import Letterbox
from tryon.ontology import CATEGORIES, CATEGORY_BIT, PART_BIT
from tryon.prepare.parts import rough_masks
from tryon.prepare.quality import MEASURES

HEIGHT_PX = 352
MARGIN = 0.04  # of what is outlined, to each side
ANNOTATION_COLOUR, CUT_OUT_COLOUR = (255, 176, 0), (0, 82, 255)  # told apart by colour-blind people, too
ANNOTATION_WIDTH_PX, CUT_OUT_WIDTH_PX = 3, 1  # where the two agree, one lies inside the other


@dataclass(frozen=True)
class Entry:
    """One photo of the sheet.

    Attributes:
        id: photo id.
        doubts: why it is doubtful; empty where it is not.
        figure: the photo with both outlines.
        scores: a line per part.
    """

    id: str
    doubts: list[str]
    figure: Figure
    scores: list[Text]


@dataclass(frozen=True)
class Review:
    """The sheet.

    Attributes:
        entries: doubtful cut-outs first, each half from the worst agreement on.
        num_doubtful: of all photos, shown or not.
        num_cut: photos whose cut-outs a model made; 0 where the annotations are trusted.
        colours: CSS colour of an outline by what it shows: "annotation" or "cutout".
    """

    entries: list[Entry]
    num_doubtful: int
    num_cut: int
    colours: dict[str, str]


def review(results: Results, manifest: pd.DataFrame, data: Path, config: Config) -> Review:
    """Gather the sheet: `report.num_review` photos.

    Args:
        results: of the run.
        manifest: rows of all photos.
        data: the data folder.
        config: the whole configuration.
    """
    made = _ranked(results.table("cutouts"))
    entries: list[Entry] = []
    planes = {stage: results.table(stage).set_index("id") for stage in ("masks", "keypoints")}
    photos = {row.id: row for row in manifest.itertuples()}
    for record in made.to_dict("records"):
        if len(entries) == config.inspect.num_review:
            break
        entry = _entry(record, photos[record["id"]], planes, results.root, data, config)
        if entry is not None:
            entries.append(entry)
    return Review(
        entries,
        num_doubtful=int(made["doubtful"].sum()),
        num_cut=len(made),
        colours={"annotation": _css(ANNOTATION_COLOUR), "cutout": _css(CUT_OUT_COLOUR)},
    )


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    """Photos that a model cut, doubtful ones first, each half from the worst agreement on."""
    if "predicted_iou" not in table:  # refused photos have no scores, so a table of these alone lacks the columns
        return table.head(0).assign(doubtful=False)
    made = table[(table["status"] == "ok") & table["predicted_iou"].notna()].astype({"doubtful": bool})
    return made.sort_values(["doubtful", "agreement", "id"], ascending=[False, True, True])


def _entry(
    record: dict[str, Any],
    photo: Any,  # noqa: ANN401 (a NamedTuple of the manifest)
    planes: dict[str, pd.DataFrame],
    root: Path,
    data: Path,
    config: Config,
) -> Entry | None:
    """One photo of the sheet; None where the photo has gone bad since, which the gallery shows."""
    try:
        image_HWC = images.read_rgb(data / photo.file)
    except BadItem:
        return None
    labels_HW = images.read_labels(root / planes["masks"].loc[photo.id, "labels.png"])
    pose = files.read_json(root / planes["keypoints"].loc[photo.id, "keypoints.json"])
    visible_K = np.asarray(pose["scores"]) >= config.keypoints.min_score
    keypoints_K3 = np.column_stack([np.asarray(pose["keypoints"], np.float64), visible_K])
    annotated = list(rough_masks(labels_HW, keypoints_K3, photo.role, config.cutouts.parts).values())
    cut_outs = list(_cut_outs(record, root))
    rows, columns = _frame(np.any([*annotated, *cut_outs], axis=0))
    cropped_HWC = image_HWC[rows, columns]
    height, width = cropped_HWC.shape[:2]
    box = Letterbox((height, width), (HEIGHT_PX, max(1, round(width * HEIGHT_PX / height))))
    canvas_HWC = box.image(cropped_HWC)
    for masks, colour, width_px in (
        (annotated, ANNOTATION_COLOUR, ANNOTATION_WIDTH_PX),
        (cut_outs, CUT_OUT_COLOUR, CUT_OUT_WIDTH_PX),
    ):
        _outline(canvas_HWC, (box.mask(mask_HW[rows, columns]) for mask_HW in masks), colour, width_px)
    doubts = [doubt for doubt in record["doubts"].split("; ") if doubt]
    picture = figure(canvas_HWC, say("review.alt", {"photo": photo.id}))
    return Entry(photo.id, doubts, picture, _score_lines(record["quality"]))


def _cut_outs(record: dict[str, Any], root: Path) -> Iterable[np.ndarray]:
    """uint8 {0, 1} [H, W] of every cut-out; the background has the person's outline and is left out."""
    garments_HW = images.read_mask_bits(root / record["garments.png"])
    parts_HW = images.read_mask_bits(root / record["parts.png"])
    yield images.read_mask_bits(root / record["person.png"])
    yield from ((garments_HW & CATEGORY_BIT[name] > 0).astype(np.uint8) for name in CATEGORIES)
    yield from ((parts_HW & bit > 0).astype(np.uint8) for name, bit in PART_BIT.items() if name != "background")


def _frame(covered_HW: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns round everything that is outlined; a small person in a wide photo would show nothing."""
    slices = []
    for axis in (1, 0):
        places = np.flatnonzero(covered_HW.any(axis=axis))
        margin_px = round(MARGIN * (places[-1] - places[0] + 1)) + 1
        slices.append(slice(max(0, places[0] - margin_px), places[-1] + 1 + margin_px))
    return slices[0], slices[1]


def _outline(canvas_HWC: np.ndarray, masks: Iterable[np.ndarray], colour: tuple[int, int, int], width_px: int) -> None:
    for mask_HW in masks:
        contours, _ = cv2.findContours(mask_HW, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas_HWC, contours, -1, colour, width_px)


def _score_lines(quality: str) -> list[Text]:
    """``"up: agreement 0.93, predicted iou 0.94, stability 0.91"`` per part."""
    lines = []
    for part, values in json.loads(quality).items():
        scores = [
            glued([known(f"measure.{name}", name.replace("_", " ")), same(f"{values[name]:.2f}")], " ", " ")
            for name in MEASURES
            if values[name] is not None
        ]
        lines.append(glued([known(f"category.{part}", part.replace("_", " ")), glued(scores, ", ", "，")], ": ", "："))
    return lines


def _css(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in colour)
