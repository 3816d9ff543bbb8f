"""An ablation of the judged tiny world: the run itself, and two rows made from its pictures and scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from tiny_world import World

SHIFTS_DB = {"guidance 1": 0.0, "guidance 1.5": 2.0, "guidance 2": -2.0}
"""What each row has over the run in PSNR, on every pair alike."""


def plan_of(world: World, **changes: Any) -> Path:
    """Rows that differ by SHIFTS_DB, as the workflow tells them to `tryon ablation`."""
    rows = []
    for place, (name, shift_db) in enumerate(SHIFTS_DB.items()):
        relative = f"variants/rows/{place:016x}" if place else "."
        folder = world.results / relative
        if place:
            for part in ("evaluate", "sample"):
                shutil.copytree(world.results / part, folder / part)
            metrics = pd.read_parquet(folder / "evaluate" / "metrics.parquet")
            metrics.loc[metrics["metric"] == "psnr", "value"] += shift_db
            metrics.to_parquet(folder / "evaluate" / "metrics.parquet")
        rows.append(
            {
                "name": name,
                "changes": {"sample.guidance": 1 + place / 2},
                "is_run": place == 0,
                "folder": relative,
                "stage": "sr64",
                "train": {stage: f"train/{stage}" for stage in ("base", "sr64")},
            }
        )
    plan = {
        "name": "guidance",
        "paths": ["sample.guidance"],
        "is_grid": True,
        "metrics": ["psnr", "ssim", "gms", "lpips", "gradient_ratio", "fid"],
        "lists": ["test_paired", "test_unpaired"],
        "num_pairs": 2,
        "rows": rows,
        **changes,
    }
    path = world.results / "plan.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    return path


def make(world: World, plan: Path) -> tuple[int, Path]:
    """Run `tryon ablation`; its exit code and the page."""
    folder = world.results / "ablation" / "guidance"
    out = folder / "index.html"
    status = world.tryon(
        "ablation", "--rows", plan, "--data", world.data, "--results", world.results, "--pairs", world.pairs,
        "--packs", *world.packs, "--out", out, "--table", folder / "table.csv", "--plot", folder / "plot.svg",
    )  # fmt: skip
    return status, out
