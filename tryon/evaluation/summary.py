"""From one number per picture to means with intervals, and to who beats whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tryon.config import ORACLE, Config
from tryon.evaluation.drift import drift_tables
from tryon.evaluation.judge import Entry, shown
from tryon.evaluation.metrics import METRIC, PSNR_CAP_DB
from tryon.evaluation.pair_lists import Pair
from tryon.evaluation.protocols.scoring import NOT_GIVEN
from tryon.evaluation.statistics import LEVEL, Estimate, estimate

TRYON = "tryon"
"""The protocol of every number that names no other."""

GROUP = ["list", "size", "system", "stage", "metric", "region"]


def means(metrics: pd.DataFrame, *, num_resamples: int, seed: int) -> list[dict[str, Any]]:
    """Mean and interval over pairs for every line and column of the table."""
    found = []
    for names, group in metrics.sort_values([*GROUP, "pair_id"]).groupby(GROUP, sort=True):
        result = estimate(group["value"].to_numpy(), num_resamples=num_resamples, seed=seed)
        found.append({**dict(zip(GROUP, names, strict=True)), **result.as_dict()})
    return found


def differences(
    metrics: pd.DataFrame, table: Sequence[Entry], *, num_resamples: int, seed: int
) -> list[dict[str, Any]]:
    """What every trained system has over every baseline and reference at the same size, pair by pair.

    Returns:
        One row per list, size, system, stage, opponent, metric and region: the mean difference (system minus
        opponent) with its interval, and a verdict: "better", "worse", or "undecided" where the interval holds
        zero or there is none.
    """
    wide = metrics.pivot(
        index=["list", "size", "metric", "region", "pair_id"], columns=["system", "stage"], values="value"
    ).sort_index()
    found = []
    for entry in table:
        if entry.kind in ("baseline", ORACLE):
            continue
        size = shown(entry.judged_hw)
        for other in table:
            is_opponent = other.kind == "baseline" or (other.kind == "reference" and entry.kind != "reference")
            if other.judged_hw != entry.judged_hw or not is_opponent:
                continue
            at_size = wide[wide.index.get_level_values("size") == size]
            both = at_size[[(entry.system, entry.stage), (other.system, other.stage)]].dropna()
            for (list_name, metric, region), pairs in both.groupby(level=["list", "metric", "region"], sort=True):
                if METRIC[metric].better in ("one", "zero"):
                    continue  # a difference of ratios says nothing about which is nearer to 1
                delta_N = pairs.iloc[:, 0].to_numpy() - pairs.iloc[:, 1].to_numpy()
                result = estimate(delta_N, num_resamples=num_resamples, seed=seed)
                found.append(
                    {
                        "list": list_name,
                        "size": size,
                        "system": entry.system,
                        "stage": entry.stage,
                        "opponent": other.system,
                        "metric": metric,
                        "region": region,
                        **result.as_dict(),
                        "verdict": verdict(result, METRIC[metric].better),
                    }
                )
    return found


def verdict(difference: Estimate, better: str) -> str:
    """Whether a difference (system minus opponent) is good, bad, or not told apart from none."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "undecided"
    return "better" if (difference.mean > 0) == (better == "higher") else "worse"


def by_category(metrics: pd.DataFrame, size: str, *, num_resamples: int, seed: int) -> list[dict[str, Any]]:
    """Means inside the garment at one size, per garment category."""
    inside = metrics[(metrics["region"] == "garment") & (metrics["size"] == size)]
    keys = ["list", "category", "system", "stage", "metric"]
    found = []
    for names, group in inside.sort_values([*keys, "pair_id"]).groupby(keys, sort=True):
        result = estimate(group["value"].to_numpy(), num_resamples=num_resamples, seed=seed)
        found.append({**dict(zip(keys, names, strict=True)), **result.as_dict()})
    return found


def check_values(metrics: pd.DataFrame) -> None:
    """Every number is finite; anything else is a fault of a metric, not of a picture."""
    bad = metrics[~np.isfinite(metrics["value"])]
    if len(bad):
        raise RuntimeError(f"metrics that are not finite:\n{bad.head().to_string()}")


def sets_of(report: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """FID and KID of our own protocol, as rows whose value is a number or the reason why there is none.

    The reason does not name the setting, so that the report can join metrics of one reason; `protocols` does.
    """
    own = [number for protocol in report if protocol["name"] == TRYON for number in protocol["scores"]]
    return [
        {
            **{name: row[name] for name in ("list", "size", "against", "system", "stage", "metric", "spread")},
            "protocol": TRYON,
            "value": _short(row["reason"]) if row["value"] is None else row["value"],
        }
        for row in own
        if row["metric"] in ("fid", "kid")
    ]


def _short(reason: str) -> str:
    return NOT_GIVEN if reason.startswith(NOT_GIVEN) else reason


def summarise(
    config: Config,
    table: Sequence[Entry],
    pairs: Sequence[Pair],
    dropped: list[dict[str, str]],
    metrics: pd.DataFrame,
    report: list[dict[str, Any]],
    reasons: dict[str, str],
) -> dict[str, Any]:
    """Everything that the report prints about quality, as plain JSON values.

    Numbers of `means`, `differences`, `by_category` and `sets` are of the protocol `tryon`; `protocols` holds every
    protocol with its settings and all of its numbers.

    Args:
        config: the whole configuration.
        table: what was judged.
        pairs: the judged pairs.
        dropped: rows of pair_id, list, reason.
        metrics: one number per row.
        report: of `by_protocol.scores`.
        reasons: metrics that are not computed, with the reason.
    """
    bootstrap = {"num_resamples": config.evaluate.num_bootstrap, "seed": config.evaluate.seed}
    final = shown(config.stages[config.cascade[-1]].size)
    lists = {}
    for name in config.sample.lists:
        listed = [pair for pair in pairs if pair.list == name]
        lists[name] = {
            "num_judged": len(listed),
            "num_with_truth": sum(pair.truth is not None for pair in listed),
            "num_dropped": sum(row["list"] == name for row in dropped),
        }
    sets = sets_of(report)
    not_computed = dict(reasons)
    for row in sets:
        if isinstance(row["value"], str):
            not_computed[row["metric"]] = row["value"]
    if not sets:
        reason = f"not computed: evaluate.protocols does not name {TRYON}"
        not_computed |= dict.fromkeys(("fid", "kid"), reason)
    return {
        "final_size": final,
        "sizes": list(dict.fromkeys(shown(entry.judged_hw) for entry in table)),
        "lists": lists,
        "dropped": dropped,
        "table": [
            {
                "kind": entry.kind,
                "system": entry.system,
                "stage": entry.stage,
                "made": shown(entry.made_hw),
                "judged": shown(entry.judged_hw),
            }
            for entry in table
        ],
        "means": means(metrics, **bootstrap),
        "differences": differences(metrics, table, **bootstrap),
        "by_category": by_category(metrics, final, **bootstrap),
        "sets": sets,
        "tables": drift_tables(metrics, table, **bootstrap),
        "not_computed": not_computed,
        "protocols": report,
        "protocol": {
            "name": TRYON,
            "pictures": "8-bit PNG; photos and truths letterboxed and area-averaged; enlarged bicubically",
            "interval": f"{LEVEL:.0%} percentile bootstrap over pairs",
            **bootstrap,
            "psnr_cap_db": PSNR_CAP_DB,
            "sampling": {
                name: config.sample.of_stage(name).model_dump(mode="json")
                for name in config.used_stages
                if config.stages[name].kind != "regression"
            },
            "sample_seed": config.sample.seed,
        },
    }
