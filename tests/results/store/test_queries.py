from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from palimpsest.harness.errors import UsageError
from palimpsest.results.records import Track
from palimpsest.results.store import queries
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from palimpsest.results.store.migrations import MIGRATIONS
from tests.labs.synthetic import CHECKPOINTS, HOSTILE, suite


@pytest.fixture(scope="module")
def store(suite_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("store") / "palimpsest.duckdb"
    with Store.open(path) as writer:
        assert ingest(writer, suite_runs).problems == []
    with Store.open(path, read_only=True) as reader:
        yield reader


@pytest.fixture(scope="module")
def track(store: Store) -> Track:
    return queries.tracks(store)[0]


def run_id(editor: str, seed: int = 0) -> str:
    return next(run.spec().id for run in suite() if (run.editor, run.seed, run.form) == (editor, seed, "counterfact"))


def test_tracks(store: Store, track: Track) -> None:
    counterfact, zsre = queries.tracks(store)
    assert counterfact == track == queries.track(store, track.track_id)
    assert (track.task, track.edits, track.batch_size, track.checkpoints) == (
        "pocket-counterfact",
        500,
        50,
        CHECKPOINTS,
    )
    assert (track.runs, track.main_metric, zsre.main_metric) == (8, "score_argmax", "score_token_accuracy")
    assert track.track_id == suite()[0].spec().track_id
    assert track.resolution is not None and 1 < track.resolution < 10
    info = queries.store_info(store)
    assert (info.runs, info.tracks, info.schema_version) == (10, 2, len(MIGRATIONS))
    assert info.latest is not None and info.latest.startswith("2026-03-12T08:")


def test_board_ranks_finished_runs_and_shows_the_others(store: Store, track: Track) -> None:
    rows = queries.board(store, track.track_id)
    assert [row.editor for row in rows[:2]] == ["alphaedit", "memit-seq"]
    assert {row.status for row in rows[-2:]} == {"partial", "failed"}
    assert all((row.rank_low is None) == (row.status in ("partial", "failed")) for row in rows)
    collapsed = next(row for row in rows if row.status == "collapsed")
    assert (collapsed.edits_done, collapsed.metrics_at, collapsed.metrics["score_argmax"].value) == (250, 500, 0)
    assert (
        collapsed.reason == "logits became NaN in batch 5" and collapsed.rank_high == 5
    )  # two seeds of memit are one row
    best = rows[0]
    assert best.endurance.censored_at == 500 and best.metrics_at == 500
    assert best.metrics["score_argmax"].n == 500 and best.abilities_kept.n == 240
    assert best.seconds_per_edit == pytest.approx(0.13, rel=0.1) and best.peak_memory_mb == 909
    assert (best.started_at, best.segments, best.dirty) == ("2026-03-10T08:00:00+00:00", 1, False)
    partial = next(row for row in rows if row.status == "partial")
    assert (partial.metrics_at, partial.edits_done, partial.finished_at) == (200, 200, None)
    assert queries.board(store, "nowhere") == []


def test_curves_cover_everything_measured(store: Store, track: Track) -> None:
    found = {(curve.metric, curve.window): curve for curve in queries.curves(store, run_id("memit"))}
    for metric in ("score_argmax", "score_preference", "efficacy_argmax", "paraphrase_magnitude"):
        for window in ("all", "first", "latest"):
            assert [p.edits for p in found[metric, window].points] == list(CHECKPOINTS[1:])
        assert [p.edits for p in found[metric, "planned"].points] == [0]
    for metric in ("abilities_kept", "ability:pocket_recall", "weight_norm:1", "update_norm:3"):
        assert [p.edits for p in found[metric, ""].points] == list(CHECKPOINTS)
    assert len(found["seconds_per_edit", ""].points) == 10
    assert found["seconds_per_edit", ""].points[0].value == pytest.approx(0.12)
    collapsed = next(
        c for c in queries.curves(store, run_id("ft-l")) if (c.metric, c.window) == ("score_argmax", "all")
    )
    assert [p.imputed for p in collapsed.points] == [False] * 3 + [True] * 3
    both = queries.track_curves(store, track.track_id, ["score_argmax", "abilities_kept"])
    assert len(both) == 16 and {curve.window for curve in both} == {"all", ""}


def test_run_detail(store: Store, track: Track) -> None:
    detail = queries.run_detail(store, run_id("memit", seed=1))
    assert detail.spec["editor"]["config"]["layers"] == [1, 2, 3] and detail.track == track
    assert detail.row == next(r for r in queries.board(store, track.track_id) if r.run_id == detail.row.run_id)
    assert [segment.index for segment in detail.segments] == [0, 1] and detail.row.dirty
    assert detail.segments[0].packages["torch"] == "2.13.0"
    assert [(c.edits, c.scored, c.seconds_scoring) for c in detail.checkpoints] == [(n, True, 2.5) for n in CHECKPOINTS]
    ability = next(a for a in detail.abilities if a.ability == "pocket_recall")
    assert (ability.chance, ability.items, set(ability.scores)) == (25, 60, set(CHECKPOINTS))
    assert ability.pristine == ability.scores[0].value
    measured = {f"{name}:{layer}" for name in ("weight_norm", "update_norm") for layer in (1, 2, 3)}
    assert {curve.metric for curve in detail.diagnostics} == measured | {
        f"reported:{name}" for name in ("early_stops", "loss_first", "loss_last")
    }
    timings = detail.timings
    assert (timings.batches, timings.edits, timings.seconds_scoring) == (10, 500, 17.5)
    assert sum(timings.phases.values()) == pytest.approx(timings.seconds_edit)
    names = [event.event for event in detail.events]
    assert names[0] == "run_started" and names[-1] == "run_finished" and "batch" not in names
    assert any(row.window == "latest" and row.metric == "score_argmax" for row in detail.metrics)
    warning = next(event for event in detail.events if event.event == "warning")
    assert warning.text.startswith("Statistics were computed")


def test_unknown_names_list_the_near_ones(store: Store, track: Track) -> None:
    wrong = track.track_id[:-1] + ("0" if track.track_id[-1] != "0" else "1")
    with pytest.raises(UsageError, match=track.track_id):
        queries.track(store, wrong)
    known = run_id("memit")
    with pytest.raises(UsageError, match=known):
        queries.run_detail(store, known[:-1])


def test_samples_show_before_and_after(store: Store) -> None:
    found = queries.samples(store, run_id("memit"))
    assert len(found) == 36 and [sample.position for sample in found] == sorted(sample.position for sample in found)
    first = found[0]
    assert (first.kind, first.position, first.edited_from) == ("rewrite", 0, 1)
    assert set(first.answers) == set(CHECKPOINTS[1:])
    assert first.before is not None and first.target_true in first.before and first.target_new in first.answers[50]


def test_hostile_run_comes_out_as_plain_text(store: Store) -> None:
    hostile = run_id("hostile")
    detail = queries.run_detail(store, hostile)
    assert detail.row.editor == HOSTILE[0] and detail.row.version == HOSTILE[1]
    everything = json.dumps([detail.spec, [s.platform for s in detail.segments]]) + "".join(
        sample.prompt + sample.target_new + sample.target_true for sample in queries.samples(store, hostile)
    )
    assert not set("\u202e\u2066\u200b\x00\x07\x1b") & set(everything)
    assert "\\u202e" not in everything and "\\u0000" not in everything


def test_reading_results_needs_neither_torch_nor_pandas() -> None:
    code = (
        "import sys\n"
        "import palimpsest.results.store.queries, palimpsest.results.store.ingest, palimpsest.results.store.export\n"
        "print([name for name in ('torch', 'pandas', 'lm_eval', 'transformers') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
