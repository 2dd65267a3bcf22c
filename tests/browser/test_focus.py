"""The focus stays where it was when what had it goes."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Visit

Open = Callable[..., Visit]


def test_the_next_chip_has_the_focus_when_one_is_removed_and_the_last_leaves_it_to_the_group(
    visit: Open, site: Path
) -> None:
    page = visit(site / "index.html").page
    chips = page.locator("#chosen button")
    expect(chips).to_have_count(6)
    name = chips.nth(2).get_attribute("aria-label") or ""
    chips.nth(1).focus()
    page.keyboard.press("Enter")
    expect(chips).to_have_count(5)
    expect(chips.nth(1)).to_be_focused()
    assert chips.nth(1).get_attribute("aria-label") == name
    for left in (4, 3, 2, 1):
        page.keyboard.press("Enter")
        expect(chips).to_have_count(left)
        expect(chips.nth(min(1, left - 1))).to_be_focused()
    page.keyboard.press("Enter")
    expect(chips).to_have_count(0)
    expect(page.locator("#chosen")).to_be_focused()


def test_a_focus_elsewhere_is_not_drawn_to_the_chips(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    box = page.get_by_role("checkbox", name="Show FT-L in the figures")
    box.focus()
    page.keyboard.press("Space")
    expect(page.locator("#chosen button")).to_have_count(5)
    expect(box).to_be_focused()


def test_a_link_that_is_pressed_while_the_board_is_drawn_is_followed_when_it_is_let_go(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    link = page.locator("#chosen a")
    link.hover()
    page.mouse.down()
    page.evaluate("() => { document.dispatchEvent(new CustomEvent('palimpsest:board')); }")
    page.mouse.up()
    expect(page).to_have_url(re.compile("/compare.html#runs="))


def test_the_focus_stays_in_the_head_of_the_comparison(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.locator("#chosen a").click()
    remove = page.get_by_role("button", name="Remove ")
    expect(remove).to_have_count(6)
    remove.nth(2).focus()
    page.keyboard.press("Enter")
    expect(remove).to_have_count(5)
    expect(remove.nth(2)).to_be_focused()
    first = page.get_by_role("button", name="make first")
    first.last.focus()
    page.keyboard.press("Enter")
    expect(first.last).to_be_focused()


def test_the_focus_stays_on_the_form_that_arrow_keys_choose(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.locator("#chosen a").click()
    radios = page.locator("#compare-forms input")
    expect(radios.first).to_be_checked()
    radios.first.focus()
    for place in (1, 0):
        page.keyboard.press("ArrowRight")
        expect(radios.nth(place)).to_be_checked()
        expect(radios.nth(place)).to_be_focused()
