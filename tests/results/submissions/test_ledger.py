"""The ledger only grows, makes sense, and says what stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.harness.errors import StoreError, UsageError
from palimpsest.harness.plugins.source_hash import EditorSource
from palimpsest.results.store import boards, bulk
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import Submissions, ingest, rebuild
from palimpsest.results.submissions.bundle import write_bundle
from palimpsest.results.submissions.ledger import Entry, append, read_ledger, standing, verified
from tests.labs.synthetic import write_run
from tests.results.conftest import small_runs

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


def test_included_bundles_are_ingested_and_withdrawn_ones_leave_at_the_next_rebuild(tmp_path: Path) -> None:
    run = tmp_path / "elsewhere" / write_run(tmp_path / "elsewhere", small_runs()[0])
    source = EditorSource("memit", "palimpsest-bench", "0.1.0", "0" * 64)
    bundle = write_bundle(run, tmp_path / "submissions", [source], version="0.1.0")
    place = Submissions(bundle.parent, tmp_path / "ledger.jsonl")
    store_path = tmp_path / "store.duckdb"
    with Store.open(store_path) as store:
        assert ingest(store, tmp_path / "runs", submissions=place).added == []  # nobody has included it
        append(place.ledger, entry("include", bundle.name))
        append(place.ledger, entry("rerun", bundle.name, verdict="bits"))
        assert ingest(store, tmp_path / "runs", submissions=place).added == [bundle.name]
        assert ingest(store, tmp_path / "runs", submissions=place).unchanged == [bundle.name]
        (row,) = boards.board(store, bulk.track_heads(store)[0].track_id)
        assert (row.submitted, row.verified) == (True, "2026-01-02")
        assert [line.action for line in boards.ledger(store)] == ["include", "rerun"]
        append(place.ledger, entry("withdraw", bundle.name))
        assert ingest(store, tmp_path / "runs", submissions=place).orphaned == [bundle.name]
    rebuild(store_path, tmp_path / "runs", submissions=place)
    with Store.open(store_path, read_only=True) as store:
        assert bulk.run_heads(store) == []
        assert [line.action for line in boards.ledger(store)] == ["include", "rerun", "withdraw"]
