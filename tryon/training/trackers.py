"""MLflow and Weights & Biases, for who watches runs there: through accelerate, offline, in the run directory.

    mlflow ui --backend-store-uri sqlite:///RUN/mlflow/mlflow.db
    wandb sync RUN/wandb/offline-run-*

Neither package is part of the environment. Journals, TensorBoard and checkpoints do not depend on them. An address or
a mode that the environment names (MLFLOW_TRACKING_URI, WANDB_MODE) goes before what is set here.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import GeneralTracker

from tryon.errors import UserError

PROJECT = "tryon"


def wanted(names: Sequence[str]) -> list[str | GeneralTracker]:
    """What to hand to accelerate as `log_with`.

    Raises:
        UserError: a package is not installed, which accelerate would pass over in silence.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"train.trackers names {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed; "
            f"run `pip install {' '.join(missing)}` in this environment, or take it out of train.trackers"
        )
    return list(names)


def start(accelerator: Accelerator, run_dir: Path, settings: Mapping[str, Any]) -> None:
    """Open the trackers of a run; a restart goes on in W&B's run of that name, and opens another one in MLflow.

    Args:
        accelerator: made with `wanted`.
        run_dir: names the run, and holds its files.
        settings: of the stage, nested; shown as "train.lr" and so on.
    """
    if not accelerator.log_with:
        return
    if accelerator.is_main_process:
        (run_dir / "mlflow").mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{(run_dir / 'mlflow' / 'mlflow.db').resolve()}")
    mlflow = {"run_name": run_dir.name, "logging_dir": (run_dir / "mlflow").resolve().as_uri()}
    wandb = {
        "dir": str(run_dir),
        "name": run_dir.name,
        "id": run_dir.name,
        "resume": "allow",
        "mode": os.environ.get("WANDB_MODE", "offline"),
    }
    accelerator.init_trackers(PROJECT, flat(settings), {"mlflow": mlflow, "wandb": wandb})


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Nested settings as one level; lists and nulls as text."""
    found: dict[str, str | int | float | bool] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = value if isinstance(value, (str, int, float)) else str(value)
    return found
