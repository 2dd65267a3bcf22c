from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from palimpsest.site.parts.own_code import code_fingerprint, reached
from tests.test_rooms import arrows

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("harness", "editors", "tasks", "results", "site")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("copy")
    for room in ROOMS:
        shutil.copytree(ROOT / room, place / room, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def changed(copy: Path, name: str) -> bool:
    before, path = code_fingerprint("1", copy), copy / name
    content = path.read_bytes()
    path.write_bytes(content + b"\n# changed\n")
    after = code_fingerprint("1", copy)
    path.write_bytes(content)
    return before != after


@pytest.mark.parametrize(
    "name",
    [
        *("harness/authoring/checks.py", "harness/runs/run.py", "harness/forecast/calibration.py"),
        *("harness/scoring/packing.py", "results/submissions/verify.py", "tasks/pocket/train.py"),
    ],
)
def test_pages_are_kept_when_code_changes_that_they_do_not_depend_on(copy: Path, name: str) -> None:
    assert not changed(copy, name)


@pytest.mark.parametrize(
    "name",
    [
        *("site/pages/track.py", "site/templates/track.html", "harness/metrics/definitions.toml"),
        *(
            "editors/memit.py",
            "harness/metrics/probes.py",
            "results/reading/foreign_text.py",
            "results/analysis/ranking.py",
            "results/analysis/published/memit.csv",
        ),
        *("tasks/abilities/groups.toml", "results/store/schema.sql"),
    ],
)
def test_pages_are_made_anew_when_code_changes_that_they_depend_on(copy: Path, name: str) -> None:
    assert changed(copy, name)


def test_every_module_that_the_site_imports_is_reached() -> None:
    graph: dict[str, set[str]] = {}
    for arrow in arrows(ROOT):
        graph.setdefault(arrow.importer, set()).add(arrow.imported)
    left, seen = [name for name in graph if name.startswith("site")], set[str]()
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += graph.get(name, ())
    found = {path.relative_to(ROOT).as_posix() for path in reached((ROOT / "site").rglob("*.py"), ROOT)}
    files = {f"{name.replace('.', '/')}.py" for name in seen}
    assert {file for file in files if (ROOT / file).is_file()} <= found


def test_imports_are_followed_wherever_they_stand(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text("")
    (room / "first.py").write_text("import os\nfrom palimpsest.room import second\n")
    (room / "second.py").write_text("def f():\n    from palimpsest.room.third import name\n")
    (room / "third.py").write_text("import palimpsest.room.first, palimpsest.elsewhere\n")
    (room / "fourth.py").write_text("")
    assert {path.name for path in reached([room / "first.py"], tmp_path)} == {"first.py", "second.py", "third.py"}
