"""Stopping and starting again leaves no trace: the same bits as a run that was never disturbed."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import rig
import torch
from safetensors.torch import load_file, save_file
from test_parallel import free_port

from tryon.errors import TryAgain, UserError
from tryon.files import append_jsonl, read_json, sha256_file
from tryon.training import train
from tryon.training.checkpoints import damage
from tryon.training.feed import Batch
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


@pytest.fixture(scope="module")
def straight_in_parts(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with batches in two parts, whose gradients are summed in another order."""
    results = tmp_path_factory.mktemp("straight_in_parts")
    rig.train_here(rig.arguments(data, results, accumulation=2), rig.dropping_stage)
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


INTERRUPTS = [
    (random.Random(20 + number).randrange(1, 10), workers, accumulation)
    for number, (workers, accumulation) in enumerate([(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2)] * 2)
][:10]


@pytest.mark.parametrize(("step", "workers", "accumulation"), INTERRUPTS)
def test_ten_steps_with_a_kill_at_a_random_one_are_ten_steps(
    step: int, workers: int, accumulation: int, data: Path, straight: Path, straight_in_parts: Path, tmp_path: Path
) -> None:
    """Weights, average, optimizer, the order of the data and losses, bit for bit."""
    args = rig.arguments(data, tmp_path, workers=workers, accumulation=accumulation)
    killed = rig.start(args, rig.dropping_stage, setup=functools.partial(kill_after_step, step))
    assert rig.finish([killed]) == [-signal.SIGKILL]
    assert not args.weights.exists()
    assert rig.finish([rig.start(args, rig.dropping_stage)]) == [0]
    # saved every third step, and at the fifth, whose validation loss is the lowest so far; the kill comes before
    saved = max(done for done in (0, 3, 5, 6, 9) if done < step)
    assert [row["step"] for row in events(tmp_path) if row["event"] == "resumed"] == ([saved] if saved else [])
    assert_same_run(tmp_path, straight if accumulation == 1 else straight_in_parts)


@pytest.mark.parametrize("count", [1, 6, 8, 10])
def test_a_kill_inside_a_save(count: int, data: Path, straight: Path, tmp_path: Path) -> None:
    """A save syncs five files: the first save dies at its first file; the second at its first, third and last."""
    args = rig.arguments(data, tmp_path, val_every=1000)
    killed = rig.start(args, rig.dropping_stage, setup=functools.partial(kill_at_file_sync, count))
    assert rig.finish([killed]) == [-signal.SIGKILL]
    folder = tmp_path / "run/checkpoints"
    assert list(folder.glob(".step-*")), "the kill left an unfinished save behind"
    assert [path.name for path in folder.glob("step-*")] == ([] if count == 1 else ["step-00000003"])
    assert rig.finish([rig.start(args, rig.dropping_stage)]) == [0]
    assert not list(folder.glob(".step-*"))
    assert (tmp_path / "weights.safetensors").read_bytes() == (straight / "weights.safetensors").read_bytes()


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
    assert "resumed: step 5" in shown
    assert_same_run(tmp_path, straight)


@pytest.mark.parametrize(("name", "workers"), [("SIGTERM", 0), ("SIGTERM", 2), ("SIGUSR1", 0), ("SIGINT", 2)])
def test_a_signal_saves_at_the_next_step_and_asks_to_be_started_again(
    name: str, workers: int, data: Path, tmp_path: Path
) -> None:
    """The signal goes to the whole process group, workers included, as schedulers and terminals do it."""
    args = rig.arguments(data, tmp_path, checkpoint_every=1000, val_every=1000, workers=workers)
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


def test_the_best_checkpoint_stays_and_its_rank_survives_a_restart(data: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path, val_every=1, checkpoint_every=4, keep_checkpoints=1, lr=0.5, num_steps=12)
    killed = rig.start(args, setup=functools.partial(kill_after_step, 9))
    assert rig.finish([killed]) == [-signal.SIGKILL]
    assert rig.finish([rig.start(args)]) == [0]
    losses = {row["step"]: row["loss"] for row in read_metrics(tmp_path / "run", "val")}
    best_step = min(losses, key=lambda step: losses[step])
    assert best_step < 12, "this rate is too high to end with the best"
    assert {path.name for path in (tmp_path / "run/checkpoints").iterdir()} == {
        f"step-{best_step:08d}",
        "step-00000012",
    }
    last_saved = [row for row in events(tmp_path) if row["event"] == "saved"][-1]
    assert last_saved["checkpoints"] == {str(best_step): "best", "12": "last"}


def note_samples(path: Path) -> None:
    """Write down ids and seeds of every step's samples, for each process in a file of its own."""
    from tryon.training.loop import Trainer

    take = Trainer.step

    def step(self: Trainer, step: int, batches: Sequence[Batch]) -> tuple[float, float]:
        ids = [id_ for batch in batches for id_ in batch.pair_ids]
        seeds = [seed for batch in batches for seed in batch.seeds_B.tolist()]
        row = {"step": step, "rank": self.accelerator.process_index, "samples": list(zip(ids, seeds, strict=True))}
        append_jsonl(path.with_suffix(f".{self.accelerator.process_index}"), row)
        return take(self, step, batches)

    Trainer.step = step  # type: ignore[method-assign]


def note_samples_and_leave(path: Path, step: int) -> None:
    """… and leave once this many steps of the run are taken."""
    note_samples(path)
    leave_after_step(step)


def samples_of(folder: Path) -> dict[int, list[tuple[str, int]]]:
    """Samples of each step, of all processes in their order."""
    rows = [json.loads(line) for path in sorted(folder.glob("samples.*")) for line in path.read_text().splitlines()]
    by_step: dict[int, list[tuple[str, int]]] = {}
    for row in sorted(rows, key=lambda row: (row["step"], row["rank"])):
        by_step.setdefault(row["step"], []).extend(tuple(sample) for sample in row["samples"])
    return by_step


def test_the_order_of_samples_goes_on_with_another_number_of_processes(data: Path, tmp_path: Path) -> None:
    """Three steps of one process, three of two, the rest of one with two workers: ids and seeds of each step."""
    for processes, stop_after in ((1, 3), (2, 6), (1, 10)):
        args = rig.arguments(data, tmp_path, checkpoint_every=3, val_every=1000, workers=2 * (stop_after == 10))
        setup = functools.partial(note_samples_and_leave, tmp_path / "samples", stop_after)
        if processes == 1:
            children = [rig.start(args, setup=setup)]
        else:
            children = rig.start_ranks(args, processes, free_port(), setup=setup)
        assert set(rig.finish(children, timeout_s=120)) == {0 if stop_after == 10 else 75}
    undisturbed = tmp_path / "undisturbed"
    setup_alone = functools.partial(note_samples, undisturbed / "samples")
    assert rig.finish([rig.start(rig.arguments(data, undisturbed), setup=setup_alone)]) == [0]
    found = samples_of(tmp_path)
    assert list(found) == list(range(10))
    assert [len(samples) for samples in found.values()] == [4] * 10
    assert found == samples_of(undisturbed)


def leave_after_step(step: int) -> None:
    """Make every process ask to leave once it has taken this many steps of the run."""
    from tryon.training import loop

    log = loop._log

    def log_and_ask(run: Any, done: int, *args: Any) -> None:
        log(run, done, *args)
        if done == step < 10:
            os.kill(os.getpid(), signal.SIGTERM)

    loop._log = log_and_ask  # type: ignore[assignment]


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


def test_a_checkpoint_of_another_keypoint_set_is_refused(
    data: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(straight, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(train, "CONVENTION", "body_25")
    with pytest.raises(UserError, match=r"different keypoints \(checkpoint coco_17, this run body_25\);"):
        rig.train_here(rig.arguments(data, tmp_path), rig.dropping_stage)


def test_a_checkpoint_of_another_network_is_refused(data: Path, straight: Path, tmp_path: Path) -> None:
    """The same settings, so that nothing but the names and shapes of the weights differs."""
    shutil.copytree(straight, tmp_path, dirs_exist_ok=True)
    with pytest.raises(UserError, match=r"step-00000010 belongs to another run: different network \(checkpoint"):
        rig.train_here(rig.arguments(data, tmp_path), rig.stacked_stage)


@pytest.mark.parametrize(
    ("group", "change", "told"),
    [
        ("average", lambda tensors: {n: t[:1].clone() for n, t in tensors.items()}, "size mismatch for .*"),
        ("optimizer", lambda tensors: dict(list(tensors.items())[1:]), r"optimizer: \S+ is absent, not \[.*\]"),
        ("optimizer", lambda tensors: {**tensors, "strange|exp_avg": torch.ones(2)}, r"strange\|exp_avg is \[2\], not"),
        (
            "optimizer",
            lambda tensors: {n: t.flatten()[:1].clone() for n, t in tensors.items()},
            r"is \[1\], not \[.*\]",
        ),
    ],
)
def test_a_checkpoint_that_claims_this_network_and_holds_another_is_refused(
    data: Path,
    tmp_path: Path,
    group: str,
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    told: str,
) -> None:
    args = rig.arguments(data, tmp_path, budget_s=0.0)
    assert rig.finish([rig.start(args)]) == [75]
    folder = tmp_path / "run/checkpoints/step-00000001"
    path = folder / f"{group}.safetensors"
    save_file(change(load_file(path)), path)
    manifest = read_json(folder / "manifest.json")
    manifest[path.name] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=rf"does not fit this network \(.*{told}.*\); delete it and start"):
        rig.train_here(args)


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
