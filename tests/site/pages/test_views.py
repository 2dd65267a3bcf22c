import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from palimpsest.results.analysis.published import PublishedNumber
from palimpsest.results.records import ONE_CHECKPOINT, ONE_ORDER, EditsUntil, Interval, Standing, Track
from palimpsest.site.build import build_from
from palimpsest.site.pages import badges
from palimpsest.site.pages import editor as editor_page
from palimpsest.site.pages import run as run_page
from palimpsest.site.pages import track as track_page
from palimpsest.site.parts import figures, payload, samples, table
from palimpsest.site.parts.descriptions import descriptions
from palimpsest.site.source import RunParts
from palimpsest.site.words import labels
from palimpsest.site.words.text import file_name
from tests.labs.sample_source import (
    CHECKPOINTS,
    HOSTILE,
    RUNS,
    MadeUp,
    SampleSource,
    board_row,
    hostile_source,
    identity,
    kept_point,
    track,
)


def rows_of(source: SampleSource) -> tuple[table.TableRow, ...]:
    home, runs = source.track(source.all_tracks[0].track_id)
    return table.table_rows(home, runs, source.table_series(home.track_id))


def parts_of(source: SampleSource, index: int) -> tuple[Track, RunParts]:
    run_id = identity(source.all_tracks[0], index)
    return source.all_tracks[0], source.parts([run_id])[run_id]


def test_what_was_never_reached_is_more_than_n_and_sorts_above_no_number() -> None:
    outlasted = figures.until_figure(EditsUntil(None, 500, 500.0))
    fell_at_the_end = figures.until_figure(EditsUntil(500.0, None, 471.0, 498.0))
    assert outlasted.text == ">\u202f500" and outlasted.span == ""
    assert fell_at_the_end.span == "471–498"
    assert float(outlasted.sort) == float(fell_at_the_end.sort)


def test_an_open_interval_names_its_lower_end() -> None:
    assert figures.until_figure(EditsUntil(None, 500, 277.4)).span == "≥\u202f277"


def test_what_was_not_measured_is_a_dash_and_sorts_last() -> None:
    for figure in (figures.interval_figure(None), figures.until_figure(EditsUntil())):
        assert (figure.text, figure.sort) == ("–", "")


def test_a_limit_that_some_seeds_never_reached_is_a_lower_bound() -> None:
    assert figures.until_figure(EditsUntil(450.0, 500, 400.0, None)).text == "≥\u202f450"


def test_the_bar_shows_effective_edits_within_those_that_were_made() -> None:
    complete, collapsed = (figures.effective_bar(rows_of(SampleSource())[i]) for i in (3, 4))
    assert complete.figure.text == "342" and complete.figure.span == "333–350"
    assert 0 < complete.low < complete.reached < complete.high < complete.made == 100
    assert collapsed.reached < collapsed.made == 60


def test_a_track_without_abilities_says_so(tmp_path: Path) -> None:
    bare = replace(track(), abilities_counted=())
    assert track_page.track_title(bare).endswith("500 edits, without abilities")
    page = build_from(SampleSource(all_tracks=(bare,)), tmp_path).path.read_text(encoding="utf-8")
    assert "no abilities take part on this track" in page and "none that counts: a track without abilities" in page
    some = replace(track(), abilities_counted=track().abilities[1:])
    assert "not surely above chance on the unedited model: recall" in dict(track_page.facts(some))["Abilities"]


def test_a_tie_of_ranks_is_an_interval() -> None:
    standing = Standing(3, Interval(417.0), 1, 2)
    assert figures.rank_figure(standing).text == "1–2"
    assert figures.rank_figure(replace(standing, rank_low=3, rank_high=3)) == figures.Figure("3", "", "3.003")


@pytest.mark.parametrize(("number", "words"), [(1, "1 course"), (2, "2 courses")])
def test_without_three_courses_a_row_has_no_rank_and_says_why(number: int, words: str) -> None:
    few = figures.rank_figure(Standing(number, Interval(417.0)))
    assert few == figures.Figure("–", f"no rank: {words}; a rank needs 3")
    assert figures.rank_figure(None) == figures.Figure("–", "no rank: not finished")


@pytest.mark.parametrize("reason", [ONE_ORDER, ONE_CHECKPOINT])
def test_where_no_row_can_have_a_rank_each_says_why(reason: str) -> None:
    row = Standing(3, Interval(417.0), unranked=reason)
    assert figures.rank_figure(row) == figures.Figure("–", f"no rank: the track has {reason}")
    assert figures.interval_note(row).endswith("other courses") == (reason == ONE_CHECKPOINT)


def test_courses_are_seeds_times_cases_and_wide_ones_are_named() -> None:
    best, *_, open_ended = rows_of(SampleSource())
    assert figures.courses_figure(best).text == "3\u202f×\u202f500"
    assert figures.courses_figure(open_ended).text == "–"
    assert figures.courses_figure(best).span == ""
    run = replace(best.first, standing=Standing(5, Interval(417.0), 1, 1, wide=True))
    wide = figures.courses_figure(replace(best, counted=(run,), cases=200))
    assert (wide.text, wide.span) == ("5\u202f×\u202f200", "spreads widely")


def test_an_interval_says_how_far_it_reaches() -> None:
    assert figures.interval_note(Standing(3, Interval(1.0))).endswith("other courses")
    assert figures.interval_note(Standing(2, Interval(1.0))).endswith("in these courses only")
    for one in (Standing(1, Interval(1.0)), None):
        assert figures.interval_note(one).endswith("in this course only")


def page_of(source: SampleSource, folder: Path, index: int) -> str:
    site = build_from(source, folder / "site").path.parent
    return (site / "track" / f"{source.all_tracks[index].track_id}.html").read_text(encoding="utf-8")


def test_under_the_board_stands_what_tells_rows_apart_and_how_many_are(tmp_path: Path) -> None:
    source = SampleSource()
    page = page_of(source, tmp_path, 0)
    assert re.search(r"differ by about <strong>\d+ effective edits</strong> to be told apart; 3 of 3 pairs are", page)
    assert "--seed 0" not in page and page.count("no rank: 1 course; a rank needs 3") == 4, "title and text of two rows"


def test_a_board_on_which_nothing_has_a_rank_says_once_how_to_get_one(tmp_path: Path) -> None:
    page = page_of(SampleSource(), tmp_path, 1)
    assert page.count("<code>--seed 0 --seed 1 --seed 2</code>") == 1 and "told apart; " not in page


def test_a_run_shows_the_interval_of_its_own_course_and_its_row_that_of_all() -> None:
    source = SampleSource()
    home, runs = source.track(source.all_tracks[0].track_id)
    alone = run_page.run_view(runs[0], home, parts_of(source, 0)[1], [])
    row = rows_of(source)[0]
    assert runs[0].standing is not None
    assert row.effective_edits == runs[0].standing.effective_edits != runs[0].effective_edits
    assert alone.bar.figure == figures.effective_figure(runs[0].effective_edits)


def test_the_comparison_and_the_download_have_every_pair_of_rows_with_a_rank() -> None:
    source = SampleSource()
    home, _ = source.track(source.all_tracks[0].track_id)
    rows = rows_of(source)
    found = payload.pairs_payload(home, rows)
    assert found["held"][file_name(rows[0].id)][0] == rows[0].effective_edits.value
    assert len(found["rows"]) == len(found["pairs"]) == len(home.pairs) == 3
    columns = track_page.pair_columns(home, rows_of(source))
    assert columns["above_editor"] == ["AlphaEdit", "AlphaEdit", "MEMIT-Seq"]
    for (above, below, difference, least, apart), pair in zip(found["pairs"], home.pairs, strict=True):
        assert [found["rows"][above], found["rows"][below]] == [file_name(pair.above), file_name(pair.below)]
        assert apart == (abs(difference) > least) == pair.told_apart


def test_seeds_are_one_row_with_its_mean_and_wider_interval() -> None:
    rows = rows_of(SampleSource())
    assert [len(row.runs) for row in rows] == [3, 3, 3, 1, 1, 1]
    values = rows[0].metrics["score_argmax"][500]
    single = [v for v in rows[0].by_seed["score_argmax"][500] if v is not None]
    assert values.value == pytest.approx(sum(single) / 3) and len(single) == 3
    alone = rows_of(SampleSource(RUNS[:1]))[0].metrics["score_argmax"][500]
    assert values.high is not None and values.low is not None and alone.high is not None and alone.low is not None
    assert values.high - values.low > alone.high - alone.low
    assert rows[3].by_seed == {}


def test_the_lines_at_first_are_the_best_rows_of_a_colour_each() -> None:
    source = SampleSource(tuple(MadeUp(f"mine-{i}", 900 - i, 900) for i in range(30)))
    rows = rows_of(source)
    first = payload.first_lines(rows)
    assert first[0] is rows[0] and len({row.look.colour for row in first}) == len(first) == 6
    home, runs = source.track(source.all_tracks[0].track_id)
    alone = table.table_rows(home, [replace(run, editor="memit") for run in runs[:8]], {})
    assert payload.first_lines(alone) == list(alone[:6]), "of one editor's own track, its best rows"


def test_rows_of_one_editor_are_told_apart_by_version_or_identity() -> None:
    source = SampleSource(RUNS[:1])
    home, (run,) = source.track(source.all_tracks[0].track_id)
    newer = replace(run, run_id="abcdef123456", row_id="abcdef123456", version="0.2.0")
    names = [row.label for row in table.table_rows(home, [run, newer], {})]
    assert names == ["AlphaEdit 0.1.0", "AlphaEdit 0.2.0"]
    twin = replace(newer, version="0.1.0")
    assert table.table_rows(home, [run, twin], {})[1].label == "AlphaEdit (abcdef)"


def test_filters_over_hosts_are_named() -> None:
    assert labels.editor_title("revive(rect(memit))") == "REVIVE on RECT on MEMIT"
    assert labels.editor_parts("revive(rect(memit))") == ("revive", "rect", "memit")
    assert labels.editor_title("my-editor") == "my-editor"


def test_titles_of_abilities_say_whose_prompts_they_ask() -> None:
    names = ("pocket_recall", "plain_sense", "ability:published_nli_rect", "papers_nli", "general_open_qa", "boolq")
    expected = ["Recall", "Sense", "Nli rect (published form)", "Nli (lm-eval form)", "Open qa (lm-eval form)", "Boolq"]
    assert [labels.ability_title(name) for name in names] == expected


def test_only_a_number_becomes_a_link_to_a_paper() -> None:
    assert labels.paper_url("2410.02355") == "https://arxiv.org/abs/2410.02355"
    assert labels.paper_url("javascript:alert(1)") == ""


def test_token_accuracy_is_the_only_form_of_question_tracks() -> None:
    assert table.forms_of(track("pocket-zsre")) == ("token_accuracy",)


def test_published_numbers_are_gathered_by_source_and_editor_and_keep_their_form() -> None:
    def number(metric: str, value: float, **other: object) -> PublishedNumber:
        fields: dict[str, object] = {
            "arxiv": "2410.02355", "table": "Table 1", "evidence": "primary", "model": "llama3-8b",
            "model_as_published": "LLaMA3", "task": "counterfact", "edits": 2000, "batch_size": 100, "order": "file",
            "editor": "memit", "editor_as_published": "MEMIT", "form": "preference", "window": "all", "note": "",
        }  # fmt: skip
        return PublishedNumber(**fields | {"metric": metric, "value": value} | other)  # type: ignore[arg-type]

    found = payload.reference_rows([number("efficacy_preference", 65.6), number("score_preference", 60.0)])
    assert len(found) == 1
    assert found[0]["values"] == {"efficacy_preference": 65.6, "score_preference": 60.0}
    assert found[0]["source"] == "arXiv 2410.02355, Table 1"
    assert len(payload.reference_rows([number("a_preference", 1.0), number("a_preference", 2.0, edits=1000)])) == 2


def test_curves_of_seeds_have_means_bounds_and_the_seeds_as_points() -> None:
    source = SampleSource()
    runs = [source.series([identity(source.all_tracks[0], i)])[identity(source.all_tracks[0], i)] for i in (0, 5)]
    found = payload.combined_curves(runs, percent=True)
    edits, values, lows, highs, imputed, points = found["abilities_kept|"]
    kept = [kept_point(RUNS[i], 500).value or 0 for i in (0, 5)]
    assert values[-1] == pytest.approx(sum(kept) / 2, rel=1e-4) and lows[-1] < values[-1] < highs[-1] <= 100
    assert edits[-1] == 500 and imputed == [] and [p[-1] for p in points] == pytest.approx(kept, rel=1e-4)


def test_an_editors_page_says_what_a_version_changed() -> None:
    source = SampleSource(RUNS[:1])
    (run,) = source.editor_runs("alphaedit")[:1]
    config = run.config | {"target_steps": 30, "host": {"ridge": 2.0}}
    newer = run._replace(run_id="new", row_id="new", version="0.2.0", config=config, date="2026-04-01")
    view = editor_page.editor_view("alphaedit", [run, newer], descriptions("alphaedit", "palimpsest-bench"))
    (change,) = view.changes
    assert (change.before, change.after) == ("0.1.0", "0.2.0")
    assert change.fields == (("host.ridge", "–", "2.0"), ("target_steps", "20", "30"))
    assert view.versions == ("0.1.0", "0.2.0") and view.configs[0][1] == "0.2.0"
    assert view.parts[0].paper == "2410.02355" and any(block.equation for block in view.parts[0].blocks)


def test_an_editor_that_is_not_installed_has_a_page_without_description() -> None:
    (run,) = SampleSource(RUNS[:1]).editor_runs("alphaedit")[:1]
    parts = descriptions("<b>odd", "elsewhere")
    view = editor_page.editor_view("<b>odd", [run._replace(distribution="elsewhere")], parts)
    assert view.parts[0].headline == "" and not view.parts[0].installed and not view.built_in
    assert view.file.startswith("x")


def test_the_command_repeats_every_setting_and_is_safe_to_paste() -> None:
    _, parts = parts_of(hostile_source(), 0)
    command = run_page.command(parts.spec)
    assert "--editor '<script>" in command and "--checkpoints 0,50,100,200,300,400,500" in command
    assert "\x00" not in command and "\u202e" not in command
    assert "--set target_steps=20" in command and "--set 'layers=[0, 1, 2]'" in command
    assert "--abilities pocket_recall" in command
    plain = {**parts.spec, "abilities": [], "scoring": {"sample": 200, "seed": 0}}
    assert "--abilities none" in run_page.command(plain) and "--sample 200" in run_page.command(plain)


def test_the_command_of_a_filter_names_its_hosts_settings() -> None:
    _, parts = parts_of(SampleSource(), 0)
    editor = parts.spec["editor"] | {"config": {"tau": 0.2, "host": {"ridge": 1.0, "host": {"layers": [1]}}}}
    command = run_page.command(parts.spec | {"editor": editor})
    for setting in ("--set tau=0.2", "--set host.ridge=1.0", "--set 'host.host.layers=[1]'"):
        assert setting in command


def test_answers_are_judged_by_what_they_should_be() -> None:
    _, parts = parts_of(SampleSource(), 4)
    first, *_ = samples.sample_cases(parts.samples, CHECKPOINTS[1:])
    assert first.learned_at == 50
    rewrite, paraphrase, neighbour = first.rows
    assert [answer.verdict for answer in rewrite.answers] == ["true", "kept", ""]
    assert paraphrase.answers[2].verdict == "true"
    assert [answer.verdict for answer in neighbour.answers] == ["true", "kept", "spilled"]


def test_a_run_without_samples_abilities_or_diagnostics_still_has_a_page() -> None:
    home, parts = parts_of(SampleSource(), 0)
    bare = parts._replace(segments=[], events=[], samples=[], scored=[], courses=[], ability_courses=[], diagnostics=[])
    view = run_page.run_view(board_row(home, MadeUp("memit", 1, 1), 3), home, bare, [])
    assert view.metric_rows[0][1] == () and view.samples == () and view.end == 0


def test_interval_figures_sort_by_value() -> None:
    assert figures.interval_figure(Interval(81.26, 79.0, 83.04, 500)) == figures.Figure("81.3", "79.0–83.0", "81.26")


def test_a_badge_is_a_picture_whatever_the_editor_is_called() -> None:
    for title in ("REVIVE on MEMIT", *HOSTILE):
        picture = ElementTree.fromstring(badges.badge(title, "417", 500))
        assert picture.tag.endswith("svg") and len(picture) == 4
        assert "417 effective of 500 edits" in (picture[0].text or "")


def test_an_old_protocol_is_said_to_be_old(tmp_path: Path) -> None:
    old = replace(track(), protocol=1)
    site = build_from(SampleSource(all_tracks=(old,)), tmp_path / "site").path.parent
    assert "made under protocol 1" in (site / "index.html").read_text(encoding="utf-8")
    site = build_from(SampleSource(), tmp_path / "new").path.parent
    assert "Old protocol" not in (site / "index.html").read_text(encoding="utf-8")


def test_a_number_of_an_older_protocol_never_stands_unmarked_beside_a_newer_one(tmp_path: Path) -> None:
    newer = track()
    older = replace(newer, protocol=1, track_id="0" * 12, runs=newer.runs + 1)
    site = build_from(SampleSource(all_tracks=(older, newer)), tmp_path / "site").path.parent
    assert "Old protocol" not in (site / "index.html").read_text(encoding="utf-8"), "the newer track is first"
    page = (site / "editor" / "memit-seq.html").read_text(encoding="utf-8")
    assert page.count('<span class="span">500 edits, batches of 50</span>') == 1
    assert page.count("500 edits, batches of 50, old protocol 1</span>") == 1
    front = (site / "index.html").read_text(encoding="utf-8")
    assert "500 edits, batches of 50, old protocol 1" in front, "in the chooser too"
    for file in ("editor/memit-seq", f"track/{file_name(older.track_id)}/table", f"track/{newer.track_id}/table"):
        rows = json.loads((site / "data" / f"{file}.json").read_text(encoding="utf-8"))
        assert all("protocol" in row for row in rows), file
    assert "old protocol 1" in (site / "downloads.html").read_text(encoding="utf-8")


def test_a_runs_page_names_the_hashes_of_model_data_and_order(tmp_path: Path) -> None:
    site = build_from(SampleSource(), tmp_path / "site").path.parent
    html = next((site / "run").iterdir()).read_text(encoding="utf-8")
    assert all(text in html for text in ("9f3ac27d" * 8, "51c08b6e" * 8, "7e" * 8))


def test_a_checkpoint_after_a_collapse_is_said_to_be_one_and_no_measured_zero() -> None:
    source = SampleSource((MadeUp("ft-l", 150, 170, status="collapsed", end=300), MadeUp("memit", 520, 610)))
    home, runs = source.track(source.all_tracks[0].track_id)
    dead = next(run for run in runs if run.editor == "ft-l")
    curves = source.series([dead.run_id])[dead.run_id]
    view = run_page.run_view(dead, home, source.parts([dead.run_id])[dead.run_id], curves)
    (_, lines), *_ = view.metric_rows
    for line in lines:
        known = dict(zip(view.checkpoints, line.cells, strict=True))
        assert known[400] == known[500] == figures.COLLAPSED and known[300].sort, line
    kept = payload.curve_payload(curves)["quality|all"]
    assert kept[0][-3:] == [300, 400, 500] and kept[1][-3] is not None and kept[1][-2:] == [None, None]
    assert kept[4] == [400, 500]
    (row,) = (row for row in rows_of(source) if row.first.editor == "ft-l")
    assert row.metrics["score_argmax"].keys() == {50, 100, 200, 300}


def test_a_seed_that_collapsed_counts_in_the_mean_of_those_that_go_on_and_is_no_point() -> None:
    source = SampleSource((MadeUp("memit", 520, 610), MadeUp("memit", 90, 90, seed=1, status="collapsed", end=300)))
    home, runs = source.track(source.all_tracks[0].track_id)
    found = source.series([run.run_id for run in sorted(runs, key=lambda run: run.seed)])
    edits, means, *_, imputed, points = payload.combined_curves(list(found.values()), percent=True)["quality|all"]
    alone, dead = points
    assert imputed == [400, 500] and dead[-2:] == [None, None]
    assert means[-2:] == [pytest.approx(value / 2) for value in alone[-2:]]
    (row,) = rows_of(source)
    assert row.by_seed["score_argmax"][500][1] is None and row.metrics["score_argmax"][500].value is not None


def test_an_editors_page_gives_no_scores_of_runs_that_did_not_finish() -> None:
    source = SampleSource(tuple(MadeUp("memit", 520, 610, seed=i, status=s, end=e) for i, (s, e) in
                                enumerate((("complete", 500), ("failed", 100), ("collapsed", 300)))))  # fmt: skip
    complete, failed, collapsed = sorted(source.editor_runs("memit"), key=lambda run: run.seed)[:3]
    (row,) = editor_page.editor_view("memit", [complete, failed._replace(score=99.0)], ()).rows
    assert row.score.text == "61.0", "the mean of what finished"
    view = editor_page.editor_view("memit", [failed._replace(score=99.0)], ())
    assert view.rows == () and [run[1:] for run in view.unfinished[0].runs] == [(1, "failed", 100)]
    (dead,) = editor_page.editor_view("memit", [collapsed], ()).rows
    assert dead.score == dead.abilities == figures.COLLAPSED and dead.effective_edits.sort


def test_a_track_of_one_checkpoint_has_no_bar_no_rank_and_no_edits_until() -> None:
    source = SampleSource(RUNS[:1] + RUNS[5:6] + RUNS[7:8], (replace(track(), checkpoints=(0, 500)),))
    (row,) = rows_of(source)
    data = payload.row_payload(row)
    assert data["bar"] == [0.0, 0.0, 0.0, 0.0] and data["effective"][0] != "–"
    assert data["rank"] == ["–", "no rank: the track has one checkpoint"]
    assert [text for text, *_ in data["until"]] == ["–", "–"]
    view = track_page.track_view(source.all_tracks[0], rows_of(source), ())
    assert not view.rankless, "more courses would not help"


def test_runs_that_did_not_finish_have_no_headline_beside_those_that_did() -> None:
    *data, last = [payload.row_payload(row) for row in rows_of(SampleSource())]
    assert last["effective"] == ["–", "not finished", "", ""] and last["bar"] == [0.0, 40.0, 0.0, 0.0]
    assert [text for text, *_ in last["until"]] == ["–", "–"] and not last["ended"]
    assert all(row["ended"] and row["effective"][2] for row in data)
