"""A finished results folder as `tryon compare` reads it, or the reason why it cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tryon import files
from tryon.errors import UserError
from tryon.evaluation import report_facts as facts
from tryon.evaluation.recorded import FILE

STEPS = {
    "dataset": "dataset/manifest.parquet",
    "pairs": "pairs/pairs.parquet",
    "sample": "sample/cascade/index.parquet",
    "evaluate": "evaluate/summary.json",
}
"""What a finished run has, in the order of its stages."""


@dataclass(frozen=True, eq=False)
class Run:
    """One results folder, read.

    Attributes:
        root: the folder.
        summary: evaluate/summary.json.
        settings: evaluate/settings.json; None where an older version made the scores.
        metrics: one number of a region per row.
        by_protocol: one number of a protocol per row.
        pairs: all pairs, with `list` such as "test_unpaired".
        photos: the manifest of photos.
        quarantine: {photo, file or pair: reason}.
        packs: {shard: what its pack was made from}; see `tryon.provenance`.
        trainings: {stage: train/STAGE/summary.json}.
        origins: {result: its provenance}.
    """

    root: Path
    summary: dict[str, Any]
    settings: dict[str, dict[str, Any]] | None
    metrics: pd.DataFrame
    by_protocol: pd.DataFrame
    pairs: pd.DataFrame
    photos: pd.DataFrame
    quarantine: dict[str, str]
    packs: dict[str, dict[str, Any]]
    trainings: dict[str, dict[str, Any]]
    origins: dict[str, dict[str, Any]]


def open_run(root: Path) -> Run:
    """Read a results folder.

    Raises:
        UserError: no such folder, no results folder, or a run that is not finished; named with the way out.
    """
    _check_folder(root)
    summary = _read(files.read_json, root / "evaluate" / "summary.json", "evaluate")
    settings = root / "evaluate" / FILE
    results = facts.Results.open(root)
    pairs = _read(pd.read_parquet, root / "pairs" / "pairs.parquet", "pairs")
    run = Run(
        root,
        summary,
        _read(files.read_json, settings, "evaluate") if settings.is_file() else None,
        _read(pd.read_parquet, root / "evaluate" / "metrics.parquet", "evaluate"),
        _read(pd.read_parquet, root / "evaluate" / "protocols.parquet", "evaluate"),
        pairs.assign(list=pairs["split"] + "_" + pairs["kind"]),
        _read(pd.read_parquet, root / "dataset" / "manifest.parquet", "dataset"),
        {row["id"]: row["reason"] for row in facts.quarantined(results)},
        {path.stem: origin for path in results.packs if (origin := facts.origin_of(path))},
        {
            path.parent.name: _read(files.read_json, path, "train")
            for path in sorted((root / "train").glob("*/summary.json"))
        },
        _origins(root),
    )
    _check_newer(run)
    return run


def _check_folder(root: Path) -> None:
    if not root.exists():
        raise UserError(f"{root}: no such folder; give the results folder of a finished run (its setting `results`)")
    if not root.is_dir():
        raise UserError(f"{root}: a file, not a folder; give the results folder of a finished run")
    missing = [stage for stage, file in STEPS.items() if not (root / file).is_file()]
    if len(missing) == len(STEPS):
        inside = sorted(path.parent.parent for path in root.glob(f"*/{STEPS['pairs']}"))
        hint = f"did you mean {inside[0]}?" if inside else "give the folder that the run's setting `results` names"
        raise UserError(f"{root}: not a results folder, it has neither {' nor '.join(STEPS.values())}; {hint}")
    if missing:
        raise UserError(
            f"{root / STEPS[missing[0]]}: no such file, so this run is not finished (stage `{missing[0]}`); let it "
            "end (snakemake with its --config), and see how far it is by `tryon status`"
        )


def _read(read: Callable[[Path], Any], path: Path, stage: str) -> Any:  # noqa: ANN401 (a table or JSON)
    try:
        return read(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the run is not finished, let its stage `{stage}` end") from None
    except (OSError, ValueError) as error:  # pyarrow's and json's errors are values
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be read ({reason}); run the stage `{stage}` again") from None


def _origins(root: Path) -> dict[str, dict[str, Any]]:
    places = {"dataset": root / "dataset" / "manifest.parquet", "pairs": root / "pairs" / "pairs.parquet"}
    places |= {f"train {path.parent.name}": path for path in sorted((root / "train").glob("*/weights.safetensors"))}
    places |= {f"sample {path.parent.name}": path for path in sorted((root / "sample").glob("*/index.parquet"))}
    places["evaluate"] = root / "evaluate" / "metrics.parquet"
    return {name: origin for name, path in places.items() if (origin := facts.origin_of(path))}


def _check_newer(run: Run) -> None:
    """Scores of other pictures than those that lie there would be compared as if they were theirs."""
    judged = run.origins.get("evaluate", {}).get("inputs", {})
    paths = {"pairs": run.root / "pairs" / "pairs.parquet"}
    paths |= {f"sample {path.parent.name}": path for path in (run.root / "sample").glob("*/index.parquet")}
    for name, path in paths.items():
        if name in judged and path.is_file() and files.sha256_file(path) != judged[name]:
            raise UserError(
                f"{path}: not what {run.root / 'evaluate' / 'summary.json'} was computed from; the run went on after "
                "its scores: let it end (snakemake with its --config)"
            )


def shown(value: Any) -> str:  # noqa: ANN401 (a JSON value)
    """A setting as it is printed: JSON, so that 1 and "1" differ."""
    return json.dumps(value, ensure_ascii=False)
