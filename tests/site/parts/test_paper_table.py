"""The board of a track as a table for a paper: bold where the store cannot tell rows apart, safe in every form."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest

from palimpsest.results.records import Pair
from palimpsest.site.parts.paper_table import (
    PaperTable,
    as_csv,
    as_latex,
    as_markdown,
    best_group,
    latex,
    markdown,
    paper_table,
)
from palimpsest.site.parts.table import table_rows
from palimpsest.site.words import papers
from tests.labs.sample_source import HOSTILE, SampleSource


def table_of(source: SampleSource) -> PaperTable:
    track, runs = source.track(source.all_tracks[0].track_id)
    return paper_table(track, table_rows(track, runs, source.table_series(track.track_id)))


@pytest.fixture(scope="module")
def table() -> PaperTable:
    return table_of(SampleSource())


def test_the_best_group_is_the_first_row_and_all_not_told_apart_from_it(table: PaperTable) -> None:
    first, second, third = [row.id for row in table.rows if row.standing and row.standing.rank_low is not None][:3]
    pairs = (Pair(first, second, 3, 5.0, 9.0), Pair(first, third, 3, 20.0, 9.0), Pair(second, third, 3, 15.0, 20.0))
    assert best_group(replace(table.track, pairs=pairs), table.rows) >= {first, second}
    assert third not in best_group(replace(table.track, pairs=pairs), table.rows)
    apart = (Pair(first, second, 3, 12.0, 9.0), Pair(first, third, 3, 20.0, 9.0))
    assert not {second, third} & best_group(replace(table.track, pairs=apart), table.rows)


def test_bold_stands_for_the_best_group_in_latex_and_markdown(table: PaperTable) -> None:
    assert table.best
    text = as_latex(table)
    lines = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:-1]
    for row, line in zip(table.rows, lines, strict=True):
        assert latex(row.label) in line and line.count(r"\textbf{") == (2 if row.id in table.best else 0)
    body = [line for line in as_markdown(table).splitlines() if line.startswith("| ")][2:]
    assert sum("**" in line for line in body) == len(table.best)


def test_without_ranks_nothing_is_bold_and_the_caption_says_why(table: PaperTable) -> None:
    rows = [
        replace(row, counted=(replace(row.first, standing=replace(row.standing, rank_low=None, rank_high=None)),))
        for row in table.rows
        if row.standing
    ]
    bare = paper_table(table.track, rows)
    assert r"\textbf" not in as_latex(bare) and "three courses" in as_latex(bare)


def test_the_latex_table_is_whole_and_names_track_runs_and_papers(table: PaperTable) -> None:
    text = as_latex(table)
    assert text.count(r"\begin{") == text.count(r"\end{") == 2 + text.count(r"\begin{tabular}[t]") > 2
    assert [rule for rule in ("toprule", "midrule", "bottomrule") if text.count(f"\\{rule}") == 1].__len__() == 3
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:-1]
    assert len(body) == len(table.rows)
    assert {line.count(" & ") for line in body} == {len(table.heads) - 1}
    assert all(line.endswith(r" \\\addlinespace") for line in body)
    assert table.track.track_id in text and all(run in text for run in table.run_ids)
    keys = {key for found in re.findall(r"\\cite\{([\w,]+)\}", text) for key in found.split(",")}
    entries = set(re.findall(r"^@\w+\{(\w+),", papers.bibliography(table.papers, "1"), re.M))
    assert keys == entries and papers.OWN in keys and "fang2025alphaedit" in keys
    assert re.search(r"\d\\\\\[-2pt\]\{\\scriptsize \d+--\d+\}", text)


def test_an_editor_of_a_third_party_cites_no_paper_of_ours(table: PaperTable) -> None:
    (line,) = [one for one in as_latex(table).splitlines() if "REVIVE" in one]
    assert r"\cite" not in line


def test_a_row_that_did_not_end_is_left_out_by_name(table: PaperTable) -> None:
    assert "R-ROME" in table.left_out and "R-ROME" not in {row.label for row in table.rows}
    assert "Without R-ROME" in " ".join(table.caption())


@pytest.mark.parametrize("text", [*HOSTILE, r"\input{/etc/passwd}", "50% & $x$ #1 _a^b~{c}", "a|b*c_d`e"])
def test_no_text_is_a_command_in_latex_or_markdown(text: str) -> None:
    written = latex(text)
    known = r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textasciigrave)\{\}"
    bare = re.sub(known, "", written).replace(r"$\geq$", "").replace(r"$\times$", "").replace("$-$", "")
    assert not re.search(r"(?<!\\)[{}$&#_%~^]", bare) and not re.search(r"\\[^{}$&#_%,]", bare)
    assert "\n" not in written
    assert not re.search(r"(?<!\\)[|*_<\[`]", markdown(text)) and "\n" not in markdown(text)


def test_the_csv_has_numbers_in_full_and_track_and_runs_in_every_line(table: PaperTable) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert [row["editor"] for row in rows] == [row.first.editor for row in table.rows]
    for line, row in zip(rows, table.rows, strict=True):
        assert line["track_id"] == table.track.track_id and line["model"] == table.track.model
        assert float(line["effective_edits"]) == row.effective_edits.value
        assert line["best_group"] == str(row.id in table.best).lower()
        assert line["runs"].split() == [run.run_id for run in row.counted]
