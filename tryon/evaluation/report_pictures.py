"""What the report shows of sampled pairs: the gallery, the best, middle and worst one, systems side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from tryon.config import Config
from tryon.evaluation.drawings import Figure, figure
from tryon.evaluation.judge import Judge
from tryon.evaluation.pair_lists import Pair
from tryon.evaluation.pictures import read_picture
from tryon.evaluation.report_facts import Results
from tryon.evaluation.report_quality import name_of
from tryon.evaluation.report_text import Text, glued, known, same, say
from tryon.evaluation.truths import read_truth

PICTURE_HEIGHT_PX = 384
SCORES = {"psnr": "PSNR {:.1f} dB", "gms": "GMS {:.2f}", "lpips": "LPIPS {:.2f}", "delta_e": "ΔE {:.1f}"}


@dataclass(frozen=True)
class Row:
    """One pair: the pictures in reading order."""

    pair_id: str
    category: Text
    figures: list[tuple[Text, Figure]]


@dataclass(frozen=True)
class Shown:
    """One pair of the gallery.

    Attributes:
        pair_id, category: of the pair.
        rank: place in its list, 1 = worst.
        person, garment, result: as the card shows them; `truth` is None where nobody knows it.
        steps: every picture in reading order, for the large view.
        scores: of the final picture.
        doubts: what is doubtful about the two photos; empty where nothing is.
    """

    pair_id: str
    category: str
    rank: int
    person: Figure
    garment: Figure
    result: Figure
    truth: Figure | None
    steps: list[tuple[Text, Figure]]
    scores: list[Text]
    doubts: list[Text]


@dataclass(frozen=True)
class Ranked:
    """The shown pairs of one list, worst first.

    Attributes:
        name: of the list.
        num: pairs of the list, shown or not.
        by: what they are ordered by.
        pairs: of the gallery.
    """

    name: str
    num: int
    by: Text
    pairs: list[Shown]


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


def chosen(num: int, at_most: int) -> list[int]:
    """Places in a ranking of `num`, worst first.

    Returns:
        All; or half from the worst end, a quarter from the best one, and the rest spread evenly between, so that
        nobody picked them.
    """
    if num <= at_most:
        return list(range(num))
    num_worst, num_best = at_most // 2, at_most // 4
    num_between = at_most - num_worst - num_best
    step = (num - num_worst - num_best) / num_between
    between = [num_worst + int((place + 0.5) * step) for place in range(num_between)]
    return [*range(num_worst), *between, *range(num - num_best, num)]


def spread(num: int, at_most: int) -> list[int]:
    """Places spread evenly over a ranking of `num`."""
    at_most = min(at_most, num)
    return [round((place + 0.5) * num / at_most - 0.5) for place in range(at_most)]


def doubts_of(results: Results) -> dict[str, list[Text]]:
    """What the stages call doubtful about photos that are used: {photo id: reasons}."""
    found: dict[str, list[Text]] = {}
    for stage in ("keypoints", "cutouts"):
        table = results.table(stage).reindex(columns=["id", "status", "doubtful", "doubts", "mean_score"])
        for row in table[(table["status"] == "ok") & table["doubtful"].eq(True)].itertuples():
            if stage == "cutouts":
                doubt = say("doubt.cutout", {"photo": row.id, "why": row.doubts})
            else:
                doubt = say("doubt.keypoints", {"photo": row.id, "score": f"{row.mean_score:.2f}"})
            found.setdefault(row.id, []).append(doubt)
    return found


def ranked(
    metrics: pd.DataFrame,
    list_name: str,
    judge: Judge,
    judged: Mapping[str, Pair],
    doubts: Mapping[str, list[Text]],
    config: Config,
    at_most: int,
) -> Ranked:
    """The gallery's pairs of one list."""
    order = ranking(metrics, list_name, config)
    rows = order.to_dict("records")
    pairs = [
        _shown(judged[rows[place]["pair_id"]], judge, config, rows[place], place + 1, doubts)
        for place in chosen(len(rows), at_most)
    ]
    return Ranked(list_name, len(rows), say("gallery.by_psnr" if "psnr" in order else "gallery.by_colour"), pairs)


def _shown(
    pair: Pair, judge: Judge, config: Config, scores: Mapping[str, float], rank: int, doubts: Mapping[str, list[Text]]
) -> Shown:
    final_hw = config.stages[config.cascade[-1]].size
    person = _photo(judge, pair, pair.person, "person", final_hw)
    garment = _photo(judge, pair, pair.garment, "garment", final_hw)
    steps = [(say("picture.person"), person), (say("picture.garment"), garment)]
    for stage in config.cascade:
        size_hw = config.stages[stage].size
        picture_HWC = read_picture(judge.sampled["cascade", stage, pair.pair_id], size_hw)
        alt = say("picture.after", {"pair": pair.pair_id, "stage": stage})
        steps.append((same(f"{stage} {size_hw[0]}×{size_hw[1]}"), figure(picture_HWC, alt, PICTURE_HEIGHT_PX)))
    result = steps[-1][1]
    truth = _truth(pair, judge, final_hw)
    if truth is not None:
        steps.append((say("picture.truth"), truth))
    reasons = [doubt for photo in (pair.person, pair.garment) for doubt in doubts.get(photo, [])]
    return Shown(
        pair.pair_id, pair.category, rank, person, garment, result, truth, steps, _scores(scores), reasons
    )  # fmt: skip


def _scores(scores: Mapping[str, float]) -> list[Text]:
    found = [same(text.format(scores[name])) for name, text in SCORES.items() if pd.notna(scores.get(name))]
    if not found and pd.notna(scores.get("garment_delta_e")):
        found.append(say("gallery.to_garment", {"value": f"{scores['garment_delta_e']:.1f}"}))
    return found


def baseline_row(pair: Pair, judge: Judge, config: Config) -> Row:
    """The truth and every system's and baseline's final picture of one pair, side by side."""
    final_hw = config.stages[config.cascade[-1]].size
    figures = [(say("picture.garment"), _photo(judge, pair, pair.garment, "garment", final_hw))]
    truth = _truth(pair, judge, final_hw)
    if truth is not None:
        figures.append((say("picture.truth"), truth))
    for entry, picture_HWC in judge.pictures(pair, final_hw).items():
        if entry.kind != "stage":
            name = name_of(entry.system)
            alt = glued([same(pair.pair_id), name], ": ", "：")
            figures.append((name, figure(picture_HWC, alt, PICTURE_HEIGHT_PX)))
    return Row(pair.pair_id, known(f"category.{pair.category}", pair.category), figures)


def _photo(judge: Judge, pair: Pair, photo: str, role: str, size_hw: tuple[int, int]) -> Figure:
    alt = glued([same(pair.pair_id), known(f"picture.{role}", role)], ": ", "：")
    return figure(judge.packed.read(photo, size_hw).image_HWC, alt, PICTURE_HEIGHT_PX)


def _truth(pair: Pair, judge: Judge, size_hw: tuple[int, int]) -> Figure | None:
    truth = read_truth(judge.data, pair, judge.reader)
    if truth is None:
        return None
    true_HWC = truth.on_canvas(pair.category, size_hw, judge.fill)[0]
    return figure(true_HWC, glued([same(pair.pair_id), say("picture.truth")], ": ", "："), PICTURE_HEIGHT_PX)
