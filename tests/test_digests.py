"""Digests change with what shapes a result and with nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tryon
from tryon.config import StudioConfig
from tryon.digests import config_digest, digest

PACKAGE = Path(tryon.__file__).parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package that a test may edit."""
    shutil.copytree(PACKAGE, tmp_path / "tryon", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def code_of(tree: Path, module: str) -> str:
    code = f"from tryon.digests import code_digest; print(code_digest({module!r}))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(tree)},
    ).stdout


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_key_order_does_not_matter() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_a_machine_setting_is_not_part_of_it() -> None:
    assert config_digest(StudioConfig(jobs=2)) == config_digest(StudioConfig(jobs=9))
    assert config_digest(StudioConfig(seed=1)) != config_digest(StudioConfig(seed=2))


def test_a_comment_or_docstring_is_not_code(tree: Path) -> None:
    before = code_of(tree, "tryon.images")
    edit(tree / "tryon/images.py", "MAX_PIXELS = 100_000_000  #", "# a comment\n\nMAX_PIXELS = 100_000_000  # also")
    edit(tree / "tryon/images.py", '"""Pictures on disk and in', '"""Photos on disk and in')
    assert code_of(tree, "tryon.images") == before


def test_an_edit_in_an_imported_module_is_code(tree: Path) -> None:
    images, files = code_of(tree, "tryon.images"), code_of(tree, "tryon.files")
    edit(tree / "tryon/ontology.py", '("up", "down", "dress")', '("up", "dress", "down")')
    assert code_of(tree, "tryon.images") != images
    assert code_of(tree, "tryon.files") == files


def test_a_template_is_code_of_the_pages_and_of_nothing_that_computes(tree: Path) -> None:
    pages, sampling = code_of(tree, "tryon.evaluation.report"), code_of(tree, "tryon.evaluation.sample")
    edit(tree / "tryon/evaluation/templates/inspect.html", "inspect.heading", "inspect.title")
    assert code_of(tree, "tryon.evaluation.report") != pages
    assert code_of(tree, "tryon.evaluation.sample") == sampling


def test_the_schema_of_settings_is_not_code(tree: Path) -> None:
    before = code_of(tree, "tryon.studio.studio")
    edit(tree / "tryon/config.py", "num_people: Annotated[int, Field(ge=3)] = 600", "num_people: int = 7")
    assert code_of(tree, "tryon.studio.studio") == before
