"""What decides whether finished work is still valid: digests of settings and of code.

A stage's rule carries `config_digest(section)` and `code_digest(module)` as parameters, so Snakemake reruns
it when a setting that shapes its result or a line that computes it changes, and at nothing else: key order,
comments, docstrings, blank lines and machine settings (paths, workers, devices) are not part of either.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

TEMPLATES = "templates"
"""Folder whose files are code of the modules beside it that name it: of a page's, not of the sampler's."""

NUM_HEX = 16  # 64 bits: a clash among a million digests has a chance of 3e-8

# Settings reach a stage as values, which config_digest covers; the schema's own code decides nothing more.
# The command line only carries values from a rule to a stage.
# When and where a job runs shapes no result either; what its environment holds is a part of its own.
NOT_CODE = frozenset(
    {
        "tryon.config",
        "tryon.cli",
        "tryon.errors",
        "tryon.provenance",
        "tryon.environments",
        "tryon.slurm",
        "tryon.leash",
    }
)


def digest(value: Any) -> str:  # noqa: ANN401 (JSON is any)
    """Digest of a JSON-able value, independent of key order."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:NUM_HEX]


def science(value: Any) -> Any:  # noqa: ANN401 (JSON is any)
    """The JSON form of settings without the fields marked as machine settings."""
    if isinstance(value, BaseModel):
        names = sorted(name for name, field in type(value).model_fields.items() if not _is_machine(field))
        return {name: science(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {str(key): science(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [science(item) for item in value]
    return value


def _is_machine(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("machine"))


def config_digest(*sections: Any) -> str:  # noqa: ANN401 (sections and plain values)
    """Digest of the settings that shape a result.

    Args:
        sections: config sections (pydantic models) or plain JSON-able values.
    """
    return digest([science(section) for section in sections])


def code_digest(*modules: str) -> str:
    """Digest of modules and of everything they import from `tryon`, as parsed code.

    Args:
        modules: dotted names such as ``"tryon.prepare.masks"``.
    """
    closure: set[str] = set()
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module in closure or module in NOT_CODE:
            continue
        closure.add(module)
        queue.extend(_module_code(module)[1])
    return digest({module: _module_code(module)[0] for module in sorted(closure)})


@cache
def _module_code(module: str) -> tuple[str, tuple[str, ...]]:
    """A module's code digest and the `tryon` modules that it imports anywhere in its body."""
    path = _source(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imported = tuple(sorted(_imports(tree, package)))
    extras = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted((path.parent / TEMPLATES).glob("*"))
        if file.is_file() and _names(tree, TEMPLATES)
    }
    code = hashlib.sha256(ast.dump(_without_docstrings(tree)).encode("utf-8")).hexdigest()
    return digest([code, extras]), imported


def _names(tree: ast.AST, text: str) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == text for node in ast.walk(tree))


def _source(module: str) -> Path:
    """The file of a module, found from the package's folder without importing anything."""
    root = Path(__file__).parent
    path = root.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imports(tree: ast.AST, package: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(name, package)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    ours = {name for name in found if name.split(".")[0] == "tryon" and _source(name).is_file()}
    # importing a.b.c runs a/__init__ and a.b/__init__ too
    parents = {".".join(name.split(".")[:depth]) for name in ours for depth in range(2, name.count(".") + 1)}
    return ours | {name for name in parents if _source(name).is_file()}


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            constant = first.value if isinstance(first, ast.Expr) else None
            if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                node.body = node.body[1:]
    return tree
