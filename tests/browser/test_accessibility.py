"""axe-core on every kind of page, in light and dark; and the keyboard alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, track_page

Open = Callable[..., Visit]
AXE = (Path(__file__).resolve().parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RULES = (
    "{preload: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],"
    " rules: {'target-size': {enabled: true}}}"
)
"""The size of targets (24 px) is off in axe unless it is asked for."""


COLOURS = "{preload: false, runOnly: {type: 'rule', values: ['color-contrast', 'link-in-text-block']}}"
"""The rules that a dark page may break and its light twin keep."""


def violations(page: Page, rules: str = RULES) -> list[tuple[str, list[Any]]]:
    page.evaluate(AXE)
    found = page.evaluate(f"axe.run(document, {rules})")
    return [(v["id"], [node["target"] for node in v["nodes"]][:5]) for v in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_violation(visit: Open, site: Path, scheme: str) -> None:
    rules = RULES if scheme == "light" else COLOURS
    page = visit(site / "index.html", color_scheme=scheme, reduced_motion="reduce").page
    expect(page.locator("#board input[type='checkbox']").first).to_be_visible()
    page.get_by_role("button", name="3 seeds").first.click()
    page.locator("#columns summary").click()
    for name in ("curve-scores", "multiples", "pareto"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
    expect(page.locator("#pareto canvas")).to_have_count(1)
    page.locator("#curve-scores summary").click()
    assert violations(page, rules) == []
    compare = page.locator("#chosen a").get_attribute("href") or ""
    page.locator("#board tbody a.run").first.click()
    page.locator("#cases").scroll_into_view_if_needed()
    page.locator("#case-list summary").first.click()
    expect(page.locator("#case-list table")).to_be_visible()
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = true; }")
    assert violations(page, rules) == []
    page.goto((site / "compare.html").as_uri() + "#" + compare.partition("#")[2])
    expect(page.locator("#compare-table tbody tr").first).to_be_visible()
    assert violations(page, rules) == [], "compare"
    for path in (
        "editor/revive-memit.html",
        "editor/alphaedit.html",
        "editors.html",
        "downloads.html",
        "reading.html",
        "history.html",
    ):
        page.goto((site / path).as_uri())
        assert violations(page, rules) == [], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_overview_the_chooser_and_the_way_into_comparing_have_no_violation(
    visit: Open, three_tracks: Path, scheme: str
) -> None:
    rules = RULES if scheme == "light" else COLOURS
    page = visit(three_tracks / "index.html", color_scheme=scheme, reduced_motion="reduce").page
    page.locator("#overview .sort").first.click()
    page.locator("#overview .to-editor").first.focus()
    assert violations(page, rules) == []
    page.goto((three_tracks / "compare.html").as_uri())
    page.locator("#choose-list input").first.check()
    assert violations(page, rules) == [], "compare"
    page.goto(track_page(three_tracks).as_uri())
    page.locator("#board th .sort").first.focus()
    expect(page.locator("#hint")).to_be_visible()
    assert violations(page, rules) == [], "a hint"
    page.locator("#compact").check()
    page.locator(".chooser summary").first.click()
    assert violations(page, rules) == [], "one line a row, a menu of the chooser"


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_of_models_edited_elsewhere_has_no_violation_and_is_not_wider_than_the_screen(
    visit: Open, three_tracks: Path, width: int
) -> None:
    page = visit(three_tracks / "external.html", width=width).page
    expect(page.locator("tr[id^='external-row-']")).to_have_count(2)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_nights_have_no_violation(visit: Open, site: Path, scheme: str) -> None:
    page = visit(site / "nights.html", color_scheme=scheme, reduced_motion="reduce").page
    page.locator("#night-multiples").scroll_into_view_if_needed()
    expect(page.locator("#night-multiples canvas")).to_have_count(4)
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_claims_have_no_violation(visit: Open, site: Path, scheme: str) -> None:
    page = visit(site / "claims.html", color_scheme=scheme, reduced_motion="reduce").page
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = true; }")
    assert violations(page) == []


def test_a_phone_has_no_violation_either(visit: Open, site: Path) -> None:
    page = visit(site / "index.html", width=390, height=844).page
    expect(page.locator("#board input[type='checkbox']").first).to_be_visible()
    assert violations(page) == []


def test_the_keyboard_alone_reaches_the_table_and_its_controls(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    expect(page.locator("#board input[type='checkbox']").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    seen = set()
    for _ in range(70):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.className || ''"))
    assert {"at", "find", "status", "origin", "reset", "sort"} <= seen
    page.get_by_role("checkbox", name="Show FT-L in the figures").focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox", name="Show FT-L in the figures")).not_to_be_checked()
    expect(page.get_by_role("checkbox", name="Show FT-L in the figures")).to_be_focused()
