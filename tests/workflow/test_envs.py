"""The conda environments are generated from the lock and hold every import of the stages that use them."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from chain import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tryon import digests
from tryon.cli import STAGES

ENVS = sorted((ROOT / "envs").glob("*.yaml"))


# Imports inside functions that these stages never call, in modules that they share with others.
NOT_REACHED = {
    "keypoints": {"transformers", "imagen_pytorch"},  # shims.import_imagen
    "evaluate": {"transformers", "imagen_pytorch", "diffusers"},  # methods.make_stage
    "report": {"transformers", "imagen_pytorch", "diffusers"},
}


def pins(path: Path) -> dict[str, str]:
    """Pinned version by package name, of the .yaml and of the script that runs after it."""
    spec = yaml.safe_load(path.read_text())
    (pip,) = [entry["pip"] for entry in spec["dependencies"] if isinstance(entry, dict)]
    script = path.with_suffix(".post-deploy.sh")
    late = re.findall(r"\S+==\S+", script.read_text()) if script.is_file() else []
    requirements = [Requirement(text) for text in (*pip, *late)]
    return {canonicalize_name(found.name): str(found.specifier).removeprefix("==") for found in requirements}


def test_the_files_are_what_the_generator_writes() -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "envs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_every_pin_is_the_locks(path: Path) -> None:
    lock = dict(re.findall(r"^(\S+)==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    lock = {canonicalize_name(name): version for name, version in lock.items()}
    found = pins(path)
    assert found.items() <= lock.items()
    assert len(found) > 10
    spec = yaml.safe_load(path.read_text())
    assert set(spec) == {"channels", "dependencies"}
    assert [entry for entry in spec["dependencies"] if isinstance(entry, str)] == ["python=3.11", "pip"]


def env_of(stage: str) -> Path:
    rule = (ROOT / "workflow" / "rules" / f"{stage}.smk").read_text()
    found = re.search(r'conda:\n\s+"\.\./\.\./(envs/\w+\.yaml)"', rule)
    assert found is not None
    return ROOT / found[1]


@cache
def imports_of(stage: str) -> set[str]:
    """Top-level modules that a stage's code imports anywhere, outside the package and the standard library."""
    queue, seen, found = [STAGES[stage].module], set(), set()
    while queue:
        module = queue.pop()
        if module in seen:
            continue
        seen.add(module)
        path = digests._source(module)
        tree = ast.parse(path.read_text())
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        queue.extend(digests._imports(tree, package))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"tryon", "mmdet", "xtcocotools"}  # the last two: tryon/shims.py


@pytest.mark.parametrize("stage", STAGES)
def test_an_environment_holds_every_import_of_its_stages(stage: str) -> None:
    distributions = importlib.metadata.packages_distributions()
    held = pins(env_of(stage))
    for module in sorted(imports_of(stage) - NOT_REACHED.get(stage, set())):
        names = {canonicalize_name(name) for name in distributions[module]}
        assert names & set(held), f"{stage}: {module} ({names}) is not in {env_of(stage).name}; see envs/generate.py"
