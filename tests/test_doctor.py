"""Each thing that `tryon doctor` looks at, well and ill; SLURM and nvidia-smi are small scripts with their answers."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tryon import config, doctor
from tryon.cli import main
from tryon.config import Config, CutoutsConfig
from tryon.doctor import Finding, Partition, read_partitions
from tryon.files import sha256_file

SINFO = """\
cpu*|2-00:00:00|10|64|256000|(null)
gpu|1:00:00|4|32|515000+|gpu:a100:4(S:0-1)
long|infinite|2|8|64000|gpu:v100:2
"""
CONFIG = "SlurmctldPort = 6817\\nMinJobAge               = {age} sec\\n"
NETWORK = {
    "channels": [8, 16],
    "blocks": [1, 1],
    "self_attention": [False, False],
    "cross_attention": [False, False],
    "head_channels": 8,
    "embedding_channels": 16,
}


def settings(results: Path, *, cluster: dict[str, object] | None = None, **train: object) -> Config:
    return config.parse(
        {
            "results": str(results),
            "studio": {"num_people": 10, "num_val": 2, "num_test": 2, "size_hw": [256, 192]},
            "keypoints": {"source": "given"},
            "cutouts": {"source": "annotations"},
            "stages": {"base": {"kind": "parallel_unet", "size": [32, 24], "network": NETWORK, "train": train}},
            "cascade": ["base"],
            "cluster": cluster or {},
        }
    )


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, with a shell's own tools and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    cat = shutil.which("cat")
    assert cat is not None
    (folder / "cat").symlink_to(cat)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def cluster(programs: Path) -> Path:
    (programs / "sinfo.txt").write_text(SINFO)
    program(programs, "sinfo", f"cat {programs}/sinfo.txt")
    program(programs, "scontrol", f"printf '{CONFIG.format(age=300)}'")
    program(programs, "sbatch", "exit 1")
    return programs


def test_another_python_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cfg = settings(tmp_path)
    assert levels(list(doctor.check_python(cfg))) == ["ok"]
    monkeypatch.setattr(sys, "version_info", (3, 13, 1))
    (found,) = doctor.check_python(cfg)
    assert found.level == "fail"
    assert "3.13.1" in found.text
    assert "3.11" in found.fix


def test_no_gpu_matters_only_to_who_asks_for_one(programs: Path, tmp_path: Path) -> None:
    assert levels(list(doctor.check_gpu(settings(tmp_path)))) == ["ok"]
    (found,) = doctor.check_gpu(settings(tmp_path, gpus=2))
    assert found.level == "warn"
    assert "would run on the processor" in found.text
    program(programs, "sbatch", "exit 1")
    assert levels(list(doctor.check_gpu(settings(tmp_path, gpus=2)))) == ["ok"], "SLURM's jobs get theirs"


@pytest.mark.parametrize(("usable", "expected"), [(2, ["ok", "ok"]), (0, ["ok", "ok", "fail"])])
def test_gpus_that_torch_cannot_use_fail(
    usable: int, expected: list[str], programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs, "nvidia-smi", "echo 'NVIDIA H200, 570.1, 143771 MiB'; echo 'NVIDIA H200, 570.1, 143771 MiB'")
    monkeypatch.setattr(doctor, "_usable_gpus", lambda: usable)
    found = list(doctor.check_gpu(settings(tmp_path, gpus=2)))
    assert levels(found) == expected
    assert "H200" in found[0].text


@pytest.mark.parametrize(("free", "expected"), [(10**12, "ok"), (0, "fail")])
def test_disk_space(free: int, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (found,) = doctor.check_disk(settings(tmp_path / "not" / "yet" / "there"))
    assert found.level == expected
    assert "checkpoints" in found.text


def test_the_disk_plan_grows_with_what_it_is_for(tmp_path: Path) -> None:
    plan = doctor.disk_plan(settings(tmp_path))
    assert plan["packed photos"] == 20 * 6 * 32 * 24, "ten people and ten garments"
    more = doctor.disk_plan(settings(tmp_path, keep_checkpoints=4))
    assert 2 * more["checkpoints"] == 3 * plan["checkpoints"], "four newest, best, one being written; not two of them"
    assert plan["checkpoints"] == 4 * 4 * plan["weights"]
    assert plan["weights"] > 4 * 1000


def test_the_disk_plan_knows_what_embeddings_cost(tmp_path: Path) -> None:
    cfg = settings(tmp_path)
    by_source = {
        source: doctor.disk_plan(cfg.model_copy(update={"cutouts": CutoutsConfig(source=source)}))["embeddings"]
        for source in ("sam", "annotations")
    }
    assert by_source == {"sam": 20 * 131_072, "annotations": 0}


def test_conda_is_only_mentioned(programs: Path, tmp_path: Path) -> None:
    (absent,) = doctor.check_conda(settings(tmp_path))
    program(programs, "mamba", "echo mamba 2.0")
    (present,) = doctor.check_conda(settings(tmp_path))
    assert (absent.level, present.level) == ("ok", "ok")
    assert "mamba 2.0" in present.text


def test_a_folder_with_locks(tmp_path: Path) -> None:
    assert levels(list(doctor.check_folder(settings(tmp_path)))) == ["ok", "ok"]
    assert list(tmp_path.iterdir()) == [], "the trial leaves nothing"


@pytest.mark.parametrize("kind", ["flock", "lockf"])
def test_locks_that_hold_nobody_out_fail(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"fcntl.{kind}", lambda *_: None)
    found = next(doctor.check_folder(settings(tmp_path)))
    assert found.level == "fail"
    assert f"{kind} does not keep a second process out" in found.text


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", refuse)
    found = list(doctor.check_folder(settings(tmp_path)))
    assert levels(found) == ["fail", "fail"]
    assert "Permission denied" in found[0].text


def with_checkpoint(cfg: Config, where: str, sha256: str | None) -> Config:
    cutouts = cfg.cutouts.model_copy(update={"source": "sam", "checkpoint": where, "sha256": sha256})
    return cfg.model_copy(update={"cutouts": cutouts})


def test_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = settings(tmp_path)
    assert list(doctor.check_weights(cfg)) == [], "a run without models needs none"
    path = tmp_path / "sam.pth"
    path.write_bytes(b"weights")
    digest = sha256_file(path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expected = {
        (str(path), digest): ("ok", "as given"),
        (str(path), None): ("ok", "no sha256 given"),
        (str(path), "0" * 64): ("fail", "has sha256"),
        (str(tmp_path / "absent"), None): ("fail", "no such file"),
        ("https://example.org/sam.pth", None): ("fail", "give its sha256"),
        ("https://example.org/sam.pth", digest): ("warn", "fetched by the first job"),
    }
    for (where, sha256), (level, text) in expected.items():
        (found,) = doctor.check_weights(with_checkpoint(cfg, where, sha256))
        assert found.level == level, where
        assert text in found.text, where


def test_partitions_as_sinfo_prints_them() -> None:
    assert read_partitions(SINFO) == [
        Partition("cpu", True, 172800, 10, 64, 256000, ""),
        Partition("gpu", False, 3600, 4, 32, 515000, "gpu:a100:4(S:0-1)"),
        Partition("long", False, None, 2, 8, 64000, "gpu:v100:2"),
    ]


def test_no_slurm_is_fine(programs: Path, tmp_path: Path) -> None:
    assert levels(list(doctor.check_slurm(settings(tmp_path)))) == ["ok"]


@pytest.mark.parametrize(("cluster_settings", "level"), [({}, "warn"), ({"partition": "cpu"}, "fail")])
def test_a_silent_controller_fails_who_wants_it(
    cluster_settings: dict[str, object], level: str, cluster: Path, tmp_path: Path
) -> None:
    program(cluster, "sinfo", "echo 'Unable to contact slurm controller' >&2; exit 1")
    found = list(doctor.check_slurm(settings(tmp_path, cluster=cluster_settings)))[-1]
    assert found.level == level
    assert "Unable to contact" in found.text


@pytest.mark.parametrize(
    ("cluster_settings", "train", "text"),
    [
        ({"partition": "cup"}, {}, "no partition cup (did you mean 'cpu'?)"),
        ({"gpu_partition": "gpu"}, {"gpus": 1}, "asks for 720 min, partition gpu allows 60"),
        ({"gpu_partition": "gpu", "max_runtime_min": 60}, {"gpus": 1, "mem_mb": 600000}, "have 515000"),
        ({"partition": "cpu"}, {"gpus": 1}, "partition cpu has none"),
        ({}, {"gpus": 1}, "partition cpu has none"),
        ({"gpu_partition": "long", "gpu_model": "a100"}, {"gpus": 1}, "gpu_model a100 is not in partition long"),
        ({"gpu_partition": "long"}, {"gpus": 4, "nodes": 4}, "asks for 4 machines, partition long has 2"),
    ],
)
def test_a_plan_that_does_not_fit_the_cluster_fails(
    cluster_settings: dict[str, object], train: dict[str, object], text: str, cluster: Path, tmp_path: Path
) -> None:
    found = list(doctor.check_slurm(settings(tmp_path, cluster=cluster_settings, **train)))
    assert [finding for finding in found if finding.level == "fail"], found
    assert any(text in finding.text for finding in found if finding.level == "fail"), found


@pytest.mark.parametrize(
    ("cluster_settings", "train"),
    [
        ({}, {}),
        ({"gpu_partition": "gpu", "max_runtime_min": 60, "gpu_model": "a100"}, {"gpus": 4, "nodes": 4}),
        ({"gpu_partition": "long"}, {"gpus": 2, "runtime_min": 100000}),
    ],
)
def test_a_plan_that_fits_passes(
    cluster_settings: dict[str, object], train: dict[str, object], cluster: Path, tmp_path: Path
) -> None:
    found = list(doctor.check_slurm(settings(tmp_path, cluster=cluster_settings, **train)))
    assert levels(found) == ["ok"] * 3
    assert "a100" in found[1].text


def test_a_cluster_that_forgets_finished_jobs_at_once_fails(cluster: Path, tmp_path: Path) -> None:
    program(cluster, "scontrol", f"printf '{CONFIG.format(age=10)}'")
    found = [finding for finding in doctor.check_slurm(settings(tmp_path)) if finding.level == "fail"]
    assert any("leave squeue after 10 s" in finding.text for finding in found)


def test_the_command_prints_each_finding_and_fails_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(settings(tmp_path).model_dump_json())
    good = Finding("ok", "python", "3.11")
    bad = Finding("fail", "disk", "1 GB free, 2 GB needed", "free some space")
    for checks, status, summary in (((good,), 0, "0 to mend"), ((good, bad), 1, "1 to mend")):
        monkeypatch.setattr(doctor, "CHECKS", (lambda _, checks=checks: iter(checks),))
        assert main(["doctor", "--config", str(path)]) == status
        shown = capsys.readouterr().out
        assert summary in shown
        assert "ok    python    3.11" in shown
        assert ("fix: free some space" in shown) == (status == 1)
