"""Facts that one column of the comparison kept and another lost, counted, listed and linked."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, shoot
from tests.browser.test_accessibility import violations
from tests.labs.sample_source import RUNS, MadeUp, courses, identity, track

Open = Callable[..., Visit]
HOME = track()
ALPHA, MEMIT, FTL, ROME = (identity(HOME, place) for place in (0, 3, 4, 6))


def kept(run: MadeUp, at: int) -> dict[int, bool]:
    """Position → whether the edit is held, from the made-up run itself; a collapsed one holds nothing any more."""
    scored = [edits for edits in (0, 50, 100, 200, 300, 400, 500) if edits <= run.end]
    blocks = [one.course.split(" ") for one in courses(HOME, run)]
    if at not in scored:
        return dict.fromkeys(range(at), False)
    return {i: block[scored.index(at)].startswith("5") for i, block in enumerate(blocks) if i < at}


def difference(one: MadeUp, other: MadeUp, at: int) -> int:
    mine, theirs = kept(one, at), kept(other, at)
    return sum(mine[i] and not theirs[i] for i in mine)


def opened(visit: Open, site: Path, *runs: str, at: int = 500) -> Page:
    page = visit(site / "compare.html", fragment=f"#runs={','.join(runs)}&at={at}").page
    expect(page.locator("#kept-note")).to_contain_text(f"After {at} edits")
    return page


def test_what_one_kept_and_the_other_lost_is_counted_and_listed_with_links(visit: Open, site: Path) -> None:
    page = opened(visit, site, ALPHA, MEMIT)
    there, back = difference(RUNS[0], RUNS[3], 500), difference(RUNS[3], RUNS[0], 500)
    assert there > 50 and back == 0, "the better one keeps what the worse one loses"
    note = page.locator("#kept-note")
    expect(note).to_contain_text(f"AlphaEdit holds {there} of 500 facts that MEMIT does not")
    expect(note).to_contain_text("other way round it is 0")
    rows = page.locator("#kept-list li")
    expect(rows).to_have_count(25)
    page.locator("#kept-more").click()
    expect(rows).to_have_count(min(125, there))
    page.locator("#kept-title").scroll_into_view_if_needed()
    shoot(page, "kept")
    expect(rows.first).to_contain_text(re.compile("forgotten by|never learned"))
    number = (rows.first.locator(".case-number").text_content() or "").removeprefix("Edit ")
    rows.first.get_by_role("link").click()
    expect(page.locator("#case-list details[open] .case-number")).to_have_text(number)
    expect(page.locator("h1")).to_contain_text("MEMIT")
    expect(page.locator("#case-list details[open] .case-state")).to_contain_text(
        re.compile("forgotten by|never learned")
    )


def test_the_other_way_round_another_checkpoint_and_form_are_counted_anew(visit: Open, site: Path) -> None:
    page = opened(visit, site, MEMIT, ALPHA)
    expect(page.locator("#kept-note")).to_contain_text("MEMIT holds 0 of 500")
    expect(page.locator("#kept-list li")).to_have_count(0)
    page.get_by_role("button", name="The other way round").click()
    expect(page.locator("#kept-note")).to_contain_text(f"AlphaEdit holds {difference(RUNS[0], RUNS[3], 500)} of 500")
    page.locator("#compare-at").select_option("100")
    expect(page.locator("#kept-note")).to_contain_text(f"holds {difference(RUNS[0], RUNS[3], 100)} of 100")
    page.get_by_role("radio", name="preference").check()
    expect(page.locator("#kept-note")).to_contain_text("After 100 edits AlphaEdit holds")
    assert violations(page) == []


def test_a_collapsed_run_holds_nothing_any_more(visit: Open, site: Path) -> None:
    page = opened(visit, site, ALPHA, FTL)
    there = sum(kept(RUNS[0], 500).values())
    expect(page.locator("#kept-note")).to_contain_text(f"AlphaEdit holds {there} of 500 facts that FT-L does not")


def test_seeds_must_agree_and_a_fact_links_to_the_first_of_them(visit: Open, site: Path) -> None:
    seeds = ".".join(identity(HOME, place) for place in (0, 5, 7))
    page = opened(visit, site, seeds, MEMIT)
    expect(page.locator("#kept-note")).to_contain_text("Of several seeds all must agree.")
    page.get_by_role("button", name="The other way round").click()
    expect(page.locator("#kept-note")).to_contain_text("MEMIT holds 0")


def test_one_column_or_two_tracks_have_no_such_list(visit: Open, three_tracks: Path) -> None:
    page = visit(three_tracks / "compare.html", fragment=f"#runs={ALPHA}").page
    expect(page.locator("#compare-table tbody tr").first).to_be_visible()
    expect(page.locator("#kept")).to_be_hidden()
    elsewhere = identity(track("pocket-zsre"), 0)
    page = visit(three_tracks / "compare.html", fragment=f"#runs={ALPHA},{elsewhere}").page
    expect(page.locator("#compare-note")).to_contain_text("different tracks")
    expect(page.locator("#kept")).to_be_hidden()
