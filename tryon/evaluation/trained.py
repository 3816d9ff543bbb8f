"""Trained weights → a network ready to sample, or the reason why these weights do not belong here.

Weights mean something only with the network, the noise schedule, the agnostic rule and the set of keypoints that
they were trained with; `tryon train` writes those into the file, and nothing is sampled from a file that says
otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from tryon import files
from tryon.config import Config, StageConfig
from tryon.digests import config_digest
from tryon.errors import UserError
from tryon.keypoints import CONVENTION
from tryon.methods import make_stage
from tryon.methods.interface import Stage


@dataclass(frozen=True)
class Trained:
    """A stage with its weights.

    Attributes:
        stage: knows how to sample.
        weights: the safetensors file.
        sha256: of that file.
    """

    stage: Stage
    weights: Path
    sha256: str

    def network(self, device: torch.device) -> nn.Module:
        """The network with these weights, in eval mode on a device."""
        network = self.stage.build()
        try:
            network.load_state_dict(load_file(self.weights))
        except RuntimeError as error:
            raise UserError(
                f"{self.weights}: does not fit the network of stage {self.stage.name} "
                f"({str(error).splitlines()[-1].strip()}); train the stage again with this version"
            ) from None
        return network.eval().requires_grad_(False).to(device)


def read_trained(config: Config, names: Sequence[str], weights: Sequence[Path], agnostic: str) -> list[Trained]:
    """The stages of a system with their weights, all checked before anything is sampled.

    Args:
        config: the whole configuration.
        names: stage names, coarse to fine.
        weights: one file per stage; which stage it is for stands in the file.
        agnostic: rule by which the packed regions were made.

    Raises:
        UserError: listing every stage without weights and every file that was trained for something else.
    """
    problems: list[str] = []
    files_of: dict[str, Path] = {}
    for path in weights:
        problem, stage = _stage_of(path)
        if problem:
            problems.append(problem)
        elif stage in files_of:
            problems.append(f"{path}: stage {stage} is already given by {files_of[stage]}; give one file per stage")
        elif stage not in names:
            problems.append(f"{path}: weights of stage {stage!r}, which this system lacks ({', '.join(names)})")
        else:
            files_of[stage] = path
            problems += _mismatches(path, config.stages[stage], agnostic)
    for name in names:
        if name not in files_of:
            problems.append(f"stage {name}: no weights given; run `tryon train --stage {name}` and pass its file")
    if problems:
        raise UserError("weights do not match:\n" + "\n".join(f"  {problem}" for problem in problems))
    return [Trained(make_stage(name, config), files_of[name], files.sha256_file(files_of[name])) for name in names]


def _stage_of(path: Path) -> tuple[str, str]:
    """What is wrong with a file (or nothing), and the stage that it is for."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        return f"{path}: no such file", ""
    except (SafetensorError, OSError) as error:
        return f"{path}: not a safetensors file, and nothing else is opened ({error}); train or fetch it again", ""
    if "stage" not in metadata or "settings_digest" not in metadata:
        return f"{path}: `tryon train` did not write these weights (no stage, no settings_digest)", ""
    return "", metadata["stage"]


def _mismatches(path: Path, cfg: StageConfig, agnostic: str) -> list[str]:
    """In what respect the weights were trained for something else."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    problems = []
    settings = config_digest(metadata["stage"], cfg)
    if metadata["settings_digest"] != settings:
        problems.append(
            f"{path}: trained with other settings than stages.{metadata['stage']} has now (digest "
            f"{metadata['settings_digest']}, now {settings}); restore the settings or train again"
        )
    if metadata.get("agnostic") != agnostic:
        problems.append(
            f"{path}: trained for regions of rule {metadata.get('agnostic')!r}, but these photos are packed with "
            f"{agnostic!r}; set cutouts.agnostic back or train again"
        )
    if metadata.get("keypoints") != CONVENTION:
        problems.append(
            f"{path}: trained on keypoints of the set {metadata.get('keypoints')!r}, but photos are packed with "
            f"{CONVENTION!r}; take weights of this version of tryon, or train again"
        )
    return problems
