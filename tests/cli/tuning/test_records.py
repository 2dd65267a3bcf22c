"""Records of tunings and the presets that ship: resumed, of their own identity, and what the trials say."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from palimpsest.cli.tuning import protocol
from palimpsest.cli.tuning.axes import Axis
from palimpsest.cli.tuning.preset_text import preset_text
from palimpsest.cli.tuning.record import FORMAT, Tuning
from palimpsest.cli.tuning.trials import Trial
from palimpsest.harness.model.catalogue import fingerprint, resolve
from palimpsest.harness.plugins.configuration import resolve_config
from palimpsest.tasks.known import find_list, ships, whole_name
from palimpsest.tasks.registry import load_task
from tests.cli.tuning.played import trial

ROOT = Path(__file__).resolve().parents[3]
PRESETS = ROOT / "editors" / "presets"
IDENTITY = {"model": "pocket-gpt2", "task": "t"}


def tuning(
    record: Path, editor: str = "ft-l", *, host: dict[str, Any] | None = None, budget: int = 2, **more: Any
) -> Tuning:
    names = {"ft-l": Axis("norm_constraint", (1e-3, 1e-2), 0), "rect(ft-l)": Axis("kept_share", (0.2, 0.5), 0)}
    return Tuning(editor, [names[editor]], record, budget=budget, edits=100, host=host, identity={**IDENTITY, **more})


def finished(one: Tuning) -> Tuning:
    while one.next is not None:
        one.add(trial(one.next.config, 100.0 * len(one.trials) + 1))
    return one


def test_trials_edit_to_the_length_of_the_track_with_its_checkpoints() -> None:
    suite = yaml.safe_load((ROOT / "tasks" / "suites" / "editors.yaml").read_text(encoding="utf-8"))["schedule"]
    assert (suite["edits"], suite["batch_size"]) == (protocol.EDITS, protocol.BATCH_SIZE)
    assert [0, *protocol.CHECKPOINTS] == suite["checkpoints"]
    split = protocol.horizon(len(load_task("pocket-counterfact-tuning").cases))
    assert split.edits == 484 and split.checkpoints == (50, 150, 300, 484), "the whole split, which is a little shorter"
    assert split.batches()[-1] == (450, 484)
    assert protocol.horizon(2000) == protocol.Horizon(500, 50, (50, 150, 300, 500))


def test_a_record_is_read_back_and_nothing_in_it_is_done_again(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    first = finished(tuning(record))
    again = tuning(record)
    assert again.next is None and again.trials == first.trials and again.chosen == first.chosen
    stored = json.loads(record.read_text())
    assert stored["chosen"] == {"norm_constraint": 0.01} and stored["finished"] is True
    assert stored["axes"]["norm_constraint"] == {"values": [0.001, 0.01], "published": 0.001, "optimum": "edge"}


def test_every_trial_is_recorded_as_soon_as_it_is_done(tmp_path: Path) -> None:
    one = tuning(tmp_path / "record.json")
    assert one.next is not None
    one.add(trial(one.next.config, 7.0))
    assert [found.effective_edits for found in tuning(tmp_path / "record.json").trials] == [7.0]


def test_the_budget_is_in_the_record_and_a_larger_one_goes_on_from_its_trials(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    first = finished(tuning(record, budget=1))
    assert json.loads(record.read_text())["budget"] == 1 and len(first.trials) == 1
    longer = tuning(record, budget=2)
    assert longer.trials == first.trials and longer.next is not None
    finished(longer)
    assert json.loads(record.read_text())["budget"] == 2 and len(longer.trials) == 2


@pytest.mark.parametrize("other", [{"task": "u"}, {"edits": 7}, {"model": "pocket-llama"}])
def test_trials_of_another_split_horizon_or_model_are_not_taken_over(tmp_path: Path, other: dict[str, Any]) -> None:
    record = tmp_path / "record.json"
    finished(tuning(record))
    assert tuning(record, **other).trials == []


def test_records_of_the_first_format_are_made_anew(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"editor": "ft-l", **IDENTITY, "trials": [{"config": {}, "objective": 0.5}]}))
    assert tuning(record).trials == []


def test_filters_are_tuned_around_their_host_and_anew_around_another(tmp_path: Path) -> None:
    record, host = tmp_path / "record.json", resolve_config("ft-l", "pocket-gpt2", {})
    one = finished(tuning(record, "rect(ft-l)", host=host))
    assert one.complete()["host"] == host and "host" not in one.settings()
    assert tuning(record, "rect(ft-l)", host=host).next is None
    changed = tuning(record, "rect(ft-l)", host=host | {"norm_constraint": 0.5})
    assert changed.trials == [] and changed.next is not None


def test_the_preset_has_every_field_and_says_what_was_tuned(tmp_path: Path) -> None:
    one = finished(tuning(tmp_path / "record.json"))
    split = protocol.Horizon(4, 2, (4,))
    text = preset_text("ft-l", "pocket-gpt2", "split", split, {**one.settings(), "unset": None}, one.chosen)
    kept = tomllib.loads(text)
    assert kept == one.settings() and kept["norm_constraint"] == 0.01
    assert [line for line in text.splitlines() if line.endswith("# tuned")] == ["norm_constraint = 0.01  # tuned"]


def fingerprint_of(stored: dict[str, Any]) -> str:
    """The fingerprint of a record's model; of one that does not ship, by the list of what it knows, which does."""
    entry = resolve(stored["model"])
    if entry.folder is not None:
        return fingerprint(entry)
    assert ships(stored["task"]) and stored["task"] != whole_name(stored["task"]), stored["task"]
    facts = find_list(whole_name(stored["task"]), stored["task"].rpartition("-")[2])
    assert facts is not None and facts.model == stored["model"]
    return facts.fingerprint


def test_shipped_presets_are_what_their_recorded_trials_choose() -> None:
    records = sorted(PRESETS.glob("*/*.tuning.json"))
    assert len(records) >= 26
    for record in records:
        stored = json.loads(record.read_text(encoding="utf-8"))
        assert stored["model_fingerprint"] == fingerprint_of(stored), record
        assert stored["task_hash"] == load_task(stored["task"]).content_hash, record
        assert whole_name(stored["task"]) == protocol.split_of(stored["model"]), record
        assert stored["format"] == FORMAT and stored["finished"], record
        made = [Trial.read(one).share(stored["edits"]) for one in stored["trials"]]
        assert sum(made[:-1]) < stored["budget"], record
        chosen = stored["chosen"]
        preset = tomllib.loads(record.with_name(f"{stored['model']}.toml").read_text(encoding="utf-8"))
        assert {name: preset[name] for name in chosen} == chosen
