"""Which stage of the cascade is at fault: every stage at its own size, what it adds at the final one, and why.

Three comparisons, each pair by pair and inside the garment, of the list that counts most:

- step: the picture after a stage minus the one after the stage before it, both judged at the final size;
- free: a stage minus the strongest baseline that needs no training, at the stage's own size;
- inherited: a stage fed by the stages before it minus the same stage fed with the truth ("oracle"), where evaluation
  judged that too: lines of the kind "oracle" in evaluate/summary.json, their numbers under the system "oracle".

The last gives each stage its share of the final picture's error (`tryon.evaluation.blame`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tryon.evaluation.baselines import BASELINES
from tryon.evaluation.blame import Blame, blame
from tryon.evaluation.metrics import Metric
from tryon.evaluation.report_quality import Summary, interval_of, metric_of, name_of, signed, texture_metric
from tryon.evaluation.report_text import Text, glued, join, same, say
from tryon.evaluation.statistics import Estimate, estimate
from tryon.evaluation.summary import verdict

SHOWN = ("psnr", "gms", "lpips", "gradient_ratio", "mean_delta_e")
"""What is said of the picture after each stage: likeness, texture, sharpness, colour cast."""


@dataclass(frozen=True)
class Gain:
    """A difference with its interval.

    Attributes:
        against: what is subtracted, as the page calls it.
        mean: in the metric's unit.
        text, interval: as printed.
        verdict: better, worse or undecided.
    """

    against: Text
    mean: float
    text: str
    interval: Text
    verdict: str


@dataclass(frozen=True)
class Value:
    """A mean with its interval, and where on the drawn scale [0, 1] they lie."""

    mean: str
    interval: str
    place: float
    low: float
    high: float


@dataclass(frozen=True)
class StageRow:
    """One stage of the cascade; everything by metric name, gains None where nothing can be compared.

    Attributes:
        stage, size: of the stage.
        after: the picture after it, at the final size.
        oracle: on true input, at its own size.
        share: of the final picture's squared error, in percent; empty where not every later stage has an oracle.
        share_interval: its interval, or nothing.
        steps, free, inherited: as in the module's docstring.
    """

    stage: str
    size: str
    after: dict[str, Value]
    oracle: dict[str, Value]
    share: str
    share_interval: str
    steps: dict[str, Gain | None]
    free: dict[str, Gain | None]
    inherited: dict[str, Gain | None]


@dataclass(frozen=True)
class Stages:
    """The table of stages.

    Attributes:
        rows: coarse to fine.
        shown: metrics of the picture after each stage.
        compared: metrics of the gains: likeness and texture.
        has_oracle: whether any stage was also judged on true input.
        fault: the stage to look at first; None where nothing points at one.
        finding: why, in a sentence.
    """

    rows: list[StageRow]
    shown: list[Metric]
    compared: list[Metric]
    has_oracle: bool
    fault: str | None
    finding: Text


def stages(summary: Summary, metrics: pd.DataFrame, list_name: str) -> Stages:
    """The table for one list that has truths.

    Args:
        summary: evaluate/summary.json.
        metrics: evaluate/metrics.parquet, one number per row.
        list_name: such as "test_unpaired".
    """
    chain = _chain(summary)
    inside = metrics[(metrics["list"] == list_name) & (metrics["region"] == "garment")]
    wide = inside.pivot(index="pair_id", columns=["size", "system", "stage", "metric"], values="value")
    bootstrap = (summary["protocol"]["num_resamples"], summary["protocol"]["seed"])
    compared = [metric_of("psnr"), metric_of(texture_metric(summary))]
    means = {
        (row["size"], row["system"], row["stage"], row["metric"]): row
        for row in summary["means"]
        if row["list"] == list_name and row["region"] == "garment"
    }
    final = summary["final_size"]
    shown = [metric_of(name) for name in SHOWN if (final, "cascade", chain[-1]["stage"], name) in means]
    scales = {metric.name: _scale(means, metric.name, final, chain) for metric in shown}
    shared = _blame(wide, chain, bootstrap)
    rows = []
    for place, line in enumerate(chain):
        stage, size = line["stage"], line["made"]
        rival = _strongest(means, size)
        before = chain[place - 1]["stage"] if place else None
        pairs_of = {
            "steps": ((final, "cascade", stage), (final, "cascade", before)) if before else None,
            "free": ((size, "cascade", stage), (size, rival, "")) if rival else None,
            "inherited": ((size, "cascade", stage), (size, "oracle", stage)),
        }
        named = {"steps": same(before or ""), "free": name_of(rival or ""), "inherited": say("stages.true_input")}
        gains = {
            kind: {m.name: _gain(wide, both, m, named[kind], bootstrap) if both else None for m in compared}
            for kind, both in pairs_of.items()
        }
        rows.append(
            StageRow(
                stage,
                size,
                after=_values(means, (final, "cascade", stage), shown, scales),
                oracle=_values(means, (size, "oracle", stage), compared, {}),
                share=_percent(shared.shares[place].mean) if shared else "",
                share_interval=_percents(shared.shares[place]) if shared else "",
                **gains,
            )
        )
    fault, finding = _finding(rows, compared, shared)
    return Stages(rows, shown, compared, any(row.oracle for row in rows), fault, finding)


def _chain(summary: Summary) -> list[dict[str, str]]:
    """The cascade's lines at the final size, coarse to fine: every stage once."""
    lines = [
        line for line in summary["table"] if line["system"] == "cascade" and line["judged"] == summary["final_size"]
    ]
    return sorted(lines, key=lambda line: (line["kind"] == "cascade", int(line["made"].split("x")[0])))


Means = dict[tuple[str, str, str, str], dict[str, Any]]  # by size, system, stage, metric


def _strongest(means: Means, size: str) -> str | None:
    """The baseline of the highest PSNR at a size; "keep" is none, it wears another garment."""
    known = {
        name: means[size, name, "", "psnr"]["mean"]
        for name in BASELINES
        if name != "keep" and (size, name, "", "psnr") in means
    }
    return max(known, key=known.__getitem__) if known else None


def _scale(means: Means, metric: str, size: str, chain: Sequence[dict[str, str]]) -> tuple[float, float]:
    """Lowest and highest end of any stage's interval."""
    ends = [
        row[end] if row[end] is not None else row["mean"]
        for line in chain
        if (row := means.get((size, "cascade", line["stage"], metric)))
        for end in ("low", "high")
    ]
    return min(ends), max(ends)


def _values(
    means: Means, about: tuple[str, str, str], shown: Sequence[Metric], scales: dict[str, tuple[float, float]]
) -> dict[str, Value]:
    values = {}
    for metric in shown:
        row = means.get((*about, metric.name))
        if row is None:
            continue
        start, end = scales.get(metric.name, (0.0, 0.0))
        low, high = (row["mean"] if row[end_of] is None else row[end_of] for end_of in ("low", "high"))
        places = [(number - start) / (end - start) if end > start else 0.5 for number in (row["mean"], low, high)]
        digits = metric.digits
        interval = "" if row["low"] is None else f"{row['low']:.{digits}f} – {row['high']:.{digits}f}"
        values[metric.name] = Value(f"{row['mean']:.{digits}f}", interval, *places)
    return values


def _gain(
    wide: pd.DataFrame,
    both: tuple[tuple[str, str, str], tuple[str, str, str]],
    metric: Metric,
    against: Text,
    bootstrap: tuple[int, int],
) -> Gain | None:
    """One stage minus another over the pairs that have both; None where either was not judged."""
    columns = [(*about, metric.name) for about in both]
    if not set(columns) <= set(wide.columns):
        return None
    pairs = wide[columns].dropna()
    if pairs.empty:
        return None
    num_resamples, seed = bootstrap
    delta = estimate(pairs.iloc[:, 0].to_numpy() - pairs.iloc[:, 1].to_numpy(), num_resamples=num_resamples, seed=seed)
    row = delta.as_dict()
    return Gain(
        against, delta.mean, signed(delta.mean, metric), interval_of(row, metric), verdict(delta, metric.better)
    )


def _blame(wide: pd.DataFrame, chain: Sequence[dict[str, str]], bootstrap: tuple[int, int]) -> Blame | None:
    """Each stage's share of the final error; None where a later stage was not judged on true input."""
    fed = [(line["made"], "cascade", line["stage"], "psnr") for line in chain]
    true = [(line["made"], "oracle", line["stage"], "psnr") for line in chain[1:]]
    if len(chain) < 2 or not {*fed, *true} <= set(wide.columns):
        return None
    pairs = wide[[*fed, *true]].dropna()
    if pairs.empty:
        return None
    chain_db_SN = pairs[fed].to_numpy().T
    oracle_db_SN = np.concatenate([chain_db_SN[:1], pairs[true].to_numpy().T])
    num_resamples, seed = bootstrap
    return blame(chain_db_SN, oracle_db_SN, num_resamples=num_resamples, seed=seed)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _percents(share: Estimate) -> str:
    return "" if share.low is None or share.high is None else f"{100 * share.low:.0f} – {100 * share.high:.0f} %"


def _finding(rows: Sequence[StageRow], compared: Sequence[Metric], shared: Blame | None) -> tuple[str | None, Text]:
    """The stage to look at first.

    1. Where every later stage was judged on true input too: the one with the largest share of the final error. A
       stage that makes a bad input worse is then named besides, but not blamed: on true input it may do well.
    2. Where shares are unknown or not told apart: a stage that makes its input worse at the final size; the one that
       costs most, in likeness before texture.
    3. Where shares are unknown: the first stage that a baseline without training beats at the stage's own size.
    """
    harmful = _harmful(rows, compared)
    likeness = compared[0].name
    if shared is not None:
        fault, finding = _most(rows, shared)
        if harmful is not None:
            finding = glued([finding, harmful[1]], " ", "") if fault else glued([harmful[1], finding], " ", "")
        return fault or (harmful[0] if harmful else None), finding
    if harmful is not None:
        return harmful
    for row in rows:
        gain = row.free[likeness]
        if gain and gain.verdict == "worse":
            values = {"stage": row.stage, "rival": gain.against, "by": gain.text, "size": row.size.replace("x", " × ")}
            return row.stage, say("stages.beaten", values)
    return None, say("stages.no_fault")


def _most(rows: Sequence[StageRow], shared: Blame) -> tuple[str | None, Text]:
    """The stage with the largest share of the final error, and the sentence that says so."""
    by_share = sorted(zip(shared.shares, rows, strict=True), key=lambda found: -found[0].mean)
    named = [same(f"{row.stage} {row.share}") for _, row in by_share]
    if not shared.is_clear:
        return None, say("stages.alike", {"shares": join(named)})
    row = by_share[0][1]
    values = {"stage": row.stage, "share": row.share, "interval": row.share_interval, "others": join(named[1:])}
    return row.stage, say("stages.costs_most", values)


def _harmful(rows: Sequence[StageRow], compared: Sequence[Metric]) -> tuple[str, Text] | None:
    """A stage that makes its input worse at the final size, the one that costs most; likeness before texture."""
    for metric in compared:
        found = [(gain, row) for row in rows if (gain := row.steps[metric.name]) and gain.verdict == "worse"]
        if found:
            gain, row = max(found, key=lambda each: abs(each[0].mean))
            values = {"stage": row.stage, "by": gain.text, "metric": metric.title.split(",")[0], "before": gain.against}
            return row.stage, say("stages.harmful", values)
    return None
