"""docs/editors.md compared with the editors: it has to change when they do."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from palimpsest.editors.toolkit.filtering import Filter
from palimpsest.editors.toolkit.pipeline import TargetConfig
from palimpsest.harness.model.anatomy import detect
from palimpsest.harness.plugins.configuration import load_editor_class
from palimpsest.harness.plugins.entry_points import available_editors
from tests.labs.presets import preset_models
from tests.labs.tiny_models import ARCHITECTURES, random_model

TEXT = (Path(__file__).parents[2] / "docs" / "editors.md").read_text(encoding="utf-8")
BUILT_IN = sorted(entry.name for entry in available_editors() if entry.distribution == "palimpsest-bench")


def section(name: str) -> str:
    """What stands below the heading ``name``, of either size, up to the next heading."""
    found = re.search(rf"^#+ {re.escape(name)}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/editors.md has no heading {name!r}"
    return found.group(1)


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the tables in ``text``, without the heads."""
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells if "---" not in row[0]][1:]


def shown(field: FieldInfo) -> tuple[str, str]:
    """Default and meaning as they should stand in a table."""
    value: Any = field.default
    default = "–" if field.is_required() else json.dumps(list(value) if isinstance(value, tuple) else value)
    return default, " ".join((field.description or "").split())


def documented(name: str) -> dict[str, tuple[str, str]]:
    """Field → default and meaning in a section, and in those that its settings start from."""
    text = section(name)
    line = re.search(r"^Settings:.*$", text, re.MULTILINE)
    bases = re.findall(r"those of (?:`([\w-]+)`|\[(\w+)\])", line.group()) if line else []
    fields: dict[str, tuple[str, str]] = {}
    for base in bases:
        fields |= documented(base[0] or base[1].capitalize())
    own = rows(text[line.start() :] if line else text)
    return fields | {field.strip("`"): (default, meaning) for field, default, meaning in own}


def test_the_settings_of_all_targets_are_those_of_the_code() -> None:
    assert documented("Targets") == {name: shown(field) for name, field in TargetConfig.model_fields.items()}


@pytest.mark.parametrize("name", BUILT_IN)
def test_settings_and_defaults_of_every_editor_are_those_of_the_code(name: str) -> None:
    fields = load_editor_class(name).Config.model_fields
    assert all(field.description for field in fields.values())
    assert documented(name) == {field: shown(info) for field, info in fields.items()}


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_editor_has_idea_equation_differences_and_citation(name: str) -> None:
    text = section(name)
    for part in ("**Idea.**", "Settings:", "**Paper and published code.**", "**Citation.**"):
        assert text.count(part) == 1, f"{name}: {part}"
    assert re.search(r"^    \S", text, re.MULTILINE), f"{name} has no equation"
    cited = re.findall(r"\d{4}\.\d{5}", inspect.getdoc(load_editor_class(name)) or "")
    known = section(re.findall(r"As for `([\w-]+)`", text)[0]) + text if "As for" in text else text
    assert cited and all(number in known for number in cited)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_editor_is_in_the_overview_and_filters_say_their_default_host(name: str) -> None:
    assert [f"[`{name}`](#{name})"] == [row[0] for row in rows(section("The editors")) if f"#{name})" in row[0]]
    cls = load_editor_class(name)
    if issubclass(cls, Filter):
        assert f"Default host: `{cls.default_host}`." in " ".join(section(name).split())


def test_the_architectures_are_those_of_the_tests_with_their_down_projections() -> None:
    table = {row[0].strip("`"): re.findall(r"`(.+?)`", row[1])[0] for row in rows(section("Architectures"))}
    assert table == {name: detect(random_model(name)).down_projection for name in ARCHITECTURES}


def test_models_with_presets_are_named() -> None:
    named = set(re.findall(r"`([\w.-]+)`", section("Presets")))
    assert all(model in named for name in BUILT_IN for model in preset_models(name))
