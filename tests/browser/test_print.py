"""The pages on paper."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit

Open = Callable[..., Visit]
MOST_SHEETS = 5
"""Sheets of a run with seven checkpoints and six abilities; the screen's layout takes eleven."""


def sheets(page: Page) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True)))


def test_a_run_is_printed_on_few_sheets_with_its_figures(visit: Open, site: Path) -> None:
    page = visit(min((site / "run").glob("*.html"))).page
    for name in ("run-components", "run-windows", "run-abilities", "run-diagnostics"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
        expect(page.locator(f"#{name} canvas")).to_have_count(1)
    page.emulate_media(media="print")
    box = page.locator("#run-components canvas").bounding_box()
    column = page.locator("#run-components").bounding_box()
    assert box is not None and column is not None and box["width"] <= column["width"] + 1
    assert sheets(page) <= MOST_SHEETS


def test_a_printed_track_says_which_it_is_and_keeps_the_colours_of_its_key(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    expect(page.locator("#board input[type='checkbox']").first).to_be_visible()
    page.emulate_media(media="print")
    words = page.locator("main").inner_text()
    for said in ("pocket-llama", "pocket-counterfact", "500 edits in batches of 50"):
        assert said in words, said
    exact = "all => all.map(one => getComputedStyle(one).printColorAdjust)"
    assert set(page.locator(".key i").evaluate_all(exact)) == {"exact"}
    assert sheets(page) <= MOST_SHEETS
