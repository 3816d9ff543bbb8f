"""The gallery of the data page and the report: photos with all that was found in them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tryon import files, images
from tryon.config import Config
from tryon.errors import BadItem
from tryon.evaluation import drawings
from tryon.evaluation.drawings import Figure, figure
from tryon.evaluation.report_facts import Results
from tryon.evaluation.report_text import Text, glued, same, say
from tryon.geometry import Letterbox
from tryon.ontology import CATEGORY_BIT

PHOTO_HEIGHT_PX = 208


@dataclass(frozen=True)
class Card:
    """One photo of the gallery, in the group "quarantined", "person" or "garment"."""

    id: str
    group: str
    panels: list[tuple[Text, Figure]]
    facts: list[Text]
    problem: str


def gallery(
    results: Results, manifest: pd.DataFrame, bad: list[dict[str, str]], data: Path, config: Config
) -> list[Card]:
    """Cards of all photos of a small data set; of a large one a seeded sample and every quarantined photo."""
    reasons = {row["id"]: f"{row['stage']}: {row['reason']}" for row in bad}
    usable = sorted(set(manifest["id"]) - set(reasons))
    if len(usable) > config.inspect.num_photos:
        usable = sorted(random.Random(config.inspect.seed).sample(usable, config.inspect.num_photos))
    tables = {stage: results.table(stage).set_index("id") for stage in ("masks", "keypoints", "cutouts")}
    rows = {row.id: row for row in manifest.itertuples()}
    usable.sort(key=lambda photo: (rows[photo].role != "person", photo))
    chosen = [*sorted(reasons), *usable]
    return [_card(photo, rows.get(photo), tables, reasons.get(photo, ""), results.root, data) for photo in chosen]


def _card(
    photo: str,
    row: Any,  # noqa: ANN401 (a NamedTuple of the manifest)
    tables: dict[str, pd.DataFrame],
    problem: str,
    root: Path,
    data: Path,  # noqa: ANN401
) -> Card:
    """Photo, label map, keypoints, cut-out and region, as far as the stages came with it."""
    file = data / (row.file if row is not None else photo)
    try:
        image_HWC = images.read_rgb(file)
    except (BadItem, OSError):
        shape = drawings.placeholder(PHOTO_HEIGHT_PX, PHOTO_HEIGHT_PX * 3 // 4)
        gone = figure(shape, say("picture.gone", {"photo": photo}))
        return Card(photo, "quarantined", [(say("panel.gone"), gone)], [], problem)
    shown_hw = _fit(image_HWC.shape[:2], PHOTO_HEIGHT_PX)
    box = Letterbox(image_HWC.shape[:2], shown_hw)
    small_HWC = box.image(image_HWC)
    found = {stage: table.loc[photo] for stage, table in tables.items() if photo in table.index}
    found = {stage: record for stage, record in found.items() if record["status"] == "ok"}
    panels, facts = [("photo", small_HWC)], [same(f"{image_HWC.shape[1]} × {image_HWC.shape[0]} px")]
    if "keypoints" in found:
        pose = files.read_json(root / found["keypoints"]["keypoints.json"])
        points_K2 = box.points(np.asarray(pose["keypoints"], np.float64))
        visible_K = np.asarray(pose["scores"]) > 0.3
        panels[0] = ("keypoints", drawings.keypoints_over(small_HWC, np.column_stack([points_K2, visible_K])))
        values = {"num": found["keypoints"]["num_visible"], "source": found["keypoints"]["source"]}
        facts.append(say("photos.keypoints", values))
    if "masks" in found:
        labels_HW = box.mask(images.read_labels(root / found["masks"]["labels.png"]))
        panels.append(("labels", drawings.labels_over(small_HWC, labels_HW)))
    if "cutouts" in found:
        record = found["cutouts"]
        garments_HW = box.mask(images.read_mask_bits(root / record["garments.png"]))
        panels.append(("cutout", drawings.cut_out(small_HWC, garments_HW)))
        if row is not None and row.role == "person":
            regions_HW = box.mask(images.read_mask_bits(root / record["regions.png"]))
            category = next((name for name in row.categories.split(",") if name in ("up", "dress")), None)
            bit = CATEGORY_BIT[category or row.categories.split(",")[0]]
            panels.append(("repaint", drawings.agnostic(small_HWC, regions_HW & bit)))
        agreement = record["agreement"]
        if pd.notna(agreement):
            facts.append(say("photos.agreement", {"iou": f"{agreement:.2f}", "backend": record["backend"]}))
    titled = [(say(f"panel.{name}"), panel_HWC) for name, panel_HWC in panels]
    figures = [(title, figure(panel_HWC, glued([same(photo), title], ": ", "："))) for title, panel_HWC in titled]
    group = "quarantined" if problem or row is None else row.role
    return Card(photo, group, figures, facts, problem)


def _fit(source_hw: tuple[int, ...], height_px: int) -> tuple[int, int]:
    height = min(height_px, source_hw[0])
    return height, max(1, round(source_hw[1] * height / source_hw[0]))
