"""The shipped hyperparameters for the models of the papers: complete, valid, sourced, and not drifting apart."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from palimpsest.editors import memit
from palimpsest.editors.toolkit.filtering import Filter
from palimpsest.editors.toolkit.pipeline import TargetConfig
from palimpsest.harness.model.catalogue import registered_models
from palimpsest.harness.plugins.configuration import load_editor_class, resolve_config
from palimpsest.harness.plugins.entry_points import available_editors
from palimpsest.harness.specs.composition import HOST
from tests.labs.presets import load_preset, preset_models

MODELS = ("gpt2-xl", "gpt-j-6b", "llama3-8b", "llama3-8b-instruct", "qwen2.5-7b", "qwen2.5-7b-instruct")
BUILT_IN = sorted(entry.name for entry in available_editors() if entry.distribution == "palimpsest-bench")
FAMILY = ("memit", "memit-seq", "alphaedit", "nse", "deltaedit")
FOLDER = Path(memit.__file__).parent / "presets"


def preset(editor: str, model: str) -> dict[str, Any]:
    found = load_preset(editor, model)
    assert found is not None, f"there is no preset of {editor} for {model}"
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("editor", BUILT_IN)
def test_every_editor_has_a_valid_preset_for_every_model_of_the_papers(editor: str, model: str) -> None:
    config = resolve_config(editor, model, {})
    assert {name: config[name] for name in preset(editor, model)} == preset(editor, model)
    written = {*config.get("layers", []), *([config["layer"]] if "layer" in config else [])}
    shape = registered_models()[model].shape
    assert shape is not None and all(0 <= layer < shape.blocks for layer in written)
    if issubclass(load_editor_class(editor), Filter):
        assert config[HOST]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("editor", BUILT_IN)
def test_every_field_is_set_and_every_value_has_its_source_beside_it(editor: str, model: str) -> None:
    config = load_editor_class(editor).Config
    fields = set(config.model_fields) - config.silent
    assert set(preset(editor, model)) == {name for name in fields if (editor, name) != ("sphere", "alpha")}
    lines = (FOLDER / editor / f"{model}.toml").read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if not line.startswith("#")]
    assert len(values) == len(preset(editor, model))
    for line in values:
        value, _, source = line.partition("  # ")
        assert len(tomllib.loads(value)) == 1 and len(source) >= 5, line
    assert lines[0].startswith(f"# {editor} on {model}. ")


@pytest.mark.parametrize("editor", BUILT_IN)
def test_instruct_models_have_the_presets_of_their_base(editor: str) -> None:
    for model in ("llama3-8b", "qwen2.5-7b"):
        assert preset(editor, model) == preset(editor, f"{model}-instruct")


@pytest.mark.parametrize("model", MODELS)
def test_editors_of_one_family_share_layers_and_targets(model: str) -> None:
    memit = preset("memit", model)
    shared = {"layers", *TargetConfig.model_fields}
    for editor in FAMILY:
        assert {name: preset(editor, model)[name] for name in shared} == {name: memit[name] for name in shared}, editor
    assert preset("memit-seq", model) == memit
    assert tuple(memit["layers"]) == registered_models()[model].layers


def test_filters_have_the_same_values_for_all_of_them() -> None:
    for editor in BUILT_IN:
        if issubclass(load_editor_class(editor), Filter):
            assert all(preset(editor, model) == preset(editor, MODELS[0]) for model in MODELS)


def test_every_preset_of_every_editor_fits_its_config() -> None:
    assert sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir()) == BUILT_IN
    for editor in BUILT_IN:
        for model in preset_models(editor):
            load_editor_class(editor).Config(**preset(editor, model))
