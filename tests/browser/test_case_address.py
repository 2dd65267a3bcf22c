"""An edit and the explorer's filters have an address; the run's page has a list of contents with how to repeat it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit, shoot
from tests.labs.sample_source import identity, track

Open = Callable[..., Visit]


@pytest.fixture
def memit(site: Path) -> Path:
    """The page of the run whose editor forgets the most."""
    return site / "run" / f"{identity(track(), 3)}.html"


def test_an_edit_has_an_address_that_opens_it(visit: Open, memit: Path) -> None:
    page = visit(memit, fragment="#case=13").page
    case = page.locator("#case-list details[open]")
    expect(case).to_have_count(1)
    expect(case.locator(".case-number")).to_have_text("13")
    expect(case.locator("table.answers")).to_be_visible()
    expect(case.locator("summary")).to_be_in_viewport()
    expect(case.locator("summary")).to_be_focused()
    expect(case.get_by_role("button", name="Copy a link to this edit")).to_be_visible()
    shoot(page, "case-address")


def test_an_edit_far_down_stands_first_when_its_address_is_opened(visit: Open, memit: Path) -> None:
    page = visit(memit, fragment="#case=432").page
    expect(page.locator("#case-list li").first.locator(".case-number")).to_have_text("432")
    expect(page.locator("#case-list details[open] table.answers")).to_be_visible()
    expect(page.locator("#case-list li")).to_have_count(26)


@pytest.mark.parametrize("number", ["99999", "0", "-1", "1e3", "%3Cscript%3E", ""])
def test_an_address_of_no_edit_shows_the_list(visit: Open, memit: Path, number: str) -> None:
    page = visit(memit, fragment=f"#case={number}").page
    expect(page.locator("#case-list li")).to_have_count(25)
    expect(page.locator("#case-list details[open]")).to_have_count(0)
    missing = page.locator("#case-note", has_text="There is no edit")
    expect(missing).to_have_count(int(number == "99999"))


def test_filters_are_in_the_address_and_come_back_with_it(visit: Open, memit: Path) -> None:
    page = visit(memit).page
    page.locator("#cases").scroll_into_view_if_needed()
    expect(page.locator("#case-list li")).to_have_count(25)
    page.locator("#case-state").select_option("lost")
    page.locator("#case-find").fill("corrow 4")
    page.locator("#case-list summary").first.click()
    expect(page.locator("#case-list table")).to_be_visible()
    number = page.locator("#case-list details[open] .case-number").text_content()
    fragment = page.url.partition("#")[2]
    assert fragment == f"find=corrow%204&show=lost&case={number}"
    note = page.locator("#case-note").text_content() or ""
    again = visit(memit, fragment=f"#{fragment}").page
    expect(again.locator("#case-note")).to_have_text(note)
    expect(again.locator("#case-find")).to_have_value("corrow 4")
    expect(again.locator("#case-state")).to_have_value("lost")
    expect(again.locator("#case-list details[open] .case-number")).to_have_text(number or "")
    page.locator("#case-list details[open] summary").click()
    expect(page).not_to_have_url(re.compile("case="))
    page.go_back()
    expect(page.locator("#case-state")).to_have_value("")
    expect(page.locator("#case-find")).to_have_value("")
    expect(page.locator("#case-list li")).to_have_count(25)


def test_a_filter_that_is_none_is_left_out(visit: Open, memit: Path) -> None:
    page = visit(memit, fragment="#show=nonsense&find=corrow%20431").page
    expect(page.locator("#case-state")).to_have_value("")
    expect(page.locator("#case-list li")).to_have_count(1)


def test_the_contents_lead_to_each_section_and_leave_the_explorer_as_it_is(visit: Open, memit: Path) -> None:
    page = visit(memit, fragment="#show=lost").page
    expect(page.locator("#case-note")).to_contain_text("edits fit")
    links = page.get_by_role("navigation", name="On this page").get_by_role("link")
    addresses = [link.get_attribute("href") or "" for link in links.all() if link.is_visible()]
    assert len(addresses) > 8
    for address in addresses:
        expect(page.locator(address)).to_be_visible()
    links.filter(has_text="Repeat this run").click()
    expect(page.locator("#repeat-title")).to_be_in_viewport()
    expect(page.locator("#case-state")).to_have_value("lost")


def test_how_to_repeat_a_run_stands_near_the_top_and_begins_with_what_to_install(visit: Open, memit: Path) -> None:
    page = visit(memit).page
    expect(page.locator("#install")).to_have_text("pip install palimpsest-bench==0.1.0")
    places = [page.locator(name).bounding_box() for name in ("#install", "#command", "#curves-title")]
    tops = [box["y"] for box in places if box]
    assert len(tops) == 3 and tops == sorted(tops) and tops[1] < 900, "on the first screen"
    button = page.locator("button[data-copy=install]")
    button.click()
    expect(button).not_to_have_text("Copy")
