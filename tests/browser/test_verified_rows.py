"""Rows that were done again can be found and say what is known of it; rows that came lately are marked."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from palimpsest.site.build import build_from
from tests.browser.conftest import Visit, shoot, track_page
from tests.browser.test_accessibility import violations
from tests.labs.sample_source import RUNS, SampleSource, identity, track

Open = Callable[..., Visit]
HOME = track()


def test_verified_rows_have_a_filter_a_column_and_the_words_of_the_ledger(visit: Open, site: Path) -> None:
    page = visit(track_page(site)).page
    rows = page.locator("#board tbody tr[data-row]")
    expect(rows).to_have_count(6)
    cells = page.locator("#board td[data-column=verified]")
    expect(cells.filter(has_text="✓ 2026-03-12")).to_have_count(1)
    page.locator("#status").select_option("verified")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("MEMIT-Seq")
    expect(cells).to_contain_text("agrees to the bit: release 1.0")
    assert "status=verified" in page.url
    page.locator("#status").select_option("")
    page.get_by_role("button", name="Verified").click()
    expect(rows.first).to_contain_text("MEMIT-Seq")
    shoot(page, "verified")
    assert violations(page) == []
    cells.get_by_role("link").click()
    expect(page.locator("h1")).to_have_text("History")


def test_with_that_column_too_the_table_fits_a_window_of_1440_px(visit: Open, site: Path) -> None:
    """It scrolled sideways, in a box of its own, and its head did not stick to the window."""
    page = visit(track_page(site)).page
    expect(page.locator("#board tbody input[type=checkbox]").first).to_be_visible()
    expect(page.locator("#board thead [data-column=verified]")).to_be_in_viewport(ratio=1)
    expect(page.locator(".board-scroll.fits")).to_have_count(1)
    shoot(page, "verified-1440")


def test_a_track_without_verified_rows_has_no_such_column(visit: Open, site: Path, tmp_path: Path) -> None:
    build_from(SampleSource((RUNS[0], RUNS[3])), tmp_path / "site")
    page = visit(track_page(tmp_path / "site")).page
    expect(page.locator("#board tbody tr[data-row]")).to_have_count(2)
    expect(page.locator("#board [data-column=verified]")).to_have_count(0)
    expect(page.locator("#board thead [data-column=date]")).to_have_count(1)


def test_without_scripts_the_column_is_there_too(visit: Open, site: Path) -> None:
    page = visit(track_page(site), java_script_enabled=False).page
    expect(page.locator("td[data-column=verified]", has_text="release 1.0")).to_have_count(1)


def test_a_run_that_was_done_again_says_how_and_where_it_is_written(visit: Open, site: Path) -> None:
    page = visit(site / "run" / f"{identity(HOME, 1)}.html").page
    expect(page.locator(".lede").get_by_role("link", name="agrees to the bit: release 1.0")).to_be_visible()


def test_rows_of_the_board_that_came_lately_are_marked(visit: Open, site: Path) -> None:
    page = visit(site / "reading.html").page
    for today, marked in (("2026-03-16", 6), ("2026-03-17", 1), ("2026-03-18", 0)):
        page.clock.set_fixed_time(f"{today}T12:00:00Z")
        page.goto(track_page(site).as_uri())
        expect(page.locator("#board tbody input[type=checkbox]").first).to_be_visible()
        page.wait_for_timeout(300)
        expect(page.locator("#board .fresh")).to_have_count(marked)
    page.clock.set_fixed_time("2026-03-12T12:00:00Z")
    page.reload()
    expect(page.locator("#board .fresh")).to_have_count(6)
    page.get_by_role("button", name="Score").first.click()
    expect(page.locator("#board .fresh")).to_have_count(6)
    page.locator("#board tbody button.seeds[aria-expanded]").first.click()
    expect(page.locator("#board tr.seed")).not_to_have_count(0)
    expect(page.locator("#board .fresh")).to_have_count(6)
    shoot(page, "fresh")
    assert violations(page) == []
