"""Numbers of an ablation: every row's means over the pairs that all rows have, and what each has over one of them.

Used by `tryon ablation`. A row is judged as the run is (tryon evaluate); the differences are resampled pair by pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tryon import files
from tryon.config import CASCADE, Config
from tryon.errors import UserError
from tryon.evaluation.judge import shown
from tryon.evaluation.metrics import METRIC
from tryon.evaluation.report_quality import PRIMARY
from tryon.evaluation.statistics import Estimate, estimate
from tryon.evaluation.summary import verdict

SETS = ("fid", "kid")
REGIONS = ("garment", "expected", "kept", "repainted", "whole")
"""Where a metric is told, first come first."""


@dataclass(frozen=True)
class Row:
    """One row of an ablation.

    Attributes:
        name: as the table shows it.
        changes: value by path of a setting.
        is_run: whether it has the run's own settings.
        folder: holds its sample/ and evaluate/.
        stage: that makes its final pictures.
        train: folder of each stage's weights.
        metrics: numbers of its final pictures: list, pair_id, metric, region, value.
        sets: FID and KID: list, metric, value (a number, or why there is none), spread.
    """

    name: str
    changes: Mapping[str, Any]
    is_run: bool
    folder: Path
    stage: str
    train: Mapping[str, Path]
    metrics: pd.DataFrame
    sets: list[dict[str, Any]]


@dataclass(frozen=True)
class Number:
    """One row's number.

    Attributes:
        list, row, metric, region: what it is of; region "set" for a number of all pictures together.
        value: mean over pairs with its interval; of a set, the number with its spread.
        difference: to the row that others are compared with, pair by pair; None for that row and where it says nothing.
        verdict: of the difference: better, worse or undecided.
    """

    list: str
    row: str
    metric: str
    region: str
    value: Estimate
    difference: Estimate | None
    verdict: str | None


def read_rows(plan: Mapping[str, Any], config: Config, results: Path) -> list[Row]:
    """The rows of an ablation with their numbers.

    Args:
        plan: what the workflow wrote of the ablation (`workflow.Wiring._ablation`).
        config: the run's configuration.
        results: folder that the plan's folders lie in.

    Raises:
        UserError: a row was not judged.
    """
    final = shown(config.stages[config.cascade[-1]].size)
    rows = []
    for row in plan["rows"]:
        folder = results / row["folder"]
        metrics, summary = folder / "evaluate" / "metrics.parquet", folder / "evaluate" / "summary.json"
        for path in (metrics, summary):
            if not path.is_file():
                raise UserError(f"{path}: no such scores of row {row['name']!r}; run `snakemake ablations`")
        table = pd.read_parquet(metrics)
        own = (table["system"] == CASCADE) & (table["stage"] == row["stage"]) & (table["size"] == final)
        sets = [
            number
            for number in files.read_json(summary)["sets"]
            if (number["system"], number["stage"], number["size"]) == (CASCADE, row["stage"], final)
        ]
        trained = {stage: results / path for stage, path in row["train"].items()}
        rows.append(
            Row(row["name"], row["changes"], row["is_run"], folder, row["stage"], trained, table[own], sets)
        )  # fmt: skip
    return rows


def pictures_of(row: Row) -> Path:
    """Folder of a row's final pictures."""
    return row.folder / "sample" / CASCADE / row.stage


def compared_with(rows: Sequence[Row]) -> Row:
    """The row of the run's own settings; where there is none, the first."""
    return next((row for row in rows if row.is_run), rows[0])


def shared_pairs(rows: Sequence[Row], list_name: str) -> list[str]:
    """Ids of the pairs of a list that every row was judged on, sorted: means over different pairs would not compare."""
    of_rows = [set(row.metrics.loc[row.metrics["list"] == list_name, "pair_id"]) for row in rows]
    return sorted(set.intersection(*of_rows))


def numbers(rows: Sequence[Row], plan: Mapping[str, Any], *, num_resamples: int, seed: int) -> list[Number]:
    """Every number of the table, list by list as the report orders them, and metric by metric as the settings do.

    Args:
        rows: of `read_rows`.
        plan: as for `read_rows`.
        num_resamples: behind each interval.
        seed: of the resamples.

    Raises:
        UserError: none of the metrics is computed.
    """
    found: list[Number] = []
    for list_name in sorted(plan["lists"], key=PRIMARY.index):
        pairs = shared_pairs(rows, list_name)
        for metric in plan["metrics"]:
            if metric in SETS:
                found += _sets(rows, list_name, metric)
            elif pairs:
                found += _means(rows, list_name, metric, pairs, num_resamples, seed)
    if not found:
        raise UserError(
            f"ablations.{plan['name']}: none of its metrics ({', '.join(plan['metrics'])}) is computed of its lists "
            f"({', '.join(plan['lists'])}); most need true pictures, FID and KID need weights: name others such as "
            "garment_delta_e under metrics, or other lists"
        )
    return found


def _means(
    rows: Sequence[Row], list_name: str, metric: str, pairs: Sequence[str], num_resamples: int, seed: int
) -> list[Number]:
    tables = [row.metrics[(row.metrics["list"] == list_name) & (row.metrics["metric"] == metric)] for row in rows]
    regions = set.intersection(*(set(table["region"]) for table in tables))
    region = next((name for name in REGIONS if name in regions), None)
    if region is None:
        return []
    wide = pd.DataFrame(
        {
            row.name: table[table["region"] == region].set_index("pair_id")["value"].reindex(pairs)
            for row, table in zip(rows, tables, strict=True)
        }
    ).dropna()
    if wide.empty:
        return []
    first, better = compared_with(rows).name, METRIC[metric].better
    found = []
    for row in rows:
        value = estimate(wide[row.name].to_numpy(), num_resamples=num_resamples, seed=seed)
        difference, said = None, None
        if row.name != first and better in ("higher", "lower"):
            delta_N = wide[row.name].to_numpy() - wide[first].to_numpy()
            difference = estimate(delta_N, num_resamples=num_resamples, seed=seed)
            is_shown = round(abs(difference.mean), METRIC[metric].digits) > 0  # bootstraps tell rounding apart
            said = verdict(difference, better) if is_shown else "undecided"
        found.append(Number(list_name, row.name, metric, region, value, difference, said))
    return found


def _sets(rows: Sequence[Row], list_name: str, metric: str) -> list[Number]:
    found = []
    for row in rows:
        for number in row.sets:
            if number["list"] != list_name or number["metric"] != metric or isinstance(number["value"], str):
                continue
            spread = number["spread"]
            low, high = (None, None) if spread is None else (number["value"] - spread, number["value"] + spread)
            value = Estimate(number["value"], low, high, 0)
            found.append(Number(list_name, row.name, metric, "set", value, None, None))
    return found if len(found) == len(rows) else []


def trained_again(row: Row, rows: Sequence[Row]) -> list[str]:
    """Stages of a row that were trained for it, not for the row that others are compared with."""
    first = compared_with(rows)
    return [stage for stage, folder in row.train.items() if folder != first.train.get(stage)]


def cost(row: Row) -> tuple[int, float | None]:
    """Parameters of a row's stages, and the seconds that their training took; None where nobody wrote those down."""
    num_params, seconds = 0, 0.0
    known = True
    for folder in row.train.values():
        num_params += int(files.read_json(folder / "summary.json")["num_params"])
        origin = folder / "weights.safetensors.provenance.json"
        if origin.is_file():
            seconds += float(files.read_json(origin)["seconds"])
        else:
            known = False
    return num_params, seconds if known else None


def table(rows: Sequence[Row], found: Sequence[Number], results: Path) -> pd.DataFrame:
    """One line per number: list, row, one column per changed setting, metric, region, mean, interval, difference."""
    by_name = {row.name: row for row in rows}
    paths = list(dict.fromkeys(path for row in rows for path in row.changes))
    lines = []
    for number in found:
        row, other = by_name[number.row], number.difference
        lines.append(
            {
                "list": number.list,
                "row": number.row,
                **{path: row.changes.get(path) for path in paths},
                "metric": number.metric,
                "region": number.region,
                "num_pairs": number.value.num or None,
                "mean": number.value.mean,
                "low": number.value.low,
                "high": number.value.high,
                "compared_with": compared_with(rows).name if other else None,
                "difference": other.mean if other else None,
                "difference_low": other.low if other else None,
                "difference_high": other.high if other else None,
                "verdict": number.verdict,
                "trained_again": " ".join(trained_again(row, rows)),
                "pictures": pictures_of(row).relative_to(results).as_posix(),
            }
        )
    return pd.DataFrame(lines).replace({np.nan: None})
