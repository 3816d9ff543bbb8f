"""fp16: the loss is scaled, an overflow lowers the scale and loses no step, and what no scale mends is a fault."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import rig
import torch
from safetensors.torch import load_file
from test_parallel import free_port, small_units

from tryon.config import Config
from tryon.errors import UserError
from tryon.files import read_json
from tryon.methods.interface import Stage
from tryon.training import loop
from tryon.training.journal import read_metrics

FIRST_SCALE = 65536.0  # torch's


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rig.write_data(folder)
    return folder


class LoudStage(rig.StackedStage):
    """Its gradients overflow fp16 under the first scale."""

    def loss_B(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return super().loss_B(*args, **kwargs) * 500


def loud_stage(name: str, config: Config) -> Stage:
    return LoudStage(name, config.stages[name])


def scales(results: Path) -> list[float]:
    return [row["loss_scale"] for row in read_metrics(results / "run", "train")]


def last(results: Path) -> dict[str, torch.Tensor]:
    folder = results / "run/checkpoints/step-00000010"
    parts = {path.stem: load_file(path) for path in folder.glob("*.safetensors")}
    return {f"{part} {name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def test_half_precision_learns_what_full_precision_learns(data: Path, tmp_path: Path) -> None:
    for precision in ("fp32", "fp16"):
        rig.train_here(rig.arguments(data, tmp_path / precision, precision=precision), rig.stacked_stage)
    full, half = ([row["loss"] for row in read_metrics(tmp_path / p / "run", "train")] for p in ("fp32", "fp16"))
    assert full != half, "the arithmetic is another"
    assert half == pytest.approx(full, rel=0.02)  # fp16 keeps 11 bits; ten steps at lr 1e-2 spread their rounding
    assert all("loss_scale" not in row for row in read_metrics(tmp_path / "fp32/run", "train"))
    weights = load_file(tmp_path / "fp16/run/checkpoints/step-00000010/weights.safetensors")
    assert {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()} == {torch.float32}


def test_an_overflow_lowers_the_scale_and_loses_no_step(data: Path, tmp_path: Path) -> None:
    rig.train_here(rig.arguments(data, tmp_path, precision="fp16"), loud_stage)
    assert scales(tmp_path)[0] < FIRST_SCALE
    assert scales(tmp_path)[-1] >= 1
    counts = [value for name, value in last(tmp_path).items() if name.startswith("optimizer") and "|step" in name]
    assert {float(count) for count in counts} == {10.0}, "each step has updated the weights"
    rig.train_here(rig.arguments(data, tmp_path / "full"), loud_stage)
    found, wanted = (
        [row["loss"] for row in read_metrics(folder / "run", "train")] for folder in (tmp_path, tmp_path / "full")
    )
    assert found == pytest.approx(wanted, rel=0.02)


def test_processes_lower_the_scale_together(data: Path, tmp_path: Path) -> None:
    rig.train_here(rig.arguments(data, tmp_path / "single", precision="fp16"), loud_stage)
    for strategy in ("ddp", "fsdp"):
        args = rig.arguments(data, tmp_path / strategy, precision="fp16", strategy=strategy, gpus=2)
        ranks = rig.start_ranks(args, 2, free_port(), loud_stage, small_units)
        assert rig.finish(ranks, timeout_s=120) == [0, 0]
        assert scales(tmp_path / strategy) == scales(tmp_path / "single")
        found, wanted = (
            [row["loss"] for row in read_metrics(folder / "run", "train")]
            for folder in (tmp_path / strategy, tmp_path / "single")
        )
        assert found == pytest.approx(wanted, rel=0.02)


def grow_soon() -> None:
    """Let the scale grow every third step, so that it is never the same for long."""
    loop.SCALE_GROWS_AFTER = 3


def grow_soon_and_die() -> None:
    """… and kill -9 the process after its eighth step."""
    from test_resume import kill_after_step

    grow_soon()
    kill_after_step(8)


def test_the_scale_resumes_bit_for_bit(data: Path, tmp_path: Path) -> None:
    straight = rig.arguments(data, tmp_path / "straight", precision="fp16")
    assert rig.finish([rig.start(straight, loud_stage, setup=grow_soon)]) == [0]
    killed = rig.arguments(data, tmp_path / "killed", precision="fp16")
    assert rig.finish([rig.start(killed, loud_stage, setup=grow_soon_and_die)]) == [-signal.SIGKILL]
    assert rig.finish([rig.start(killed, loud_stage, setup=grow_soon)]) == [0]
    assert len(set(scales(tmp_path / "straight"))) > 1, "the scale has moved"
    assert scales(tmp_path / "killed") == scales(tmp_path / "straight")
    found, wanted = last(tmp_path / "killed"), last(tmp_path / "straight")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    states = [
        read_json(tmp_path / name / "run/checkpoints/step-00000010/state.json") for name in ("killed", "straight")
    ]
    assert states[0]["scalars"]["scaler"] == states[1]["scalars"]["scaler"]


class CountedSteepStage(rig.SteepStage):
    calls = 0

    def loss_B(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        type(self).calls += 1
        return super().loss_B(*args, **kwargs)


def test_a_gradient_that_no_scale_mends_is_a_fault(data: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path, precision="fp16", val_every=100)
    CountedSteepStage.calls = 0
    with pytest.raises(UserError, match=r"the gradient of step 0 is not finite"):
        rig.train_here(args, lambda name, config: CountedSteepStage(name, config.stages[name]))
    assert CountedSteepStage.calls == 17, "scales 2**16 … 2**0"


def test_an_infinite_loss_is_a_fault_at_once(tmp_path: Path) -> None:
    rig.write_data(tmp_path / "data", white_person=3)
    args = rig.arguments(tmp_path / "data", tmp_path, precision="fp16")
    with pytest.raises(UserError, match=r"the loss of step \d is not finite \(pairs p3__p3\)"):
        rig.train_here(args, rig.poisoned_stage)
    assert set(scales(tmp_path)) <= {FIRST_SCALE}


def test_a_run_goes_on_in_another_precision(data: Path, tmp_path: Path) -> None:
    for number, precision in enumerate(("fp16", "fp32", "fp16")):
        args = rig.arguments(data, tmp_path, precision=precision, num_steps=10, budget_s=0.0 if number < 2 else None)
        code = rig.finish([rig.start(args, loud_stage)])
        assert code == [75 if number < 2 else 0]
    rows = [json.loads(line) for line in (tmp_path / "run/events.jsonl").read_text().splitlines()]
    found = [row["precision"] for row in rows if row["event"] in ("started", "resumed")]
    assert found == ["fp16", "fp32", "fp16"]
