"""The conda environment that a stage runs in, and the digest of what that environment holds.

The environment is part of a result's identity as settings and code are. Snakemake's own trigger for it
(`software-env`) compares the path-dependent name of a deployed environment, and the empty string where none is: it
would rerun everything when the working directory moves, or when `--use-conda` is given to one run and not to the
next. Both kinds of run install the pins of the same lock, so what the environment's files ask for stands for both.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from pathlib import Path

from tryon import digests
from tryon.errors import UserError

FOLDER = Path(__file__).resolve().parent.parent / "envs"

FAMILIES = {
    "studio": "data",
    "dataset": "data",
    "pairs": "data",
    "masks": "data",
    "keypoints": "pose",
    "cutouts": "segmentation",
    "pack": "data",
    "inspect": "evaluation",
    "evaluate": "evaluation",
    "report": "evaluation",
    "ablation": "evaluation",
}
"""Environment by stage; for `train` and `sample` the kinds of the training stages decide."""

SUPER_RESOLUTION = frozenset({"imagen_sr"})  # kinds whose network is another library's


def family(stage: str, kinds: Collection[str] = ()) -> str:
    """Name of a stage's environment.

    Args:
        stage: name of a stage of the workflow.
        kinds: kinds of the training stages (`config.StageKind`) that a `train` or `sample` job works with.
    """
    if stage in ("train", "sample"):
        return "training" if SUPER_RESOLUTION.isdisjoint(kinds) else "super-resolution"
    return FAMILIES[stage]


def environment_digest(stage: str, kinds: Collection[str] = ()) -> str:
    """Digest of everything that a stage's environment is made from; comments and blank lines are not part of it.

    Args:
        stage: name of a stage of the workflow.
        kinds: as for `family`.

    Raises:
        UserError: the environment's file is not there.
    """
    return _files_digest(FOLDER, family(stage, kinds))


@functools.cache
def _files_digest(folder: Path, name: str) -> str:
    # beside the .yaml, Snakemake reads NAME.post-deploy.sh and NAME.PLATFORM.pin.txt
    parts = {path.name: _lines(path) for path in folder.glob(f"{name}.*")}
    if f"{name}.yaml" not in parts:
        raise UserError(f"{folder / name}.yaml: no such file; tryon runs from its clone, whose envs/ holds it")
    return digests.digest(parts)


def _lines(path: Path) -> list[str]:
    lines = (line.rstrip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.lstrip().startswith("#")]
