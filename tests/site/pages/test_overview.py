import csv
from dataclasses import replace
from pathlib import Path

from palimpsest.results.records import Interval, Standing
from palimpsest.site.build import build_from
from palimpsest.site.jobs import File
from palimpsest.site.pages import overview
from tests.labs.sample_source import MadeUp, SampleSource, hostile_source, track


def test_the_best_row_of_an_editor_stands_for_it_and_says_so() -> None:
    home = track()
    first = next(head for head in SampleSource().heads() if head.track_id == home.track_id)
    heads = [first._replace(row_id=row) for row in "abc"]
    places = {
        (home.track_id, "a"): Standing(1, Interval(480.0)),
        (home.track_id, "b"): Standing(3, Interval(420.0), 2, 3),
        (home.track_id, "c"): Standing(3, Interval(440.0), 1, 2),
    }
    (line,) = overview.overview_lines([home], heads, places)
    (cell,) = line.cells
    assert cell is not None and (cell.text, cell.rank, cell.first) == ("440", "rank 1–2", True)
    assert cell.words == "the best of 3 rows of this editor"


def test_one_that_has_not_finished_has_no_number_and_one_with_few_courses_no_rank() -> None:
    source = SampleSource()
    lines = overview.overview_lines(source.all_tracks, source.heads(), source.standings())
    by_name = {line.title: line.cells[0] for line in lines}
    partial, single = by_name["R-ROME"], by_name["FT-L"]
    assert partial is not None and (partial.text, partial.rank, partial.sort) == ("–", "not finished", None)
    assert single is not None and (single.rank, single.words) == ("no rank", "no rank: 1 course; a rank needs 3")
    assert [line.tracks for line in lines] == [3, 3, 1, 1, 1, 1]


def test_tracks_of_a_model_and_task_stand_side_by_side_the_older_protocol_last() -> None:
    one = track()
    longer, other, task = replace(one, edits=2000, track_id="a"), track(model="pocket-gpt2"), track("pocket-zsre")
    old = replace(one, protocol=one.protocol - 1, track_id="b")
    order = overview.in_columns([one, other, old, task, longer])
    assert order == [one, longer, task, other, old]


def test_a_site_of_one_track_opens_with_it_and_of_two_with_the_overview(tmp_path: Path) -> None:
    one = build_from(SampleSource(all_tracks=(track(),)), tmp_path / "one").path.read_text(encoding="utf-8")
    two = build_from(SampleSource(), tmp_path / "two").path.read_text(encoding="utf-8")
    assert 'id="board"' in one and 'id="overview"' not in one
    assert 'id="overview"' in two and 'id="board"' not in two


def test_the_download_has_every_row_of_every_track(tmp_path: Path) -> None:
    source = SampleSource()
    site = build_from(source, tmp_path / "site").path.parent
    lines = list(csv.DictReader((site / "data" / "overview.csv").read_text(encoding="utf-8").splitlines()))
    assert len(lines) == len({(head.track_id, head.row_id) for head in source.heads()}) == 10
    assert {line["track_id"] for line in lines} == {home.track_id for home in source.all_tracks}
    assert all(line["model"] and line["task"] and line["edit_order"] and line["date"] for line in lines)
    assert {"edits_planned", "batch_size", "protocol", "verified"} <= set(lines[0])
    ranked = [line for line in lines if line["rank_low"]]
    assert len(ranked) == 3 and all(float(line["effective_edits_low"]) > 0 for line in ranked)


def test_a_hostile_name_is_a_text_on_the_overview(tmp_path: Path) -> None:
    hostile = hostile_source()
    source = SampleSource(hostile.made, (*hostile.all_tracks, track("pocket-zsre")))
    html = build_from(source, tmp_path / "site").path.read_text(encoding="utf-8")
    assert "&lt;script&gt;document" in html and "<script>document" not in html and "<img" not in html


def test_the_page_has_no_more_rows_than_fit_and_the_data_file_has_the_rest() -> None:
    runs = tuple(MadeUp(f"editor-{i:03}", 900 + i, 900) for i in range(90))
    homes = tuple(replace(track(model=f"model-{i}"), track_id=f"{i:012x}") for i in range(40))
    heads = [head._replace(track_id=homes[0].track_id) for head in SampleSource(runs, homes[:1]).heads()]
    heads += [heads[0]._replace(track_id=home.track_id) for home in homes[1:]]
    views: list[overview.OverviewView] = []

    def page(path: str, template: str, key: str, *, view: overview.OverviewView, data: str) -> File:
        views.append(view)
        return File(path, b"")

    batch = overview.overview_batch(page, "code", homes, heads, dict, lambda home: home.track_id)
    files = {file.path: file.data for _, file in batch.make([job.key for job in batch.jobs])}
    (view,) = views
    assert len(view.lines) == overview.STATIC_CELLS // 40 == 30 and view.total == 90
    assert files["data/overview.js"].count(b"editor-") == 2 * 60, "title and address of each of the others"
