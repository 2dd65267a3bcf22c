from dataclasses import replace

from palimpsest.results.rows import CurvePoint, EnduranceValue, Interval
from palimpsest.site import board, charts, figures, labels, runs, series
from tests.site.sample_source import CHECKPOINTS, RUNS, MadeUp, SampleSource, board_row, hostile_source, identity, track


def test_a_run_that_outlasts_the_track_is_shown_as_more_than_n_and_sorts_above_it() -> None:
    outlasted = figures.endurance_figure(EnduranceValue(None, 500, 500.0))
    fell_at_the_end = figures.endurance_figure(EnduranceValue(500.0, None, 471.0, 498.0))
    assert outlasted.text == ">\u202f500" and outlasted.span == ""
    assert fell_at_the_end.span == "471–498"
    assert float(outlasted.sort) > float(fell_at_the_end.sort)


def test_an_open_interval_of_endurance_names_its_lower_end() -> None:
    assert figures.endurance_figure(EnduranceValue(None, 500, 277.4)).span == "≥\u202f277"


def test_what_was_not_measured_is_a_dash_and_sorts_last() -> None:
    for figure in (figures.interval_figure(None), figures.endurance_figure(EnduranceValue())):
        assert (figure.text, figure.sort) == ("–", "")


def test_the_bar_shows_endurance_half_life_and_which_of_the_two_fell_first() -> None:
    row = board_row(track(), MadeUp("memit", 520, 610), 2)
    bar = figures.endurance_bar(row)
    assert bar.limit == "editing" and not bar.open
    assert 0 < bar.low < bar.reached < bar.high < bar.half == 100.0 or bar.half >= bar.reached
    assert figures.endurance_bar(replace(row, edits_planned=0)).reached == 0.0


def test_a_tie_of_ranks_is_an_interval() -> None:
    row = board_row(track(), RUNS[0], 0)
    assert figures.rank_figure(row).text == "1–2"
    assert figures.rank_figure(replace(row, rank_low=3, rank_high=3)).text == "3"
    assert figures.rank_figure(replace(row, rank_low=None, rank_high=None)).sort == ""


def test_the_same_editor_looks_the_same_on_every_track() -> None:
    rows = SampleSource().board(track().track_id)
    all_looks = series.editor_looks(rows)
    few = series.editor_looks(rows[1:3])
    assert all(all_looks[row.run_id] == few[row.run_id] for row in rows[1:3])


def test_no_two_lines_of_a_track_differ_by_colour_alone() -> None:
    rows = [replace(board_row(track(), run, i), run_id=f"{i}") for i, run in enumerate(RUNS * 2)]
    looks = series.editor_looks(rows)
    shapes = [(look.dash, look.marker) for look in looks.values()]
    assert len(set(shapes)) == len(shapes)


def test_runs_of_one_editor_are_told_apart_by_seed_and_then_by_identity() -> None:
    rows = SampleSource().board(track().track_id)
    names = charts.run_names(rows)
    assert names[0] == "AlphaEdit, seed 0" and names[4] == "AlphaEdit, seed 1" and names[1] == "MEMIT-Seq"
    twins = [rows[0], replace(rows[0], run_id="abcdef123456")]
    assert charts.run_names(twins)[1] == "AlphaEdit (abcdef)"


def test_filters_over_hosts_are_named() -> None:
    assert labels.editor_title("revive(memit)") == "REVIVE on MEMIT"
    assert labels.editor_title("my-editor") == "my-editor"


def test_a_mark_lies_on_its_line() -> None:
    points = (CurvePoint(0, 100.0, None, None), CurvePoint(100, 60.0, None, None), CurvePoint(200, None, None, None))
    assert charts.value_at(points, 50) == 80.0
    assert charts.value_at(points, 250) is None


def test_track_charts_have_every_view_and_a_table_of_the_first() -> None:
    source = SampleSource()
    rows = source.board(track().track_id)
    curves = {row.run_id: source.curves(row.run_id) for row in rows}
    editing, abilities = charts.track_charts(track(), rows, curves, ("argmax", "preference"))
    assert editing.views[0].key == "score|argmax|all"
    assert {view.key for view in editing.views} >= {"neighborhood|preference|all", "score|argmax|latest"}
    assert abilities.views[0].rules == ((80.0, "80 %"), (50.0, "50 %"))
    line, cells = editing.table()[3]
    assert line.label == "FT-L" and cells[-1].text == "0.0"
    assert editing.payload()["views"][0]["failed"] == {rows[3].run_id: [400, 500]}


def test_token_accuracy_is_the_only_form_of_question_tracks() -> None:
    assert board.forms_of(track("pocket-zsre")) == ("token_accuracy",)


def test_the_chooser_leads_to_the_nearest_track() -> None:
    llama, zsre, gpt2 = SampleSource().all_tracks
    chooser = dict(board.chooser(gpt2, [llama, zsre, gpt2], lambda t: t.track_id))
    models = {choice.label: choice for choice in chooser["Model"]}
    assert models["pocket-gpt2"].current and models["pocket-llama"].href == llama.track_id
    assert {c.label: c.href for c in chooser["Task"]}["pocket-zsre"] == zsre.track_id


def test_two_models_of_one_name_are_told_apart_by_fingerprint() -> None:
    one = track()
    other = replace(one, track_id="feed" * 3, model_fingerprint="feedbeef" * 8)
    models = dict(board.chooser(one, [one, other], lambda t: t.track_id))["Model"]
    assert {choice.note for choice in models} == {"9f3ac27d", "feedbeef"}


def test_the_command_repeats_every_setting_and_is_safe_to_paste() -> None:
    source = hostile_source()
    detail = source.run_detail(identity(source.all_tracks[0], 0))
    command = runs.command(detail.spec)
    assert "--editor '<script>" in command and "--checkpoints 0,50,100,200,300,400,500" in command
    assert "\x00" not in command and "\u202e" not in command
    assert "--set target_steps=20" in command and "--set 'layers=[0, 1, 2]'" in command
    assert "--abilities pocket_recall" in command
    plain = {**detail.spec, "abilities": [], "scoring": {"sample": 200, "seed": 0}}
    assert "--abilities none" in runs.command(plain) and "--sample 200" in runs.command(plain)


def test_answers_are_judged_by_what_they_should_be() -> None:
    source = SampleSource()
    ft = source.samples(identity(source.all_tracks[0], 3))
    first, *_ = runs.sample_cases(ft, CHECKPOINTS[1:])
    assert first.learned_at == 50
    rewrite, paraphrase, neighbour = first.rows
    assert [answer.verdict for answer in rewrite.answers] == ["true", "kept", ""]
    assert paraphrase.answers[2].verdict == "true"
    assert [answer.verdict for answer in neighbour.answers] == ["true", "kept", "spilled"]


def test_a_run_without_samples_abilities_or_diagnostics_still_has_a_page() -> None:
    source = SampleSource()
    detail = source.run_detail(identity(source.all_tracks[0], 0))
    bare = replace(detail, abilities=(), diagnostics=(), metrics=(), checkpoints=(), segments=(), events=())
    view = runs.run_view(bare, [], [])
    assert view.charts == () and view.samples == () and view.end == 0


def test_interval_figures_sort_by_value() -> None:
    assert figures.interval_figure(Interval(81.26, 79.0, 83.04, 500)) == figures.Figure("81.3", "79.0–83.0", "81.26")
