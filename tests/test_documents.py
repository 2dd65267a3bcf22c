"""Documents and docstrings lead somewhere: every link, path and dotted name in them exists, and the house is whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_rooms import INSIDE, ORDER, ROOT, modules

DOCUMENTS = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING"))]
MADE = ("results/submissions", "results/ledger.jsonl", "site/index.html")
"""Places that appear with use."""
ROOMS = [name for name in ORDER if (ROOT / name.replace(".", "/")).exists() or name in modules(ROOT)]
"""Those of the order of imports that have files."""
_PATH = re.compile(r"`((?:harness|editors|tasks|results|site|tests|palimpsest|benchmarks|docs)/[\w./-]*)`")
_DOTTED = re.compile(r"(?<![\w./-])((?:palimpsest\.)?(?:harness|editors|tasks|results|site)\.[a-z_]\w*(?:\.\w+)*)")


def ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(text: str) -> set[str]:
    """The anchors that headings of a Markdown text get."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def defined(path: Path) -> set[str]:
    """Names that a module defines or imports at its top, and those inside its classes."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return names


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module, a package, or something that one defines."""
    parts = dotted.removeprefix("palimpsest.").split(".")
    for length in range(len(parts), 0, -1):
        place, rest = ROOT.joinpath(*parts[:length]), parts[length:]
        if place.with_suffix(".py").is_file():
            return set(rest) <= defined(place.with_suffix(".py"))
        if place.is_dir():
            return not rest
    return False


def docstrings(path: Path) -> Iterator[str]:
    """Every text in a module that stands alone as a statement."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_every_link_of_a_document_leads_to_a_file_and_a_heading(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        path = document.parent / file if file else document
        assert path.exists(), f"{target}: no such file"
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), f"{target}: no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_every_path_and_module_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = [path for path in _PATH.findall(text) if not path.startswith(MADE)]
    assert not [path for path in paths if not (ROOT / path).exists()]
    spans = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^(?: {4}|from ).*$", text, re.M)
    named = {name for span in spans for name in _DOTTED.findall(span)}
    files = (".py", ".toml", ".md", ".yaml", ".duckdb", ".html", ".txt")
    assert not [name for name in named if not name.endswith(files) and not exists(name)]


def test_every_module_that_a_docstring_names_exists() -> None:
    wrong = []
    for module, path in modules(ROOT).items():
        for text in docstrings(path):
            named = {name for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text) for name in _DOTTED.findall(span)}
            wrong += [f"{module}: {name}" for name in sorted(named) if not exists(name)]
    assert not wrong


def test_every_room_is_in_the_table_of_the_architecture_in_the_order_of_imports() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (`.+?`) \|", text, re.M)
    named = [name.rstrip("/").removesuffix(".py") for row in table for name in re.findall(r"`([\w./]+)`", row)]
    rooms = [name.replace(".", "/") for name in ROOMS]
    whole = [room for room in rooms if not room.startswith(("results/", "site/", "palimpsest/"))]
    assert named == [*whole, "results", "site", *INSIDE]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_tree_shows_every_room_of_the_harness_in_the_order_of_imports(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    (tree,) = re.findall(r"^```\n(harness/.*?)^```$", text, re.M | re.S)
    rooms = [room.removeprefix("harness.") for room in ROOMS if room.startswith("harness.")]
    words = re.findall(r"[a-z]+", tree[: tree.index("\neditors/")])
    assert [word for word in words if word in rooms] == rooms
    assert len(tree.splitlines()) <= 15


DIALECT = re.compile(r"(What|Whether|Who|Whose|Whom|Which|How|When|Why|Those|Of|Where|Is)\b")


def test_docstrings_begin_with_a_noun_or_an_imperative() -> None:
    """An index of them is readable: never "What became of it", but "Outcome of the run"."""
    files = [*modules(ROOT).values(), *(ROOT / "benchmarks").glob("*.py")]
    texts = [(path.relative_to(ROOT), text) for path in files for text in docstrings(path)]
    wrong = [f"{path}: {text.splitlines()[0]}" for path, text in texts if DIALECT.match(text)]
    assert not wrong
