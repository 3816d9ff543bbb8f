"""Trackers get the settings and every number, and a missing package is named before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import rig
from accelerate.tracking import GeneralTracker

from tryon.errors import TryAgain, UserError
from tryon.training import trackers
from tryon.training.journal import read_metrics


class Recorder(GeneralTracker):
    """A tracker of accelerate's interface that remembers."""

    name = "recorder"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {}
        self.rows: list[tuple[int | None, dict[str, float]]] = []
        self.finished = 0

    @property
    def tracker(self) -> None:
        return None

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.settings = values

    def log(self, values: dict[str, float], step: int | None = None, **_: object) -> None:
        self.rows.append((step, values))

    def finish(self) -> None:
        self.finished += 1


def test_a_tracker_gets_settings_and_every_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.write_data(tmp_path)
    recorder = Recorder()
    monkeypatch.setattr(trackers, "wanted", lambda names: [recorder])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    rig.train_here(rig.arguments(tmp_path, tmp_path))
    assert recorder.settings["train.lr"] == 1e-2
    assert recorder.settings["train.augment.flip"] == 0.5
    assert recorder.settings["size"] == str(list(rig.SIZE_HW))
    for kind in ("train", "val"):
        wanted = [
            (row["step"], {f"{kind}/{name}": row[name] for name in row if name not in ("kind", "step")})
            for row in read_metrics(tmp_path / "run", kind)
        ]
        assert [row for row in recorder.rows if f"{kind}/loss" in row[1]] == wanted
    assert {"train/loss", "train/lr", "train/grad_norm", "train/images_per_s"} == set(recorder.rows[0][1])
    assert recorder.finished == 1


def test_a_run_that_stops_early_closes_its_trackers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.write_data(tmp_path)
    recorder = Recorder()
    monkeypatch.setattr(trackers, "wanted", lambda names: [recorder])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    with pytest.raises(TryAgain):
        rig.train_here(rig.arguments(tmp_path, tmp_path, budget_s=0.0))
    assert [step for step, _ in recorder.rows] == [1]
    assert recorder.finished == 1


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    rig.write_data(tmp_path)
    args = rig.arguments(tmp_path, tmp_path, trackers=["mlflow", "wandb"])
    with pytest.raises(
        UserError, match=r"names mlflow, wandb, which are not installed; run `pip install mlflow wandb`"
    ):
        rig.train_here(args)
    assert not args.run_dir.exists()


def test_trackers_are_no_part_of_what_a_run_is() -> None:
    from tryon.digests import config_digest

    plain, tracked = rig.stage_config(), rig.stage_config(trackers=["wandb"], precision="fp16", strategy="fsdp", gpus=2)
    assert config_digest("base", plain) == config_digest("base", tracked)
