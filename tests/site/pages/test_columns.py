"""Tables for downloading say where each line is from, and the page says what each of their columns means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from palimpsest.site.pages import editor as editor_page
from palimpsest.site.pages import overview
from palimpsest.site.pages import run as run_page
from palimpsest.site.pages import track as track_page
from palimpsest.site.parts.paper_table import as_csv, as_latex, as_markdown, paper_table
from palimpsest.site.parts.table import table_rows
from palimpsest.site.words.columns import MEANINGS, meaning
from tests.labs.sample_source import SampleSource

ORIGIN = {"track_id", "model", "task", "edits_planned", "batch_size", "edit_order", "protocol", "date", "verified"}
SOURCE = SampleSource()


def tables() -> dict[str, dict[str, list[Any]]]:
    """Every kind of table that a track or a run offers, of every track."""
    found: dict[str, dict[str, list[Any]]] = {}
    for head in SOURCE.all_tracks:
        track, runs = SOURCE.track(head.track_id)
        rows = table_rows(track, runs, SOURCE.table_series(track.track_id))
        found[f"table of {head.track_id}"] = track_page.table_columns(track, rows)
        found[f"pairs of {head.track_id}"] = track_page.pair_columns(track, rows)
        series = SOURCE.series([run.run_id for run in runs])
        found[f"run of {head.track_id}"] = run_page.run_columns(runs[0], track, series[runs[0].run_id])
    found["overview"] = overview.overview_columns(SOURCE.all_tracks, SOURCE.heads(), {})
    found["editor"] = editor_page.editor_columns(SOURCE.editor_runs("memit"))
    return found


TABLES = tables()


@pytest.mark.parametrize("name", TABLES)
def test_every_line_says_track_model_task_schedule_date_and_whether_it_is_verified(name: str) -> None:
    columns = TABLES[name]
    assert set(columns) >= ORIGIN
    assert len({len(values) for values in columns.values()}) == 1
    assert all(isinstance(value, str) for value in columns["verified"])


@pytest.mark.parametrize("name", TABLES)
def test_every_column_has_a_meaning(name: str) -> None:
    assert all(len(meaning(column)) > 5 for column in TABLES[name])


def test_no_meaning_is_of_a_column_that_no_table_has() -> None:
    assert set(MEANINGS) <= {column for columns in TABLES.values() for column in columns}


def test_a_column_of_which_nothing_is_known_is_an_error() -> None:
    with pytest.raises(KeyError):
        meaning("nonsense")


def test_the_board_is_offered_as_a_table_for_a_paper_in_three_forms() -> None:
    track, runs = SOURCE.track(SOURCE.all_tracks[0].track_id)
    rows = table_rows(track, runs, SOURCE.table_series(track.track_id))
    files = {file.path.rpartition("/")[2]: file.data for file in track_page.track_files(track, rows, [])}
    table = paper_table(track, rows)
    for name, write in (("paper.tex", as_latex), ("paper.md", as_markdown), ("paper.csv", as_csv)):
        assert files[name].decode() == write(table) + "\n"
    unfinished = [row for row in rows if row.standing is None]
    assert not [f for f in track_page.track_files(replace(track, pairs=()), unfinished, []) if "paper." in f.path]
