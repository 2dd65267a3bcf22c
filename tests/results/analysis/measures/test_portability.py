"""Portability, many hops and distraction against plain recomputations, from made-up outcomes and through the store."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palimpsest.harness.metrics.definitions import metric
from palimpsest.results.analysis.aggregate import aggregate_run
from palimpsest.results.analysis.measures.portability import ANY_QUESTION, KINDS, FurtherProbes
from palimpsest.results.reading.run_folder import folder_digest, read_run_folder
from palimpsest.results.store.boards import board
from palimpsest.results.store.bulk import track_heads
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from palimpsest.results.submissions.bundle import write_bundle
from palimpsest.results.submissions.verify import verify_bundle
from tests.labs.synthetic import FURTHER, SyntheticRun, write_manifest, write_run
from tests.results.submissions.test_verify import SOURCES

RUN = SyntheticRun(checkpoints=(0, 10, 40), batch_size=10, neighborhood=2, half=30, further=True)
PORTABILITY = ("portability_reasoning", "portability_alias", "portability_logic")


def made_up(seed: int, cases: int = 12) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Probes with prompts, and their outcomes: some cases lack some kinds, some prompts have several answers."""
    luck = np.random.default_rng(seed)
    probes, rows = [], []
    for case in range(cases):
        for kind in ("rewrite", "neighborhood", *KINDS):
            many = 1 if kind == "rewrite" else int(luck.integers(0, 5))
            for index in range(many):
                name = {"case_id": case * 3 + 5, "kind": kind, "index": index}
                probes.append(name | {"prompt": f"{kind} {int(luck.integers(0, 2))}"})
                tokens, other = luck.integers(1, 4, 2).tolist()
                hits, missed = int(luck.integers(0, tokens + 1)), int(luck.integers(0, other + 1))
                broken = luck.random() < 0.1
                row = {"tokens_new": tokens, "hits_new": hits, "nll_new": math.nan if broken else 0.5}
                row |= {"tokens_true": other, "hits_true": missed, "nll_true": 0.5}
                row |= {"exact_new": hits == tokens, "exact_true": missed == other}
                rows.append(name | row)
    order = luck.permutation(len(rows)).tolist()
    return probes, [rows[i] for i in order]


def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def plainly(probes: list[dict[str, Any]], rows: list[dict[str, Any]], kinds: tuple[str, ...], form: str) -> Any:
    """Case → percent: for each prompt the best answer, the mean over the prompts of the case."""
    prompt = {(p["case_id"], p["kind"], p["index"]): p["prompt"] for p in probes}
    best: dict[Any, dict[Any, float]] = defaultdict(dict)
    for row in rows:
        if row["kind"] not in kinds:
            continue
        side = "true" if row["kind"] == "distracting" else "new"
        share = row[f"hits_{side}"] / row[f"tokens_{side}"]
        if form == "argmax":
            share = float(row[f"exact_{side}"])
        if any(row[f"tokens_{s}"] and not math.isfinite(row[f"nll_{s}"]) for s in ("new", "true")):
            share = 0.0
        question = row["kind"], prompt[row["case_id"], row["kind"], row["index"]]
        best[row["case_id"]][question] = max(share, best[row["case_id"]].get(question, 0.0))
    return {case: 100 * fmean(of_case.values()) for case, of_case in best.items()}


@pytest.mark.parametrize("seed", range(4))
def test_every_metric_is_that_of_a_plain_recomputation(seed: int) -> None:
    probes, rows = made_up(seed)
    further = FurtherProbes(pa.Table.from_pylist(probes))
    found, ids = further.values(columns(rows)), sorted({row["case_id"] for row in rows})
    assert set(found) == set(further.names)
    for form in ("argmax", "token_accuracy"):
        for name, kinds in {"portability": PORTABILITY, **{kind: (kind,) for kind in KINDS}}.items():
            expected = plainly(probes, rows, kinds, form)
            assert expected and len(expected) <= len(ids)
            np.testing.assert_allclose(found[f"{name}_{form}"], [expected.get(case, math.nan) for case in ids])
    hops = plainly(probes, rows, ("multi_hop",), "argmax")
    np.testing.assert_allclose(found[ANY_QUESTION], [100.0 * (hops[c] > 0) if c in hops else math.nan for c in ids])


def test_a_window_of_some_cases_has_the_values_of_those() -> None:
    probes, rows = made_up(1)
    further = FurtherProbes(pa.Table.from_pylist(probes))
    some = [row for row in rows if row["case_id"] < 20]
    whole, part = (further.values(columns(chosen)) for chosen in (rows, some))
    for name, values in part.items():
        np.testing.assert_array_equal(values, whole[name][: len(values)])


def test_data_without_such_probes_have_none_of_it() -> None:
    probes, rows = made_up(0)
    own = [probe for probe in probes if probe["kind"] in ("rewrite", "neighborhood")]
    further = FurtherProbes(pa.Table.from_pylist(own))
    plain = [row for row in rows if row["kind"] in ("rewrite", "neighborhood")]
    assert further.names == () and further.values(columns(plain)) == {}


def test_every_name_has_a_definition() -> None:
    names = FurtherProbes(pa.Table.from_pylist(made_up(0)[0])).names
    assert len(names) == 13 and all(metric(name).unit == "%" for name in names)


def test_a_run_has_them_at_every_checkpoint_and_zeros_after_a_collapse(tmp_path: Path) -> None:
    folder = tmp_path / write_run(tmp_path, RUN)
    run = read_run_folder(folder, folder_digest(folder))
    assert run.problems == []
    found = {(row.edits, row.window, row.metric): row.interval for row in aggregate_run(run).metrics}
    rows = pq.read_table(folder / "scores" / "000040" / "probes.parquet").to_pylist()
    probes = pq.read_table(folder / "probes.parquet").to_pylist()
    for kind in sorted({kind for kind, _, _ in FURTHER}):
        expected = fmean(plainly(probes, rows, (kind,), "argmax").values())
        one = found[40, "all", f"{kind}_argmax"]
        assert one.value == pytest.approx(expected) and one.n == 40
        assert one.low is not None and one.high is not None and one.low <= expected <= one.high
        assert (0, "planned", f"{kind}_argmax") in found and (40, "latest", f"{kind}_token_accuracy") in found
    assert not {metric for _, _, metric in found if metric.startswith(("portability_alias", "portability_logic"))}
    collapsed = replace(RUN, status="collapsed", stops_at=20)
    folder = tmp_path / write_run(tmp_path, collapsed)
    rows_after = aggregate_run(read_run_folder(folder, folder_digest(folder))).metrics
    zero = {row.metric for row in rows_after if row.edits == 40 and row.interval.value == 0}
    assert {"portability_argmax", "multi_hop_token_accuracy", "distracting_argmax", ANY_QUESTION} <= zero


def test_what_other_metrics_say_does_not_depend_on_such_probes(tmp_path: Path) -> None:
    """The same outcomes without the further probes give the same numbers, intervals included."""
    folder = tmp_path / write_run(tmp_path, RUN)
    whole = aggregate_run(read_run_folder(folder, ""))
    for path in [folder / "probes.parquet", *folder.glob("scores/*/probes.parquet")]:
        table = pq.read_table(path)
        pq.write_table(table.filter(pa.array([kind not in KINDS for kind in table["kind"].to_pylist()])), path)
    for scores in folder.glob("scores/*"):
        write_manifest(scores, int(scores.name))
    run = read_run_folder(folder, "")
    assert run.problems == []
    plain = aggregate_run(run)
    names = {row.metric for row in plain.metrics}
    same = [row for row in whole.metrics if row.metric in names]
    assert [(row.edits, row.window, row.metric, row.interval.n) for row in same] == [
        (row.edits, row.window, row.metric, row.interval.n) for row in plain.metrics
    ]
    for one, other in zip(same, plain.metrics, strict=True):
        assert (one.interval.low, one.interval.value, one.interval.high) == pytest.approx(
            (other.interval.low, other.interval.value, other.interval.high), nan_ok=True
        )
    assert whole.headline == plain.headline


def test_they_are_on_the_board_of_their_track(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", RUN)
    with Store.open(tmp_path / "store.duckdb") as store:
        assert ingest(store, tmp_path / "runs").problems == []
        (track,) = track_heads(store)
        assert track.extras == ("distracting_argmax", "multi_hop_argmax", "portability_argmax")
        (row,) = board(store, track.track_id)
        assert set(track.extras) <= set(row.metrics)


def test_a_submission_with_such_probes_is_good(tmp_path: Path) -> None:
    folder = tmp_path / write_run(tmp_path, RUN)
    bundle = write_bundle(folder, tmp_path / "out", SOURCES, version="0.1.0")
    told = [problem.message for problem in verify_bundle(bundle).problems]
    assert not [message for message in told if "probe" in message], told
