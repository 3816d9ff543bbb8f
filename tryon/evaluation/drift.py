"""The tint that each stage of a cascade adds, fed with the truth and with what the stage before made.

Colour drift is a known fault of pixel cascades: an enlarging stage that shifts every picture a little towards one
colour passes every per-picture test. It shows in the signed error per channel, averaged over many pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from tryon.config import CASCADE, ORACLE
from tryon.evaluation.judge import Entry, shown
from tryon.evaluation.statistics import estimate

CHANNELS = {"red": "红", "green": "绿", "blue": "蓝"}


def drift_tables(
    metrics: pd.DataFrame, table: Sequence[Entry], *, num_resamples: int, seed: int
) -> list[dict[str, Any]]:
    """One table for the report (see report_tables), or none where nobody knows a truth.

    Args:
        metrics: one number per row, with the metrics drift_red, drift_green, drift_blue.
        table: what was judged.
        num_resamples: bootstrap resamples behind each interval.
        seed: of the intervals.
    """
    drifts = metrics[metrics["metric"].isin([f"drift_{name}" for name in CHANNELS])]
    rows = []
    for list_name in drifts["list"].unique():
        for entry in table:
            if entry.system not in (CASCADE, ORACLE) or entry.made_hw != entry.judged_hw:
                continue
            lines = drifts[
                (drifts["list"] == list_name)
                & (drifts["system"] == entry.system)
                & (drifts["stage"] == entry.stage)
                & (drifts["size"] == shown(entry.judged_hw))
            ]
            values = {name: lines[lines["metric"] == f"drift_{name}"]["value"].to_numpy() for name in CHANNELS}
            if not len(values["red"]):
                continue
            cells = [estimate(v, num_resamples=num_resamples, seed=seed).as_dict() for v in values.values()]
            rows.append([_title(entry), list_name, *cells])
    if not rows:
        return []
    return [
        {
            "name": "drift",
            "title": {"en": "Colour drift", "zh": "颜色偏移"},
            "note": {
                "en": "Mean signed error per channel where pictures were repainted, in 8-bit levels, each stage at "
                "its own size. A stage that tints keeps its sign over the whole list; 2 levels are a clear fault.",
                "zh": "重画区域内每个通道的平均带符号误差(8 位灰度级),各级按自身尺寸。"
                "整个列表上保持同号即为偏色;达到 2 级就是明显的缺陷。",
            },
            "columns": [
                {"title": {"en": "stage", "zh": "级"}},
                {"title": {"en": "list", "zh": "列表"}},
                *({"title": {"en": name, "zh": chinese}} for name, chinese in CHANNELS.items()),
            ],
            "rows": rows,
        }
    ]


def _title(entry: Entry) -> dict[str, str]:
    if entry.kind == ORACLE:
        return {"en": f"{entry.stage} on true input", "zh": f"{entry.stage},真实输入"}
    return {"en": f"cascade up to {entry.stage}", "zh": f"级联至 {entry.stage}"}
