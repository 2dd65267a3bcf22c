"""Numbers of claims, read from a store of run folders: per run, of all layers together, of our own runs alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from palimpsest.results.store.claim_values import measured
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from tests.labs.synthetic import SyntheticRun, write_run

COMPLETE = SyntheticRun(checkpoints=(0, 10, 40), batch_size=10, neighborhood=2, half=60)
COLLAPSED = replace(COMPLETE, editor="ft-l", status="collapsed", stops_at=20)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    for run in (COMPLETE, COLLAPSED):
        write_run(tmp_path / "runs", run)
    with Store.open(tmp_path / "palimpsest.duckdb") as found:
        assert ingest(found, tmp_path / "runs").problems == []
        yield found


def test_a_run_has_its_headline_its_scores_and_what_its_layers_amount_to(store: Store) -> None:
    run = COMPLETE.spec().id
    found = measured(store, [run, "0123456789ab"])
    assert set(found) == {run} and found[run].status == "complete"
    values = found[run].values
    assert 0 < values["effective_edits", 40] < 40 and ("effective_edits", 10) not in values
    assert all(("score_argmax", edits) in values for edits in (10, 40))
    assert 0 < values["abilities_kept", 40] <= 100
    of_layers = [40 * 0.02 * layer for layer in (1, 2, 3)]
    assert values["total_update_norm", 40] == pytest.approx(math.hypot(*of_layers))


def test_after_a_collapse_scores_are_zero_and_diagnostics_are_not_there(store: Store) -> None:
    run = COLLAPSED.spec().id
    found = measured(store, [run])[run]
    assert found.status == "collapsed" and found.values["score_argmax", 40] == 0
    assert ("total_update_norm", 10) in found.values and ("total_update_norm", 40) not in found.values


def test_weights_that_are_scored_count_where_the_editor_writes_others(store: Store) -> None:
    """A filter like PRUNE writes what its host writes, and has two layers of three scored as something smaller."""
    run = COMPLETE.spec().id
    written = [40 * 0.02 * layer for layer in (1, 2, 3)]
    rows = [{"run_id": run, "edits": 40, "name": "evaluated_update_norm", "layer": n, "value": 0.3} for n in (1, 2)]
    store.insert("diagnostics", rows)
    assert measured(store, [run])[run].values["total_update_norm", 40] == pytest.approx(
        math.hypot(0.3, 0.3, written[2])
    )


def test_a_number_that_is_not_finite_is_none(store: Store) -> None:
    run = COMPLETE.spec().id
    rows = [
        {"run_id": run, "edits": 40, "name": "superimposed_noise", "layer": layer, "value": value}
        for layer, value in ((1, 2.0), (2, math.inf))
    ]
    store.insert("diagnostics", rows)
    assert ("total_superimposed_noise", 40) not in measured(store, [run])[run].values


def test_a_submission_decides_nothing(store: Store) -> None:
    run = COMPLETE.spec().id
    store.rows("UPDATE runs SET bundle = 'abc' WHERE run_id = ?", [run])
    assert measured(store, [run]) == {}
