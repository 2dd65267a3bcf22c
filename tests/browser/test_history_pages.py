"""The history of the leaderboard and its nights, opened from disk; with hostile words too."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit, shoot
from tests.browser.test_accessibility import violations

Open = Callable[..., Visit]


def test_the_history_leads_to_runs_and_to_the_feed(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.get_by_role("navigation", name="Site").get_by_role("link", name="History").click()
    rows = page.locator("table.history tbody tr")
    expect(page.locator("table.history tr[id^=line-]")).to_have_count(3)
    expect(rows.first).to_contain_text("agrees to the bit")
    expect(rows.first.locator(".track-cell")).to_have_text("pocket-llama, pocket-counterfact, 500 edits")
    own = page.locator("table.history tr[id^=row-]", has_text="by a run of our own")
    assert own.count() == 6, "seeds of an editor are one row"
    assert (site / (page.get_by_role("link", name="Atom feed").get_attribute("href") or "")).is_file()
    shoot(page, "history")
    rows.first.get_by_role("link").last.click()
    expect(page.locator("h1")).to_contain_text("MEMIT-Seq")


def test_the_history_tells_of_rows_of_every_track(visit: Open, three_tracks: Path) -> None:
    page = visit(three_tracks / "history.html").page
    expect(page.locator("table.history tr[id^=row-]")).to_have_count(10)
    expect(page.get_by_role("link", name="pocket-gpt2, pocket-counterfact, 500 edits")).to_have_count(2)
    page.get_by_role("link", name="pocket-llama, pocket-zsre, 500 edits").first.click()
    expect(page.locator("#board-section")).to_be_visible()


@pytest.mark.parametrize(("today", "lines"), [("2026-03-12", 3), ("2026-03-17", 2), ("2026-03-21", 0)])
def test_what_came_in_the_last_seven_days_is_marked_as_new(visit: Open, site: Path, today: str, lines: int) -> None:
    page = visit(site / "reading.html").page
    page.clock.set_fixed_time(f"{today}T12:00:00Z")
    page.goto((site / "history.html").as_uri())
    expect(page.locator("table.history tr[id^=line-] .fresh")).to_have_count(lines)
    expect(page.locator("table.history tr[id^=row-] .fresh")).to_have_count(6 if today == "2026-03-12" else 0)


def test_a_line_that_the_feed_links_to_is_marked(visit: Open, site: Path) -> None:
    page = visit(site / "history.html", fragment="#line-1").page
    ground = "node => getComputedStyle(node).backgroundColor"
    assert page.locator("#line-1 td").first.evaluate(ground) != page.locator("#line-2 td").first.evaluate(ground)


def test_nights_show_what_moved_and_every_number_over_time(visit: Open, site: Path) -> None:
    page = visit(site / "nights.html").page
    expect(page.get_by_role("row", name="MEMIT")).to_have_count(2)
    expect(page.locator("#night-curve canvas")).to_have_count(1)
    expect(page.locator("#night-curve h3")).to_have_text("Effective edits")
    page.get_by_role("link", name="Score (argmax)").first.click()
    expect(page.locator("#night-curve h3")).to_have_text("Score (argmax)")
    plot = page.locator("#night-curve [data-plot]")
    plot.focus()
    page.keyboard.press("End")
    expect(page.locator("#night-curve [data-plot-live]")).to_contain_text("2026-03-13: ")
    expect(plot.locator(".tip")).to_contain_text("51.4")
    page.locator("#night-curve summary").click()
    table = page.locator("#night-curve [data-plot-table] table")
    expect(table.locator("thead")).to_contain_text("2026-03-12")
    expect(table.locator("tbody tr")).to_have_count(3)
    page.locator("#night-multiples").scroll_into_view_if_needed()
    expect(page.locator("#night-multiples canvas")).to_have_count(4)
    page.evaluate("window.scrollTo(0, 0)")
    shoot(page, "nights", full=True)


def test_the_number_shown_is_in_the_address_and_back_goes_back(visit: Open, site: Path) -> None:
    page = visit(site / "nights.html").page
    heading = page.locator("#night-curve h3")
    expect(heading).to_have_text("Effective edits")
    page.locator("#night-metric").select_option(label="Seconds per edit")
    expect(heading).to_have_text("Seconds per edit")
    again = visit(site / "nights.html", fragment="#" + page.url.partition("#")[2]).page
    expect(again.locator("#night-curve h3")).to_have_text("Seconds per edit")
    page.go_back()
    expect(heading).to_have_text("Effective edits")


def test_what_moved_since_a_day_is_told_by_the_last_night_until_then(visit: Open, site: Path) -> None:
    page = visit(site / "nights.html").page
    moved = page.locator("#moves-rows tr")
    expect(moved).to_have_count(3)
    own = moved.first.inner_text()
    page.locator("#night-since").fill("2026-03-11")
    expect(page.locator("#moves-title")).to_contain_text("2026-03-13 against 2026-03-10")
    expect(page.locator("#moves-note")).to_contain_text("newest night that is not after 2026-03-11: 3 numbers moved")
    expect(moved.nth(1)).to_contain_text("61.3")
    assert page.url.endswith("#since=2026-03-11")
    shoot(page, "nights-since")
    page.get_by_role("link", name="Score (argmax)").first.click()
    expect(page.locator("#night-curve h3")).to_have_text("Score (argmax)")
    expect(page.locator("#moves-title")).to_contain_text("against 2026-03-10")
    page.locator("#night-metric").select_option(label="Seconds per edit")
    expect(page.locator("#night-curve h3")).to_have_text("Seconds per edit")
    assert "since=2026-03-11" in page.url
    page.goto((site / "nights.html").as_uri() + "#since=2020-01-01")
    page.reload()
    expect(page.locator("#moves-note")).to_contain_text(
        "Since 2026-03-09, the first night, which is later than 2020-01-01"
    )
    page.locator("#night-since").fill("")
    expect(page.locator("#moves-title")).to_contain_text("against 2026-03-12")
    assert moved.first.inner_text() == own
    assert violations(page) == []


@pytest.mark.parametrize("day", ["nonsense", "2026-3-1", "%3Cscript%3E", "2026-03-10%22"])
def test_a_day_that_is_none_is_left_out(visit: Open, site: Path, day: str) -> None:
    page = visit(site / "nights.html", fragment=f"#since={day}").page
    expect(page.locator("#night-curve canvas")).to_have_count(1)
    expect(page.locator("#moves-title")).to_contain_text("against 2026-03-12")


def test_hostile_words_are_text_in_the_history_and_the_nights(visit: Open, hostile_site: Path) -> None:
    page = visit(hostile_site / "history.html").page
    expect(page.locator("table.history")).to_contain_text("<img src=x onerror")
    page.goto((hostile_site / "nights.html").as_uri())
    expect(page.locator("#night-curve canvas")).to_have_count(1)
    expect(page.locator("#night-curve .legend")).to_contain_text("<script>document.title")
    assert page.title() == "Nights · Palimpsest"
    assert page.locator("main img, main iframe").count() == 0


def test_without_javascript_both_pages_say_what_there_is(visit: Open, site: Path) -> None:
    page = visit(site / "nights.html", java_script_enabled=False).page
    expect(page.locator("table").first).to_contain_text("Score (argmax)")
    expect(page.locator("#night-track")).to_be_hidden()
