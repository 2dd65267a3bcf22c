"""From suites and flags to runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli.flags import Flags, selected, setting
from palimpsest.harness.errors import ConfigError, MissingResource, PalimpsestError, UsageError, unknown_name
from palimpsest.harness.specs.cases import Case, EditRequest, EditTask, Origin
from palimpsest.harness.specs.command import on_command_line
from palimpsest.harness.specs.model_entry import ModelEntry
from palimpsest.harness.specs.planning import Catalog, plan
from palimpsest.harness.specs.run_spec import AbilityRef, EditorRef, ModelRef
from palimpsest.harness.specs.suite import build_suite

EDITORS = ("memit", "ft-l")


def fake_catalog(cases: int = 1000, missing: Sequence[str] = ()) -> Catalog:
    requests = (EditRequest(i, "{} is in", f"P{i}", "Rome", "Oslo") for i in range(cases))
    task = EditTask("facts", "counterfact", tuple(Case(request, ()) for request in requests))

    def model(name: str) -> tuple[ModelRef, ModelEntry]:
        if name in missing:
            raise MissingResource(f"Model {name!r}: its files are gone.")
        fingerprint = name[0] * 64 if name[0] in "abcdef" else "0" * 64
        return ModelRef(name=name, fingerprint=fingerprint), ModelEntry(name, None)

    def load(name: str) -> EditTask:
        if name != "facts":
            raise unknown_name("Task", name, ["facts"], "palimpsest list tasks")
        return task

    def editor(name: str, model_name: str, values: Mapping[str, Any]) -> EditorRef:
        if name not in EDITORS:
            raise unknown_name("Editor", name, EDITORS, "palimpsest list editors")
        return EditorRef(name=name, config={"preset": model_name, **values}, distribution="d", version="1")

    def abilities(names: Sequence[str], limit: int | None) -> tuple[AbilityRef, ...]:
        return tuple(AbilityRef(name=name, content_hash="1" * 64, limit=limit) for name in names)

    return Catalog(model, load, editor, abilities)


def flags(**changes: Any) -> Flags:
    return Flags(**{"model": ["a"], "editor": ["memit"], "task": ["facts"], "edits": 20} | changes)


def test_runs_are_the_product_with_editors_innermost() -> None:
    suite, place = selected(flags(model=["a", "b"], editor=["memit", "ft-l"], seed=[0, 1], abilities=["x"]))
    runs = plan(suite, fake_catalog(), place=place)
    told = [(run.spec.model.name, run.spec.seed, run.spec.editor.name) for run in runs]
    assert told == [(m, s, e) for m in ("a", "b") for s in (0, 1) for e in ("memit", "ft-l")]
    assert len({run.spec.id for run in runs}) == 8
    assert len({run.spec.track_id for run in runs}) == 2
    assert runs[0].spec.abilities == (AbilityRef(name="x", content_hash="1" * 64),)
    assert (runs[0].spec.schedule.batch_size, runs[0].spec.schedule.checkpoints) == (5, (0, 5, 10, 20))


def test_data_that_do_not_ship_bring_their_order_into_the_spec_and_split_no_track() -> None:
    catalog = fake_catalog()
    shipped = catalog.task("facts")
    given = replace(shipped, origin=Origin("facts.jsonl", records=1001, skipped=1))
    turned = replace(given, cases=given.cases[::-1])
    suite, place = selected(flags(seed=[0, 1], order_seed="run"))
    plans = [
        plan(suite, replace(catalog, task=lambda _, task=task: task), place=place) for task in (shipped, given, turned)
    ]
    assert [len({run.spec.track_id for run in runs}) for runs in plans] == [1, 1, 1]
    assert len({runs[0].spec.track_id for runs in plans}) == 3
    refs = [runs[0].spec.task for runs in plans]
    assert [(ref.order_hash, ref.skipped) for ref in refs] == [(None, 0), (given.order_hash, 1), (turned.order_hash, 1)]
    assert not {"order_hash", "skipped"} & set(refs[0].model_dump()), "tasks that ship keep their identity"


def test_all_wrong_names_are_told_together() -> None:
    suite, place = selected(flags(model=["a"], editor=["memitt", "ft-l"], task=["fact"]))
    with pytest.raises(PalimpsestError) as caught:
        plan(suite, fake_catalog(), place=place)
    assert caught.value.exit_code == 2
    assert str(caught.value).splitlines() == [
        "--task: Task 'fact' is not known. Did you mean 'facts'? All: palimpsest list tasks",
        "--editor: Editor 'memitt' is not known. Did you mean 'memit'? All: palimpsest list editors",
    ]


def test_a_wrong_name_in_a_suite_is_told_with_its_place() -> None:
    suite, place = selected(Flags(suite="smoke", model=["a"]))
    with pytest.raises(UsageError, match=r"^suite smoke, tasks\[0\]: Task 'pocket-counterfact' is not known"):
        plan(suite, fake_catalog(), place=place)


def test_a_missing_model_is_a_lack_not_a_wrong_use() -> None:
    suite, place = selected(flags(model=["a", "b"]))
    with pytest.raises(MissingResource, match="(?s)--model: Model 'a'.*--model: Model 'b'"):
        plan(suite, fake_catalog(missing=["a", "b"]), place=place)


def test_more_edits_than_cases() -> None:
    suite, place = selected(flags(edits=2000))
    with pytest.raises(ConfigError, match="'facts' has 1000 cases, but the schedule asks for 2000 edits"):
        plan(suite, fake_catalog(), place=place)


def test_an_editor_s_own_batch_size_makes_another_track_and_must_fit_the_checkpoints() -> None:
    values: dict[str, Any] = {
        "name": "two tracks",
        "models": ["a"],
        "tasks": ["facts"],
        "editors": ["memit", {"name": "memit", "batch_size": 1}],
        "schedule": {"edits": 10, "batch_size": 5, "checkpoints": [0, 5, 10], "order_seed": "run"},
    }
    runs = plan(build_suite(values, place=on_command_line), fake_catalog(), place=on_command_line)
    assert [run.spec.schedule.batch_size for run in runs] == [5, 1]
    assert len({run.spec.track_id for run in runs}) == 2
    values["editors"] = [{"name": "memit", "batch_size": 3}]
    with pytest.raises(ConfigError, match=r"batch_size: checkpoints must be multiples of the batch size 3, got \[5\]"):
        plan(build_suite(values, place=on_command_line), fake_catalog(), place=on_command_line)


def test_flags_change_a_suite() -> None:
    suite, _ = selected(Flags(suite="pocket", editor=["ft-l"], edits=200, sample=7, seed=[3], ability_limit=5))
    assert [editor.name for editor in suite.editors] == ["ft-l"]
    assert suite.schedule.checkpoints == (0, 50, 100, 200)
    assert (suite.scoring.sample, suite.seeds, suite.abilities.limit) == (7, (3,), 5)
    assert suite.abilities.tasks == ("pocket",)
    assert selected(Flags(suite="pocket", abilities=["none"]))[0].abilities.tasks == ()


def test_settings_go_to_all_editors_or_to_the_named_one() -> None:
    suite, _ = selected(flags(editor=["memit", "ft-l"], set=["a=1", "ft-l.steps=[2, 3]", "ft-l.name=x"]))
    assert [editor.set for editor in suite.editors] == [{"a": 1}, {"a": 1, "steps": [2, 3], "name": "x"}]
    with pytest.raises(ConfigError, match="--set rome.a: 'rome' is not among the editors memit"):
        selected(flags(set=["rome.a=1"]))
    with pytest.raises(UsageError, match="--set a is given twice"):
        selected(flags(set=["a=1", "a=2"]))


def test_an_editor_that_a_suite_has_in_two_batch_sizes_is_chosen_in_both() -> None:
    suite, _ = selected(Flags(suite="editors", editor=["alphaedit", "memit"]))
    assert [(choice.name, choice.batch_size) for choice in suite.editors] == [
        ("alphaedit", None),
        ("alphaedit", 1),
        ("memit", None),
    ]


def test_a_batch_size_given_is_that_of_all_editors_of_a_suite() -> None:
    suite, _ = selected(Flags(suite="editors", editor=["alphaedit"], batch_size=10))
    assert [(choice.name, choice.batch_size) for choice in suite.editors] == [("alphaedit", None)]
    whole, _ = selected(Flags(suite="editors", batch_size=10))
    assert (whole.schedule.batch_size, {choice.batch_size for choice in whole.editors}) == (10, {None})
    assert len({choice.name for choice in whole.editors}) == len(whole.editors) == 16


def test_an_editor_chosen_from_a_suite_keeps_its_settings_however_it_is_spelled(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "models: [a]\ntasks: [facts]\neditors: [memit, {name: revive, set: {tau: 0.2}}]\n"
        "schedule: {edits: 2, batch_size: 1, checkpoints: [2]}\n"
    )
    suite, _ = selected(Flags(suite=str(file), editor=["revive( alphaedit )"]))
    assert [editor.set for editor in suite.editors] == [{"tau": 0.2}]
    suite, _ = selected(Flags(suite=str(file), editor=["revive(memit)"]))
    assert [(editor.name, editor.set) for editor in suite.editors] == [("revive(memit)", {})]


def test_settings_reach_hosts_of_filters() -> None:
    settings = ["tau=0.2", "host.ridge=1", "revive(memit).host.steps=3", "host.host.layers=[1]"]
    suite, _ = selected(flags(editor=["revive( memit )", "rect(memit)"], set=settings))
    assert [editor.name for editor in suite.editors] == ["revive(memit)", "rect(memit)"]
    common = {"ridge": 1, "host": {"layers": [1]}}
    assert suite.editors[0].set == {"tau": 0.2, "host": common | {"steps": 3}}
    assert suite.editors[1].set == {"tau": 0.2, "host": common}
    with pytest.raises(ConfigError, match=r"--set memit.tau: 'memit' is not among the editors revive\(memit\)"):
        selected(flags(editor=["revive(memit)"], set=["memit.tau=1"]))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("5e-1", 0.5),
        ("[1,2]", [1, 2]),
        ("true", True),
        ("null", None),
        ("word-1", "word-1"),
        ('"x y"', "x y"),
    ],
)
def test_setting_values(text: str, value: Any) -> None:
    assert setting(f"key={text}") == ("key", value)


@pytest.mark.parametrize("text", ["1OO", "True", "None", "NaN", "-Infinity", "1e999", ".5", "", "[1,", "a b", "0x10"])
def test_setting_values_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--set key="):
        setting(f"key={text}")


@pytest.mark.parametrize("text", ["key", "=1", "a b=1", ""])
def test_settings_without_a_key(text: str) -> None:
    with pytest.raises(UsageError, match="expected key=value"):
        setting(text)


def test_checkpoints() -> None:
    flags = Flags(model=["a"], editor=["b"], task=["facts"], batch_size=50)
    chosen, _ = selected(replace(flags, checkpoints="0, 50,100", edits=100))
    assert chosen.schedule.checkpoints == (0, 50, 100)
    chosen, _ = selected(replace(flags, edits=1000))
    assert chosen.schedule.checkpoints == (0, 50, 100, 150, 250, 500, 1000), "halved five times, at ends of batches"
    chosen, _ = selected(Flags(suite="pocket", edits=120))
    assert chosen.schedule.checkpoints == (0, 50, 100, 120), "a suite's own before the end"
    for wrong in ("0;50", "a", "", "1.5", "-1", "0,,5", "²"):
        with pytest.raises(UsageError, match="--checkpoints: expected whole numbers"):
            selected(replace(flags, checkpoints=wrong, edits=100))


def test_without_a_suite_the_missing_flags_are_named() -> None:
    with pytest.raises(UsageError, match="Missing --editor, --edits"):
        selected(Flags(model=["a"], task=["facts"]))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"edits": 0}, "--edits: expected a whole number of at least 1, got 0."),
        ({"batch_size": -5}, "--batch-size: expected a whole number of at least 1, got -5."),
        ({"sample": 0}, "--sample: expected a whole number of at least 1, got 0."),
        ({"ability_limit": 0}, "--ability-limit: expected a whole number of at least 1, got 0."),
        ({"seed": [-1]}, "--seed: expected whole numbers from 0 to 9223372036854775807, got [-1]."),
        ({"order_seed": -1}, '--order-seed: expected a whole number from 0 to 9223372036854775807, or "run", got -1.'),
        ({"editor": ["memit", "memit"]}, '--editor: "memit" stands twice.'),
        ({"checkpoints": "0,10"}, "--edits, --batch-size, --checkpoints: the last checkpoint"),
    ],
)
def test_values_out_of_range_are_told_by_their_flag(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        selected(flags(**changes))
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)


def test_places_on_the_command_line() -> None:
    assert on_command_line(("schedule", "checkpoints", 1)) == "--checkpoints"
    assert on_command_line(("editors", 0, "name")) == "--editor"
