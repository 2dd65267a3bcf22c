"""The ledger only grows, makes sense, and says what stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.harness.errors import StoreError, UsageError
from palimpsest.results.ledger import Entry, append, read_ledger, standing, verified

TIME = "2026-01-02T03:04:05+00:00"
A, B = "a" * 12, "b" * 12


def entry(action: str, run: str = A, **more: str) -> Entry:
    return Entry.model_validate({"time": TIME, "action": action, "run": run, "editor": "memit", "reason": "r", **more})


def test_what_stands_follows_from_the_lines(tmp_path: Path) -> None:
    ledger = tmp_path / "deep" / "ledger.jsonl"
    assert read_ledger(ledger) == []
    append(ledger, entry("include"))
    append(ledger, entry("rerun", verdict="bits"))
    append(ledger, entry("replace", B, replaces=A))
    entries = read_ledger(ledger)
    assert [e.action for e in entries] == ["include", "rerun", "replace"]
    assert set(standing(entries)) == {B}
    assert set(verified(entries)) == {A}
    append(ledger, entry("withdraw", B))
    assert standing(read_ledger(ledger)) == {}


@pytest.mark.parametrize(
    ("before", "line", "complaint"),
    [
        (["include"], entry("include"), "is included already, since 2026-01-02"),
        ([], entry("withdraw"), "cannot be withdrawn"),
        ([], entry("replace", B, replaces=A), "cannot be replaced"),
        (["include"], entry("rerun"), "has a verdict"),
        (["include"], entry("include", B, verdict="bits"), "has a verdict"),
    ],
)
def test_lines_that_make_no_sense_are_refused(tmp_path: Path, before: list[str], line: Entry, complaint: str) -> None:
    ledger = tmp_path / "ledger.jsonl"
    for action in before:
        append(ledger, entry(action))
    with pytest.raises(UsageError, match=complaint):
        append(ledger, line)
    assert len(read_ledger(ledger)) == len(before)


def test_a_re_run_that_differed_verifies_nothing() -> None:
    assert verified([entry("rerun", verdict="differs")]) == {}


def test_every_damaged_line_is_named(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text(entry("include").model_dump_json(exclude_none=True) + '\n{"time": 1}\nnonsense\n')
    with pytest.raises(StoreError) as caught:
        read_ledger(ledger)
    assert "line 2: time" in str(caught.value) and "line 3" in str(caught.value)
