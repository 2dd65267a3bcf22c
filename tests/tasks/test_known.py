"""Lists of known facts: what they leave of a task, where they are found, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.model.catalogue import fingerprint, registered_models
from palimpsest.harness.specs.cases import EditTask
from palimpsest.tasks import known
from palimpsest.tasks.known import KnownFacts
from palimpsest.tasks.registry import data_files, is_made_here, load_task

FINGERPRINT = "0123456789ab" + "c" * 52


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PALIMPSEST_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def task() -> EditTask:
    return load_task("pocket-counterfact")


def facts_of(task: EditTask, **changed: object) -> KnownFacts:
    first, second = (case.request.case_id for case in task.cases[1:3])
    return KnownFacts.model_validate(
        {
            "task": task.name, "content_hash": task.content_hash, "model": "some-model", "fingerprint": FINGERPRINT,
            "version": "0", "cases": ((first, (1,), (0, 3)), (second, (), ())), **changed,
        }
    )  # fmt: skip


def test_only_listed_requests_stay_with_their_known_probes_numbered_without_gaps(task: EditTask) -> None:
    left = known.restricted(task, facts_of(task))
    assert [case.request for case in left.cases] == [case.request for case in task.cases[1:3]]
    kinds = [[(p.kind, p.index) for p in case.probes if p.kind in known.SIFTED] for case in left.cases]
    assert kinds == [[("paraphrase", 0), ("neighborhood", 0), ("neighborhood", 1)], []]
    places = {"paraphrase": (1,), "neighborhood": (0, 3)}
    wanted = [p.prompt for p in task.cases[1].probes if p.index in places.get(p.kind, ())]
    assert [p.prompt for p in left.cases[0].probes if p.kind in known.SIFTED] == wanted
    for whole, part in zip(task.cases[1:3], left.cases, strict=True):
        assert [p for p in whole.probes if p.kind not in known.SIFTED] == [
            p for p in part.probes if p.kind not in known.SIFTED
        ]
    assert left.content_hash != task.content_hash and left.form == task.form


def test_a_list_that_is_kept_is_found_by_the_name_of_the_part(task: EditTask) -> None:
    facts = facts_of(task)
    path = known.keep_list(facts)
    assert known.place_of(facts) == path
    part = load_task("pocket-counterfact@known-0123456789ab")
    assert part.name == facts.name == "pocket-counterfact@known-0123456789ab"
    assert part.content_hash == known.restricted(task, facts).content_hash


def test_a_list_that_ships_goes_before_an_own_one(
    task: EditTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_SHIPPED", tmp_path / "shipped")
    known.keep_list(facts_of(task))
    shipped = facts_of(task, model="shipped")
    known.keep_list(shipped, tmp_path / "shipped")
    assert known.find_list(task.name, "0123456789ab") == shipped


def test_a_list_that_ships_and_is_of_other_data_hides_none_that_fits(
    task: EditTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_SHIPPED", tmp_path / "shipped")
    known.keep_list(facts_of(task, content_hash="f" * 64), tmp_path / "shipped")
    path = known.keep_list(facts_of(task))
    assert len(load_task("pocket-counterfact@known-0123456789ab").cases) == 2
    assert known.place_of(facts_of(task)) == path


@pytest.mark.parametrize(
    "damage",
    [b"", b"no gzip", gzip.compress(b'{"task": 1}', mtime=0), gzip.compress(b"{}", mtime=0)[:-5]],
    ids=["empty", "no archive", "another record", "cut short"],
)
def test_a_damaged_list_is_named_and_no_task(task: EditTask, damage: bytes) -> None:
    path = known.keep_list(facts_of(task))
    path.write_bytes(damage)
    with pytest.raises(MissingResource, match=path.name):
        load_task("pocket-counterfact@known-0123456789ab")


def test_a_list_of_other_data_is_not_used(task: EditTask) -> None:
    known.keep_list(facts_of(task, content_hash="f" * 64))
    with pytest.raises(MissingResource, match="other data.*tasks known pocket-counterfact --model some-model"):
        load_task("pocket-counterfact@known-0123456789ab")


def test_a_model_that_knows_nothing_leaves_nothing_to_edit(task: EditTask) -> None:
    with pytest.raises(MissingResource, match="knows no fact"):
        known.restricted(task, facts_of(task, cases=()))


def test_without_a_list_the_command_that_makes_it_is_said(task: EditTask) -> None:
    with pytest.raises(MissingResource, match="palimpsest tasks known pocket-counterfact --model MODEL"):
        load_task("pocket-counterfact@known-0123456789ab")


def test_without_a_model_nobody_knows_anything() -> None:
    with pytest.raises(UsageError, match="depends on the model"):
        load_task("pocket-counterfact@known")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("zsre", None),
        ("zsre@known", ("zsre", None)),
        ("zsre:my.json@known-0123456789ab", ("zsre:my.json", "0123456789ab")),
        ("zsre:my@known.json", None),
        ("zsre@known-0123", None),
        ("@known", None),
    ],
)
def test_names_are_read_to_their_end(name: str, split: tuple[str, str | None] | None) -> None:
    assert known.split_name(name) == split
    assert known.whole_name(name) == (split[0] if split else name)


def test_marking_twice_marks_once() -> None:
    once = known.marked("zsre")
    assert known.marked(once) == once == "zsre@known"
    assert known.marked(once, FINGERPRINT) == "zsre@known-0123456789ab"
    assert known.marked("zsre@known-ffffffffffff", FINGERPRINT) == "zsre@known-ffffffffffff"


def test_data_are_given_to_a_task_of_known_facts_as_to_the_whole(tmp_path: Path) -> None:
    assert data_files([str(tmp_path / "my.json")], ["zsre@known"]).other == tmp_path / "my.json"
    assert is_made_here("pocket-zsre@known-0123456789ab") and not is_made_here("zsre@known")


def test_lists_that_ship_are_of_the_tasks_and_models_that_ship() -> None:
    models = {name: fingerprint(entry) for name, entry in registered_models().items() if name.startswith("pocket-")}
    found = []
    for path in sorted(known._SHIPPED.iterdir()):
        facts = KnownFacts.model_validate_json(gzip.decompress(path.read_bytes()))
        part = load_task(facts.name)
        assert len(part.cases) == len(facts.cases) > 0, "a list of other data would be refused"
        assert models.get(facts.model, facts.fingerprint) == facts.fingerprint
        found.append((facts.model, facts.task))
    pocket = ("pocket-counterfact", "pocket-counterfact-tuning", "pocket-zsre")
    assert set(found) >= {(model, task) for model in models for task in pocket}
