"""Every strategy trains the same network: fsdp equals ddp equals one process, and continues their checkpoints."""

from __future__ import annotations

import functools
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
from torch import nn

from tryon.config import TrainConfig, parse
from tryon.errors import UserError
from tryon.files import read_json
from tryon.training import parallel
from tryon.training.journal import read_metrics

PARTS = ("weights", "average", "optimizer")
TOGETHER = {"gpus": 2}  # on the CPU, the number of processes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rig.write_data(folder)
    return folder


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one process."""
    results = tmp_path_factory.mktemp("alone")
    rig.train_here(rig.arguments(data, results), rig.stacked_stage)
    return results


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def small_units() -> None:
    """Let every block of the small network be gathered by itself."""
    parallel.UNIT_PARAMS = 1


def train_together(args: Namespace, *, codes: tuple[int, ...] = (0, 0)) -> None:
    ranks = rig.start_ranks(args, 2, free_port(), rig.stacked_stage, small_units)
    assert rig.finish(ranks, timeout_s=120) == list(codes)


def state(results: Path) -> dict[str, torch.Tensor]:
    """Everything in the last checkpoint."""
    folder = results / "run/checkpoints/step-00000010"
    return {
        f"{part} {name}": value for part in PARTS for name, value in load_file(folder / f"{part}.safetensors").items()
    }


def assert_close(results: Path, expected: Path) -> None:
    """The same up to the rounding of sums taken in another order, after ten steps of AdamW at lr 1e-2."""
    found, wanted = state(results), state(expected)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=2e-5, msg=name)
    for kind in ("train", "val"):
        losses, wanted_losses = (
            [row["loss"] for row in read_metrics(folder / "run", kind)] for folder in (results, expected)
        )
        assert losses == pytest.approx(wanted_losses, abs=1e-5)
    weights = load_file(results / "weights.safetensors")
    average = {name: state(results)[f"average {name}"] for name in weights}
    assert all(torch.equal(weights[name].to(average[name].dtype), average[name]) for name in weights)
    assert read_json(results / "summary.json")["num_params"] == read_json(expected / "summary.json")["num_params"]


def started_as(results: Path) -> list[str]:
    rows = [json.loads(line) for line in (results / "run/events.jsonl").read_text().splitlines()]
    return [row["strategy"] for row in rows if row["event"] in ("started", "resumed")]


@pytest.mark.parametrize("train", [{"strategy": "ddp"}, {"strategy": "fsdp"}, {"strategy": "fsdp", "accumulation": 2}])
def test_two_processes_equal_one_under_each_strategy(
    train: dict[str, Any], data: Path, alone: Path, tmp_path: Path
) -> None:
    train_together(rig.arguments(data, tmp_path, **TOGETHER, **train))
    assert_close(tmp_path, alone)
    assert started_as(tmp_path) == [train["strategy"]]
    ranks = [load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2)]
    assert all(torch.equal(ranks[0][name], ranks[1][name]) for name in ranks[0])
    held = [int((tmp_path / f"rank{rank}.params").read_text()) for rank in range(2)]
    num_params = 2 * read_json(tmp_path / "summary.json")["num_params"]  # weights and averages
    assert held == [num_params] * 2 if train["strategy"] == "ddp" else sum(held) == num_params


@pytest.mark.parametrize(("first", "then"), [("fsdp", "single"), ("single", "fsdp"), ("fsdp", "ddp"), ("ddp", "fsdp")])
def test_a_run_goes_on_under_another_strategy(first: str, then: str, data: Path, alone: Path, tmp_path: Path) -> None:
    def go(strategy: str, **train: Any) -> None:
        if strategy == "single":
            args = rig.arguments(data, tmp_path, **train)
            child = rig.start(args, rig.stacked_stage)
            assert rig.finish([child]) == [75 if train else 0]
        else:
            args = rig.arguments(data, tmp_path, strategy=strategy, **TOGETHER, **train)
            train_together(args, codes=(75, 75) if train else (0, 0))

    go(first, budget_s=0.0)
    go(then)
    assert started_as(tmp_path) == [first, then]
    assert_close(tmp_path, alone)


def test_a_killed_fsdp_run_continues_bit_for_bit(data: Path, tmp_path: Path) -> None:
    for name in ("straight", "stopped"):
        args = rig.arguments(data, tmp_path / name, strategy="fsdp", **TOGETHER)
        if name == "stopped":
            stopping = rig.arguments(data, tmp_path / name, strategy="fsdp", budget_s=0.0, **TOGETHER)
            train_together(stopping, codes=(75, 75))
            args = rig.arguments(data, tmp_path / name, strategy="fsdp", **TOGETHER)
        train_together(args)
    found, wanted = state(tmp_path / "stopped"), state(tmp_path / "straight")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_blocks_of_lists_are_gathered_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    network = rig.StackedNetwork()
    assert list(parallel.units(network)) == []
    monkeypatch.setattr(parallel, "UNIT_PARAMS", 500)
    assert list(parallel.units(network)) == list(network.blocks)
    nested = nn.ModuleList([nn.Sequential(nn.ModuleList([rig.Block()])), nn.ModuleList([rig.Block()])])
    found = list(parallel.units(nested))
    assert [type(unit) for unit in found] == [rig.Block, rig.Block], "inner ones first; a list cannot be called"


def test_data_parallel_gives_the_same_losses_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without GPUs DataParallel calls the network itself; that it is called, and named alike, is what CPUs can show."""
    from accelerate import Accelerator

    cfg = TrainConfig(strategy="dp", gpus=2)
    torch.manual_seed(0)
    network = rig.TinyNetwork(0.0)
    planes = [torch.randn(4, 3, 8, 8) for _ in range(3)]
    network(*planes).square().mean().backward()
    wanted = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    network.zero_grad()
    names = list(network.state_dict())
    wrapped = parallel.wrap(network, cfg, Accelerator(cpu=True))
    assert isinstance(wrapped, nn.DataParallel)
    wrapped(*planes).square().mean().backward()
    found = [parameter.grad for parameter in network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert list(network.state_dict()) == names


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"strategy": "dp", "gpus": 2, "nodes": 2}, "works in one process, but nodes is 2; set strategy to ddp"),
        (
            {"strategy": "dp", "gpus": 2, "device": "cpu"},
            "drives several GPUs, but device is cpu; set strategy to auto",
        ),
        ({"strategy": "dp", "gpus": 1}, "but gpus is 1; set gpus to 2 or more"),
        (
            {"strategy": "dp", "gpus": 2, "precision": "bf16"},
            "strategy dp cannot train in bf16: .* set precision to fp16",
        ),
        ({"strategy": "dp", "gpus": 2, "compile": True}, "strategy dp cannot compile: .* set compile to false"),
        ({"strategy": "fsdp"}, "fsdp needs several processes, but nodes 1 with gpus 0 start one; set gpus to 2"),
        ({"strategy": "ddp", "gpus": 1}, "ddp needs several processes, but nodes 1 with gpus 1 start one"),
    ],
)
def test_a_strategy_without_the_machines_for_it_is_refused(train: dict[str, Any], message: str) -> None:
    values = rig.settings(**{"device": "auto", **train})
    with pytest.raises(UserError, match=message):
        parse(values)


def test_processes_follow_from_the_strategy() -> None:
    """Snakemake starts a launcher for two or more; DataParallel is one process however many GPUs it drives."""
    assert TrainConfig(gpus=4, nodes=2).num_processes == 8
    assert TrainConfig(gpus=4, strategy="fsdp").processes_per_node == 4
    assert TrainConfig(gpus=4, strategy="dp").num_processes == 1
    assert TrainConfig().num_processes == 1


@pytest.mark.parametrize(
    ("strategy", "num_processes", "num_gpus", "message"),
    [
        ("dp", 2, 8, "works in one process, but 2 were started; start `tryon train` without a launcher"),
        ("dp", 1, 1, "needs two or more GPUs, but this process sees 1"),
        ("fsdp", 1, 1, r"needs several processes, but this one was started alone; .*tryon.launch --gpus 4 -- train"),
        ("ddp", 1, 1, "needs several processes"),
    ],
)
def test_a_strategy_started_otherwise_is_refused(
    strategy: Any, num_processes: int, num_gpus: int, message: str
) -> None:
    cfg = TrainConfig(strategy=strategy, gpus=4)
    with pytest.raises(UserError, match=message):
        parallel.check_strategy(cfg, num_processes=num_processes, num_gpus=num_gpus)


def test_fsdp_started_alone_is_refused_before_anything_is_made(data: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path, strategy="fsdp", **TOGETHER)
    with pytest.raises(UserError, match="this one was started alone"):
        rig.train_here(args)
    assert not args.run_dir.exists()


def run_graphs_as_they_are(path: Path) -> None:
    """Compile by a backend that runs what it was given and notes it; torch's own would compile C++ for minutes."""
    small_units()
    usual = nn.Module.compile

    def note(graph: torch.fx.GraphModule, _: object) -> Callable[..., Any]:
        with path.open("a") as stream:
            stream.write("graph\n")
        return graph.forward

    nn.Module.compile = lambda self: usual(self, backend=note)  # type: ignore[method-assign, misc]


@pytest.mark.parametrize("train", [{}, {"strategy": "fsdp", **TOGETHER}], ids=["single", "fsdp"])
def test_a_compiled_network_keeps_its_names_and_its_numbers(train: dict[str, Any], data: Path, tmp_path: Path) -> None:
    for is_compiled in (False, True):
        args = rig.arguments(data, tmp_path / str(is_compiled), compile=is_compiled, **train)
        setup = functools.partial(run_graphs_as_they_are, tmp_path / f"graphs{is_compiled}")
        if train:
            children = rig.start_ranks(args, 2, free_port(), rig.stacked_stage, setup)
        else:
            children = [rig.start(args, rig.stacked_stage, setup=setup)]
        assert set(rig.finish(children, timeout_s=200)) == {0}
    assert not (tmp_path / "graphsFalse").exists()
    assert (tmp_path / "graphsTrue").read_text().count("graph") >= 2, "the network and its average"
    found, wanted = state(tmp_path / "True"), state(tmp_path / "False")
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=2e-5, msg=name)
