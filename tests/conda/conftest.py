"""The chain run twice at tiny sizes: plainly in this project's venv, and with --use-conda."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import chain
import pytest
from conda_rig import HERE, SETTINGS, Conda, Finished, generator, uv


@pytest.fixture(scope="session")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose subfolder `conda-forge` is a channel with this machine's Python, and pip."""
    if "deb_system" in sysconfig.get_scheme_names():
        pytest.skip(
            "Debian's own Python cannot be moved into a channel; make .venv with one of pyenv, uv or python.org"
        )
    folder = tmp_path_factory.mktemp("channels")
    uv("pip", "install", "--python", sys.executable, "--target", folder / "pip", "pip")
    made = [sys.executable, HERE / "local_channel.py", folder / "conda-forge", folder / "pip"]
    subprocess.run(made, check=True)
    return folder


@pytest.fixture(scope="session")
def conda(channels: Path, tmp_path_factory: pytest.TempPathFactory) -> Conda:
    """A real conda where one is on the PATH, otherwise the stand-in of this folder."""
    folder = tmp_path_factory.mktemp("conda")
    lock = generator().read_lock()
    names = generator().closure(("snakemake",), lock)
    uv("venv", "--python", sys.executable, folder / "driver")
    python = folder / "driver" / "bin" / "python"
    uv("pip", "install", "--python", python, *(f"{name}=={lock[name]}" for name in names))

    own = Path(sys.executable).parent
    path = [entry for entry in os.environ["PATH"].split(os.pathsep) if Path(entry).resolve() != own.resolve()]
    path = [str(python.parent), *path]
    if shutil.which("conda") is not None:
        return Conda(python, os.pathsep.join(path), alias=None)
    subprocess.run([sys.executable, HERE / "conda_stand_in.py", "--install", folder / "base"], check=True)
    return Conda(python, os.pathsep.join([str(folder / "base" / "bin"), *path]), alias=channels.as_uri())


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The chain run in this project's venv; read only."""
    tree = chain.clone(tmp_path_factory.mktemp("plain") / "tree")
    chain.write_settings(tree, SETTINGS)
    return Finished(tree, chain.make(tree))


@pytest.fixture(scope="session")
def in_conda(conda: Conda, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """The chain run with --use-conda; its results are read only."""
    tree = chain.clone(tmp_path_factory.mktemp("in_conda") / "tree")
    chain.write_settings(tree, SETTINGS)
    yield Finished(tree, conda.make(tree))
    shutil.rmtree(tree / ".snakemake" / "conda")  # gigabytes, which pytest would keep for three runs
