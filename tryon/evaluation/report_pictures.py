"""What the report shows of sampled pairs, from worst to best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tryon.config import Config
from tryon.evaluation.drawings import Figure, figure
from tryon.evaluation.judge import Judge
from tryon.evaluation.pair_lists import Pair
from tryon.evaluation.pictures import read_picture
from tryon.evaluation.report_quality import name_of
from tryon.evaluation.truths import read_truth

PICTURE_HEIGHT_PX = 288
HERO_HEIGHT_PX = 512


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
