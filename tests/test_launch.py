"""Trainings on several processes and machines: what srun is asked for, where they meet, which exit code comes back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tryon import launch, leash, slurm


@pytest.fixture
def srun(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Arguments of the program that the launcher becomes."""
    calls: list[list[str]] = []

    def become(_: str, arguments: list[str]) -> None:
        calls.append(arguments)
        raise SystemExit(0)

    monkeypatch.setattr(os, "execvp", become)
    monkeypatch.setenv(slurm.JOB, "7")
    return calls


def options(*arguments: str) -> list[str]:
    return [*arguments, "--", "train", "--stage", "base"]


def test_srun_starts_one_agent_on_each_machine(srun: list[list[str]]) -> None:
    with pytest.raises(SystemExit):
        launch.main(options("--nodes=4", "--gpus=8", "--threads=2"))
    (arguments,) = srun
    assert {"--nodes=4", "--ntasks=4", "--ntasks-per-node=1", "--gpus-per-node=8", "--cpus-per-task=16"} <= set(
        arguments
    )
    assert arguments[-4:] == ["--", "train", "--stage", "base"]


def test_machines_without_gpus_ask_for_none(srun: list[list[str]]) -> None:
    with pytest.raises(SystemExit):
        launch.main(options("--nodes=2", "--threads=3"))
    assert not any(argument.startswith("--gpus-per-node") for argument in srun[0])
    assert "--cpus-per-task=3" in srun[0]


def test_each_start_has_its_own_place_to_meet_on_this_machine(srun: list[list[str]]) -> None:
    for _ in range(2):
        with pytest.raises(SystemExit):
            launch.main(options("--nodes=2"))
    places = [next(word for word in arguments if word.startswith("--meet=")) for arguments in srun]
    assert places[0] != places[1]
    for place in places:
        host, port = place.removeprefix("--meet=").split(":")
        assert host == socket.gethostname()
        assert 1024 <= int(port) < 65536


def test_several_machines_without_slurm_are_refused_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(slurm.JOB, raising=False)
    assert launch.main(options("--nodes=2")) == 2
    assert "--profile workflow/profiles/slurm" in capsys.readouterr().err


def test_the_exit_code_of_a_process_comes_back(tmp_path: Path) -> None:
    """torchrun alone would say 1 for any failure; 2 is a user's mistake, here settings that are not there."""
    ran = subprocess.run(
        [sys.executable, "-m", "tryon.launch", "--gpus", "2", "--", "check", "--config", str(tmp_path / "absent.yaml")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(launch.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 2, ran.stderr
    assert "no such configuration file" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_processes_have_the_time_to_save_before_torchrun_kills_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed import run as torchrun

    asked: list[int] = []
    monkeypatch.setattr(os, "environ", dict(os.environ))  # it names itself there, for its processes
    monkeypatch.setattr(torchrun, "run", lambda parsed: asked.append(parsed.shutdown_timeout))
    assert launch.main(options("--gpus=2")) == 0
    assert asked == [leash.GRACE_S]


@pytest.mark.parametrize(("gpus", "threads", "started"), [(0, 3, False), (1, 3, False), (4, 12, True)])
def test_sampling_on_several_gpus_starts_a_process_on_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, threads: int, started: bool
) -> None:
    from types import SimpleNamespace

    from tryon.config import parse
    from tryon.workflow import Wiring

    monkeypatch.chdir(tmp_path)
    stages = {"base": {"kind": "parallel_unet", "size": [32, 24]}}
    cfg = parse({"stages": stages, "cascade": ["base"], "sample": {"gpus": gpus, "threads": 3}})
    workflow = SimpleNamespace(is_main_process=False, deployment_settings=SimpleNamespace(deployment_method=set()))
    wiring = Wiring(cfg, workflow)
    command = wiring.start_sampling(None, None)
    assert (f"-m tryon.launch --gpus {gpus} --threads 3 --" in command) == started
    assert command.endswith("tryon.cli") != started
    assert wiring.sampling_threads == threads
