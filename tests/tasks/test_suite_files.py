"""Suites: strict YAML, all problems together, shipped suites."""

import re
from pathlib import Path

import pytest

from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.model.catalogue import registered_models
from palimpsest.harness.plugins.configuration import resolve_config
from palimpsest.harness.plugins.entry_points import available_editors
from palimpsest.tasks.ability_library import ability_groups, ability_names
from palimpsest.tasks.known import whole_name
from palimpsest.tasks.registry import task_names
from palimpsest.tasks.strict_yaml import parse
from palimpsest.tasks.suite_files import load_suite, suite_names

PRESETS = Path(__file__).resolve().parents[2] / "editors" / "presets"
GOOD = """
model: pocket-llama
task: pocket-counterfact
editors: [memit, {name: ft-l, set: {steps: 5e-1}}]
schedule: {edits: 20, batch_size: 10, checkpoints: [0, 10, 20]}
"""


def test_the_shipped_pocket_suite_is_what_the_readme_promises() -> None:
    suite = load_suite("pocket")
    assert [editor.name for editor in suite.editors] == ["memit", "memit-seq", "alphaedit", "ft-l"]
    assert (suite.models, suite.tasks) == (("pocket-llama",), ("pocket-counterfact",))
    assert suite.schedule.checkpoints == (0, 50, 100, 200, 300, 400, 500)
    assert (suite.schedule.edits, suite.schedule.batch_size) == (500, 50)
    assert suite.abilities.tasks == ("pocket",)


def test_every_shipped_suite_loads_and_is_named_after_its_file() -> None:
    assert set(suite_names()) >= {"pocket", "smoke"}
    assert all(load_suite(name).name == name for name in suite_names())


def test_a_minimal_suite_gets_its_name_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    suite = load_suite(path)
    assert suite.name == "mine"
    assert suite.editors[1].set == {"steps": 0.5}
    assert suite.seeds == (0,)


def test_all_problems_are_told_together_with_file_and_field(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        """
model: pocket-llama
models: [pocket-llama]
tasks: [a, a]
editors: [memit, {name: ft-l, sett: {}}, 3]
schedule: {edits: 1OO, batchsize: 10, batch_size: 0, checkpoints: [0, 5e0, true]}
scorin: {}
abilities: {tasks: pocket, limit: -1}
seeds: [-1]
"""
    )
    with pytest.raises(ConfigError) as caught:
        load_suite(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}, ") for line in lines)
    told = {line.removeprefix(f"{path}, ") for line in lines}
    assert told == {
        "model: stands beside models; give one of the two.",
        'tasks: "a" stands twice.',
        "editors[1].sett: is not a field; did you mean set?",
        "editors[2]: expected fields with values, got 3.",
        'schedule.edits: expected a whole number, got "1OO".',
        "schedule.batch_size: expected a whole number of at least 1, got 0.",
        "schedule.batchsize: is not a field; did you mean batch_size?",
        "schedule.checkpoints[1]: expected a whole number, got 5.0.",
        "schedule.checkpoints[2]: expected a whole number, got true.",
        "scorin: is not a field; did you mean scoring or description?",
        'abilities.tasks: expected a list, got "pocket".',
        "abilities.limit: expected a whole number of at least 1, got -1.",
        "seeds: expected whole numbers from 0 to 9223372036854775807, got [-1].",
    }


@pytest.mark.parametrize(
    ("schedule", "complaint"),
    [
        ("{edits: 20, batch_size: 10, checkpoints: [0, 10]}", "last checkpoint must be the number of edits (20)"),
        ("{edits: 20, batch_size: 10, checkpoints: [0, 15, 20]}", "multiples of the batch size 10, got [15]"),
        ("{edits: 20, batch_size: 10, checkpoints: [10, 0, 20]}", "ascending"),
        ("{edits: 20, batch_size: 10}", "schedule.checkpoints: is missing"),
    ],
)
def test_schedules_that_cannot_be(tmp_path: Path, schedule: str, complaint: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("{edits: 20, batch_size: 10, checkpoints: [0, 10, 20]}", schedule))
    with pytest.raises(ConfigError, match="mine.yaml, schedule") as caught:
        load_suite(path)
    assert complaint in str(caught.value)


def test_unknown_suites_name_the_near_ones() -> None:
    with pytest.raises(UsageError, match="Did you mean 'smoke'.*palimpsest list suites"):
        load_suite("smok")
    with pytest.raises(ConfigError, match="there is no such file"):
        load_suite("nowhere/mine.yaml")


def test_files_that_are_no_suites(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_suite(path)
    path.write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match=r'expected fields such as models.*got \["a", "b"\]'):
        load_suite(path)
    path.write_text("")
    with pytest.raises(ConfigError, match="got null"):
        load_suite(path)


def test_numbers_and_words_are_read_as_people_mean_them() -> None:
    text = "a: 5e-1\nb: 010\nc: no\nd: 1:30\ne: [1, 2.5, 1e5, .5, -3]\nf: ~\ng:\nh: true\ni: 2020-01-01\nj: .inf\n"
    assert parse(text, source="x") == {
        "a": 0.5,
        "b": "010",
        "c": "no",
        "d": "1:30",
        "e": [1, 2.5, 100000.0, 0.5, -3],
        "f": None,
        "g": None,
        "h": True,
        "i": "2020-01-01",
        "j": ".inf",
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 3", 'f.yaml, line 3: not readable as YAML: key "a" stands twice, first on line 1'),
        ("a: [1, 2", "f.yaml, line 1: not readable as YAML"),
        ("a: &x 1\nb: *x", "f.yaml, line 2: aliases"),
        ("1: 2", "f.yaml, line 1: not readable as YAML: expected a plain word as key"),
        ("a: !!python/object/apply:os.system [x]", "f.yaml, line 1: not readable as YAML"),
        ("a: 1\n---\nb: 2", "f.yaml, line 2: not readable as YAML"),
        ("a: \x01", "f.yaml: not readable as YAML"),
        ("[" * 5000 + "]" * 5000, "f.yaml: not readable as YAML"),
    ],
)
def test_unreadable_yaml_says_where(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, source="f.yaml")
    assert str(caught.value).startswith(complaint)


PAPERS = {
    "llama3-counterfact": (2000, 100),
    "llama3-zsre": (2000, 100),
    "gptj-counterfact": (2000, 100),
    "gpt2xl-counterfact": (2000, 100),
    "memit-10000": (10000, 10000),
    "prune-sequential": (2000, 1),
    "deltaedit-3000": (3000, 1),
    "sphere-15000": (15000, 100),
    "sphere-5000": (5000, 100),
    "sphere-plugin-3000": (3000, 100),
    "revive-10000": (10000, 100),
    "revive-20000": (20000, 100),
    "revive-zsre-19086": (19086, 100),
}


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_settings_ship_as_suites(name: str) -> None:
    suite = load_suite(name)
    assert (suite.schedule.edits, suite.schedule.batch_size) == PAPERS[name]
    assert suite.schedule.checkpoints[0] == 0 and suite.schedule.order_seed is None
    assert suite.abilities.tasks == ("glue-lm-eval", "perplexity")


def test_every_name_in_a_shipped_suite_is_known() -> None:
    abilities = set(ability_groups()) | set(ability_names())
    editors = {entry.name for entry in available_editors()}
    for name in suite_names():
        suite = load_suite(name)
        assert set(suite.models) <= set(registered_models()), name
        assert {whole_name(task) for task in suite.tasks} <= set(task_names()), name
        assert set(suite.abilities.tasks) <= abilities, name
        for choice in suite.editors:
            assert set(re.findall(r"[\w-]+", choice.name)) <= editors, f"{name}: {choice.name}"


def test_the_nightly_suite_repeats_three_seeds_in_orders_of_their_own() -> None:
    suite = load_suite("nightly")
    assert suite.seeds == (0, 1, 2) and suite.schedule.order_seed == "run"
    assert set(suite.models) == {"pocket-llama", "pocket-gpt2"}


UNTUNED = ("smollm2",)
"""Suites whose model has no presets yet."""


def test_every_editor_of_a_shipped_suite_has_a_complete_configuration_for_its_models() -> None:
    assert set(UNTUNED) <= set(suite_names())
    for name in suite_names():
        suite = load_suite(name)
        for model in suite.models:
            if name in UNTUNED:
                made = [path.parent.name for path in PRESETS.glob(f"*/{model}.toml")]
                assert not made, f"{model} has presets of {', '.join(made)}: take {name} out of UNTUNED"
                continue
            for choice in suite.editors:
                assert resolve_config(choice.name, model, dict(choice.set)), f"{name}: {choice.name} on {model}"
