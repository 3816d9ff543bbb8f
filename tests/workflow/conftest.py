"""One finished run of the whole chain at tiny sizes, made once and copied by the tests that change something."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from chain import SETTINGS, clone, make, write_settings


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with a rendered folder of photos and nothing made of it yet; read only, see `copy`."""
    tree = clone(tmp_path_factory.mktemp("workflow") / "prepared")
    write_settings(tree, {**SETTINGS, "data": None})
    assert make(tree, "results/data/studio.json") == {"studio": 1}
    (tree / "results" / "data").rename(tree / "photos")
    (tree / "photos" / "studio.json").unlink()
    shutil.rmtree(tree / "results")
    shutil.rmtree(tree / ".snakemake")
    write_settings(tree, SETTINGS)
    return tree


@pytest.fixture(scope="session")
def first_run(prepared: Path) -> tuple[Path, Counter[str]]:
    """A tree in which the whole chain has run undisturbed, and the jobs that ran; read only, see `copy`."""
    tree = prepared.parent / "finished"
    shutil.copytree(prepared, tree, symlinks=True)
    return tree, make(tree)


@pytest.fixture(scope="session")
def finished(first_run: tuple[Path, Counter[str]]) -> Path:
    return first_run[0]


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished tree to change."""
    tree = tmp_path / "tree"
    shutil.copytree(finished, tree, symlinks=True)
    return tree
