"""Tickets: the same when they are read back, and refused by name when something does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.fleet.ticket import Course, Means, RunTicket, read_ticket, versions_here
from tests.labs.run_lab import spec


def ticket(home: Path, **changes: Any) -> RunTicket:
    fields: dict[str, Any] = {
        "home": str(home), "spec": spec({}), "model": "pocket-gpt2", "task": "pocket-counterfact",
        "means": Means(), "course": Course(), "versions": versions_here(),
    }  # fmt: skip
    return RunTicket(**fields | changes)


@settings(deadline=None, max_examples=12)
@given(
    rate=st.floats(allow_nan=False, allow_infinity=False),
    threads=st.none() | st.integers(1, 64),
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
    seconds=st.none() | st.floats(0, 1e9),
    limit=st.none() | st.integers(1, 1000),
)
def test_a_ticket_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rate: float, threads: int, words: list[str], seconds: float, limit: int
) -> None:
    one = ticket(
        tmp_path_factory.mktemp("home"),
        spec=spec({"rate": rate}),
        means=Means(threads=threads, data=tuple(words)),
        course=Course(limit=limit, command=" ".join(words)),
        statistics=((100, (1, 2)),),
        seconds=seconds,
    )
    again = read_ticket(one.write())
    assert again == one
    assert again.name == one.spec.id and again.group == one.spec.model.fingerprint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec": None}, "spec"),
        ({"model": 7}, "model"),
        ({"more": 1}, "more"),
        ({"means": {"device": "cpu", "run": "rm"}}, r"means\.run"),
    ],
)
def test_a_ticket_with_a_wrong_field_is_refused_and_the_field_named(tmp_path: Path, change: Any, words: str) -> None:
    place = ticket(tmp_path).write()
    place.write_text(json.dumps(json.loads(place.read_text()) | change))
    with pytest.raises(ConfigError, match=words):
        read_ticket(place)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_ticket(tmp_path / "none.json")


def test_other_versions_are_refused_and_named(tmp_path: Path) -> None:
    ticket(tmp_path).require_versions()
    other = ticket(tmp_path, versions=versions_here() | {"torch": "1.0"})
    with pytest.raises(ConfigError, match=r"torch 1\.0 → "):
        other.require_versions()
