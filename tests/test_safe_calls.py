"""Nothing is unpickled, evaluated or trusted."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("harness", "editors", "tasks", "results", "site", "palimpsest/cli")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FORBIDDEN_CALLS = {
    "pickle.load", "pickle.loads", "torch.load", "yaml.load", "eval", "exec", "numpy.load", "np.load", "os.system",
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in FORBIDDEN_CALLS, f"{path.name}, line {node.lineno}"
            for keyword in node.keywords:
                trusted = keyword.arg == "trust_remote_code" and ast.unparse(keyword.value) == "True"
                assert not trusted, f"{path.name}, line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_needs_what_only_unix_has(path: Path) -> None:
    """``fcntl`` and ``resource`` are never imported at a file's top."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {"fcntl", "resource"} & set(names), f"{path.name}, line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_children_are_started_in_one_place(path: Path) -> None:
    """Everything else goes through `harness.system.child`, which keeps the current folder and secrets out of them."""
    if path == ROOT / "harness" / "system" / "child.py":
        return
    starters = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_output", "os.popen"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in starters, f"{path.name}, line {node.lineno}"
