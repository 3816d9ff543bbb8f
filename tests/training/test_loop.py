"""One optimizer step: the same for any split of the batch, and refused before a non-finite one."""

from __future__ import annotations

import dataclasses
import json
import socket
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rig
import torch
from safetensors.torch import load_file

from tryon.config import Config
from tryon.errors import UserError
from tryon.methods.interface import Stage
from tryon.training.journal import read_metrics
from tryon.training.schedules import lr_at


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rig.write_data(folder)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one process that takes each batch whole."""
    results = tmp_path_factory.mktemp("whole")
    rig.train_here(rig.arguments(data, results))
    return results


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Equal up to the rounding of sums taken in another order, after ten steps of AdamW at lr 1e-2."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=2e-5, msg=name)


def losses(results: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(results / "run", "train")]


@pytest.mark.parametrize("accumulation", [2, 3])
def test_accumulation_equals_the_whole_batch(accumulation: int, data: Path, whole: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path, accumulation=accumulation)
    rig.train_here(args)
    assert_close(load_file(args.weights), load_file(whole / "weights.safetensors"))
    assert losses(tmp_path) == pytest.approx(losses(whole), abs=1e-5)
    assert len(losses(tmp_path)) == 10, "steps are optimizer steps, not micro-batches"


def test_two_processes_equal_one_with_the_whole_batch(data: Path, whole: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path)
    assert rig.finish(rig.start_ranks(args, 2, free_port()), timeout_s=120) == [0, 0]
    assert [row["num_processes"] for row in events(tmp_path) if row["event"] == "started"] == [2]
    ranks = [load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2)]
    assert all(torch.equal(ranks[0][name], ranks[1][name]) for name in ranks[0]), "gradients are shared"
    assert_close(load_file(args.weights), load_file(whole / "weights.safetensors"))
    assert losses(tmp_path) == pytest.approx(losses(whole), abs=1e-5)


def test_another_number_of_processes_continues_the_run(data: Path, whole: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path, budget_s=0.0)
    assert rig.finish(rig.start_ranks(args, 2, free_port()), timeout_s=120) == [75, 75]
    assert len(losses(tmp_path)) == 1
    args = rig.arguments(data, tmp_path)
    rig.train_here(args)
    assert_close(load_file(args.weights), load_file(whole / "weights.safetensors"))
    assert losses(tmp_path) == pytest.approx(losses(whole), abs=1e-5)


def events(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (results / "run/events.jsonl").read_text().splitlines()]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_rate_of_each_step_is_that_of_the_schedule(whole: Path) -> None:
    cfg = rig.stage_config().train
    assert [row["lr"] for row in read_metrics(whole / "run", "train")] == [lr_at(step, cfg) for step in range(10)]


def test_adamw_matches_its_equations(data: Path, tmp_path: Path) -> None:
    """Two steps at a constant gradient of ones, worked out by hand (Loshchilov & Hutter 2019, Algorithm 2)."""
    from tryon.training.loop import make_optimizer

    cfg = rig.stage_config(weight_decay=0.1).train
    network = torch.nn.Linear(2, 2)
    with torch.no_grad():
        network.weight.fill_(1.0)
        network.bias.fill_(1.0)
    optimizer = make_optimizer(network, cfg)
    for _ in range(2):
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    # the corrected moments are 1 and 1, so each step is lr * (1 + decay * w); biases are not decayed
    once = 1.0 - 1e-2 * 0.1 * 1.0 - 1e-2
    twice = once - 1e-2 * 0.1 * once - 1e-2
    assert network.weight.detach().flatten().tolist() == pytest.approx([twice] * 4, abs=1e-6)
    assert network.bias.detach().tolist() == pytest.approx([1.0 - 2e-2] * 2, abs=1e-6)


def test_the_gradient_norm_is_clipped(data: Path, tmp_path: Path) -> None:
    """The norm that is logged is the one before clipping, and the size of a gradient past it changes nothing."""
    for scale in (1.0, 1000.0):
        rig.train_here(rig.arguments(data, tmp_path / str(scale), grad_clip=1e-3, num_steps=3), scaled_stage(scale))
    first, second = (read_metrics(tmp_path / name / "run", "train") for name in ("1.0", "1000.0"))
    assert second[0]["grad_norm"] == pytest.approx(1000 * first[0]["grad_norm"], rel=1e-4)
    assert first[0]["grad_norm"] > 1e-3
    weights = [load_file(tmp_path / name / "weights.safetensors") for name in ("1.0", "1000.0")]
    assert_close(weights[0], weights[1])


def scaled_stage(scale: float) -> Callable[[str, Config], Stage]:
    class Scaled(rig.TinyStage):
        def loss_B(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            return super().loss_B(*args, **kwargs) * scale

    return lambda name, config: Scaled(name, config.stages[name])


def run_into_error(args: Namespace, stage: Callable[[str, Config], Stage], message: str) -> dict[str, Any]:
    """The event of a run that has to stop at a non-finite step."""
    with pytest.raises(UserError, match=message):
        rig.train_here(args, stage)
    return next(row for row in events(args.results) if row["event"] == "not_finite")


def test_an_infinite_loss_stops_before_the_step_and_names_the_pair(tmp_path: Path) -> None:
    rig.write_data(tmp_path / "data", white_person=3)
    args = rig.arguments(tmp_path / "data", tmp_path, checkpoint_every=1)
    event = run_into_error(args, rig.poisoned_stage, r"the loss of step \d is not finite \(pairs p3__p3\)")
    assert event["pair_ids"] == ["p3__p3"]
    assert len(event["batch"]) == 4
    assert [row["step"] for row in read_metrics(tmp_path / "run", "train")] == list(range(1, event["step"] + 1))
    for path in (tmp_path / "run/checkpoints").glob("step-*/*.safetensors"):
        assert all(tensor.isfinite().all() for tensor in load_file(path).values())
    assert not args.weights.exists()


def test_an_infinite_gradient_of_a_finite_loss_stops_too(data: Path, tmp_path: Path) -> None:
    event = run_into_error(rig.arguments(data, tmp_path), rig.steep_stage, r"the gradient of step 0 is not finite")
    assert sorted(event["pair_ids"]) == sorted(event["batch"])
    assert len(event["batch"]) == 4


def test_a_step_refused_leaves_weights_optimizer_and_average_alone(data: Path) -> None:
    from accelerate import Accelerator

    from tryon.packed import PackedPhotos
    from tryon.training.feed import CanvasPhotos, TrainFeed, read_pairs
    from tryon.training.loop import NotFinite, Trainer

    stage = rig.TinyStage("base", rig.stage_config())
    trainer = Trainer(stage, Accelerator(cpu=True))
    packed = PackedPhotos(sorted((data / "pack").glob("*.safetensors")))
    pairs, _ = read_pairs(data / "pairs.parquet", "train_paired", packed)
    feed = TrainFeed(pairs, CanvasPhotos(packed, rig.SIZE_HW), stage.cfg.train)
    (_, first), (_, second) = feed.steps(0, 2)
    trainer.step(0, first)
    before = {group: {k: v.clone() for k, v in named.items()} for group, named in trainer.tensors().items()}
    broken = [dataclasses.replace(batch, target_B3HW=batch.target_B3HW.clone()) for batch in second]
    trainer.stage = rig.SteepStage("base", stage.cfg)
    with pytest.raises(NotFinite):
        trainer.step(1, broken)
    after = trainer.tensors()
    assert all(torch.equal(after[group][name], before[group][name]) for group in before for name in before[group])


def test_training_lowers_the_validation_loss(data: Path, tmp_path: Path) -> None:
    rig.train_here(rig.arguments(data, tmp_path, num_steps=60, val_every=30, log_every=20, checkpoint_every=60))
    val = [row["loss"] for row in read_metrics(tmp_path / "run", "val")]
    assert len(val) == 2
    assert val[1] < 0.9 * val[0]
