"""One stage = one rule file = one rule = one module = one command = one test file = one config section.

And the direction of imports: what a layer may import, and that the Snakefile imports nothing heavy.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from chain import ROOT

from tryon.cli import STAGES
from tryon.config import Config

RULES = ROOT / "workflow" / "rules"
ORDER = ["input", "output", "log", "benchmark", "params", "threads", "resources", "conda", "shell"]
# Part of the package -> layer; a module imports its own layer and those below.
CORE = [
    "errors",
    "files",
    "digests",
    "config",
    "environments",
    "ontology",
    "images",
    "geometry",
    "items",
    "weights",
    "variants",
]
LAYERS = {
    **dict.fromkeys([*CORE, "provenance", "shims", "leash", "slurm", "slurm_watch", "runs", "gpus"], 0),
    **dict.fromkeys(["studio", "dataset", "prepare", "diffusion", "methods", "packed", "keypoints"], 1),
    **dict.fromkeys(["training", "evaluation", "export", "fit", "check", "doctor", "status", "gc", "plan"], 2),
    **dict.fromkeys(["cli", "workflow", "launch"], 3),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_found_by_its_name(stage: str) -> None:
    module = STAGES[stage].module
    source = ROOT / Path(*module.split(".")).with_suffix(".py")
    assert source.stem == stage, "the module has the stage's name"
    defined = {node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert {"add_arguments", "run"} <= defined, "the module is a command"

    rules = (RULES / f"{stage}.smk").read_text()
    assert re.findall(r"^(?:rule|checkpoint) (\w+):", rules, re.MULTILINE) == [stage], "one rule per file"
    assert f"{{params.tryon}} {stage} " in rules, "the rule calls the command of its name"
    assert f'code=wiring.code("{stage}")' in rules, "the rule carries its own code's digest"
    log = re.search(r"log:\n\s+\"<results>/logs/([a-z]+)", rules)
    assert log is not None
    assert log[1] == stage, "logs are found by the stage's name"

    tests = ROOT / "tests" / source.relative_to(ROOT / "tryon").parent / f"test_{stage}.py"
    assert tests.is_file(), f"{tests} is missing"
    assert "def test_" in tests.read_text()

    section = {"train": "stages", "ablation": "ablations"}.get(stage, stage)
    assert section in Config.model_fields, "settings have the stage's name"


@pytest.mark.parametrize("stage", STAGES)
def test_directives_stand_in_the_house_order(stage: str) -> None:
    found = re.findall(r"^    (\w+):", (RULES / f"{stage}.smk").read_text(), re.MULTILINE)
    assert found == [directive for directive in ORDER if directive in found]
    assert set(ORDER) - set(found) <= {"input"}, "only a source has no input"


def test_every_rule_file_is_a_stage_and_is_included() -> None:
    snakefile = (ROOT / "workflow" / "Snakefile").read_text()
    assert {path.stem for path in RULES.glob("*.smk")} == set(STAGES)
    assert re.findall(r'^include: "rules/(\w+)\.smk"', snakefile, re.MULTILINE) == list(STAGES)


def modules() -> list[Path]:
    return sorted((ROOT / "tryon").rglob("*.py"))


def part(name: str) -> str | None:
    """The part of the package that a dotted name belongs to."""
    pieces = name.split(".")
    return pieces[1] if pieces[0] == "tryon" and len(pieces) > 1 and pieces[1] in LAYERS else None


def imported_parts(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {part(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {part(node.module or "")} | {part(f"{node.module}.{alias.name}") for alias in node.names}
    return {name for name in found if name}


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_one_way(path: Path) -> None:
    own = path.relative_to(ROOT / "tryon").with_suffix("").parts[0]
    if own == "__init__":
        assert imported_parts(path) == set()
        return
    assert own in LAYERS, f"{own} has no layer: place it in LAYERS"
    upward = {name for name in imported_parts(path) if LAYERS[name] > LAYERS[own]}
    assert not upward, f"{path.relative_to(ROOT)} imports {sorted(upward)}, which stand above {own}"


def test_what_the_snakefile_imports_is_light() -> None:
    """Every job of a cluster imports it again."""
    code = "import sys, tryon.workflow; print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "pandas", "cv2", "pyarrow", "PIL", "skia"}
    assert not heavy & set(ran.stdout.split())


def test_rules_hold_wiring_only() -> None:
    for path in (*(ROOT / "workflow").rglob("*.smk"), ROOT / "workflow" / "Snakefile", ROOT / "Snakefile"):
        text = path.read_text()
        assert not re.search(r"^\s*(def|run:|script:|lambda)\b", text, re.MULTILINE), path
        assert "ancient(" not in text, f"{path}: ancient() on a made file hides changes"
