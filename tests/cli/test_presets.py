"""`palimpsest presets import`, and runs with the presets that it writes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli import foreign_hparams
from palimpsest.cli.foreign_hparams import FIELDS, imported
from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.plugins.configuration import load_editor_class
from tests.cli.helpers import cli
from tests.labs.presets import load_preset

MODULES = {
    "rewrite_module_tmp": "model.layers.{}.mlp.down_proj",
    "layer_module_tmp": "model.layers.{}",
    "mlp_module_tmp": "model.layers.{}.mlp",
    "attn_module_tmp": "model.layers.{}.self_attn",
    "ln_f_module": "model.norm",
    "lm_head_module": "lm_head",
}
FAMILY: dict[str, Any] = {
    **MODULES,
    "model_name": "./hugging_cache/llama-3-8b",
    "layers": [4, 5, 6, 7, 8],
    "clamp_norm_factor": 0.75,
    "layer_selection": "all",
    "fact_token": "subject_last",
    "v_num_grad_steps": 25,
    "v_lr": 0.1,
    "v_loss_layer": 31,
    "v_weight_decay": 0.5,
    "kl_factor": 0.0625,
    "mom2_adjustment": True,
    "mom2_update_weight": 15000,
    "mom2_dataset": "wikipedia",
    "mom2_n_samples": 100000,
    "mom2_dtype": "float32",
}
ALPHA = {**FAMILY, "nullspace_threshold": 0.02, "L2": 10}
NSE = {**FAMILY, "alpha": 2.5, "upper_bound": 50, "max_iterations": 3, "neuron_threshold": 1.0}
ROME = {
    **{name: value for name, value in FAMILY.items() if name != "mom2_update_weight"},
    **{"layers": [5], "v_lr": 0.5, "v_weight_decay": 0.001, "clamp_norm_factor": 4, "mom2_adjustment": False},
    "context_template_length_params": [[5, 10], [10, 10]],
}
FT = {**MODULES, "model_name": "Llama3-8B", "layers": [21], "num_steps": 25, "lr": 0.0005, "weight_decay": 0,
      "kl_factor": 0, "norm_constraint": False}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "editor"), [(FAMILY, "memit"), (ALPHA, "alphaedit"), (NSE, "nse"), (ROME, "rome"), (FT, "ft")]
)
def test_a_published_file_becomes_the_values_of_the_shipped_preset(fields: dict[str, Any], editor: str) -> None:
    found = imported(fields)
    assert (found.editor, found.model) == (editor, "llama3-8b")
    shipped = load_preset(editor, "llama3-8b") or {}
    assert {name: tomllib.loads(f"x = {json.dumps(value)}")["x"] for name, value in found.values.items()} == {
        name: shipped[name] for name in found.values
    }
    assert len(found.values) >= 4


@pytest.mark.parametrize("fields", [FAMILY, ALPHA, NSE, ROME, FT], ids=["memit", "alphaedit", "nse", "rome", "ft"])
def test_every_field_is_mapped_or_named_as_unused_with_a_reason(fields: dict[str, Any]) -> None:
    found = imported(fields | {"nonsense": 1})
    assert {*found.sources.values()} | {*found.unused} >= {*fields} - {"mom2_n_samples"}
    assert found.unused["nonsense"] == "not known"
    assert all(len(why) > 10 for field, why in found.unused.items() if field != "nonsense")
    if found.editor != "rome":
        told = imported(fields | {"context_template_length_params": [[5, 10]]}).unused["context_template_length_params"]
        assert "only ROME" in told
    assert not set(found.unused) & {source.split(",")[0] for source in found.sources.values()}


def test_every_mapped_field_is_one_of_the_editors_configuration() -> None:
    for editor, fields in FIELDS.items():
        assert set(fields.values()) <= set(load_editor_class(editor).Config.model_fields), editor


def test_a_box_makes_fine_tuning_ft_l_and_the_objective_says_how_targets_are_read() -> None:
    boxed = {
        **FT,
        "alg_name": "FT",
        "norm_constraint": 0.0005,
        "objective_optimization": "prompt_last",
        "batch_size": 3,
    }
    found = imported(boxed)
    assert found.editor == "ft-l" and found.values["norm_constraint"] == 0.0005
    assert found.values["reference_loss"] is True and found.values["chunk"] == 3
    assert imported({**boxed, "objective_optimization": "target_new"}).values["reference_loss"] is False


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fact_token": "last"}, "fact_token"),
        ({"layer_selection": "random"}, "layer_selection"),
        ({"rewrite_module_tmp": "transformer.h.{}.attn.c_proj"}, "rewrite_module_tmp"),
        ({"layers": [4, 99]}, "blocks 0 to 31"),
        ({"layers": "4"}, "layers"),
        ({"layers": []}, "layers"),
        ({"v_lr": "fast"}, "target_learning_rate"),
        ({"v_lr": -1}, "target_learning_rate"),
        ({"mom2_n_samples": "many"}, "mom2_n_samples"),
        ({"mom2_n_samples": True}, "mom2_n_samples"),
    ],
)
def test_what_is_not_done_here_is_refused_by_its_field(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        imported({**ALPHA, **change})


def test_several_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        imported({**NSE, "fact_token": "last", "max_iterations": 1})
    assert "fact_token" in str(raised.value) and "max_iterations" in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({**FAMILY, "alg_name": "GRACE"}, "GRACE"),
        ({"layers": [1], "model_name": "gpt2-xl"}, "--editor"),
        ({**FAMILY, "model_name": "baichuan-7b"}, "--model"),
        ({name: value for name, value in FAMILY.items() if name != "model_name"}, "--model"),
    ],
)
def test_what_a_file_does_not_say_is_asked_for(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        imported(fields)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", "{", "JSON"),
        ("a.json", '{"layers": [1], "layers": [2]}', "layers"),
        ("a.yaml", "layers: [1]\nlayers: [2]\n", "twice"),
        ("a.yaml", "a: &x [1]\nb: *x\n", "aliases"),
        ("a.yaml", "!!python/object/apply:os.system ['true']", "YAML"),
        ("a.yaml", "", "fields"),
        ("a.json", "[1]", "fields"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        foreign_hparams.read(tmp_path / name)


def test_a_yaml_file_becomes_a_preset_that_a_run_takes(tmp_path: Path) -> None:
    lines = ['alg_name: "MEMIT"', "model_name: pocket-gpt2", "layers: [0]", "v_lr: 5e-1", "v_num_grad_steps: 2",
             "mom2_update_weight: 2000", "mom2_n_samples: 20", "#comment", "device: 0"]  # fmt: skip
    (tmp_path / "mine\n.yaml").write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "presets"
    code, told, notes = cli("presets", "import", str(tmp_path / "mine\n.yaml"), "--out", str(out), home=tmp_path)
    assert code == 0, notes
    preset = out / "memit" / "pocket-gpt2.toml"
    assert told.strip() == str(preset) and "device is not used" in notes and "v_lr is target_learning_rate" in notes
    assert tomllib.loads(preset.read_text(encoding="utf-8"))["second_moment_weight"] == 2000.0
    assert f"--preset memit={preset}" in notes
    again = cli("presets", "import", str(tmp_path / "mine\n.yaml"), "--out", str(out), "--json", home=tmp_path)
    assert again[0] == 0 and json.loads(again[1])["values"]["layers"] == [0]
    preset.write_text("layers = [1]\n", encoding="utf-8")
    assert cli("presets", "import", str(tmp_path / "mine\n.yaml"), "--out", str(out), home=tmp_path)[0] == 2


def run_words(preset: Path, *more: str) -> tuple[str, ...]:
    return ("run", "--editor", "memit", "--model", "pocket-gpt2", "--task", "pocket-counterfact", "--edits", "2",
            "--batch-size", "2", "--checkpoints", "0,2", "--sample", "2", "--abilities", "none", "--quiet",
            "--preset", f"memit={preset}", *more)  # fmt: skip


def test_a_run_has_the_values_of_the_preset_and_over_them_those_of_set(tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text("layers = [0]\nkl_factor = 0.5\ntarget_steps = 2\n", encoding="utf-8")
    code, out, err = cli(*run_words(preset, "--set", "target_steps=3"), home=tmp_path)
    assert code == 0, out + err
    (spec,) = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "runs").glob("*/spec.json")]
    config = spec["editor"]["config"]
    assert (config["kl_factor"], config["target_steps"]) == (0.5, 3)


@pytest.mark.parametrize(
    ("word", "told"),
    [("memit", "EDITOR=FILE"), ("memit=", "EDITOR=FILE"), ("memit=none.toml", "No such file"), ("rome=FILE", "rome"),
     ("memit=BAD", "TOML"), ("memit=ODD", "nonsense")],
)  # fmt: skip
def test_a_wrong_preset_is_told(tmp_path: Path, word: str, told: str) -> None:
    for name, text in (("FILE", "layers = [0]\n"), ("BAD", "layers ="), ("ODD", "nonsense = 1\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        word = word.replace(name, str(tmp_path / name))
    words = list(run_words(tmp_path))
    words[-1] = word
    code, _, err = cli(*words, home=tmp_path)
    assert code in (1, 2) and told in err, err
