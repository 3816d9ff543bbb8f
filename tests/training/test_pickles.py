"""Nothing is unpickled: no call in the package may let a file run code."""

from __future__ import annotations

import ast
from pathlib import Path

import tryon

PACKAGE = Path(tryon.__file__).parent
UNPICKLERS = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def functions(tree: ast.AST) -> dict[ast.AST, str]:
    """The name of the function that each node is in."""
    named: dict[ast.AST, str] = {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            named.update(dict.fromkeys(ast.walk(function), function.name))
    return named


def risky_calls(source: str) -> list[tuple[str, str]]:
    """Function and call of everything that may unpickle."""
    tree = ast.parse(source)
    inside = functions(tree)
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called = ast.unparse(node.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        is_risky = (
            (called == "torch.load" and options.get("weights_only") != "True")
            or options.get("allow_pickle", "False") != "False"
            or called in ("pandas.read_pickle", "pd.read_pickle")
            or (called.split(".")[0] in UNPICKLERS and node.func.attr in ("load", "loads", "open", "Unpickler"))
        )
        if is_risky:
            found.append((inside.get(node, ""), called))
    return found


def test_no_call_unpickles() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), function)
        for path in PACKAGE.rglob("*.py")
        for function, _ in risky_calls(path.read_text(encoding="utf-8"))
    }
    assert not found


def test_the_search_finds_what_it_looks_for() -> None:
    source = (
        "def f():\n"
        "    torch.load(p)\n"
        "    torch.load(p, weights_only=False)\n"
        "    np.load(p, allow_pickle=True)\n"
        "    pickle.loads(b)\n"
        "    torch.load(p, weights_only=True)\n"
        "    json.load(p)\n"
    )
    assert [called for _, called in risky_calls(source)] == ["torch.load", "torch.load", "np.load", "pickle.loads"]


def test_the_engine_imports_no_unpickler() -> None:
    for path in (PACKAGE / "training").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not names & UNPICKLERS, path.name
