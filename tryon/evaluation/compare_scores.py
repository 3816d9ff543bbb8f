"""Whether one run's numbers beat another's: pair by pair, over the pairs of both, where numbers mean the same.

A number of one run is set against the same number of the other where the protocol, its packages' weights, the pair's
photos and its truth are the same, and where the control agrees: the baseline `keep` (the person photo itself) needs no
training, so both runs must score it alike; where they do not, truth, region or metric has changed, whatever else
says. Differences are second minus first, resampled over pairs (as in `tryon.evaluation.statistics`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tryon.config import CASCADE
from tryon.errors import UserError
from tryon.evaluation.baselines import BASELINES
from tryon.evaluation.compare_runs import Run, shown
from tryon.evaluation.metrics import METRIC
from tryon.evaluation.protocols.scoring import BETTER, SET_METRICS
from tryon.evaluation.statistics import Estimate, estimate
from tryon.evaluation.summary import TRYON, verdict

CONTROL = "keep"
SAME = 1e-4
"""Largest difference of a control's number between two runs: what other machines' rounding makes."""

ROUNDING = 1e-9
"""Differences below this are sums in another order; all of one sign, they would look like proof."""

LEFT_FIRST, LEFT_SECOND = "only the first run judged them", "only the second run judged them"
LEFT_OTHER = "photos, garment type or truth differ"
"""Why pairs are left out."""

NOT_OF_SCORING = ("interval", "num_resamples", "seed", "sampling", "sample_seed")
"""Parts of the recorded protocol that say how pictures were made or intervals drawn, not what a number means."""

MODELS = {
    "oks": ("evaluate.keypoint_consistency", "keypoints.config", "keypoints.checkpoint", "keypoints.sha256"),
    "clip_i": ("evaluate.clip_model",),
    "dino": ("evaluate.dino_model",),
    "preserved_iou": ("evaluate.result_labels",),
}
"""Settings that name the model behind a metric."""

KEY = ["protocol", "list", "size", "system", "stage", "metric", "region"]
PLACE = ["protocol", "list", "size", "metric", "region"]


@dataclass(frozen=True)
class Difference:
    """One number of one system in both runs, over the pairs of both.

    Attributes:
        protocol, list, size, system, stage, metric, region: what is compared; the stage of the whole cascade is empty.
        first, second: means of the two runs.
        mean, low, high: second minus first with its 95 % interval; no interval below two pairs.
        num: pairs behind it.
        verdict: "better" or "worse" is said of the second run; "undecided": no difference shown.
    """

    protocol: str
    list: str
    size: str
    system: str
    stage: str
    metric: str
    region: str
    first: float
    second: float
    mean: float
    low: float | None
    high: float | None
    num: int
    verdict: str


def common_pairs(first: Run, second: Run) -> dict[str, dict[str, Any]]:
    """Which pairs of each list can be compared, and why others are left out.

    Returns:
        {list: {"pairs": ids of those that both judged, "left_out": {reason: number}}}.

    Raises:
        UserError: no list has such a pair.
    """
    found: dict[str, dict[str, Any]] = {}
    identities = [_identities(run) for run in (first, second)]
    judged = [run.metrics.groupby("list")["pair_id"].unique() for run in (first, second)]
    for name in sorted({*judged[0].index, *judged[1].index}):
        ids = [set(of_run.get(name, ())) for of_run in judged]
        both = ids[0] & ids[1]
        same = {pair for pair in both if identities[0].get((name, pair)) == identities[1].get((name, pair))}
        left_out = {
            LEFT_FIRST: len(ids[0] - ids[1]),
            LEFT_SECOND: len(ids[1] - ids[0]),
            LEFT_OTHER: len(both - same),
        }
        found[name] = {"pairs": sorted(same), "left_out": {why: num for why, num in left_out.items() if num}}
    if not any(about["pairs"] for about in found.values()):
        why = "; ".join(
            f"{name}: " + ", ".join(f"{num} {reason}" for reason, num in about["left_out"].items())
            for name, about in found.items()
        )
        raise UserError(
            f"{first.root} and {second.root} have no judged pair in common, so no score can be compared ({why}); "
            "compare runs of the same data with a common list in sample.lists"
        )
    return found


def _identities(run: Run) -> dict[tuple[str, str], tuple[object, ...]]:
    """What makes a pair the same pair, by list and id: pixels of its photos, garment type, bytes of its truth."""
    pixels = dict(zip(run.photos["id"], run.photos["pixels"], strict=True))
    pairs = run.pairs.astype(object).where(run.pairs.notna(), None)
    return {
        (row.list, row.pair_id): (pixels.get(row.person), pixels.get(row.garment), row.category, row.truth_sha256)
        for row in pairs.itertuples()
    }


def protocol_differences(first: Run, second: Run) -> list[dict[str, Any]]:
    """Fields in which the two runs score differently, each with the metrics whose numbers then mean something else.

    Returns:
        Rows of protocol, field, first, second, metrics (None: all of the protocol), refuses (False: a remark).
    """
    rows: list[dict[str, Any]] = []
    own = [
        {name: value for name, value in run.summary["protocol"].items() if name not in NOT_OF_SCORING}
        for run in (first, second)
    ]
    rows += _fields(TRYON, own[0], own[1], None)
    declared = [{part["name"]: part for part in run.summary["protocols"]} for run in (first, second)]
    for name in declared[0].keys() & declared[1].keys():
        one, other = declared[0][name], declared[1][name]
        rows += _fields(name, _flat(one["settings"]), _flat(other["settings"]), None)
        for weights, metrics in _metrics_of_weights(one["settings"]).items():
            values = one["weights_sha256"].get(weights), other["weights_sha256"].get(weights)
            if None not in values and values[0] != values[1]:
                rows.append(_row(name, f"weights_sha256.{weights}", *values, metrics))
        rows += [{**row, "refuses": False} for row in _fields(name, one["packages"], other["packages"], None)]
    rows += _models(first, second)
    return rows


def _fields(
    protocol: str, one: Mapping[str, Any], other: Mapping[str, Any], metrics: list[str] | None
) -> Iterator[dict[str, Any]]:
    for field in sorted({*one, *other}):
        if one.get(field) != other.get(field):
            yield _row(protocol, field, one.get(field), other.get(field), metrics)


def _row(protocol: str, field: str, one: object, other: object, metrics: list[str] | None) -> dict[str, Any]:
    return {
        "protocol": protocol, "field": field, "first": one, "second": other, "metrics": metrics, "refuses": True,
    }  # fmt: skip


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def _metrics_of_weights(settings: Mapping[str, Any]) -> dict[str, list[str]]:
    parts = ((settings.get("lpips"), ["lpips"]), (settings.get("features"), list(SET_METRICS)))
    return {part["weights"]: metrics for part, metrics in parts if part}


def _models(first: Run, second: Run) -> Iterator[dict[str, Any]]:
    """Metrics that need a model which the settings name, where these differ or are not recorded."""
    both = {*first.metrics["metric"]} & {*second.metrics["metric"]}
    for metric in MODELS.keys() & both:
        for name in MODELS[metric]:
            values = [_setting(run, name) for run in (first, second)]
            if values[0] != values[1] or "not recorded" in values:
                yield _row(TRYON, name, values[0], values[1], [metric])


def _setting(run: Run, name: str) -> object:
    return "not recorded" if run.settings is None else run.settings["science"].get(name)


def score_differences(
    first: Run, second: Run, common: Mapping[str, Mapping[str, Any]], refused: list[dict[str, Any]]
) -> tuple[list[Difference], list[dict[str, Any]]]:
    """Every number that both runs have, compared; and what is not compared, with the reason.

    Args:
        first: the run that is compared with.
        second: the run that is judged.
        common: of `common_pairs`.
        refused: of `protocol_differences`.

    Returns:
        Differences, and rows of what and reason.
    """
    protocol = first.summary["protocol"]
    bootstrap = {"num_resamples": protocol["num_resamples"], "seed": protocol["seed"]}
    numbers = [_numbers(run, common) for run in (first, second)]
    both = numbers[0].merge(numbers[1], on=[*KEY, "pair_id"], suffixes=("_1", "_2"), validate="one_to_one")
    skipped = [_skipped(row) for row in refused if row["refuses"]]
    skipped += _in_one_only(*numbers)
    both = both[[not _is_refused(row, refused) for row in both[["protocol", "metric"]].itertuples(index=False)]]
    control = both[both["system"] == CONTROL]
    off = control[(control["value_1"] - control["value_2"]).abs() > SAME]
    moved = off.groupby(PLACE).size().to_dict()
    found, told = [], set()
    for names, group in both.sort_values([*KEY, "pair_id"]).groupby(KEY, sort=True):
        about = dict(zip(KEY, names, strict=True))
        place = tuple(about[name] for name in PLACE)
        moved_at = _moved(place, moved)
        if moved_at:
            if place not in told:
                skipped.append(
                    {
                        "what": f"{about['metric']} ({about['region'] or 'protocol ' + about['protocol']}), "
                        f"{about['list']} at {about['size']}",
                        "reason": f"the person photo itself scores otherwise on {moved_at} pairs, so the truth, the "
                        "region or the metric's code differs",
                    }
                )
                told.add(place)
        elif about["system"] not in BASELINES:
            found.append(_difference(about, group, bootstrap))
    return found, skipped


def _numbers(run: Run, common: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Numbers of pairs in both runs; the last stage's final picture goes as the cascade, whatever its name."""
    own = run.metrics.assign(protocol=TRYON).drop(columns="category")
    others = run.by_protocol.assign(region="", size=run.summary["final_size"])
    table = pd.concat([own, others[own.columns]], ignore_index=True)
    last = next(line["stage"] for line in run.summary["table"] if line["kind"] == "cascade")
    is_cascade = (table["system"] == CASCADE) & (table["stage"] == last) & (table["size"] == run.summary["final_size"])
    table.loc[is_cascade, "stage"] = ""
    wanted = {(name, pair) for name, about in common.items() for pair in about["pairs"]}
    return table[[pair in wanted for pair in zip(table["list"], table["pair_id"], strict=True)]]


def _is_refused(row: Any, refused: list[dict[str, Any]]) -> bool:  # noqa: ANN401 (a row of a table)
    return any(
        field["refuses"]
        and field["protocol"] == row.protocol
        and (field["metrics"] is None or row.metric in field["metrics"])
        for field in refused
    )


def _skipped(row: Mapping[str, Any]) -> dict[str, Any]:
    metrics = "every number" if row["metrics"] is None else ", ".join(row["metrics"])
    return {
        "what": f"{metrics} of protocol {row['protocol']}",
        "reason": f"{row['field']} differs: {shown(row['first'])} and {shown(row['second'])}; evaluate both runs alike",
    }


def _in_one_only(one: pd.DataFrame, other: pd.DataFrame) -> list[dict[str, Any]]:
    """Systems, sizes and metrics that only one run has."""
    kept = [table[~table["system"].isin(BASELINES)] for table in (one, other)]
    systems = [
        {
            f"{system if stage in ('', system) else f'{system} {stage}'} at {size} by protocol {protocol}"
            for protocol, size, system, stage in zip(*(table[name] for name in KEY[:1] + KEY[2:5]), strict=True)
        }
        for table in kept
    ]
    metrics = [
        {
            f"{metric} of protocol {protocol}"
            for protocol, metric in zip(table["protocol"], table["metric"], strict=True)
        }
        for table in kept
    ]
    return [
        {"what": what, "reason": f"only the {which} run has it"}
        for of in (systems, metrics)
        for which, missing in (("first", of[0] - of[1]), ("second", of[1] - of[0]))
        for what in sorted(missing)
    ]


def _moved(place: tuple[str, ...], moved: Mapping[tuple[str, ...], int]) -> int:
    """On how many pairs the control scores otherwise; `outside_error` of the control is always 0, its drift tells."""
    protocol, list_name, size, metric, region = place
    found = moved.get(place, 0)
    if region == "kept" or metric.startswith("drift_"):
        drifts = [(protocol, list_name, size, f"drift_{name}", "repainted") for name in ("red", "green", "blue")]
        found = max(found, *(moved.get(drift, 0) for drift in drifts))
    return found


def _difference(about: dict[str, str], group: pd.DataFrame, bootstrap: dict[str, int]) -> Difference:
    first_N, second_N = group["value_1"].to_numpy(), group["value_2"].to_numpy()
    second_N = np.where(np.abs(second_N - first_N) < ROUNDING, first_N, second_N)
    result = estimate(second_N - first_N, **bootstrap)
    better = METRIC[about["metric"]].better if about["metric"] in METRIC else BETTER[about["metric"]]
    first, second = float(first_N.mean()), float(second_N.mean())
    said = _verdict(first_N, second_N, result, better, bootstrap)
    return Difference(
        protocol=about["protocol"],
        list=about["list"],
        size=about["size"],
        system=about["system"],
        stage=about["stage"],
        metric=about["metric"],
        region=about["region"],
        first=first,
        second=second,
        mean=result.mean,
        low=result.low,
        high=result.high,
        num=result.num,
        verdict=said,
    )


def _verdict(
    first_N: np.ndarray, second_N: np.ndarray, result: Estimate, better: str, bootstrap: dict[str, int]
) -> str:
    """Better or worse is the second run; of metrics with an ideal, by the distance from it."""
    if better in ("higher", "lower"):
        return verdict(result, better)
    if len(first_N) < 2:
        return "undecided"
    picks_RN = np.random.default_rng(bootstrap["seed"]).integers(
        0, len(first_N), size=(bootstrap["num_resamples"], len(first_N))
    )
    ideal = 1.0 if better == "one" else 0.0
    # of means: a single picture's tint or sharpness says little, and opposite ones cancel
    distance_R = np.abs(second_N[picks_RN].mean(axis=1) - ideal) - np.abs(first_N[picks_RN].mean(axis=1) - ideal)
    low, high = np.percentile(distance_R, [2.5, 97.5])
    gap = abs(second_N.mean() - ideal) - abs(first_N.mean() - ideal)
    return verdict(Estimate(float(gap), float(low), float(high), len(first_N)), "lower")


def set_scores(
    first: Run, second: Run, common: Mapping[str, Mapping[str, Any]], refused: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """FID and KID side by side, where both runs judged the same pairs; one number per set has no interval."""
    whole = {name for name, about in common.items() if about["pairs"] and not about["left_out"]}
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    names = ("protocol", "list", "size", "system", "stage", "metric", "against")
    for place, run in (("first", first), ("second", second)):
        for part in run.summary["protocols"]:
            for score in part["scores"]:
                if score["metric"] in SET_METRICS and score["value"] is not None and score["list"] in whole:
                    key = tuple(str(score[name]) for name in names)
                    values = {place: score["value"], f"spread_{place}": score["spread"]}
                    rows.setdefault(key, dict(zip(names, key, strict=True))).update(values)
    return [
        row
        for row in rows.values()
        if {"first", "second"} <= set(row)
        and row["system"] not in BASELINES
        and not any(
            field["refuses"]
            and field["protocol"] == row["protocol"]
            and (field["metrics"] is None or row["metric"] in field["metrics"])
            for field in refused
        )
    ]
