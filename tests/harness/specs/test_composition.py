"""Compositions as texts, and as classes and configurations."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.cli.wiring import installed_catalog
from palimpsest.harness.errors import ConfigError, EditorError, UsageError
from palimpsest.harness.plugins import configuration
from palimpsest.harness.plugins.compositions import canonical_name
from palimpsest.harness.specs.composition import DEEPEST, parse, spell
from palimpsest.tasks.suite_files import load_suite

MODULE = """
from palimpsest.editors.toolkit.filtering import Filter
from palimpsest.harness.editor import Editor, EditorConfig, EditReport
class Halving(Filter):
    default_host = "rect(ft-l)"
    class Config(EditorConfig):
        factor: float = 0.5
class Circle(Filter):
    default_host = "lab-circle"
    Config = EditorConfig
"""
MEMIT = {"layers": [0], "target_learning_rate": 0.1, "second_moment_weight": 5.0}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with filters of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lab_filters_module.py").write_text(MODULE)
    monkeypatch.delitem(sys.modules, "lab_filters_module", raising=False)
    folder = tmp_path / "lab_filters-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-filters\nVersion: 1.2\n")
    points = "[palimpsest.editors]\nhalving = lab_filters_module:Halving\nlab-circle = lab_filters_module:Circle\n"
    (folder / "entry_points.txt").write_text(points)


@given(st.lists(st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,8}", fullmatch=True), min_size=1, max_size=DEEPEST))
def test_what_is_spelled_is_parsed(names: list[str]) -> None:
    assert parse(spell(names)) == tuple(names)
    assert parse(" " + spell(names).replace("(", " ( ").replace(")", " ) ")) == tuple(names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the name of an editor at character 1, found the end"),
        ("revive(", "expected the name of an editor at character 8, found the end"),
        ("revive()", r"expected the name of an editor at character 8, found '\)'"),
        ("(memit)", r"expected the name of an editor at character 1, found '\('"),
        ("revive(memit", "expected a closing parenthesis at character 13, found the end"),
        ("revive(memit rect)", "expected a closing parenthesis at character 14, found 'r'"),
        ("revive(memit))", r"expected nothing more at character 14, found '\)'"),
        ("revive memit", "expected nothing more at character 8, found 'm'"),
        ("revive(memit, ft)", "expected a closing parenthesis at character 13, found ','"),
        ("(".join("abcdefghi") + ")" * 8, f"more than {DEEPEST} editors inside each other"),
    ],
)
def test_misread_texts_point_at_the_place(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("memit", "memit"),
        ("prune", "prune(memit)"),
        ("rect", "rect(memit)"),
        ("sphere", "sphere(alphaedit)"),
        ("revive", "revive(alphaedit)"),
        (" revive ( rect ) ", "revive(rect(memit))"),
        ("revive(rect(memit-seq))", "revive(rect(memit-seq))"),
    ],
)
def test_canonical_names_are_complete(text: str, name: str) -> None:
    assert canonical_name(text) == name
    assert canonical_name(name) == name


def test_wrong_parts_are_told() -> None:
    with pytest.raises(UsageError, match=r"'memti' is not known. Did you mean 'memit'.*part of 'revive\(memti\)'"):
        canonical_name("revive(memti)")
    with pytest.raises(UsageError, match="'memit' takes no host, only filters do"):
        canonical_name("memit(alphaedit)")


def test_filters_of_others_bring_their_own_default_host(lab: None) -> None:
    assert canonical_name("halving") == "halving(rect(ft-l))"
    entry = configuration.find_editor("halving(rect(ft-l))")
    assert entry.distribution.split(" + ")[0] == "lab-filters" and "palimpsest-bench" in entry.distribution
    assert entry.version.split(" + ")[0] == "1.2"
    assert configuration.find_editor("revive(rect(memit))").distribution == "palimpsest-bench"
    with pytest.raises(EditorError, match="default hosts lead to more than"):
        canonical_name("lab-circle")


def test_presets_of_all_parts_and_nested_overrides() -> None:
    config = configuration.resolve_config(
        "revive(rect(memit))", "pocket-llama", {"tau": "0.2", "host": {"kept_share": 0.3, "host": {"target_steps": 7}}}
    )
    assert config["tau"] == 0.2 and config["host"]["kept_share"] == 0.3
    assert config["host"]["host"] == configuration.resolve_config("memit", "pocket-llama", {"target_steps": 7})
    editor: Any = configuration.build_editor("revive(rect(memit))", config)
    assert [type(part).__name__ for part in (editor, editor.host, editor.host.host)] == ["Revive", "Rect", "Memit"]
    assert editor.config.tau == 0.2 and editor.host.host.config.target_steps == 7
    assert configuration.without_host("revive(rect(memit))", config)[1] == config["host"]
    assert configuration.without_host("memit", {"layers": [1]}) == ({"layers": [1]}, None)


def test_a_filter_needs_no_preset_but_its_host_does() -> None:
    config = configuration.resolve_config("revive(memit)", "nobody", {"host": MEMIT})
    assert config["tau"] == 0.1
    with pytest.raises(ConfigError) as caught:
        configuration.resolve_config("revive(memit)", "nobody", {"taus": 0.1, "host": {"layers": [0], "layer": 3}})
    told = str(caught.value)
    assert "revive(memit).taus: is not a field; did you mean tau?" in told
    assert "revive(memit).host.second_moment_weight: is missing" in told
    assert "revive(memit).host.layer: is not a field; did you mean layers" in told
    assert "There is no preset of memit for nobody" in told
    with pytest.raises(ConfigError, match=r"revive\(memit\)\.host: expected fields with values, got 3"):
        configuration.resolve_config("revive(memit)", "nobody", {"host": 3})


def test_plans_hold_the_canonical_name_and_the_nested_configuration() -> None:
    ref = installed_catalog().editor("revive( memit )", "pocket-llama", {"tau": 0.2, "host": {"target_steps": 3}})
    assert (ref.name, ref.distribution) == ("revive(memit)", "palimpsest-bench")
    assert ref.config["tau"] == 0.2 and ref.config["host"]["target_steps"] == 3  # type: ignore[index,call-overload]


def test_suites_hold_compositions(tmp_path: Path, write: Callable[[str], Path]) -> None:
    suite = load_suite(write('["revive( memit )", {name: "rect(memit)", set: {kept_share: 0.2, host: {ridge: 1}}}]'))
    assert [choice.name for choice in suite.editors] == ["revive(memit)", "rect(memit)"]
    assert suite.editors[1].set == {"kept_share": 0.2, "host": {"ridge": 1}}
    with pytest.raises(ConfigError, match=r"editors\[0\]\.name: Editor 'revive\(memit': expected a closing"):
        load_suite(write('["revive(memit"]'))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def suite(editors: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(
            f"model: m\ntask: t\neditors: {editors}\nschedule: {{edits: 2, batch_size: 1, checkpoints: [2]}}"
        )
        return path

    return suite
