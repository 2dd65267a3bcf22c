"""Data flows one way: a test walks the imports and fails on a wrong arrow, on a cycle and on unsafe calls."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("harness", "editors", "tasks", "results", "site")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
ALLOWED = {
    "editors": {"editors", "harness"},
    "tasks": {"tasks", "harness"},
    "harness": {"harness", "tasks", "editors"},
    "results": {"results", "harness"},
    "site": {"site", "results", "harness"},
}
EDITORS_MAY_USE = {
    "anatomy", "attention_cache", "editor", "errors", "files", "hooks", "model", "requests", "resources", "tokens",
}  # fmt: skip
FORBIDDEN_CALLS = {
    "pickle.load", "pickle.loads", "torch.load", "yaml.load", "eval", "exec", "numpy.load", "np.load", "os.system",
}  # fmt: skip


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("palimpsest.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_only_upstream(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    command_line = path.is_relative_to(ROOT / "harness" / "cli")  # puts everything together
    for name in _imports(path):
        parts = name.split(".")
        target = parts[1]
        if target in PACKAGES and not command_line:
            assert target in ALLOWED[package], f"{path.name} imports {name}"
        if package == "editors" and target == "harness" and len(parts) > 2:
            assert parts[2] in EDITORS_MAY_USE, f"{path.name} imports {name}: editors know nothing of runs"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in FORBIDDEN_CALLS, f"{path.name}, line {node.lineno}"
            for keyword in node.keywords:
                trusted = keyword.arg == "trust_remote_code" and ast.unparse(keyword.value) == "True"
                assert not trusted, f"{path.name}, line {node.lineno}"
