"""Nothing that is printed or written holds a secret of the environment, the home folder or the user's name.

Every verb is run once in a home folder with a telling name, on the smallest pocket model, with secrets in the
environment; then all output and all files are searched.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from palimpsest.cli.app import VERBS
from palimpsest.editors.ft import FineTune
from tests.cli.helpers import cli

USER = "canaryuser"
SECRETS = {
    "HF_TOKEN": "hf_canary",
    "AWS_SECRET_ACCESS_KEY": "canary/with+signs",
    "DATABASE_URL": "postgres://me:canarypassword@example.org/db",
    "SESSION": "canary0123456789abcdef0123456789",
}
SMALL = ("--model", "pocket-gpt2", "--task", "pocket-counterfact", "--edits", "4", "--abilities", "none", "--quiet")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of work inside a home folder."""
    home = tmp_path / "home" / USER
    work = home / "work"
    work.mkdir(parents=True)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, USER)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("PALIMPSEST_HOME", raising=False)
    monkeypatch.chdir(work)
    yield work


def searched(text: str, place: Path) -> list[str]:
    """The private words that a text holds."""
    private = (*SECRETS.values(), str(place.parent), USER, "canary")
    return [word for word in private if word in text]


def content(path: Path) -> str:
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pylist())
    return path.read_bytes().decode("utf-8", "replace")


class Told:
    """Runs verbs, and keeps what they print."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.verbs: set[str] = set()
        self.output: list[tuple[str, str]] = []

    def __call__(self, *words: str, code: int | None = 0) -> str:
        self.monkeypatch.setattr(sys, "argv", ["palimpsest", *words])
        ended, out, err = cli(*words)
        assert code is None or ended == code, out + err
        self.verbs.add(words[0])
        self.output.append((" ".join(words[:2]), out + err))
        return out + err


def indiscreet(*_: Any, **__: Any) -> Any:
    raise RuntimeError(f"cannot read {Path.home()}/data with {dict(os.environ)} for {os.environ['USER']}")


def test_no_verb_prints_or_writes_what_is_private(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(monkeypatch)
    home = str(place / ".palimpsest")
    told("run", "--editor", "ft-l", *SMALL, "--home", home)
    with monkeypatch.context() as patched:
        patched.setattr(FineTune, "edit", indiscreet)
        told("run", "--editor", "ft", *SMALL, code=None)
        told("check", "ft", "--only", "C04,C13", "--markdown", code=1)
        told("check", "ft", "--only", "C04", "--json", code=1)
    ended = list(place.glob(".palimpsest/runs/*/result.json"))
    (run,) = [path.parent.name for path in ended if "failed" not in content(path)]
    told("show", run)
    told("list", "runs")
    told("export", run, "--edits", "4", str(place / "exported"))
    told("submit", run, "--out", str(place / "submissions"))
    told("verify", str(place / "submissions" / run))
    told("ledger", "include", str(place / "submissions" / run), code=None)
    told("store", "ingest", "--home", home)
    told("store", "query", "SELECT * FROM runs")
    told("site", "build")
    told("plan", "smoke", "--no-calibration", code=None)
    told("doctor", code=None)
    told("new-editor", "my-own-editor", "--into", str(place))
    told("stats", "pocket-gpt2", "--layers", "0", "--tokens", "500", "--quiet")
    told("probe-spectrum", "pocket-gpt2", "--layers", "0", "--percent", "50", "--ability-limit", "2", "--quiet")
    told("locate", "pocket-gpt2", "--facts", "1", "--draws", "1", "--targets", "1", "--blocks", "1", "--quiet")
    told("pocket", "files", str(place / "world"), code=None)
    told("tune", "ft", "--task", str(place / "not-there.json"), code=2)
    told("nightly", "--suite", str(place / "not-there.yaml"), code=2)
    told("models", "get", str(place / "not-there"), code=2)
    told("tasks", "check", str(place / "not-there.json"), code=4)
    told(
        "table", "--format", "markdown", "--out", str(place / "board.md"), "--bib", str(place / "board.bib"), code=None
    )
    told("figure", "--kind", "headline", "--out", str(place / "figures"), code=None)
    told("presets", "import", str(place / "not-there.yaml"), code=2)
    told("score", str(place / "exported"), "--base", "pocket-gpt2", "--task", "pocket-counterfact", "--edits", "2",
         "--home", home)  # fmt: skip
    told("claims", "--only-verdicts", "--home", home, code=None)
    told("fleet", code=None)
    told("depot", "list", "--depot", f"file://{place}/depot", code=None)
    assert told.verbs == set(VERBS)
    for words, text in told.output:
        assert not searched(text, place), f"{words} prints {searched(text, place)}: {text}"
    files = [path for path in place.rglob("*") if path.is_file()]
    assert len(files) > 50
    for path in files:
        found = searched(content(path), place)
        assert not found, f"{path.relative_to(place)} holds {found}"


def test_check_names_the_variables_that_an_editor_changes_and_none_of_their_values(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = FineTune.edit

    def changing(self: FineTune, batch: Any) -> Any:
        os.environ["TOKENIZERS_PARALLELISM"] = "secret-value-of-the-editor"
        return edit(self, batch)

    monkeypatch.setattr(FineTune, "edit", changing)
    code, out, err = cli("check", "ft", "--only", "C13", "--markdown")
    assert code == 1 and "environment variables changed: TOKENIZERS_PARALLELISM" in out
    assert "secret-value" not in out + err and not searched(out + err, place)


def test_an_error_report_about_a_bug_holds_nothing_private(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.cli.verbs.list.output.table", indiscreet)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    code, out, err = cli("list", "suites")
    assert code == 1 and not searched(out + err, place)
    (report,) = place.glob("palimpsest-error-*.txt")
    assert "RuntimeError" in content(report) and not searched(content(report), place)
