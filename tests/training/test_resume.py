"""Stopping and starting again leaves no trace: the same bits as a run that was never disturbed."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import rig
import torch
from safetensors.torch import load_file

from tryon.errors import TryAgain, UserError
from tryon.files import read_json
from tryon.training.checkpoints import damage
from tryon.training.journal import Journal, read_metrics


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rig.write_data(folder)
    return folder


@pytest.fixture(scope="module")
def straight(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of ten undisturbed steps of a network with dropout."""
    results = tmp_path_factory.mktemp("straight")
    rig.train_here(rig.arguments(data, results), rig.dropping_stage)
    return results


def numbers(results: Path) -> list[dict[str, Any]]:
    """Everything in metrics.jsonl but the speed."""
    rows = read_metrics(results / "run", "train") + read_metrics(results / "run", "val")
    return [{name: value for name, value in row.items() if name != "images_per_s"} for row in rows]


def events(results: Path) -> list[dict[str, Any]]:
    path = results / "run/events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def assert_same_run(results: Path, straight: Path) -> None:
    """Weights, average, optimizer, losses and declared outputs, bit for bit."""
    assert (results / "weights.safetensors").read_bytes() == (straight / "weights.safetensors").read_bytes()
    assert read_json(results / "summary.json") == read_json(straight / "summary.json")
    last = "run/checkpoints/step-00000010"
    for group in ("weights", "average", "optimizer"):
        found, expected = (load_file(folder / last / f"{group}.safetensors") for folder in (results, straight))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected), group
    assert numbers(results) == numbers(straight)


def kill_after_step(step: int) -> None:
    """Make this process die by -9 when it has logged a step."""
    write = Journal.metrics

    def metrics(self: Journal, kind: str, done: int, **values: float) -> None:
        write(self, kind, done, **values)
        if (kind, done) == ("train", step):
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.metrics = metrics  # type: ignore[method-assign]


def kill_at_file_sync(count: int) -> None:
    """Make this process die by -9 inside a save, before it syncs its count-th file."""
    from tryon.training import checkpoints

    sync = checkpoints._sync_file
    calls = []

    def sync_or_die(path: Path) -> None:
        calls.append(path)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(path)

    checkpoints._sync_file = sync_or_die


@pytest.mark.parametrize("train", [{}, {"accumulation": 1, "workers": 2}], ids=["0 workers", "2 workers"])
def test_ten_steps_are_six_a_kill_and_four(train: dict[str, Any], data: Path, straight: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path, **train)
    killed = rig.start(args, rig.dropping_stage, setup=functools.partial(kill_after_step, 8))
    assert rig.finish([killed]) == [-signal.SIGKILL]
    assert not args.weights.exists()
    assert max(path.name for path in (tmp_path / "run/checkpoints").glob("step-*")) == "step-00000006"
    assert rig.finish([rig.start(args, rig.dropping_stage)]) == [0]
    assert [row["step"] for row in events(tmp_path) if row["event"] == "resumed"] == [6]
    assert_same_run(tmp_path, straight)


@pytest.mark.parametrize("count", [1, 6, 8, 10])
def test_a_kill_inside_a_save(count: int, data: Path, straight: Path, tmp_path: Path) -> None:
    """A save syncs five files: the first save dies at its first file; the second at its first, third and last."""
    args = rig.arguments(data, tmp_path)
    killed = rig.start(args, rig.dropping_stage, setup=functools.partial(kill_at_file_sync, count))
    assert rig.finish([killed]) == [-signal.SIGKILL]
    folder = tmp_path / "run/checkpoints"
    assert list(folder.glob(".step-*")), "the kill left an unfinished save behind"
    assert [path.name for path in folder.glob("step-*")] == ([] if count == 1 else ["step-00000003"])
    assert rig.finish([rig.start(args, rig.dropping_stage)]) == [0]
    assert not list(folder.glob(".step-*"))
    assert_same_run(tmp_path, straight)


def test_kills_at_random_moments_lose_no_announced_save(data: Path, straight: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path, checkpoint_every=1)
    rng = random.Random(1)
    folder = tmp_path / "run/checkpoints"
    for _ in range(8):
        child = rig.start(args, rig.dropping_stage)
        time.sleep(rng.uniform(0.05, 0.6))
        child.kill()
        child.join()
        published = sorted(folder.glob("step-*"))
        assert all(damage(path) is None for path in published)
        announced = max((row["step"] for row in events(tmp_path) if row["event"] == "saved"), default=0)
        assert max((int(path.name[5:]) for path in published), default=0) >= announced
    assert rig.finish([rig.start(args, rig.dropping_stage)]) == [0]
    assert_same_run(tmp_path, straight)


def test_a_damaged_newest_checkpoint_is_replaced_by_the_one_before(
    data: Path, straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = rig.arguments(data, tmp_path)
    killed = rig.start(args, rig.dropping_stage, setup=functools.partial(kill_after_step, 8))
    assert rig.finish([killed]) == [-signal.SIGKILL]
    victim = tmp_path / "run/checkpoints/step-00000006/optimizer.safetensors"
    content = bytearray(victim.read_bytes())
    content[-5] ^= 1
    victim.write_bytes(content)
    capsys.readouterr()
    rig.train_here(args, rig.dropping_stage)
    shown = capsys.readouterr().err
    assert "damaged checkpoint: step 6, reason the content of optimizer.safetensors has changed" in shown
    assert "resumed: step 3" in shown
    assert_same_run(tmp_path, straight)


@pytest.mark.parametrize(("name", "workers"), [("SIGTERM", 0), ("SIGTERM", 2), ("SIGUSR1", 0), ("SIGINT", 2)])
def test_a_signal_saves_at_the_next_step_and_asks_to_be_started_again(
    name: str, workers: int, data: Path, tmp_path: Path
) -> None:
    """The signal goes to the whole process group, workers included, as schedulers and terminals do it."""
    args = rig.arguments(data, tmp_path, checkpoint_every=1000, workers=workers)
    child = rig.start(args, rig.slow_stage, setup=os.setsid)
    deadline = time.monotonic() + 30
    while not read_metrics(tmp_path / "run", "train") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.pid is not None
    os.killpg(child.pid, signal.Signals[name])
    assert rig.finish([child]) == [75]
    last = read_metrics(tmp_path / "run", "train")[-1]["step"]
    assert last < 10
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == [f"step-{last:08d}"]
    rig.train_here(args)
    undisturbed = rig.arguments(data, tmp_path / "undisturbed")
    rig.train_here(undisturbed)
    assert args.weights.read_bytes() == undisturbed.weights.read_bytes()


def test_a_time_budget_cuts_the_run_into_slices(data: Path, straight: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path, budget_s=0.0, checkpoint_every=1000, log_every=4)
    for step in range(1, 10):
        with pytest.raises(TryAgain, match=f"time budget used up; saved at step {step} of 10; the same command"):
            rig.train_here(args, rig.dropping_stage)
    rig.train_here(args, rig.dropping_stage)
    assert args.weights.read_bytes() == (straight / "weights.safetensors").read_bytes()
    means = {row["step"]: row["loss"] for row in read_metrics(tmp_path / "run", "train")}
    each = [row["loss"] for row in read_metrics(straight / "run", "train")]
    assert means == {4: sum(each[:4]) / 4, 8: sum(each[4:8]) / 4, 10: sum(each[8:]) / 2}


def test_a_finished_run_only_writes_its_results_again(data: Path, straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path, dirs_exist_ok=True)
    args = rig.arguments(data, tmp_path)
    args.weights.unlink()
    args.summary.unlink()
    before = (tmp_path / "run/metrics.jsonl").read_text()
    rig.train_here(args, rig.dropping_stage)
    assert_same_run(tmp_path, straight)
    assert (tmp_path / "run/metrics.jsonl").read_text() == before


def test_the_run_directory_of_other_settings_is_refused(data: Path, straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path, dirs_exist_ok=True)
    with pytest.raises(UserError, match=r"step-00000010 belongs to another run: different settings \(checkpoint"):
        rig.train_here(rig.arguments(data, tmp_path, lr=2e-2), rig.dropping_stage)


def test_a_checkpoint_of_another_agnostic_rule_is_refused(straight: Path, tmp_path: Path) -> None:
    """The same pixels, so that nothing but the rule's name differs."""
    shutil.copytree(straight, tmp_path, dirs_exist_ok=True)
    rig.write_data(tmp_path / "other", agnostic="ootd")
    args = rig.arguments(tmp_path / "other", tmp_path)
    args.config.write_text(json.dumps({**json.loads(args.config.read_text()), "cutouts": {"agnostic": "ootd"}}))
    message = r"step-00000010 belongs to .* different cutouts.agnostic \(checkpoint limbs, this run ootd\);"
    with pytest.raises(UserError, match=message):
        rig.train_here(args, rig.dropping_stage)


def test_a_second_run_on_the_same_directory_is_refused(data: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path, num_steps=100)
    first = rig.start(args, rig.slow_stage)
    try:
        while not read_metrics(tmp_path / "run", "train") and first.is_alive():
            time.sleep(0.01)
        second = rig.start(args, rig.slow_stage)
        assert rig.finish([second]) == [2]
        assert first.is_alive()
    finally:
        first.kill()
        first.join()
