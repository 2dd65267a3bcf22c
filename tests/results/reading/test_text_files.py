"""Sampled texts and continuations, from the run folder through the store; what is wrong with them is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palimpsest.results.analysis.aggregate import aggregate_run
from palimpsest.results.analysis.measures.texts import Likeness, fluency, reference_texts
from palimpsest.results.reading.run_folder import folder_digest, read_run_folder
from palimpsest.results.records import Interval
from palimpsest.results.store.boards import board
from palimpsest.results.store.bulk import series, table_series, track_heads
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from palimpsest.results.submissions.bundle import write_bundle
from palimpsest.results.submissions.verify import verify_bundle
from tests.labs.synthetic import SyntheticRun, write_manifest, write_run
from tests.results.conftest import honest_run, small_runs
from tests.results.submissions.test_verify import SOURCES, reseal

RUN = replace(honest_run(), texts=6, top=True)
PUBLISHED = replace(RUN, published=True)
PUBLISHED_METRICS = ("neighborhood_top_deltaedit", "neighborhood_top_preference_deltaedit", "locality_easyedit")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    return runs / write_run(runs, RUN)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("published")
    return runs / write_run(runs, PUBLISHED)


def means(folder: Path) -> dict[tuple[int, str, str], Interval]:
    run = read_run_folder(folder, folder_digest(folder))
    assert run.problems == []
    return {(row.edits, row.window, row.metric): row.interval for row in aggregate_run(run).metrics}


def test_texts_become_fluency_and_consistency_of_the_texts_with_their_prompts(folder: Path) -> None:
    found = means(folder)
    last = RUN.edits
    probes = pq.read_table(folder / "probes.parquet").to_pylist()
    prompts = {(p["case_id"], p["index"]): p["prompt"] for p in probes if p["kind"] == "generation"}
    rows = pq.read_table(folder / "scores" / f"{last:06d}" / "texts.parquet").to_pylist()
    texts: dict[int, list[str]] = {}
    for row in rows:
        texts.setdefault(row["case_id"], []).append(prompts[row["case_id"], row["index"]] + row["text"])
    objects = {row["case_id"]: row["target_new"] for row in pq.read_table(folder / "cases.parquet").to_pylist()}
    likeness = Likeness(reference_texts((p["kind"], p["prompt"], p["target_new"], p["target_true"]) for p in probes))
    own = [100 * likeness.of(objects[case], said) for case, said in texts.items()]
    assert found[last, "all", "fluency"].value == pytest.approx(sum(map(fluency, texts.values())) / 6)
    assert found[last, "all", "consistency_own"].value == pytest.approx(sum(own) / 6)
    assert found[last, "all", "fluency"].n == 6 and 0 < own[0] < 100
    for name in ("fluency", "consistency_own"):
        one = found[last, "all", name]
        assert one.low is not None and one.value is not None and one.high is not None
        assert one.low <= one.value <= one.high
        assert (0, "planned", name) in found and not any(w in ("first", "latest") and m == name for _, w, m in found)


def test_the_unedited_model_keeps_its_own_words_and_the_edited_one_loses_some(folder: Path) -> None:
    found = means(folder)
    assert found[0, "planned", "neighborhood_top"].value == 100
    last = found[RUN.edits, "all", "neighborhood_top"]
    tokens = found[RUN.edits, "all", "neighborhood_top_tokens"]
    assert last.value is not None and tokens.value is not None
    assert 0 < last.value < tokens.value < 100
    assert tokens.value == pytest.approx((100 + last.value) / 2)  # one of two tokens is always the same
    assert {"all", "first", "latest"} == {w for e, w, m in found if m == "neighborhood_top" and e}


def test_published_forms_are_shares_of_the_stored_outcomes(published: Path) -> None:
    found = means(published)
    rows = pq.read_table(published / "scores" / f"{RUN.edits:06d}" / "probes.parquet").to_pylist()
    by_case: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["kind"] == "neighborhood":
            by_case.setdefault(row["case_id"], []).append(row)
    plain: dict[str, Callable[[dict[str, Any]], float]] = {
        "neighborhood_top_deltaedit": lambda row: row["hits_fed"] == row["tokens_fed"],
        "neighborhood_top_preference_deltaedit": lambda row: row["nll_fed"] < row["nll_new"],
        "locality_easyedit": lambda row: row["hits_first"] / row["tokens_fed"],
    }
    assert set(plain) == set(PUBLISHED_METRICS)
    for name, share in plain.items():
        cases = [sum(map(share, of_case)) / len(of_case) for of_case in by_case.values()]
        assert found[RUN.edits, "all", name].value == pytest.approx(100 * sum(cases) / len(cases)), name
        assert (0, "planned", name) in found and (RUN.edits, "latest", name) in found
    assert found[0, "planned", "locality_easyedit"].value == 100


def test_fluency_with_special_tokens_is_that_of_the_texts_as_they_are_spelt(published: Path) -> None:
    found = means(published)
    rows = pq.read_table(published / "scores" / f"{RUN.edits:06d}" / "texts.parquet").to_pylist()
    texts: dict[int, list[str]] = {}
    for row in rows:
        assert row["spelt"].startswith("<|begin_of_text|>")
        texts.setdefault(row["case_id"], []).append(row["spelt"])
    value = found[RUN.edits, "all", "fluency_special_tokens"].value
    assert value == pytest.approx(sum(map(fluency, texts.values())) / len(texts))
    assert value is not None and value > (found[RUN.edits, "all", "fluency"].value or 0.0)


def test_runs_that_did_not_ask_for_published_forms_have_none(folder: Path) -> None:
    assert not {*PUBLISHED_METRICS, "fluency_special_tokens"} & {metric for _, _, metric in means(folder)}


def test_published_forms_are_zero_after_a_collapse(tmp_path: Path) -> None:
    collapsed = replace(PUBLISHED, status="collapsed", stops_at=RUN.checkpoints[1])
    found = means(tmp_path / write_run(tmp_path, collapsed))
    assert [found[RUN.edits, "all", name].value for name in (*PUBLISHED_METRICS, "fluency_special_tokens")] == [0] * 4


def test_all_of_it_is_in_the_store_and_its_queries(folder: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.duckdb") as store:
        assert ingest(store, folder.parent).problems == []
        assert store.rows("SELECT count(*) FROM texts WHERE edits = 0") == [(12,)]
        assert store.rows("SELECT DISTINCT edits, tokens FROM continuations") == [(0, [5, 9])]
        assert store.rows("SELECT max(tokens_top), sum(hits_top) > 0, bool_or(exact_top) FROM case_scores") == [
            (2, True, True)
        ]
        (track,) = track_heads(store)
        (row,) = board(store, track.track_id)
        assert {"fluency", "consistency_own", "neighborhood_top"} <= set(row.metrics)
        names = {(one.metric, one.window) for one in series(store, [row.run_id])[row.run_id]}
        assert {("fluency", "planned"), ("consistency_own", "all"), ("neighborhood_top", "latest")} <= names
        assert "fluency" in {one.metric for one in table_series(store, track.track_id)[row.run_id]}


def test_runs_from_before_have_none_of_it(tmp_path: Path) -> None:
    plain = write_run(tmp_path, replace(small_runs()[0], status="complete"))
    assert not {"fluency", "consistency_own", "neighborhood_top"} & {metric for _, _, metric in means(tmp_path / plain)}


def test_a_collapsed_run_has_zeros_after_its_end(tmp_path: Path) -> None:
    collapsed = replace(RUN, status="collapsed", stops_at=RUN.checkpoints[1])
    found = means(tmp_path / write_run(tmp_path, collapsed))
    zero = Interval(0.0, 0.0, 0.0, 6)
    assert found[RUN.edits, "all", "fluency"] == found[RUN.edits, "all", "consistency_own"] == zero
    assert found[RUN.edits, "latest", "neighborhood_top"].value == 0


def test_the_first_and_last_thousand_are_windows_of_their_own(tmp_path: Path) -> None:
    long = SyntheticRun("memit", checkpoints=(0, 1000, 1200), batch_size=100, neighborhood=1, half=900)
    found = means(tmp_path / write_run(tmp_path, long))
    windows = {edits: {w for e, w, m in found if e == edits and m == "score_argmax"} for edits in (1000, 1200)}
    assert windows == {
        1000: {"all", "first", "latest"},
        1200: {"all", "first", "latest", "first_1000", "last_1000"},
    }
    early, late = (found[1200, f"{end}_1000", "efficacy_argmax"] for end in ("first", "last"))
    assert early.n == late.n == 1000
    assert early.value is not None and late.value is not None and early.value < late.value
    collapsed = replace(long, status="collapsed", stops_at=1000)
    zero = means(tmp_path / write_run(tmp_path, replace(collapsed, seed=1)))[1200, "last_1000", "efficacy_argmax"]
    assert (zero.value, zero.n) == (0, 1000)


def test_published_forms_are_in_the_store(published: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.duckdb") as store:
        assert ingest(store, published.parent).problems == []
        assert store.rows("SELECT count(*) FROM case_scores WHERE hits_first > 0 AND kind <> 'neighborhood'") == [(0,)]
        assert store.rows("SELECT DISTINCT first_choices FROM continuations") == [([5, 7],)]
        assert store.rows("SELECT count(*) FROM texts WHERE spelt IS NULL") == [(0,)]
        (track,) = track_heads(store)
        assert (track.published_top, track.special_tokens) == (True, True)
        assert {"neighborhood_top_deltaedit", "locality_easyedit", "fluency_special_tokens"} <= set(track.extras)
        (row,) = board(store, track.track_id)
        assert set(track.extras) <= set(row.metrics)
        shown = {one.metric for one in table_series(store, track.track_id)[row.run_id]}
        assert set(track.extras) <= shown


@pytest.mark.parametrize("kind", ["folder", "published"])
def test_submissions_with_texts_are_good_and_complete(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundle = write_bundle(request.getfixturevalue(kind), tmp_path, SOURCES, version="0.1.0")
    assert verify_bundle(bundle).problems == []
    names = {str(path.relative_to(bundle)) for path in bundle.rglob("*.parquet")}
    assert {"scores/000000/texts.parquet", "scores/000000/continuations.parquet"} <= names


def longer(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"tokens": 101}


def nothing(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"tokens": 0}


def elsewhere(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"index": row["index"] + 7}


def other_case(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"case_id": row["case_id"] + 1}


def more_hits(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"hits_top": row["tokens_top"] + 1}


def fewer_tokens(row: dict[str, Any]) -> dict[str, Any]:
    near = row["kind"] == "neighborhood"
    return row | ({"tokens_top": 1, "hits_top": 1, "exact_top": True} if near else {})


def unlike_itself(row: dict[str, Any]) -> dict[str, Any]:
    return row | ({"hits_top": 0, "exact_top": False} if row["kind"] == "neighborhood" else {})


def negative(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"tokens": [-1, 4]}


def more_fed(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"hits_fed": row["tokens_fed"] + 1}


def fewer_places(row: dict[str, Any]) -> dict[str, Any]:
    return row | ({"tokens_fed": 0, "hits_fed": 0, "hits_first": 0} if row["kind"] == "neighborhood" else {})


def fed_elsewhere(row: dict[str, Any]) -> dict[str, Any]:
    return row | ({"tokens_fed": 1} if row["kind"] == "rewrite" else {})


def other_choices(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"hits_first": 0}


def unspelt(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"spelt": None}


def unchosen(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"first_choices": None}


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("000040/probes.parquet", more_fed, "hits_fed that are not between 0 and tokens_fed"),
        ("000040/probes.parquet", fewer_places, "at other places than those of the true target"),
        ("000040/probes.parquet", fed_elsewhere, "compares other prompts than those of the neighborhood"),
        ("000000/probes.parquet", other_choices, "choose otherwise than it chose"),
        ("000040/texts.parquet", unspelt, "texts.parquet lacks spelt"),
        ("000000/continuations.parquet", unchosen, "continuations.parquet lacks first_choices"),
    ],
)
def test_what_cannot_be_in_published_forms_is_found(
    published: Path, tmp_path: Path, name: str, change: Callable[[dict[str, Any]], dict[str, Any]], complaint: str
) -> None:
    test_what_cannot_be_is_found(published, tmp_path, name, change, complaint)


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("000040/texts.parquet", longer, "not 1 to 100 tokens long"),
        ("000040/texts.parquet", nothing, "not 1 to 100 tokens long"),
        ("000040/texts.parquet", elsewhere, "12 are missing and 12 of others are there"),
        ("000040/texts.parquet", other_case, "a case_id that is not at its position"),
        ("000040/probes.parquet", more_hits, "hits_top that are not between 0 and tokens_top"),
        ("000040/probes.parquet", fewer_tokens, "continuations of other lengths"),
        ("000000/probes.parquet", unlike_itself, "something else than it said"),
        ("000000/continuations.parquet", elsewhere, "continuations.parquet must hold"),
        ("000000/continuations.parquet", negative, "token numbers below 0"),
    ],
)
def test_what_cannot_be_is_found(
    folder: Path, tmp_path: Path, name: str, change: Callable[[dict[str, Any]], dict[str, Any]], complaint: str
) -> None:
    bundle = write_bundle(folder, tmp_path, SOURCES, version="0.1.0")
    path = bundle / "scores" / name
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist([change(row) for row in table.to_pylist()], table.schema), path)
    reseal(bundle)
    problems = [problem.message for problem in verify_bundle(bundle).problems]
    assert any(complaint in message for message in problems), problems


def test_texts_that_the_spec_does_not_ask_for_are_no_part_of_a_run(folder: Path, tmp_path: Path) -> None:
    plain = write_run(tmp_path, honest_run())
    scores = tmp_path / plain / "scores" / "000000"
    shutil.copy(folder / "scores" / "000000" / "texts.parquet", scores)
    write_manifest(scores, 0)
    run = read_run_folder(tmp_path / plain, "")
    assert ["the spec does not ask for it" in problem.message for problem in run.problems] == [True]


def test_a_missing_text_file_leaves_out_the_checkpoint(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / folder.name))
    (copy / "scores" / "000040" / "texts.parquet").unlink()
    write_manifest(copy / "scores" / "000040", 40)
    run = read_run_folder(copy, "")
    assert [problem.message for problem in run.problems] == ["texts.parquet is missing; this checkpoint was left out"]
    assert 40 not in run.checkpoints and 20 in run.checkpoints
