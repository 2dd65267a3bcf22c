"""The shape of the table: its order and its head, its names, one line a row, and the cards of a phone."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from palimpsest.site.build import build_from
from palimpsest.site.parts.columns import columns
from tests.browser.conftest import Visit, shoot
from tests.browser.test_board_page import HEADER, editors, ready
from tests.labs.sample_source import MadeUp, SampleSource, track

Open = Callable[..., Visit]
LONG = "an-editor-whose-name-tells-all-of-its-settings-" + "and-more-" * 12
MADE_OF = ("rank", "editor", "effective", "efficacy", "paraphrase", "neighborhood", "abilities")


@pytest.fixture(scope="session")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A track of forty editors, the second of them with a name too long to show."""
    more = (MadeUp(LONG if i == 1 else f"editor-{i}", 900 - 7 * i, 900 - 5 * i) for i in range(40))
    out = tmp_path_factory.mktemp("forty") / "site"
    build_from(SampleSource(tuple(more), (replace(track(), runs=40),)), out)
    return out


def box(found: Locator) -> dict[str, float]:
    place = found.bounding_box()
    assert place is not None
    return {**place, "right": place["x"] + place["width"], "bottom": place["y"] + place["height"]}


def heads(page: Page) -> Iterator[tuple[str, Locator]]:
    for head in page.locator("#board thead th[data-column]").all():
        yield head.get_attribute("data-column") or "", head


def test_what_makes_the_headline_comes_first_and_is_on_screen_at_1024(visit: Open, forty: Path) -> None:
    page = ready(visit(forty / "index.html", width=1024).page)
    assert tuple(key for key, _ in heads(page))[: len(MADE_OF)] == MADE_OF
    for key, head in heads(page):
        if key in MADE_OF:
            assert box(head)["right"] <= 1024, key
    shoot(page, "forty-1024")


@pytest.mark.parametrize("width", [1024, 1440])
def test_the_head_stays_while_the_rows_go_by(visit: Open, forty: Path, width: int) -> None:
    """A table that fits sticks to the window, a wider one to the box that it scrolls in."""
    page = ready(visit(forty / "index.html", width=width).page)
    page.evaluate("document.querySelector('.board-scroll').scrollIntoView()")
    fits = page.evaluate("document.querySelector('.board-scroll').classList.contains('fits')")
    assert fits == (width == 1440)
    page.evaluate("down => (down ? window : document.querySelector('.board-scroll')).scrollBy(0, 700)", fits)
    for _, head in heads(page):
        assert -1 <= box(head)["y"] < 200
        assert box(page.locator("#board tbody tr").nth(2))["bottom"] < box(head)["bottom"]
    expect(page.locator(HEADER.format("efficacy"))).to_be_visible()


def test_a_wide_number_never_runs_into_its_bar(visit: Open, forty: Path) -> None:
    page = ready(visit(forty / "index.html", width=1024).page)
    for text in (">\u202f1\u202f000", "10\u202f000", ">\u202f100\u202f000"):
        page.locator("#board .headline").first.evaluate("(node, text) => { node.textContent = text; }", text)
        gauge = page.locator("#board .gauge").first
        number, bar, cell = (box(gauge.locator(name)) for name in (".headline", ".course", "xpath=.."))
        assert number["right"] <= bar["x"] and bar["right"] <= cell["right"] and bar["width"] > 20, text


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_a_long_name_is_cut_and_shown_whole_on_hover_and_in_focus(visit: Open, forty: Path, width: int) -> None:
    page = ready(visit(forty / "index.html", width=width).page)
    name = page.locator("#board tbody .to-editor", has_text=LONG)
    assert box(name)["width"] <= 270 and box(name)["height"] <= 60
    expect(name).to_have_text(LONG)
    hint = page.locator("#hint")
    name.hover()
    expect(hint).to_have_text(LONG)
    assert box(hint)["right"] <= width and box(hint)["x"] >= 0
    page.keyboard.press("Escape")
    expect(hint).to_be_hidden()
    page.mouse.move(0, 0)
    name.focus()
    expect(hint).to_have_text(LONG)
    expect(name).to_have_attribute("aria-describedby", "hint")
    page.locator("#board tbody .to-editor").first.focus()
    expect(hint).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_every_head_says_in_words_what_it_is_in_focus_and_on_hover(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    words = {column.key: column for column in columns(track(), verified=True)}
    assert len(words) > 10 and all(len(one.words) > 20 and "_" not in one.words for one in words.values())
    for key, head in heads(page):
        head.locator("button").focus()
        expect(page.locator("#hint")).to_have_text(words[key].words)
    page.get_by_role("radio", name="preference").check()
    page.locator(HEADER.format("score")).hover()
    expect(page.locator("#hint")).to_have_text(words["score"].other_words)
    plain = visit(site / "index.html", java_script_enabled=False).page
    expect(plain.locator("th[data-column='efficacy']")).to_have_attribute("title", words["efficacy"].words)


def test_one_line_a_row_is_a_choice_that_the_address_keeps(visit: Open, forty: Path) -> None:
    page = ready(visit(forty / "index.html").page)
    page.locator("#compact").check()
    heights = [box(row)["height"] for row in page.locator("#board tbody tr").all()]
    assert len(heights) == 40 and max(heights) <= 36 and max(heights) - min(heights) <= 1
    assert "lines=1" in page.url
    again = ready(visit(forty / "index.html", fragment="#" + page.url.partition("#")[2]).page)
    expect(again.locator("#compact")).to_be_checked()
    assert box(again.locator("#board tbody tr").first)["height"] <= 36
    shoot(page, "forty-compact")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_name_leads_to_the_editor_and_run_to_the_run(visit: Open, site: Path, scripts: bool) -> None:
    page = visit(site / "index.html", java_script_enabled=scripts).page
    if scripts:
        ready(page)
    row = page.locator("#board tbody tr").first
    assert (row.locator(".to-editor").get_attribute("href") or "").startswith("editor/alphaedit")
    runs = [link.get_attribute("href") or "" for link in row.locator("a.run").all()]
    assert len(set(runs)) == 3 and all(run.startswith("run/") for run in runs)
    single = page.locator("#board tbody tr", has_text="FT-L")
    expect(single.locator("a.run")).to_have_text("run")
    single.locator("a.run").click()
    expect(page.locator("h1")).to_contain_text("FT-L")


def test_on_a_phone_five_cards_come_first_each_under_160_px(visit: Open, forty: Path, site: Path) -> None:
    page = ready(visit(forty / "index.html", width=390, height=844).page)
    cards = page.locator("#board tbody tr")
    expect(cards).to_have_count(5)
    expect(page.locator("#shown")).to_have_text("Top 5 of 40 rows.")
    for card in cards.all():
        assert box(card)["height"] < 160 and box(card)["right"] <= 390
    for label in ("Efficacy", "Paraphrase", "Neighborhood", "Abilities kept"):
        expect(cards.first.locator(f"td[data-label='{label}']")).to_be_visible()
    expect(cards.first.locator("td[data-label='Peak memory']")).to_be_hidden()
    cards.first.get_by_role("button", name="All figures of").click()
    expect(cards.first.locator("td[data-label='Peak memory']")).to_be_visible()
    page.locator("#sort-select").select_option(label="Effective edits ↑")
    assert editors(page)[0] == "editor-39"
    page.locator("#more").click()
    expect(cards).to_have_count(40)
    few = ready(visit(site / "index.html", width=390, height=844).page)
    assert all(box(card)["height"] < 160 for card in few.locator("#board tbody tr").all())
    expect(few.locator("#board tbody tr", has_text="FT-L").locator(".status")).to_be_visible()
    expect(few.locator("#board tbody tr").first.locator(".status")).to_be_hidden()
    shoot(few, "front-phone")


def test_without_scripts_a_card_has_every_figure(visit: Open, site: Path) -> None:
    page = visit(site / "index.html", width=390, height=844, java_script_enabled=False).page
    labels: list[Any] = page.locator("#board tbody tr").first.locator("td[data-label]").all()
    assert len(labels) >= 11
    for cell in labels:
        expect(cell).to_be_visible()
