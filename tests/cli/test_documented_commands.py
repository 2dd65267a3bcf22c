"""Commands of the documents: each is one that the command line understands, and the cheap ones do what is said."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli import app
from palimpsest.cli.verbs import run as run_verb
from tests.cli.helpers import cli
from tests.test_documents import DOCUMENTS, ids
from tests.test_workflows import parsed

ROOT = Path(__file__).resolve().parents[2]
SKELETON = ROOT / "harness" / "authoring" / "skeleton" / "README.md.txt"
RUN = ("run", "--editor", "memit", "--model", "pocket-gpt2", "--task", "pocket-counterfact", "--edits", "4",
       "--batch-size", "2", "--checkpoints", "0,4", "--sample", "4", "--quiet")  # fmt: skip
COSTLY = {"run", "claims", "check", "tune", "nightly", "stats", "new-editor", "plan", "fleet", "locate"}
"""Verbs that other tests try; here only their words are read."""


def commands(path: Path) -> Iterator[list[str]]:
    """Arguments of each command that stands in a block of its own, ``a && b`` as two."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^ {4}(?:\$ )?((?:\.venv/bin/)?palimpsest .*)$", text, re.M):
        words = shlex.split(line, comments=True)
        for part in " ".join(map(shlex.quote, words)).split(" '&&' "):
            one = shlex.split(part.split(" '>' ")[0].split(" '|' ")[0])
            if one[0].endswith("palimpsest"):
                yield one[1:]


DOCUMENTED = [(path, words) for path in [*DOCUMENTS, SKELETON] for words in commands(path)]


def test_the_commands_are_found() -> None:
    assert len(DOCUMENTED) > 40
    assert {ids(path) for path, _ in DOCUMENTED} >= {"README.md", "docs/submitting.md", "docs/writing-an-editor.md"}


@pytest.mark.parametrize(("path", "words"), DOCUMENTED, ids=[f"{ids(p)}: {' '.join(w)[:60]}" for p, w in DOCUMENTED])
def test_every_documented_command_is_understood(path: Path, words: list[str]) -> None:
    parsed([word for word in words if word not in ("...", "…")])


ELSEWHERE = ("llama3", "my-editor", "$name", "...", "--on slurm", "model.gguf", "smollm2")
"""Models, editors and schedulers that are not here."""
RUNS = [(path, w) for path, w in DOCUMENTED if w[0] == "run" and not any(e in " ".join(w) for e in ELSEWHERE)]


@pytest.mark.parametrize(("path", "words"), RUNS, ids=[f"{ids(p)}: {' '.join(w)[:60]}" for p, w in RUNS])
def test_every_documented_run_says_all_that_a_run_needs(
    path: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []

    def note(planned: Any, *_: Any) -> list[Any]:
        begun.extend(planned)
        return []

    monkeypatch.setattr(run_verb, "carry_out", note)
    code, _, err = cli(*words, home=tmp_path)
    assert code == 0 and begun, err


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one short run in it."""
    folder = tmp_path_factory.mktemp("home")
    code, out, err = cli(*RUN, home=folder)
    assert code == 0, out + err
    return folder


@pytest.mark.parametrize("name", ["README.md", "docs/command-line.md", "docs/store.md", "docs/submitting.md"])
def test_the_cheap_commands_of_a_document_work_one_after_another(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = [path.name for path in (home / "runs").iterdir() if re.fullmatch(r"[0-9a-f]{12}", path.name)]
    shutil.copytree(home, tmp_path / "home")  # without a store, which a document must make before it asks it
    monkeypatch.delenv("PALIMPSEST_SUBMISSIONS")
    monkeypatch.setenv("PALIMPSEST_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    tried = 0
    for words in commands(ROOT / name):
        if words[0] in COSTLY or {"--rerun", "--since"} & set(words):
            continue
        real = [re.sub(r"^RUN$|3f9c\w*|d70dd\w*", run, word) for word in words]
        real = ["4" if before == "--edits" else word for before, word in zip(["", *real], real, strict=False)]
        code, out, err = cli(*real)
        assert code == 0 and (out or err), f"{real}: {code}\n{out}{err}"
        tried += 1
    assert tried >= 2


@pytest.mark.parametrize("what", ["editors", "models", "tasks", "abilities", "suites", "claims", "runs", "metrics"])
def test_every_kind_of_list_that_is_named_works(what: str, home: Path) -> None:
    code, out, _ = cli("list", what, home=home)
    assert code == 0 and len(out.splitlines()) > 1


def test_the_words_of_the_overview_are_those_of_the_verbs() -> None:
    """Every `palimpsest verb` in a span of a document is a verb that exists."""
    for path in DOCUMENTS:
        for verb in re.findall(r"`palimpsest ([a-z][a-z-]*)", path.read_text(encoding="utf-8")):
            assert verb in app.VERBS, f"{ids(path)}: {verb}"
