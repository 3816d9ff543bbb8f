"""The stand-in itself: it refuses what it does not know, and hands over to mamba or micromamba."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import conda_stand_in
import pytest

pytestmark = pytest.mark.conda


def conda(base: Path, *arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, conda_stand_in.__file__, str(base), *arguments]
    return subprocess.run(program, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments", [("install", "six"), ("env", "create", "--name", "x"), ("create", "--file", "x.pin.txt")]
)
def test_what_it_does_not_know_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = conda(tmp_path, *arguments)
    assert ran.returncode != 0
    assert ran.stdout == ""
    assert ran.stderr != ""


def test_an_unknown_part_of_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("channels: []\ndependencies: []\nvariables: {A: 1}\n", encoding="utf-8")
    ran = conda(tmp_path, "env", "create", "--file", str(file), "--prefix", str(tmp_path / "env"))
    assert ran.returncode != 0
    assert "variables" in ran.stderr


@pytest.mark.parametrize("tool", ["micromamba", "mamba"])
def test_a_mamba_on_the_path_makes_the_environment(tmp_path: Path, tool: str) -> None:
    recorder = tmp_path / "bin" / tool
    recorder.parent.mkdir()
    recorder.write_text('#!/bin/sh\necho "$@" > "$0.called"\n', encoding="utf-8")
    recorder.chmod(0o755)
    called = conda(
        *(tmp_path, "env", "create", "--quiet", "--no-default-packages", "--file", "f.yaml", "--prefix", "p"),
        path=f"{recorder.parent}:/usr/bin:/bin",
    )
    assert called.returncode == 0, called.stderr
    assert recorder.with_suffix(".called").read_text() == "create --yes --prefix p --file f.yaml\n"
