"""The conda environments are generated from the lock and hold every import of the stages that use them."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from chain import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler import MatchSpec

from tryon import digests, environments
from tryon.cli import STAGES
from tryon.errors import UserError

ENVS = sorted((ROOT / "envs").glob("*.yaml"))
IMAGEN = {"transformers", "imagen_pytorch"}
# Imports inside functions that a stage never calls in this environment, in modules that it shares with others.
NOT_REACHED = {
    ("keypoints", "pose"): IMAGEN,  # shims.import_imagen
    ("train", "training"): IMAGEN,  # the networks of the other kinds; tests/conda trains and samples in both
    ("sample", "training"): IMAGEN,
    ("evaluate", "evaluation"): IMAGEN | {"diffusers"},  # methods.make_stage
    ("report", "evaluation"): IMAGEN | {"diffusers"},
    ("ablation", "evaluation"): IMAGEN | {"diffusers"},
}
USES = [
    (stage, name)
    for stage in STAGES
    for name in sorted({environments.family(stage), environments.family(stage, ["imagen_sr"])})
]


def pins(path: Path) -> dict[str, str]:
    """Pinned version by package name, of the .yaml and of the script that runs after it."""
    spec = yaml.safe_load(path.read_text())
    (pip,) = [entry["pip"] for entry in spec["dependencies"] if isinstance(entry, dict)]
    script = path.with_suffix(".post-deploy.sh")
    late = re.findall(r"\S+==\S+", script.read_text()) if script.is_file() else []
    requirements = [Requirement(text) for text in (*pip, *late)]
    found = {canonicalize_name(entry.name): str(entry.specifier).removeprefix("==") for entry in requirements}
    if "mmcv-lite" in found:
        found["mmcv"] = found.pop("mmcv-lite")  # the same release without compiled operators
    return found


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


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_a_solver_reads_every_requirement(path: Path) -> None:
    for text in yaml.safe_load(path.read_text())["dependencies"]:
        if isinstance(text, str):
            assert MatchSpec(text).name is not None


def test_every_environment_is_used() -> None:
    assert {path.stem for path in ENVS} == {name for _, name in USES}


@pytest.mark.parametrize("stage", STAGES)
def test_a_rule_names_the_environment_that_is_part_of_its_identity(stage: str) -> None:
    rule = (ROOT / "workflow" / "rules" / f"{stage}.smk").read_text()
    assert f'env=wiring.environment("{stage}"),' in rule
    found = re.search(r"conda:\n\s+(.+)\n", rule)
    assert found is not None
    if stage in environments.FAMILIES:
        assert found[1] == f'"../../envs/{environments.FAMILIES[stage]}.yaml"'
    else:
        assert found[1] == f'wiring.conda("{stage}")'


def test_what_an_environment_asks_for_is_in_its_digest_and_comments_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest() -> str:
        environments._files_digest.cache_clear()
        return environments.environment_digest("keypoints")

    folder = tmp_path / "envs"
    shutil.copytree(ROOT / "envs", folder)
    before = digest()
    monkeypatch.setattr(environments, "FOLDER", folder)
    assert digest() == before, "the same files elsewhere"
    seen = {before}
    for name, text in (
        ("pose.yaml", "      - six==1.0\n"),
        ("pose.post-deploy.sh", "true\n"),
        ("pose.linux-64.pin.txt", "@EXPLICIT\n"),
    ):
        path = folder / name
        present = path.read_text(encoding="utf-8") if path.is_file() else None
        if present is not None:
            path.write_text(f"# a comment\n\n{present}", encoding="utf-8")
        assert digest() in seen
        path.write_text((present or "") + text, encoding="utf-8")
        assert digest() not in seen, f"{name} decides what is installed"
        seen.add(digest())
    (folder / "data.yaml").write_text("", encoding="utf-8")
    assert digest() in seen, "another family's file"
    (folder / "pose.yaml").unlink()
    with pytest.raises(UserError, match=r"pose\.yaml: no such file"):
        digest()


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


@pytest.mark.parametrize(("stage", "name"), USES)
def test_an_environment_holds_every_import_of_its_stages(stage: str, name: str) -> None:
    distributions = importlib.metadata.packages_distributions()
    held = pins(ROOT / "envs" / f"{name}.yaml")
    for module in sorted(imports_of(stage) - NOT_REACHED.get((stage, name), set())):
        names = {canonicalize_name(distribution) for distribution in distributions[module]}
        assert names & set(held), f"{stage}: {module} ({names}) is not in envs/{name}.yaml; see envs/generate.py"
