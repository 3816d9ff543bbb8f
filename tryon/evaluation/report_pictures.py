"""What the report shows: photos with all that was found in them, and sampled pairs from worst to best."""

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
from tryon.evaluation.judge import Judge
from tryon.evaluation.pair_lists import Pair
from tryon.evaluation.pictures import read_picture
from tryon.evaluation.report_facts import Results
from tryon.evaluation.report_quality import name_of
from tryon.evaluation.truths import read_truth
from tryon.geometry import Letterbox
from tryon.ontology import CATEGORY_BIT

PHOTO_HEIGHT_PX = 208
PICTURE_HEIGHT_PX = 288
HERO_HEIGHT_PX = 512


@dataclass(frozen=True)
class Card:
    """One photo of the gallery, in the group "quarantined", "person" or "garment"."""

    id: str
    group: str
    panels: list[tuple[str, Figure]]
    facts: list[str]
    problem: str


def gallery(
    results: Results, manifest: pd.DataFrame, bad: list[dict[str, str]], data: Path, config: Config
) -> list[Card]:
    """Cards of all photos of a small data set; of a large one a seeded sample and every quarantined photo."""
    reasons = {row["id"]: f"{row['stage']}: {row['reason']}" for row in bad}
    usable = sorted(set(manifest["id"]) - set(reasons))
    if len(usable) > config.report.num_photos:
        usable = sorted(random.Random(config.report.seed).sample(usable, config.report.num_photos))
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
        return Card(photo, "quarantined", [("cannot be shown", figure(shape, f"{photo} cannot be shown"))], [], problem)
    shown_hw = _fit(image_HWC.shape[:2], PHOTO_HEIGHT_PX)
    box = Letterbox(image_HWC.shape[:2], shown_hw)
    small_HWC = box.image(image_HWC)
    found = {stage: table.loc[photo] for stage, table in tables.items() if photo in table.index}
    found = {stage: record for stage, record in found.items() if record["status"] == "ok"}
    panels, facts = [("photo", small_HWC)], [f"{image_HWC.shape[1]} × {image_HWC.shape[0]} px"]
    if "keypoints" in found:
        pose = files.read_json(root / found["keypoints"]["keypoints.json"])
        points_K2 = box.points(np.asarray(pose["keypoints"], np.float64))
        visible_K = np.asarray(pose["scores"]) > 0.3
        panels[0] = ("keypoints", drawings.keypoints_over(small_HWC, np.column_stack([points_K2, visible_K])))
        facts.append(f"{found['keypoints']['num_visible']} keypoints ({found['keypoints']['source']})")
    if "masks" in found:
        labels_HW = box.mask(images.read_labels(root / found["masks"]["labels.png"]))
        panels.append(("labels", drawings.labels_over(small_HWC, labels_HW)))
    if "cutouts" in found:
        record = found["cutouts"]
        garments_HW = box.mask(images.read_mask_bits(root / record["garments.png"]))
        panels.append(("cut-out", drawings.cut_out(small_HWC, garments_HW)))
        if row is not None and row.role == "person":
            regions_HW = box.mask(images.read_mask_bits(root / record["regions.png"]))
            category = next((name for name in row.categories.split(",") if name in ("up", "dress")), None)
            bit = CATEGORY_BIT[category or row.categories.split(",")[0]]
            panels.append(("to repaint", drawings.agnostic(small_HWC, regions_HW & bit)))
        agreement = record["agreement"]
        if pd.notna(agreement):
            facts.append(f"cut-out IoU {agreement:.2f} ({record['backend']})")
    figures = [(title, figure(panel_HWC, f"{photo}: {title}")) for title, panel_HWC in panels]
    group = "quarantined" if problem or row is None else row.role
    return Card(photo, group, figures, facts, problem)


def _fit(source_hw: tuple[int, ...], height_px: int) -> tuple[int, int]:
    height = min(height_px, source_hw[0])
    return height, max(1, round(source_hw[1] * height / source_hw[0]))


@dataclass(frozen=True)
class Row:
    """One pair: the pictures in reading order, and its scores."""

    pair_id: str
    category: str
    figures: list[tuple[str, Figure]]
    scores: list[str]


def ranking(metrics: pd.DataFrame, list_name: str, config: Config) -> pd.DataFrame:
    """Pairs of a list from worst to best.

    Returns:
        pair_id and the final picture's metrics inside the garment; ordered by PSNR there, or where no truth is
        known by the colour difference to the garment.
    """
    last = config.cascade[-1]
    size = "x".join(map(str, config.stages[last].size))
    final = metrics[(metrics["system"] == "cascade") & (metrics["stage"] == last) & (metrics["size"] == size)]
    final = final[(final["list"] == list_name) & final["region"].isin(["garment", "expected"])]
    wide = final.pivot(index="pair_id", columns="metric", values="value").reset_index()
    if "psnr" in wide:
        return wide.sort_values(["psnr", "pair_id"], ignore_index=True)
    return wide.sort_values(["garment_delta_e", "pair_id"], ascending=[False, True], ignore_index=True)


def pair_row(pair: Pair, judge: Judge, config: Config, scores: dict[str, float]) -> Row:
    """The pictures of one pair: person, garment, what every stage made, truth."""
    stages = config.cascade
    final_hw = config.stages[stages[-1]].size
    figures = [("person", _photo(judge, pair.person, final_hw)), ("garment", _photo(judge, pair.garment, final_hw))]
    for stage in stages:
        size_hw = config.stages[stage].size
        picture_HWC = read_picture(judge.sampled["cascade", stage, pair.pair_id], size_hw)
        figures.append((f"{stage} {size_hw[0]}×{size_hw[1]}", _embed(picture_HWC, f"{pair.pair_id} after {stage}")))
    truth = read_truth(judge.data, pair, judge.reader)
    if truth is not None:
        true_HWC = truth.on_canvas(pair.category, final_hw, judge.fill)[0]
        figures.append(("truth", _embed(true_HWC, f"{pair.pair_id}: the true picture")))
    return Row(pair.pair_id, pair.category, figures, _scores(scores))


def _scores(scores: dict[str, float]) -> list[str]:
    known = {"psnr": "PSNR {:.1f} dB", "gms": "GMS {:.2f}", "lpips": "LPIPS {:.2f}", "delta_e": "ΔE {:.1f}"}
    known |= {"garment_delta_e": "ΔE to garment {:.1f}"}
    return [text.format(scores[name]) for name, text in known.items() if pd.notna(scores.get(name))]


def baseline_row(pair: Pair, judge: Judge, config: Config) -> Row:
    """The truth and every system's and baseline's final picture of one pair, side by side."""
    final_hw = config.stages[config.cascade[-1]].size
    figures = [("garment", _photo(judge, pair.garment, final_hw))]
    truth = read_truth(judge.data, pair, judge.reader)
    if truth is not None:
        true_HWC = truth.on_canvas(pair.category, final_hw, judge.fill)[0]
        figures.append(("truth", _embed(true_HWC, f"{pair.pair_id}: the true picture")))
    for entry, picture_HWC in judge.pictures(pair, final_hw).items():
        if entry.kind != "stage":
            name = name_of(entry.system)
            figures.append((name, _embed(picture_HWC, f"{pair.pair_id}: {name}")))
    return Row(pair.pair_id, pair.category, figures, [])


def hero(pairs: list[Pair], judge: Judge, config: Config) -> list[dict[str, Any]]:
    """The largest pictures of the page: person and garment small, the result large."""
    last = config.cascade[-1]
    final_hw = config.stages[last].size
    made = []
    for pair in pairs:
        result_HWC = read_picture(judge.sampled["cascade", last, pair.pair_id], final_hw)
        made.append(
            {
                "pair_id": pair.pair_id,
                "person": _photo(judge, pair.person, final_hw),
                "garment": _photo(judge, pair.garment, final_hw),
                "result": figure(result_HWC, f"result of {pair.pair_id}", HERO_HEIGHT_PX),
            }
        )
    return made


def _photo(judge: Judge, photo: str, size_hw: tuple[int, int]) -> Figure:
    return _embed(judge.packed.read(photo, size_hw).image_HWC, photo)


def _embed(image_HWC: np.ndarray, alt: str) -> Figure:
    return figure(image_HWC, alt, PICTURE_HEIGHT_PX)
