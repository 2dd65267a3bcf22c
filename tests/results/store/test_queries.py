from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from palimpsest.harness.errors import UsageError
from palimpsest.results.records import Track
from palimpsest.results.store import boards, bulk
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from tests.labs.synthetic import ABILITIES, CHECKPOINTS, HOSTILE, suite


@pytest.fixture(scope="module")
def store(suite_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("store") / "palimpsest.duckdb"
    with Store.open(path) as writer:
        assert ingest(writer, suite_runs).problems == []
    with Store.open(path, read_only=True) as reader:
        yield reader


@pytest.fixture(scope="module")
def track(store: Store) -> Track:
    return bulk.track_heads(store)[0]


def run_id(editor: str, seed: int = 0) -> str:
    return next(run.spec().id for run in suite() if (run.editor, run.seed, run.form) == (editor, seed, "counterfact"))


def test_tracks(store: Store, track: Track) -> None:
    counterfact, zsre = bulk.track_heads(store)
    whole = boards.track(store, track.track_id)
    assert counterfact == track == replace(whole, pairs=())
    assert (track.task, track.edits, track.batch_size, track.checkpoints) == (
        "pocket-counterfact",
        500,
        50,
        CHECKPOINTS,
    )
    assert (track.runs, track.main_metric, zsre.main_metric) == (8, "score_argmax", "score_token_accuracy")
    assert track.track_id == suite()[0].spec().track_id
    assert whole.resolution is None, "no editor has three courses"
    assert track.abilities_counted == tuple(sorted(ABILITIES))


def test_board_orders_finished_runs_and_shows_the_others(store: Store, track: Track) -> None:
    rows = boards.board(store, track.track_id)
    assert [row.editor for row in rows[:2]] == ["alphaedit", "memit-seq"]
    assert {row.status for row in rows[-2:]} == {"partial", "failed"}
    assert all((row.standing is None) == (row.status in ("partial", "failed")) for row in rows)
    assert [row.standing.courses for row in rows if row.editor == "memit" and row.standing] == [2, 2]
    assert not any(row.standing.rank_low for row in rows if row.standing)
    collapsed = next(row for row in rows if row.status == "collapsed")
    assert (collapsed.edits_done, collapsed.metrics_at, collapsed.metrics["score_argmax"].value) == (250, 500, 0)
    assert collapsed.reason == "logits became NaN in batch 5"
    best = rows[0]
    held = [row.standing.effective_edits.value or 0.0 for row in rows if row.standing]
    assert held[0] == max(held) and held[-1] == min(held) and 400 < held[0] < 500
    assert best.until_50.censored_at == 500 and best.metrics_at == 500
    assert best.metrics["quality"].n == 500 and set(best.relative) == {"editing", "abilities"}
    assert best.metrics["score_argmax"].n == 500 and best.abilities_kept.n == 240
    assert best.seconds_per_edit == pytest.approx(0.13, rel=0.1) and best.peak_memory_mb == 909
    assert (best.started_at, best.segments, best.dirty) == ("2026-03-10T08:00:00+00:00", 1, False)
    partial = next(row for row in rows if row.status == "partial")
    assert (partial.metrics_at, partial.edits_done, partial.finished_at) == (200, 200, None)
    assert boards.board(store, "nowhere") == []


def test_series_cover_everything_measured(store: Store) -> None:
    memit, collapsed = run_id("memit"), run_id("ft-l")
    measured = bulk.series(store, [memit, collapsed])
    found = {(one.metric, one.window): one for one in measured[memit]}
    for metric in ("score_argmax", "score_preference", "efficacy_argmax", "paraphrase_magnitude"):
        for window in ("all", "first", "latest"):
            assert found[metric, window].edits == list(CHECKPOINTS[1:])
        assert found[metric, "planned"].edits == [0]
    for metric in ("abilities_kept", "ability:pocket_recall"):
        assert found[metric, ""].edits == list(CHECKPOINTS)
    assert (
        found["seconds_per_edit", ""].value[0] == pytest.approx(0.12) and len(found["seconds_per_edit", ""].edits) == 10
    )
    score = next(one for one in measured[collapsed] if (one.metric, one.window) == ("score_argmax", "all"))
    assert score.imputed == [300, 400, 500]
    assert {one.metric: one.edits for one in bulk.diagnostic_series(store, [memit])[memit]} == {
        **{f"{name}:{layer}": list(CHECKPOINTS) for name in ("weight_norm", "update_norm") for layer in (1, 2, 3)},
        **{f"reported:{name}": list(CHECKPOINTS[1:]) for name in ("early_stops", "loss_first", "loss_last")},
    }


def test_everything_about_one_run(store: Store) -> None:
    run = run_id("memit", seed=1)
    assert bulk.specs(store, [run])[run]["editor"]["config"]["layers"] == [1, 2, 3]
    segments = bulk.segments(store, [run])[run]
    assert [segment.index for segment in segments] == [0, 1] and segments[0].packages["torch"] == "2.13.0"
    assert bulk.scored_checkpoints(store, [run])[run] == list(CHECKPOINTS)
    timings = bulk.timings(store, [run])[run]
    assert (timings.batches, timings.edits, timings.seconds_scoring) == (10, 500, 17.5)
    assert sum(timings.phases.values()) == pytest.approx(timings.seconds_edit)
    events = bulk.events(store, [run])[run]
    names = [event.event for event in events]
    assert names[0] == "run_started" and names[-1] == "run_finished" and "batch" not in names
    warning = next(event for event in events if event.event == "warning")
    assert warning.text.startswith("Statistics were computed")


def test_unknown_tracks_list_the_near_ones(store: Store, track: Track) -> None:
    wrong = track.track_id[:-1] + ("0" if track.track_id[-1] != "0" else "1")
    with pytest.raises(UsageError, match=track.track_id):
        boards.track(store, wrong)


def test_samples_show_before_and_after(store: Store) -> None:
    found = bulk.samples(store, [run_id("memit")])[run_id("memit")]
    assert len(found) == 36 and [sample.position for sample in found] == sorted(sample.position for sample in found)
    first = found[0]
    assert (first.kind, first.edited_from) == ("rewrite", first.position + 1)
    assert set(first.answers) == set(CHECKPOINTS[1:])
    assert first.before is not None and first.target_true in first.before and first.target_new in first.answers[50]


def test_hostile_run_comes_out_as_plain_text(store: Store) -> None:
    hostile = run_id("hostile")
    head = next(head for head in bulk.run_heads(store) if head.run_id == hostile)
    assert head.editor == HOSTILE[0] and head.version == HOSTILE[1]
    segments = bulk.segments(store, [hostile])[hostile]
    everything = json.dumps(
        [bulk.specs(store, [hostile])[hostile], [segment.platform for segment in segments]]
    ) + "".join(
        sample.prompt + sample.target_new + sample.target_true for sample in bulk.samples(store, [hostile])[hostile]
    )
    assert not set("\u202e\u2066\u200b\x00\x07\x1b") & set(everything)
    assert "\\u202e" not in everything and "\\u0000" not in everything


def test_reading_results_needs_neither_torch_nor_pandas() -> None:
    code = (
        "import sys\n"
        "import palimpsest.results.store.boards, palimpsest.results.store.bulk, palimpsest.results.store.ingest\n"
        "print([name for name in ('torch', 'pandas', 'lm_eval', 'transformers') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
