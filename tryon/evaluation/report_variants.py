"""The report's comparison of agnostic rules: a few people, and what each rule would repaint of them.

Nothing here was stored by a stage but label maps, keypoints and cut-outs: the regions are computed anew by
`tryon.prepare.agnostic`, the same functions that the stage `cutouts` calls, for all rules instead of the chosen one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tryon import files, images
from tryon.config import Config
from tryon.errors import BadItem
from tryon.evaluation import drawings
from tryon.evaluation.drawings import Figure, figure
from tryon.evaluation.report_facts import Results
from tryon.evaluation.report_text import Text, same, say
from tryon.geometry import Letterbox
from tryon.ontology import CATEGORY_BIT, PART_BIT, PERSON_BIT
from tryon.prepare.agnostic import RULES, repaint_region, with_cuts

NUM_PEOPLE = 3
PANEL_HEIGHT_PX = 256


@dataclass(frozen=True)
class Variants:
    """One person and one category: the photo and a panel per rule.

    Attributes:
        id: photo id.
        category: garment category that would be exchanged.
        figures: title and picture; the region is hatched.
        scores: the share of the picture that each rule repaints, in words.
    """

    id: str
    category: str
    figures: list[tuple[Text, Figure]]
    scores: list[str]


@dataclass(frozen=True)
class Person:
    """What the stages found in one photo, in its pixels; arrays as for `repaint_region`."""

    image_HWC: np.ndarray
    labels_HW: np.ndarray
    keypoints_K3: np.ndarray
    cuts: dict[str, np.ndarray]

    def region(self, rule: str, category: str) -> np.ndarray:
        """uint8 {0, 1} [H, W]; for the rule of the settings what the stage `cutouts` stored."""
        seen_HW = with_cuts(self.labels_HW, self.cuts)
        return repaint_region(rule, seen_HW, self.keypoints_K3, category, self.cuts).mask_HW


def variants(results: Results, manifest: pd.DataFrame, data: Path, config: Config) -> list[Variants]:
    """Rows for a few people, chosen by the seed of `inspect`, one row per garment category that they wear."""
    tables = {stage: results.table(stage).set_index("id") for stage in ("masks", "keypoints", "cutouts")}
    usable = {
        row.id: row
        for row in manifest.itertuples()
        if row.role == "person" and all(_is_ok(table, row.id) for table in tables.values())
    }
    chosen = random.Random(config.inspect.seed).sample(sorted(usable), min(NUM_PEOPLE, len(usable)))
    rows = []
    for photo in sorted(chosen):
        try:
            person = read_person(data / usable[photo].file, photo, tables, results.root, config.keypoints.min_score)
        except (BadItem, OSError):
            continue  # a photo that changed after the stages read it: the gallery says so
        rows += [_row(photo, person, category, config) for category in usable[photo].categories.split(",")]
    return rows


def read_person(file: Path, photo: str, tables: dict[str, pd.DataFrame], root: Path, min_score: float) -> Person:
    """Read one photo with its label map, keypoints and cut-outs.

    Args:
        file: the photo.
        photo: its id.
        tables: tables of the stages masks, keypoints and cutouts, by id.
        root: the results folder.
        min_score: a keypoint below this score is not visible.
    """
    pose = files.read_json(root / tables["keypoints"].loc[photo, "keypoints.json"])
    visible_K = np.asarray(pose["scores"], np.float64) >= min_score
    record = tables["cutouts"].loc[photo]
    garments_HW = images.read_mask_bits(root / record["garments.png"])
    cuts = {name: garments_HW & bit for name, bit in CATEGORY_BIT.items() if (garments_HW & bit).any()}
    cuts["person"] = images.read_mask_bits(root / record["person.png"]) & PERSON_BIT
    parts_HW = images.read_mask_bits(root / record["parts.png"])
    cuts |= {name: parts_HW & bit for name, bit in PART_BIT.items() if (parts_HW & bit).any()}
    return Person(
        image_HWC=images.read_rgb(file),
        labels_HW=images.read_labels(root / tables["masks"].loc[photo, "labels.png"]),
        keypoints_K3=np.column_stack([np.asarray(pose["keypoints"], np.float64), visible_K]),
        cuts=cuts,
    )


def _is_ok(table: pd.DataFrame, photo: str) -> bool:
    return photo in table.index and table.loc[photo, "status"] == "ok"


def _row(photo: str, person: Person, category: str, config: Config) -> Variants:
    height, width = person.image_HWC.shape[:2]
    shown_height = min(PANEL_HEIGHT_PX, height)
    box = Letterbox((height, width), (shown_height, max(1, round(width * shown_height / height))))
    small_HWC = box.image(person.image_HWC)
    figures, scores = [(say("panel.photo"), figure(small_HWC, same(photo)))], []
    for rule in RULES:
        region_HW = person.region(rule, category)
        title = say("variants.in_use", {"rule": rule}) if rule == config.cutouts.agnostic else same(rule)
        panel_HWC = drawings.agnostic(small_HWC, box.mask(region_HW))
        figures.append(
            (title, figure(panel_HWC, say("variants.alt", {"photo": photo, "rule": rule, "category": category})))
        )
        scores.append(f"{rule} {region_HW.mean():.0%}")
    return Variants(photo, category, figures, scores)
