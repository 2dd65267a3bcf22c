"""The ledger only grows, makes sense, and says what stands."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from palimpsest.harness.errors import StoreError, UsageError
from palimpsest.results.records import BoardRow
from palimpsest.results.store import boards, bulk
from palimpsest.results.store.database import Store
from palimpsest.results.store.editor_runs import editor_runs
from palimpsest.results.store.ingest import Submissions, ingest, rebuild
from palimpsest.results.submissions.bundle import check_sealed, write_bundle
from palimpsest.results.submissions.editor_sources import editor_sources
from palimpsest.results.submissions.ledger import Entry, append, read_ledger, standing, verified
from tests.labs.synthetic import write_run
from tests.results.conftest import small_runs

TIME = "2026-01-02T03:04:05+00:00"
A, B = "a" * 12, "b" * 12
DIGEST, OTHER = "d" * 64, "e" * 64


def entry(action: str, run: str = A, **more: str | None) -> Entry:
    line = {"time": TIME, "action": action, "run": run, "editor": "memit", "reason": "r", "digest": DIGEST}
    return Entry.model_validate({**line, **more})


def test_what_stands_follows_from_the_lines(tmp_path: Path) -> None:
    ledger = tmp_path / "deep" / "ledger.jsonl"
    assert read_ledger(ledger) == []
    append(ledger, entry("include"))
    append(ledger, entry("rerun", verdict="bits"))
    append(ledger, entry("replace", B, replaces=A))
    entries = read_ledger(ledger)
    assert [e.action for e in entries] == ["include", "rerun", "replace"]
    assert set(standing(entries)) == {B}
    assert set(verified(entries[:2])) == {A} and verified(entries) == {}  # A was replaced
    append(ledger, entry("withdraw", B))
    assert standing(read_ledger(ledger)) == {}


@pytest.mark.parametrize(
    ("before", "line", "complaint"),
    [
        (["include"], entry("include"), "is included already, since 2026-01-02"),
        (["include"], entry("publish"), "is included already, since 2026-01-02"),
        (["publish"], entry("include"), "is included already, since 2026-01-02"),
        ([], entry("publish", digest=None), "must name the digest"),
        ([], entry("withdraw"), "cannot be withdrawn"),
        ([], entry("replace", B, replaces=A), "cannot be replaced"),
        (["include"], entry("rerun"), "has a verdict"),
        (["include"], entry("include", B, verdict="bits"), "has a verdict"),
        ([], entry("include", digest=None), "must name the digest"),
        (["include"], entry("rerun", verdict="bits", digest=OTHER), "is not the one that is included"),
    ],
)
def test_lines_that_make_no_sense_are_refused(tmp_path: Path, before: list[str], line: Entry, complaint: str) -> None:
    ledger = tmp_path / "ledger.jsonl"
    for action in before:
        append(ledger, entry(action))
    with pytest.raises(UsageError, match=complaint):
        append(ledger, line)
    assert len(read_ledger(ledger)) == len(before)


def test_a_re_run_that_differed_verifies_nothing_and_takes_an_earlier_badge_away() -> None:
    stands, good = entry("include"), entry("rerun", verdict="bits")
    assert verified([stands, entry("rerun", verdict="differs")]) == {}
    assert set(verified([stands, good])) == {A}
    assert verified([stands, good, entry("rerun", verdict="differs")]) == {}
    assert set(verified([stands, good, entry("rerun", verdict="differs"), entry("rerun", verdict="tolerance")])) == {A}


def test_a_re_run_verifies_just_the_content_that_was_done_again() -> None:
    lines = [entry("include"), entry("rerun", verdict="bits"), entry("withdraw"), entry("include", digest=OTHER)]
    assert verified(lines) == {}
    assert verified([entry("include"), entry("rerun", verdict="bits", digest=OTHER)]) == {}


def test_lines_from_before_there_were_digests_stay_readable_and_give_no_badge(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    old = [entry("include", digest=None), entry("rerun", verdict="bits", digest=None)]
    ledger.write_text("".join(line.model_dump_json(exclude_none=True) + "\n" for line in old))
    assert set(standing(read_ledger(ledger))) == {A} and verified(read_ledger(ledger)) == {}


@pytest.mark.parametrize("time", ["٢٠٢٦-01-02T03:04:05Z", "2026-01-02T03:04:05Z\n", "2026-1-2T03:04:05Z"])
def test_times_are_of_plain_digits(time: str) -> None:
    with pytest.raises(ValueError, match="time"):
        entry("include", time=time)


def test_every_damaged_line_is_named(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text(entry("include").model_dump_json(exclude_none=True) + '\n{"time": 1}\nnonsense\n')
    with pytest.raises(StoreError) as caught:
        read_ledger(ledger)
    assert "line 2: time" in str(caught.value) and "line 3" in str(caught.value)


@pytest.fixture
def included(tmp_path: Path) -> tuple[Path, Submissions, str]:
    """A bundle that the ledger includes, with its digest."""
    run = tmp_path / "elsewhere" / write_run(tmp_path / "elsewhere", small_runs()[0])
    bundle = write_bundle(run, tmp_path / "submissions", editor_sources("memit"), version="0.1.0")
    place = Submissions(bundle.parent, tmp_path / "ledger.jsonl")
    digest = check_sealed(bundle, None)
    append(place.ledger, entry("include", bundle.name, digest=digest))
    return bundle, place, digest


def row_of(store: Store, run: str) -> BoardRow:
    (track,) = bulk.track_heads(store)
    return next(row for row in boards.board(store, track.track_id) if row.run_id == run)


def test_included_bundles_are_ingested_and_withdrawn_ones_leave_at_the_next_rebuild(
    tmp_path: Path, included: tuple[Path, Submissions, str]
) -> None:
    bundle, place, digest = included
    store_path = tmp_path / "store.duckdb"
    with Store.open(store_path) as store:
        nobody = Submissions(bundle.parent, tmp_path / "empty.jsonl")
        assert ingest(store, tmp_path / "runs", submissions=nobody).added == []  # nobody has included it
        append(place.ledger, entry("rerun", bundle.name, verdict="bits", digest=digest))
        assert ingest(store, tmp_path / "runs", submissions=place).added == [bundle.name]
        assert ingest(store, tmp_path / "runs", submissions=place).unchanged == [bundle.name]
        row = row_of(store, bundle.name)
        assert (row.submitted, row.verified) == (True, "2026-01-02")
        assert [line.action for line in boards.ledger(store)] == ["include", "rerun"]
        append(place.ledger, entry("withdraw", bundle.name))
        assert ingest(store, tmp_path / "runs", submissions=place).orphaned == [bundle.name]
    rebuild(store_path, tmp_path / "runs", submissions=place)
    with Store.open(store_path, read_only=True) as store:
        assert bulk.run_heads(store) == []
        assert [line.action for line in boards.ledger(store)] == ["include", "rerun", "withdraw"]


def test_a_published_run_is_a_seed_like_those_of_the_home_and_no_submission(
    tmp_path: Path, included: tuple[Path, Submissions, str]
) -> None:
    bundle, place, digest = included
    published = Submissions(bundle.parent, tmp_path / "published.jsonl")
    append(published.ledger, entry("publish", bundle.name, digest=digest))
    rows = {}
    for name, submissions in (("included", place), ("published", published)):
        with Store.open(tmp_path / f"{name}.duckdb") as store:
            assert ingest(store, tmp_path / "runs", submissions=submissions).added == [bundle.name]
            rows[name] = row_of(store, bundle.name)
    assert (rows["included"].submitted, rows["included"].row_id) == (True, bundle.name)
    assert (rows["published"].submitted, rows["published"].verified) == (False, None)
    assert rows["published"].row_id != bundle.name


def test_a_bundle_that_was_changed_after_it_was_published_is_left_out(
    tmp_path: Path, included: tuple[Path, Submissions, str]
) -> None:
    bundle, _, _ = included
    published = Submissions(bundle.parent, tmp_path / "published.jsonl")
    append(published.ledger, entry("publish", bundle.name, digest=OTHER))
    with Store.open(tmp_path / "store.duckdb") as store:
        report = ingest(store, tmp_path / "runs", submissions=published)
    assert report.added == [] and "the bundle was changed since" in report.problems[0].message


def test_a_later_re_run_that_differs_takes_the_badge_off_the_page(
    tmp_path: Path, included: tuple[Path, Submissions, str]
) -> None:
    bundle, place, digest = included
    with Store.open(tmp_path / "store.duckdb") as store:
        for verdict, day in (("bits", "2026-01-02"), ("differs", None), ("tolerance", "2026-01-02")):
            append(place.ledger, entry("rerun", bundle.name, verdict=verdict, digest=digest))
            ingest(store, tmp_path / "runs", submissions=place)
            assert row_of(store, bundle.name).verified == day


def test_a_bundle_swapped_after_its_inclusion_is_left_out_and_named(
    tmp_path: Path, included: tuple[Path, Submissions, str]
) -> None:
    bundle, place, _ = included
    note = (bundle / "bundle.json").read_text()
    (bundle / "bundle.json").write_text(note.replace('"note":', '"note" :'))
    with Store.open(tmp_path / "store.duckdb") as store:
        report = ingest(store, tmp_path / "runs", submissions=place)
        assert report.added == [] and "the bundle was changed since" in report.problems[0].message
    (bundle / "bundle.json").write_text(note)
    (bundle / "cases.parquet").write_bytes((bundle / "probes.parquet").read_bytes())
    with Store.open(tmp_path / "store.duckdb") as store:
        report = ingest(store, tmp_path / "runs", submissions=place)
        assert report.added == [] and "cases.parquet does not match" in report.problems[0].message


def test_a_stranger_s_seed_is_no_seed_of_the_built_in_row_until_it_is_reproduced(
    tmp_path: Path, included: tuple[Path, Submissions, str]
) -> None:
    bundle, place, digest = included
    own = write_run(tmp_path / "runs", replace(small_runs()[0], seed=9))
    with Store.open(tmp_path / "store.duckdb") as store:
        ingest(store, tmp_path / "runs", submissions=place)
        apart = {head.row_id for head in bulk.run_heads(store)}
        assert len(apart) == 2 and bundle.name in apart
        assert row_of(store, bundle.name).row_id == bundle.name
        assert {run.standing.courses for run in editor_runs(store, "memit") if run.standing} == {1}
        assert len({run.row_id for run in editor_runs(store, "memit")}) == 2
        append(place.ledger, entry("rerun", bundle.name, verdict="bits", digest=digest))
        ingest(store, tmp_path / "runs", submissions=place)
        assert row_of(store, bundle.name).row_id == row_of(store, own).row_id
        places = [row_of(store, name).standing for name in (bundle.name, own)]
        assert [place.courses for place in places if place] == [2, 2]


def publish(tmp_path: Path, bundle: Path, digest: str | None) -> Submissions:
    """A ledger by which the bundle is one of our own; a line without a digest is of an earlier version's."""
    place = Submissions(bundle.parent, tmp_path / "published.jsonl")
    place.ledger.write_text(entry("publish", bundle.name, digest=digest).model_dump_json(exclude_none=True) + "\n")
    return place


def test_a_published_run_that_was_withdrawn_comes_back_as_a_submission_if_it_is_included(
    tmp_path: Path, included: tuple[Path, Submissions, str]
) -> None:
    bundle, _, digest = included
    place = publish(tmp_path, bundle, digest)
    with Store.open(tmp_path / "store.duckdb") as store:
        ingest(store, tmp_path / "runs", submissions=place)
        assert not row_of(store, bundle.name).submitted
        for line in (entry("withdraw", bundle.name), entry("include", bundle.name, digest=digest)):
            append(place.ledger, line)
            ingest(store, tmp_path / "runs", submissions=place)
            assert row_of(store, bundle.name).submitted, line.action
        append(place.ledger, entry("withdraw", bundle.name))
        append(place.ledger, entry("publish", bundle.name, digest=digest))
        ingest(store, tmp_path / "runs", submissions=place)
        assert not row_of(store, bundle.name).submitted
        append(place.ledger, entry("replace", "c" * 12, replaces=bundle.name, digest=OTHER))
        ingest(store, tmp_path / "runs", submissions=place)
        assert row_of(store, bundle.name).submitted


@pytest.mark.parametrize("result", [None, '{"status": "failed", "edits": 20, "reason": "r"}', "{"])
def test_an_unfinished_run_of_the_home_leaves_the_published_one_of_its_id_where_it_is(
    tmp_path: Path, included: tuple[Path, Submissions, str], result: str | None
) -> None:
    bundle, _, digest = included
    place = publish(tmp_path, bundle, digest)
    own = Path(shutil.copytree(tmp_path / "elsewhere" / bundle.name, tmp_path / "runs" / bundle.name))
    whole = (own / "result.json").read_text()
    (own / "result.json").unlink()
    if result is not None:
        (own / "result.json").write_text(result)
    with Store.open(tmp_path / "store.duckdb") as store:
        assert ingest(store, tmp_path / "runs", submissions=place).problems == []
        assert store.rows("SELECT status, bundle FROM runs") == [("complete", digest)]
        (own / "result.json").write_text(whole)
        assert ingest(store, tmp_path / "runs", submissions=place).updated == [bundle.name]
        assert store.rows("SELECT status, bundle FROM runs") == [("complete", None)]
        shutil.rmtree(own)
        assert ingest(store, tmp_path / "runs", submissions=place).updated == [bundle.name]


def test_only_what_was_published_to_the_byte_is_read_without_a_process_with_bounds(
    tmp_path: Path, included: tuple[Path, Submissions, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, stranger, digest = included
    bounded: list[Path] = []
    monkeypatch.setattr("palimpsest.results.store.run_reader.require_readable", bounded.append)
    for number, (published, named) in enumerate([(True, digest), (True, None), (False, digest)]):
        place = publish(tmp_path, bundle, named) if published else stranger
        with Store.open(tmp_path / f"{number}.duckdb") as store:
            assert ingest(store, tmp_path / "runs", submissions=place).added == [bundle.name]
        assert len(bounded) == number


def test_a_bundle_whose_line_names_no_digest_is_a_submission_all_the_same(
    tmp_path: Path, included: tuple[Path, Submissions, str]
) -> None:
    bundle, place, _ = included
    place.ledger.write_text(entry("include", bundle.name, digest=None).model_dump_json(exclude_none=True) + "\n")
    with Store.open(tmp_path / "store.duckdb") as store:
        assert ingest(store, tmp_path / "runs", submissions=place).added == [bundle.name]
        assert row_of(store, bundle.name).submitted


@pytest.mark.parametrize("name", ["manifest.json", "scores/000030/probes.parquet"])
def test_what_was_put_into_a_bundle_since_is_found_where_it_would_be_read(
    tmp_path: Path, included: tuple[Path, Submissions, str], name: str
) -> None:
    bundle, _, digest = included
    place = publish(tmp_path, bundle, digest)
    (bundle / ".DS_Store").write_bytes(b"")
    with Store.open(tmp_path / "store.duckdb") as store:
        assert ingest(store, tmp_path / "runs", submissions=place).added == [bundle.name]
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"{}")
    report = rebuild(tmp_path / "store.duckdb", tmp_path / "runs", submissions=place)
    assert report.added == [] and f"{name} is not listed in bundle.json" in report.problems[0].message
