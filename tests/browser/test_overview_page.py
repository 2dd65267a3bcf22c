"""The first page of several tracks, and the chooser that leads from one of them to the next."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from palimpsest.site.build import build_from
from palimpsest.site.pages import overview
from tests.browser.conftest import Visit, shoot, track_page
from tests.browser.test_board_page import ready
from tests.labs.sample_source import MadeUp, SampleSource, track

Open = Callable[..., Visit]
ALL = ["AlphaEdit", "MEMIT-Seq", "REVIVE on MEMIT", "MEMIT", "FT-L", "R-ROME"]


def editors(page: Page) -> list[str]:
    return page.locator("#overview tbody tr:visible .name").all_text_contents()


def head(page: Page, column: str) -> str:
    return f"#overview th[data-column='{column}'] .sort"


@pytest.mark.parametrize("scripts", [True, False])
def test_each_cell_has_the_headline_and_the_ranks_of_the_tracks_own_table(
    visit: Open, three_tracks: Path, scripts: bool
) -> None:
    page = visit(three_tracks / "index.html", java_script_enabled=scripts).page
    assert editors(page) == ALL
    expect(page.locator("#overview thead a")).to_have_text(["pocket-counterfact", "pocket-zsre", "pocket-counterfact"])
    expect(page.locator("#overview th.model")).to_have_text(["pocket-llama", "pocket-gpt2"])
    cells = [row.locator("td").nth(1).inner_text().split("\n") for row in page.locator("#overview tbody tr").all()]
    page.locator("#overview thead a").first.click()
    rows = page.locator("#board tbody tr")
    expect(rows).to_have_count(6)
    for (value, place), row in zip(cells, rows.all(), strict=True):
        rank = row.locator(".rank .value").inner_text()
        if value == "–":
            assert place == "not finished"
        else:
            assert value == row.locator(".headline").inner_text()
            assert place == (f"rank {rank}" if rank != "–" else "no rank")


def test_it_sorts_by_any_track_and_the_address_and_the_back_button_know(visit: Open, three_tracks: Path) -> None:
    page = visit(three_tracks / "index.html").page
    page.locator(head(page, "0")).click()
    expect(page.locator("th[data-column='0']")).to_have_attribute("aria-sort", "ascending")
    assert editors(page) == ["FT-L", "MEMIT", "REVIVE on MEMIT", "MEMIT-Seq", "AlphaEdit", "R-ROME"]
    page.locator(head(page, "editor")).click()
    assert editors(page) == sorted(ALL, key=str.lower) and page.url.endswith("#sort=editor")
    page.locator(head(page, "2")).focus()
    page.keyboard.press("Enter")
    assert editors(page)[:2] == ["AlphaEdit", "MEMIT-Seq"], "those that are not on the track stay at the end"
    expect(page.locator("#overview-live")).to_contain_text("pocket-gpt2, pocket-counterfact")
    expect(page.locator("th[aria-sort]")).to_have_count(1)
    page.go_back()
    expect(page.locator("th[data-column='editor']")).to_have_attribute("aria-sort", "ascending")
    again = visit(three_tracks / "index.html", fragment="#sort=-tracks").page
    assert editors(again)[:2] == ["AlphaEdit", "MEMIT-Seq"]
    again.locator("#find").fill("on memit")
    assert editors(again) == ["REVIVE on MEMIT"]
    shoot(page, "overview")


def test_an_old_address_of_the_leaderboard_leads_to_its_track(visit: Open, three_tracks: Path) -> None:
    home = track_page(three_tracks, task="pocket-zsre")
    page = visit(three_tracks / "index.html", fragment=f"#track={home.stem}&sort=-score").page
    page.wait_for_url(f"**/track/{home.name}**")
    ready(page)
    expect(page.locator("th[data-column='score']")).to_have_attribute("aria-sort", "descending")


def test_editors_that_the_page_leaves_out_come_when_they_are_asked_for(
    visit: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "STATIC_CELLS", 0)
    names = [f"editor-{i:02}" for i in range(14)]
    runs = tuple(MadeUp(name, 1000 - 20 * i, 900) for i, name in enumerate(names))
    homes = (replace(track(), runs=14), track("pocket-zsre", runs=2))
    site = build_from(SampleSource(runs, homes), tmp_path / "site").path.parent
    plain = visit(site / "index.html", java_script_enabled=False).page
    assert editors(plain) == names[:10]
    page = visit(site / "index.html").page
    expect(page.locator("#shown")).to_contain_text("The first 10 of 16 editors")
    page.locator(head(page, "editor")).click()
    expect(page.locator("#overview tbody tr")).to_have_count(16)
    assert editors(page) == sorted(editors(page), key=str.lower), "sorting is over all of them"
    expect(page.locator("#more")).to_be_hidden()


def test_the_chooser_leads_nowhere_that_was_not_chosen(visit: Open, three_tracks: Path) -> None:
    page = ready(visit(track_page(three_tracks, task="pocket-zsre"), width=1024).page)
    expect(page.locator("h1")).to_have_text("pocket-llama, pocket-zsre, 500 edits, batches of 50")
    model, task = page.locator(".chooser details").all()
    model.locator("summary").click()
    gone = model.locator("li", has_text="pocket-gpt2")
    expect(gone).to_contain_text("no run on this task and schedule")
    assert gone.locator("a").count() == 0
    shoot(page, "chooser")
    task.locator("summary").click()
    expect(model.locator("ul")).to_be_hidden()
    expect(task.locator("a[aria-current]")).to_contain_text("2 editors")
    task.get_by_role("link", name="pocket-counterfact").click()
    expect(page.locator("h1")).to_have_text("pocket-llama, pocket-counterfact, 500 edits, batches of 50")
    ready(page)
    page.locator(".chooser summary").first.click()
    expect(page.locator(".chooser li", has_text="pocket-gpt2").locator("a")).to_contain_text("2 editors")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="All 3 tracks").click()
    expect(page.locator("#overview")).to_be_visible()


def test_the_chooser_takes_two_lines_at_most_whatever_the_names(visit: Open, tmp_path: Path) -> None:
    long = "a-model-of-a-long-name-" * 4
    homes = [track(f"{task}-{long}", f"{model}-{long}", 2) for task in "abc" for model in "def"]
    homes = [replace(home, track_id=f"{i:012x}") for i, home in enumerate(homes)]
    site = build_from(SampleSource(all_tracks=tuple(homes)), tmp_path / "site").path.parent
    page = visit(site / "track" / f"{homes[0].track_id}.html", width=1024, java_script_enabled=False).page
    box = page.locator(".chooser").bounding_box()
    assert box is not None and box["height"] <= 110
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.locator(".chooser summary").first.click()
    expect(page.locator(".chooser details").first.locator("a")).to_have_count(3)
    expect(page.locator(".chooser details").first.locator("a").last).to_be_visible()
