"""A data file that is missing, or does not come, is named on the page; nothing says "Loading" for ever."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from palimpsest.site.words.text import file_name
from tests.browser.conftest import Visit, shoot

Open = Callable[..., Visit]
EXPECTED = ("ERR_FILE_NOT_FOUND", "cannot load", "nothing in")


@pytest.fixture
def broken(site: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the site, to take files away from."""
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    yield copy


def forgiven(made: Visit) -> None:
    made.complaints[:] = [text for text in made.complaints if not any(word in text for word in EXPECTED)]


def run_page(site: Path) -> tuple[Path, Path]:
    """A run's page and the folder of its data."""
    page = min((site / "run").iterdir())
    return page, site / "data" / "run" / page.stem


def test_a_missing_file_is_named_and_its_section_says_that_it_cannot_be_shown(visit: Open, broken: Path) -> None:
    path, folder = run_page(broken)
    (folder / "courses-0.js").unlink()
    made = visit(path)
    made.page.locator("#cases").scroll_into_view_if_needed()
    expect(made.page.locator("#case-note")).to_contain_text("cannot be shown")
    bar = made.page.get_by_role("alert")
    expect(bar).to_contain_text(f"data/run/{path.stem}/courses-0.js cannot be loaded")
    expect(bar).to_be_in_viewport()
    shoot(made.page, "missing-file")
    with made.page.expect_navigation():  # after which the file is missing again, as soon as its section is in sight
        bar.get_by_role("button", name="Load the page again").click()
    forgiven(made)


@pytest.mark.parametrize("name", ["run.js", "diagnostics.js"])
def test_a_half_written_file_is_as_good_as_missing(visit: Open, broken: Path, name: str) -> None:
    path, folder = run_page(broken)
    (folder / name).write_text("", encoding="utf-8")
    made = visit(path)
    made.page.locator("#run-diagnostics").scroll_into_view_if_needed()
    expect(made.page.get_by_role("alert")).to_contain_text(f"{name} cannot be loaded")
    forgiven(made)


def test_prompts_that_are_missing_are_said_to_be_and_come_when_they_are_there_again(visit: Open, broken: Path) -> None:
    (probes,) = broken.glob("data/cases/*/probes-0.js")
    aside = probes.rename(broken / "aside.js")
    made = visit(run_page(broken)[0])
    made.page.locator("#cases").scroll_into_view_if_needed()
    case = made.page.locator("#case-list details").first
    case.locator("summary").click()
    expect(case.locator(".note")).to_contain_text("cannot be shown")
    aside.rename(probes)
    case.locator("summary").click()
    case.locator("summary").click()
    expect(case.locator("table.answers")).to_be_visible()
    expect(case.locator(".note")).to_have_count(0)
    expect(made.page.get_by_role("alert")).to_have_count(0)
    forgiven(made)


def held_up(page: Page, pattern: str) -> list[Route]:
    """Requests that are neither answered nor refused, until somebody does."""
    held: list[Route] = []
    page.route(pattern, lambda route: held.append(route))
    return held


def test_a_file_that_does_not_come_is_named_after_five_seconds_and_no_longer_once_it_is_there(
    visit: Open, site: Path
) -> None:
    page = visit(site / "history.html").page
    page.clock.install(time="2026-03-14T08:00:00Z")
    page.clock.pause_at("2026-03-14T08:01:00Z")
    held = held_up(page, "**/courses-0.js")
    page.goto(run_page(site)[0].as_uri() + "#case=13", wait_until="domcontentloaded")
    expect(page.locator("#case-note")).to_have_text("Loading the cases.")
    expect(page.locator("script[src$='courses-0.js']")).to_have_count(1)
    page.clock.fast_forward(4900)
    expect(page.get_by_role("alert")).to_have_count(0)
    page.clock.fast_forward(200)
    expect(page.get_by_role("alert")).to_contain_text("courses-0.js has not come for five seconds")
    held[0].continue_()
    expect(page.locator("#case-note")).to_contain_text("500 edits:")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_number_whose_file_comes_late_is_not_drawn_under_the_name_of_another(visit: Open, site: Path) -> None:
    page = visit(site / "history.html").page
    name = f"{file_name('efficacy_argmax')}.js"
    held = held_up(page, f"**/{name}")
    page.goto((site / "nights.html").as_uri(), wait_until="domcontentloaded")
    drawn = page.locator("#night-curve [data-plot-table] caption")
    chosen = page.locator("#night-metric")
    for label in ("Seconds per edit", "Efficacy (argmax)", "Score (argmax)"):
        chosen.select_option(label=label)
    expect(drawn).to_have_text("Score (argmax) over the nights")
    late = page.locator(f"script[src$='{name}']")
    expect(late).to_have_count(1)
    held[0].continue_()
    late.evaluate("node => palimpsest.load(node.getAttribute('src'))")
    expect(drawn).to_have_text("Score (argmax) over the nights")


def test_a_page_that_a_file_of_its_own_markup_holds_up_says_so_too(visit: Open, site: Path) -> None:
    page = visit(site / "history.html").page
    page.clock.install()
    held = held_up(page, "**/rows.js")
    page.goto((site / "index.html").as_uri(), wait_until="commit")
    expect(page.locator("script[src$='rows.js']")).to_have_count(1)
    page.clock.fast_forward(5100)
    expect(page.get_by_role("alert")).to_contain_text("rows.js has not come for five seconds")
    held[0].continue_()
    expect(page.locator("#board input[type='checkbox']").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_recorded_answers_that_no_run_has_to_have_are_missing_without_a_word(visit: Open, broken: Path) -> None:
    path, folder = run_page(broken)
    (folder / "answers.js").unlink()
    made = visit(path)
    made.page.locator("#cases").scroll_into_view_if_needed()
    expect(made.page.locator("#case-note")).to_contain_text("500 edits:")
    expect(made.page.get_by_role("alert")).to_have_count(0)
    forgiven(made)
