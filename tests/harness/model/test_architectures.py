"""The table of supported architectures: each is tested, and is built as the table and the documentation say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from palimpsest.editors.toolkit.tails import measured_tail
from palimpsest.harness.model.anatomy import detect
from palimpsest.harness.model.architectures import SUPPORTED, is_supported
from tests.labs.post_norm_models import OTHERS, model_of
from tests.labs.tiny_models import ARCHITECTURES, random_model, tiny_model

DOCS = Path(__file__).parents[3] / "docs" / "models.md"


def test_the_architectures_of_the_table_are_those_of_the_tests() -> None:
    assert [random_model(name).config.model_type for name in ARCHITECTURES] == list(SUPPORTED)
    assert not any(is_supported(model_of(name).model) for name in OTHERS)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_table_says_what_is_found_on_a_model(name: str) -> None:
    model = tiny_model(name)
    row = SUPPORTED[model.model.config.model_type]
    assert is_supported(model.model)
    assert detect(model.model).down_projection == row.down_projection
    assert ("norm" if measured_tail(model, 1).normed else "nothing") == row.behind_mlp


def test_the_table_in_the_documentation_is_this_one() -> None:
    section = DOCS.read_text(encoding="utf-8").partition("## Architectures\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \| (.+?) \|$", section, flags=re.MULTILINE)
    assert rows == [(a.title, name, a.down_projection, a.behind_mlp) for name, a in SUPPORTED.items()]
