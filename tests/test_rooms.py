"""The house has one direction: a room imports only rooms before it, and nothing imports in a circle.

Run alone: ``pytest tests/test_rooms.py``. Imports inside functions and under ``TYPE_CHECKING`` count like all others.
"""

from __future__ import annotations

import ast
import graphlib
import shutil
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP = ("harness", "editors", "tasks", "results", "site")
INSIDE = ("palimpsest/cli", "palimpsest/api")
ORDER = (
    "harness.errors", "harness.system", "harness.specs", "harness.metrics", "harness.formats", "harness.model",
    "harness.editor", "harness.statistics", "harness.scoring", "harness.abilities", "harness.plugins",
    "harness.diagnostics", "harness.runs", "harness.forecast", "harness.fleet", "harness.depot", "harness.authoring",
    "editors.toolkit", "editors", "tasks",
    "results.reading", "results.records", "results.analysis", "results.submissions", "results.store", "results.nights",
    "results.external",
    "site.jobs", "site.words", "site.source", "site.parts", "site.pages", "site.build", "site.serve",
    "palimpsest.cli", "palimpsest.api",
)  # fmt: skip
"""Every room, from the ground up."""
EDITORS_MAY_USE = {
    "harness.errors", "harness.editor", "harness.model", "harness.statistics", "harness.specs.cases",
    "editors", "editors.toolkit",
}  # fmt: skip
WITHOUT_TORCH = (
    "harness.errors", "harness.system", "harness.specs", "harness.metrics",
    "results.reading", "results.records", "results.analysis", "results.store", "results.nights",
    "results.external", "site",
)  # fmt: skip
"""Rooms whose code never names torch, so that a page is built and a bundle read without it."""


class Arrow(NamedTuple):
    """One import."""

    importer: str
    """Module with its top-level folder in front, as ``harness.runs.run``."""
    imported: str
    line: int


def modules(root: Path) -> dict[str, Path]:
    """Every module of the house under its name, without ``palimpsest.`` in front but for the two rooms inside it."""
    found = {}
    for folder in (*TOP, *INSIDE):
        for path in sorted((root / folder).rglob("*.py")):
            if path.is_relative_to(root / "tasks" / "abilities"):
                continue  # loaded by lm-eval from beside its task files, never imported by us
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports_of(text: str) -> tuple[tuple[str, int], ...]:
    """Every module or name that a source text imports, wherever in it, with its line."""
    found: list[tuple[str, int]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return tuple(found)


def imports(path: Path) -> tuple[tuple[str, int], ...]:
    """Every module or name that a file imports, with its line."""
    return imports_of(path.read_text(encoding="utf-8"))


def arrows_of(importer: str, path: Path, known: Collection[str]) -> list[Arrow]:
    """The imports of one module that lead to another module of the house; an imported name counts as its module."""
    found = []
    for name, line in imports(path):
        if not name.startswith("palimpsest."):
            continue
        short = (
            name
            if name.startswith(tuple(place.replace("/", ".") for place in INSIDE))
            else name.removeprefix("palimpsest.")
        )
        while short and short not in known:
            short = short.rpartition(".")[0]
        if short and short != importer:
            found.append(Arrow(importer, short, line))
    return found


def arrows(root: Path) -> list[Arrow]:
    """All imports between modules of the house."""
    known = modules(root)
    return [arrow for importer, path in known.items() for arrow in arrows_of(importer, path, known)]


@cache
def room(module: str) -> str:
    """The room that a module is in."""
    inside = [name for name in ORDER if module == name or module.startswith(f"{name}.")]
    return max(inside, key=len, default="")


def wrong_arrows(all_arrows: Iterable[Arrow]) -> list[str]:
    """Imports that lead up, editors that know too much, and modules in no room."""
    place = {name: i for i, name in enumerate(ORDER)}
    wrong = []
    for importer, imported, line in all_arrows:
        here, there = room(importer), room(imported)
        what = f"{importer}, line {line}: imports {imported}"
        if {importer, imported} & ({*TOP} - {"editors", "tasks"}):
            wrong += [what] if imported in TOP else []
        elif not here or not there:
            wrong.append(f"{what}, but {importer if not here else imported} is in no room")
        elif place[there] > place[here]:
            wrong.append(f"{what}, and {there} stands above {here}")
        elif here.startswith("editors") and not {there, imported} & EDITORS_MAY_USE:
            wrong.append(f"{what}: editors may use only {', '.join(sorted(EDITORS_MAY_USE))}")
    return wrong


def circle(all_arrows: Iterable[Arrow]) -> list[str]:
    """Modules that import each other in a circle; empty where there is none."""
    graph: dict[str, set[str]] = {}
    for importer, imported, _ in all_arrows:
        graph.setdefault(importer, set()).add(imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_every_arrow_points_to_an_earlier_room() -> None:
    assert not wrong_arrows(arrows(ROOT)), "\n".join(wrong_arrows(arrows(ROOT)))


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not circle(arrows(ROOT)), " -> ".join(circle(arrows(ROOT)))


@pytest.mark.parametrize("path", modules(ROOT).values(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_imported_without_palimpsest_in_front(path: Path) -> None:
    bare = [f"line {line}: {name}" for name, line in imports(path) if name.partition(".")[0] in TOP]
    assert not bare, f"{path.relative_to(ROOT)}, {bare}: a second copy of the module would be made"


@pytest.mark.parametrize("name", [name for name in modules(ROOT) if name.startswith(WITHOUT_TORCH)])
def test_rooms_of_plain_data_never_name_torch(name: str) -> None:
    named = [f"line {line}: {what}" for what, line in imports(modules(ROOT)[name]) if what.split(".")[0] == "torch"]
    assert not named, f"{name}, {named}"


@pytest.mark.parametrize("top", ["harness", "results", "site"])
def test_a_room_has_at_most_fourteen_files(top: str) -> None:
    """Folders of one file per verb or per check may have more."""
    for folder in {path.parent for path in (ROOT / top).rglob("*.py")}:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= 14, f"{folder.relative_to(ROOT)} has {len(files)} files"


def test_no_file_is_longer_than_350_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules(ROOT).values()}
    data = {ROOT / "tasks" / "pocket" / "lexicon.py"}
    assert not {str(path) for path, length in lengths.items() if length > 350 and path not in data}


def test_the_harness_stays_small() -> None:
    """The engine is read by people: 12,500 lines; 1,425 more for many machines, 600 for depots, 250 for GGUF."""
    lines = dict.fromkeys(("harness.fleet", "harness.depot", "harness.formats", "harness"), 0)
    for name, path in modules(ROOT).items():
        if name.startswith("harness"):
            part = next(part for part in lines if name == part or name.startswith(f"{part}."))
            lines[part] += len(path.read_text(encoding="utf-8").splitlines())
    most = {"harness": 12_500, "harness.fleet": 1_425, "harness.depot": 600, "harness.formats": 250}
    assert all(lines[part] <= limit for part, limit in most.items()), lines


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The house, to be spoiled."""
    for folder in (*TOP, "palimpsest"):
        ignore = shutil.ignore_patterns("__pycache__", *([] if folder != "palimpsest" else TOP))
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    return tmp_path


def test_any_arrow_turned_round_is_found(copy: Path) -> None:
    """One arrow of every pair of rooms is turned round in turn, inside a function, where it is easiest to overlook."""
    known, whole = modules(copy), arrows(copy)
    by_rooms = {(room(arrow.importer), room(arrow.imported)): arrow for arrow in whole if arrow.importer not in TOP}
    assert len(by_rooms) > 60
    for (here, there), arrow in by_rooms.items():
        path = known[arrow.imported]
        text = path.read_text(encoding="utf-8")
        back = arrow.importer if arrow.importer.startswith("palimpsest") else f"palimpsest.{arrow.importer}"
        path.write_text(f"{text}\n\ndef _turned() -> None:\n    import {back}\n", encoding="utf-8")
        spoilt = [a for a in whole if a.importer != arrow.imported] + arrows_of(arrow.imported, path, known)
        assert circle(spoilt), f"{arrow.imported} -> {arrow.importer} made no circle"
        path.write_text(text, encoding="utf-8")
        if here != there:
            assert any(arrow.imported in what and arrow.importer in what for what in wrong_arrows(spoilt))


def test_an_import_for_types_alone_counts_too(copy: Path) -> None:
    path = copy / "harness" / "system" / "interrupts.py"
    extra = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from palimpsest.harness.runs.run import Run\n"
    path.write_text(path.read_text(encoding="utf-8") + extra, encoding="utf-8")
    assert any("harness.runs.run" in text for text in wrong_arrows(arrows(copy)))


def test_an_editor_that_reads_tasks_or_runs_is_found(copy: Path) -> None:
    path = copy / "editors" / "memit.py"
    text = path.read_text(encoding="utf-8")
    for stranger in ("palimpsest.harness.runs.run", "palimpsest.harness.system.memory", "palimpsest.tasks.registry"):
        path.write_text(f"{text}\nimport {stranger}\n", encoding="utf-8")
        assert any(stranger.removeprefix("palimpsest.") in found for found in wrong_arrows(arrows(copy))), stranger
