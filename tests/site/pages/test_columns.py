"""Tables for downloading say where each line is from, and the page says what each of their columns means."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from palimpsest.results.external import read_externals
from palimpsest.site.pages import editor as editor_page
from palimpsest.site.pages import external, history, nights, overview
from palimpsest.site.pages import run as run_page
from palimpsest.site.pages import track as track_page
from palimpsest.site.parts import payload
from palimpsest.site.parts.paper_table import as_csv, as_latex, as_markdown, csv_columns, paper_table
from palimpsest.site.parts.table import table_rows
from palimpsest.site.words.columns import MEANINGS, meaning
from tests.labs.sample_external import write_externals
from tests.labs.sample_nights import TRACK, night
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
        found[f"paper table of {head.track_id}"] = csv_columns(paper_table(track, rows))
        found[f"pairs of {head.track_id}"] = track_page.pair_columns(track, rows)
        series = SOURCE.series([run.run_id for run in runs])
        found[f"run of {head.track_id}"] = run_page.run_columns(runs[0], track, series[runs[0].run_id])
    found["overview"] = overview.overview_columns(SOURCE.all_tracks, SOURCE.heads(), {})
    found["editor"] = editor_page.editor_columns(SOURCE.editor_runs("memit"))
    heads = SOURCE.heads()
    found["history"] = history.columns(history.events(SOURCE.ledger(), heads, {}), heads, SOURCE.all_tracks)
    return found


def compared() -> set[str]:
    """Columns of the table that the page of comparisons makes in the browser."""
    script = (files("palimpsest.site") / "static" / "compare.js").read_text(encoding="utf-8")
    (head,) = re.findall(r'const head = \[("track_id".*?)\];', script)
    return set(re.findall(r'"(\w+)"', head))


def of_no_run(folder: Path) -> list[dict[str, list[Any]]]:
    """Tables whose lines are of nights, and of models that were edited elsewhere."""
    rows = read_externals(write_externals(folder / "external", "a model"))
    return [nights.number_columns([night(0)], SOURCE.all_tracks), external.external_columns(rows)]


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


def test_every_column_of_comparisons_nights_and_external_scores_has_a_meaning_and_an_origin(tmp_path: Path) -> None:
    of_nights, of_external = of_no_run(tmp_path)
    assert compared() >= ORIGIN and set(of_nights) >= (ORIGIN - {"date", "verified"}) | {"day", "track"}
    assert set(of_external) >= {"kind", "base", "task", "edits", "protocol", "day"}
    for column in (*compared(), *of_nights, *of_external):
        assert len(meaning(column)) > 5, column


def test_no_meaning_is_of_a_column_that_no_table_has(tmp_path: Path) -> None:
    others = {column for columns in of_no_run(tmp_path) for column in columns}
    assert set(MEANINGS) <= {column for columns in TABLES.values() for column in columns} | compared() | others


def test_a_line_of_the_history_and_of_a_night_has_the_whole_track_where_the_site_has_it() -> None:
    columns = TABLES["history"]
    by_id = {track.track_id: track for track in SOURCE.all_tracks}
    told = list(zip(columns["run_id"], columns["track_id"], columns["edits_planned"], columns["model"], strict=True))
    runs = {head.run_id: by_id[head.track_id] for head in SOURCE.heads()}
    assert {(run, track) for run, track, *_ in told if track} == {
        (run, runs[run].track_id) for run, *_ in told if run in runs
    }
    assert all((edits, model) == (runs[run].edits, runs[run].model) for run, track, edits, model in told if track)
    own = replace(SOURCE.all_tracks[0], track_id=TRACK)
    here, elsewhere = nights.number_columns([night(0)], [own]), nights.number_columns([night(0)], [])
    assert set(here["model"]) == {own.model} and set(here["batch_size"]) == {own.batch_size}
    assert set(elsewhere["model"]) == {None} and set(elsewhere["track_id"]) == {TRACK}
    assert set(elsewhere["track"]) == {"pocket-llama, pocket-counterfact, 500 edits in batches of 50"}


def test_board_download_and_paper_table_tell_the_same_day_of_a_verified_row_and_none_of_one_in_part() -> None:
    track, runs = SOURCE.track(SOURCE.all_tracks[0].track_id)
    rows = table_rows(track, runs, SOURCE.table_series(track.track_id))
    several = next(row for row in rows if len(row.runs) > 1 and row.standing is not None)
    for days, told in ((("2026-03-11", "2026-03-12"), "2026-03-12"), (("2026-03-11", None), "")):
        done = tuple(replace(run, verified=day) for run, day in zip(several.runs, [*days, *days], strict=False))
        row = replace(several, runs=done)
        assert (payload.row_payload(row)["verified"] or "") == told
        assert set(track_page.table_columns(track, [row])["verified"]) == {told}
        assert csv_columns(paper_table(track, [row]))["verified"] == [told]


def test_no_meaning_is_told_twice() -> None:
    text = (files("palimpsest.site") / "words" / "columns.py").read_text(encoding="utf-8")
    names = re.findall(r'^    "(\w+)": "', text.partition("MEANINGS = {")[2].partition("}")[0], re.M)
    assert len(names) == len(set(names)) == len(MEANINGS)


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
