"""Nothing is unpickled, evaluated or trusted."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("harness", "editors", "tasks", "results", "site")
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
