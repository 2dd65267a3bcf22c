"""Verdicts of the comparison: each is recomputed from the runs' numbers by other code."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from scipy import stats

from palimpsest.site.build import build_from
from tests.browser.conftest import Visit
from tests.labs.sample_source import MadeUp, SampleSource, identity, kept_point, metric_point, track

Open = Callable[..., Visit]
Numbers = Mapping[tuple[str, int], float]
"""(Metric, seed) → value."""
MADE = (
    *(MadeUp("alphaedit", life, 3200 + 50 * seed, seed) for seed, life in enumerate((2900, 2800, 2850))),
    MadeUp("alphaedit", 60, 80, seed=3),
    *(MadeUp("memit-seq", life, 3150 + 70 * seed**2, seed) for seed, life in enumerate((2300, 2250, 2200))),
    *(MadeUp("memit", life, 610 + seed, seed) for seed, life in enumerate((520, 540, 500))),
    *(MadeUp("ft-l", life, life, seed, "complete" if seed else "collapsed", 500 if seed else 300)
      for seed, life in enumerate((150, 160, 155))),
)  # fmt: skip
ALPHA, STRANGE, SEQ, MEMIT, FTL = (0, 1, 2), (3,), (4, 5, 6), (7, 8, 9), (10, 11, 12)
METRICS = ("score_argmax", "efficacy_argmax", "paraphrase_argmax", "neighborhood_argmax", "abilities_kept")


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of one track with rows of three and four seeds."""
    out = tmp_path_factory.mktemp("courses")
    build_from(SampleSource(MADE, (track(runs=len(MADE)),)), out)
    return out


def opened(visit: Open, site: Path, *columns: Sequence[int]) -> Page:
    runs = ",".join(".".join(identity(track(), place) for place in column) for column in columns)
    page = visit(site / "compare.html", fragment=f"#runs={runs}").page
    expect(page.locator("#compare-table thead th")).to_have_count(len(columns) + 1)
    return page


def saved(page: Page) -> dict[tuple[int, str], dict[str, str]]:
    """(Column, metric) → its line of the table that the page saves."""
    with page.expect_download() as waiting:
        page.locator("#compare-csv").click()
    found: dict[tuple[int, str], dict[str, str]] = {}
    for row in csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"))):
        place = sum(metric == row["metric"] for _, metric in found)
        found[place, row["metric"]] = row
    return found


def numbers(column: Sequence[int]) -> Numbers:
    found = {}
    for run in (MADE[place] for place in column):
        for metric in METRICS[:-1]:
            found[metric, run.seed] = metric_point(run, metric.partition("_")[0], "argmax", "all", 500).value or 0.0
        found["abilities_kept", run.seed] = kept_point(run, 500).value or 0.0
    return found


def sides(metric: str, one: Sequence[int], other: Sequence[int]) -> tuple[list[float], list[float]]:
    """Numbers of two columns at the seeds that both have."""
    before, after = numbers(one), numbers(other)
    seeds = sorted(seed for name, seed in before if name == metric and (metric, seed) in after)
    return [before[metric, seed] for seed in seeds], [after[metric, seed] for seed in seeds]


def check(page: Page, *columns: Sequence[int]) -> dict[tuple[int, str], float]:
    """Compare every difference and interval with scipy's paired t test; returns their p."""
    shown, p = saved(page), {}
    for place in range(1, len(columns)):
        for metric in METRICS:
            before, after = sides(metric, columns[0], columns[place])
            found = stats.ttest_rel(after, before)
            wanted = (sum(after) / len(after) - sum(before) / len(before), *found.confidence_interval(0.95))
            row = shown[place, metric]
            given = [float(row[name]) for name in ("difference", "difference_low", "difference_high")]
            assert given == pytest.approx(wanted, abs=1e-3), (place, metric)
            p[place, metric] = float(found.pvalue)
    return p


def holm(p: Mapping[tuple[int, str], float]) -> set[tuple[int, str]]:
    order = sorted(p, key=p.__getitem__)
    kept = set()
    for i, one in enumerate(order):
        if p[one] > 0.05 / (len(order) - i):
            break
        kept.add(one)
    return kept


def test_with_three_shared_seeds_the_verdict_is_a_paired_t_test_over_seeds_by_holm_over_the_whole_table(
    visit: Open, courses: Path
) -> None:
    page = opened(visit, courses, ALPHA, SEQ, MEMIT)
    p = check(page, ALPHA, SEQ, MEMIT)
    told = holm(p)
    shown = saved(page)
    for place, metric in p:
        word = shown[place, metric]["verdict"]
        sign = float(shown[place, metric]["difference"])
        assert word == ("tie" if (place, metric) not in told else "better" if sign > 0 else "worse"), (place, metric)
    by_line = {one for metric in METRICS for one in holm({key: v for key, v in p.items() if key[1] == metric})}
    assert told < by_line, "by Holm's procedure over one line more would be told apart"
    cells = page.locator("#compare-table tbody tr", has=page.locator("th:text-is('Efficacy, %')")).locator(".verdict")
    assert "= tie" in cells.first.inner_text() and "▼ worse" in cells.last.inner_text()


def test_one_course_gives_a_difference_and_no_verdict(visit: Open, courses: Path) -> None:
    """Cases that share an object depend on each other: by case, one course once told too much apart."""
    page = opened(visit, courses, ALPHA[:1], MEMIT[:1])
    shown = saved(page)
    for metric in METRICS:
        (before,), (after,) = sides(metric, ALPHA[:1], MEMIT[:1])
        row = shown[1, metric]
        assert float(row["difference"]) == pytest.approx(after - before, abs=1e-3)
        assert (row["difference_low"], row["difference_high"], row["verdict"]) == ("", "", "")
    expect(page.locator("#compare-table .verdict", has_text="one shared course: no verdict")).to_have_count(5)
    expect(page.locator("#compare-table .better, #compare-table .worse, #compare-table .tie")).to_have_count(0)


def test_seeds_that_only_one_column_has_take_no_part(visit: Open, courses: Path) -> None:
    check(opened(visit, courses, ALPHA + STRANGE, SEQ), ALPHA + STRANGE, SEQ)
    two = opened(visit, courses, ALPHA + STRANGE, SEQ[1:])
    expect(two.locator("#compare-table .verdict", has_text="2 shared courses: no verdict")).to_have_count(5)
    none = opened(visit, courses, STRANGE, SEQ)
    expect(none.locator("#compare-table .verdict", has_text="no shared course: no verdict")).to_have_count(5)
    assert {row["difference"] for (place, _), row in saved(none).items() if place} == {""}


def test_one_run_named_thrice_is_one_course(visit: Open, courses: Path) -> None:
    page = opened(visit, courses, ALPHA[:1] * 3, MEMIT[:1] * 3)
    expect(page.locator("#compare-table .verdict", has_text="one shared course: no verdict")).to_have_count(5)


def test_a_course_that_collapsed_counts_as_zero_beside_those_that_go_on(visit: Open, courses: Path) -> None:
    """It was once left out, so that an editor looked better by breaking."""
    page = opened(visit, courses, ALPHA, FTL)
    check(page, ALPHA, FTL)
    own = [value for (metric, _), value in numbers(FTL).items() if metric == "efficacy_argmax"]
    assert own[0] == 0 < own[1]
    assert float(saved(page)[1, "efficacy_argmax"]["value"]) == pytest.approx(sum(own) / 3, abs=1e-3)


def test_courses_in_one_order_tell_nothing_about_others(visit: Open, tmp_path: Path) -> None:
    build_from(SampleSource(MADE, (replace(track(), edit_order="file order"),)), tmp_path)
    page = opened(visit, tmp_path, ALPHA, MEMIT)
    expect(page.locator("#compare-table .verdict", has_text="all in one order: no verdict")).to_have_count(5)


@pytest.mark.parametrize("seeds", [3, 4, 5, 6, 11, 40])
def test_p_and_quantile_are_those_of_student_from_two_degrees_of_freedom_on(
    visit: Open, courses: Path, seeds: int
) -> None:
    """An approximation for many degrees of freedom was once used for all."""
    page = opened(visit, courses, ALPHA)
    before = [50.0 + 3 * (seed % 4) for seed in range(seeds)]
    ask = "([a, b]) => palimpsest.differences.difference(Array.from(a.entries()), Array.from(b.entries()), true)"
    for shift in (0.0, 0.1, 1.0, -4.0, 25.0, 400.0):
        after = [value + shift + (-1) ** seed * (1 + seed % 3) for seed, value in enumerate(before)]
        found, wanted = page.evaluate(ask, [before, after]), stats.ttest_rel(after, before)
        assert found["p"] == pytest.approx(wanted.pvalue, rel=1e-6, abs=1e-12)
        assert [found["low"], found["high"]] == pytest.approx(list(wanted.confidence_interval(0.95)), rel=1e-9)
