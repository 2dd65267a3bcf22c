"""Models by name: what the registry promises about each entry, and what names lead to."""

import re
from pathlib import Path

import pytest

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.model.catalogue import registered_models, resolve

REAL = {"gpt2-xl", "gpt-j-6b", "llama3-8b", "llama3-8b-instruct", "qwen2.5-7b", "qwen2.5-7b-instruct"}
BLOCKS = {"gpt2-xl": 48, "gpt-j-6b": 28, "llama3-8b": 32, "qwen2.5-7b": 28}


def test_the_papers_models_and_the_other_families_are_registered() -> None:
    names = set(registered_models())
    assert names >= REAL | {"pocket-llama", "pocket-gpt2"}
    for family in ("pythia-", "qwen3-", "gemma"):
        assert any(name.startswith(family) for name in names)


@pytest.mark.parametrize("name", sorted(registered_models()))
def test_an_entry_is_a_folder_a_pinned_package_or_a_hub_model_with_a_full_commit_or_a_note_why_not(name: str) -> None:
    entry = registered_models()[name]
    assert [entry.folder, entry.hub, entry.package].count(None) == 2
    assert entry.dtype in ("float32", "bfloat16", "float16") and entry.description
    if entry.package is not None:
        assert re.fullmatch("[0-9a-f]{64}", entry.package.sha256) and entry.package.licence and entry.shape is not None
    if entry.hub is None:
        return
    assert entry.hub.count("/") == 1 and entry.statistics == "wikipedia" and entry.shape is not None
    assert re.fullmatch("[0-9a-f]{40}", entry.revision or "") or "No revision" in entry.notes
    assert not entry.layers or max(entry.layers) < entry.shape.blocks


def test_sizes_are_those_of_the_papers_models() -> None:
    for name, blocks in BLOCKS.items():
        shape = registered_models()[name].shape
        assert shape is not None and shape.blocks == blocks
    assert registered_models()["llama3-8b"].layers == (4, 5, 6, 7, 8)


def test_any_folder_or_hub_id_is_a_model_too(tmp_path: Path) -> None:
    assert resolve("someone/some-model@abc").revision == "abc"
    (tmp_path / "mine").mkdir()
    with pytest.raises(MissingResource, match=r"no config.json"):
        resolve(str(tmp_path / "mine"))
    (tmp_path / "mine" / "config.json").write_text("{}")
    assert resolve(str(tmp_path / "mine")).name == "mine"
    with pytest.raises(UsageError, match="Did you mean 'llama3-8b'"):
        resolve("lama3-8b")
