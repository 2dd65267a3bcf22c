import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from palimpsest.results.records import RUN_ORDER
from tests.browser.conftest import Visit, shoot, track_page

Open = Callable[..., Visit]


def compared(page: Page) -> Page:
    """The comparison of the three best editors of the front page."""
    expect(page.locator("#board input[type='checkbox']").first).to_be_visible()
    for name in ("MEMIT", "FT-L", "R-ROME"):
        page.get_by_role("checkbox", name=f"Show {name} in the figures", exact=True).uncheck()
    page.locator("#chosen a", has_text="Compare 3 side by side").click()
    expect(page.locator("#compare-table tbody tr").first).to_be_visible()
    return page


def line(page: Page, name: str) -> list[str]:
    cells = page.locator("#compare-table tbody tr", has=page.locator(f"th:text-is('{name}')")).locator("td").all()
    return [" ".join(cell.inner_text().split()) for cell in cells]


def test_editors_are_compared_course_by_course_with_the_first(visit: Open, site: Path) -> None:
    page = compared(visit(site / "index.html").page)
    expect(page.locator("#compare-table thead th")).to_have_count(4)
    expect(page.locator("#compare-table thead")).to_contain_text("AlphaEdit, 3 seeds")
    first, second, third = line(page, "Efficacy, %")
    assert "worse" not in first and "worse" in second and "worse" in third
    headlines = line(page, "Effective edits")
    assert headlines[0].count("–") == 1, "the interval of the row, as on the board"
    assert "▼ worse −" in headlines[1] and "▼ worse −" in headlines[2]
    expect(page.locator("#compare-how")).to_be_visible()
    page.locator("#compare-scores").scroll_into_view_if_needed()
    expect(page.locator("#compare-scores canvas")).to_have_count(1)
    page.evaluate("window.scrollTo(0, 0)")
    shoot(page, "compare")


def test_the_reference_the_checkpoint_and_the_form_can_be_changed_and_the_address_follows(
    visit: Open, site: Path
) -> None:
    page = compared(visit(site / "index.html").page)
    page.get_by_role("button", name="make first").first.click()
    expect(page.locator("#compare-table thead th").nth(1)).to_contain_text("MEMIT-Seq")
    assert "better" in line(page, "Efficacy, %")[1]
    before = line(page, "Score, %")
    page.locator("#compare-at").select_option("100")
    expect(page.locator("#compare-table thead th").first).to_have_text("After 100 edits")
    page.get_by_role("radio", name="preference").check()
    expect(page.get_by_role("radio", name="preference")).to_be_checked()
    assert line(page, "Score, %") != before
    address = page.url
    again = visit(site / "compare.html", fragment="#" + address.partition("#")[2]).page
    expect(again.locator("#compare-table thead th").first).to_have_text("After 100 edits")
    assert line(again, "Score, %") == line(page, "Score, %")
    page.go_back()
    expect(page.get_by_role("radio", name="argmax")).to_be_checked()


def test_runs_are_added_by_name_and_by_id_removed_and_saved(visit: Open, site: Path) -> None:
    page = compared(visit(site / "index.html").page)
    page.locator("#add").select_option(label="FT-L")
    expect(page.locator("#compare-table thead th")).to_have_count(5)
    page.get_by_role("button", name="Remove FT-L").click()
    expect(page.locator("#compare-table thead th")).to_have_count(4)
    page.locator("#add-id").fill("nonsense<script>")
    page.locator("#add-id").press("Enter")
    expect(page.locator("#compare-note")).to_contain_text("letters and digits only")
    with page.expect_download() as waiting:
        page.locator("#compare-csv").click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"))))
    assert {row["verdict"] for row in rows if row["column"].startswith("MEMIT-Seq")} <= {"better", "worse", "tie"}
    assert len(rows) == 18
    held = [row for row in rows if row["metric"] == "effective_edits"]
    assert [row["verdict"] for row in held] == ["", "worse", "worse"]
    assert float(held[1]["difference_high"]) < 0
    assert abs(float(held[1]["value"]) - float(held[0]["value"]) - float(held[1]["difference"])) < 1e-9


def test_a_saved_comparison_says_what_every_number_is_of(visit: Open, site: Path) -> None:
    page = compared(visit(site / "index.html").page)
    page.locator("#compare-at").select_option("100")
    with page.expect_download() as waiting:
        page.locator("#compare-csv").click()
    assert "pocket-llama-pocket-counterfact-500x50" in waiting.value.suggested_filename
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"))))
    runs = page.url.partition("runs=")[2].partition("&")[0].split(",")
    assert {row["runs"] for row in rows} == {" ".join(group.split(".")) for group in runs}
    assert {(row["model"], row["task"], row["edits_planned"]) for row in rows} == {
        ("pocket-llama", "pocket-counterfact", "500")
    }
    assert {(row["batch_size"], row["edit_order"]) for row in rows} == {("50", RUN_ORDER)}
    assert all(re.match(r"2026-03-\d\dT", row["date"]) for row in rows)
    verified = {row["column"].partition(",")[0]: row["verified"] for row in rows}
    assert verified["MEMIT-Seq"] == "2026-03-12" and verified["AlphaEdit"] == ""
    assert {row["track_id"] for row in rows} == {site_track(page, site)}
    at = {row["metric"]: (row["edits"], row["form"]) for row in rows}
    assert at == {"effective_edits": ("500", ""), "abilities_kept": ("100", "")} | {
        f"{part}_argmax": ("100", "argmax") for part in ("score", "efficacy", "paraphrase", "neighborhood")
    }
    digits = [len(row["value"].partition(".")[2]) for row in rows]
    assert min(digits) >= 3, "numbers as they are, not as they are shown"


def site_track(page: Page, site: Path) -> str:
    page.goto((site / "index.html").as_uri())
    return page.locator("#board-section").get_attribute("data-track") or ""


def test_the_headline_has_a_verdict_by_the_rule_of_the_board(visit: Open, site: Path) -> None:
    page = compared(visit(site / "index.html").page)
    verdict = page.locator("#compare-verdict")
    expect(verdict).to_contain_text("AlphaEdit holds more than MEMIT-Seq (by ")
    page.get_by_role("button", name="make first").first.click()
    expect(verdict).to_contain_text("MEMIT-Seq holds fewer than AlphaEdit (by ")
    expect(verdict).to_contain_text("MEMIT-Seq holds more than REVIVE on MEMIT (by ")
    page.locator("#add").select_option(label="FT-L")
    expect(verdict).to_contain_text("Not compared: FT-L (no rank: 1 course; a rank needs 3)")
    page.get_by_role("button", name="Remove").last.click()
    expect(verdict).not_to_contain_text("Not compared")


def test_effective_edits_of_less_than_a_whole_row_are_shown_and_not_compared(visit: Open, site: Path) -> None:
    page = compared(visit(site / "index.html").page)
    page.locator("#add").select_option(label="FT-L")
    expect(page.locator("#compare-table thead th")).to_have_count(5)
    assert "not compared" in line(page, "Effective edits")[3], "it has one course"
    whole, other, *_ = page.url.partition("runs=")[2].split(",")
    part = visit(site / "compare.html", fragment=f"#runs={'.'.join(whole.split('.')[:2])},{other}").page
    expect(part.locator("#compare-table thead th")).to_have_count(3)
    assert "not compared" in line(part, "Effective edits")[1]
    assert "2 shared courses: no verdict" in line(part, "Efficacy, %")[1]


def test_runs_of_different_tracks_are_shown_but_not_tested(visit: Open, three_tracks: Path) -> None:
    pages = [visit(track_page(three_tracks, model)).page for model in ("pocket-llama", "pocket-gpt2")]
    runs = [Path(page.locator("#board tbody a.run").first.get_attribute("href") or "").stem for page in pages]
    there = visit(three_tracks / "compare.html", fragment=f"#runs={','.join(runs)}").page
    expect(there.locator("#compare-note")).to_contain_text("different tracks")
    expect(there.locator(".verdict")).to_have_count(0)


def test_opened_from_the_menu_it_offers_the_editors_of_a_track(visit: Open, three_tracks: Path) -> None:
    page = visit(track_page(three_tracks, task="pocket-zsre")).page
    page.get_by_role("link", name="Compare", exact=True).click()
    choices = page.locator("#choose-list label")
    expect(choices).to_have_count(6)
    page.locator("#choose-track").select_option(label="pocket-gpt2, pocket-counterfact, 500 edits (2 editors)")
    expect(choices).to_have_count(2)
    page.locator("#choose-track").select_option(index=0)
    expect(choices).to_have_count(6)
    button = page.locator("#choose-go")
    choices.filter(has_text="MEMIT-Seq").locator("input").check()
    expect(button).to_be_disabled()
    page.locator("#choose-find").fill("alpha")
    choices.locator("input").check()
    shoot(page, "compare-choose")
    button.click()
    expect(page.locator("#compare-table thead th")).to_have_count(3)
    expect(page.locator("#compare-table thead th").nth(1)).to_contain_text("MEMIT-Seq")
    expect(page.locator("#choose")).to_be_hidden()
    for name in ("AlphaEdit", "MEMIT-Seq"):
        page.get_by_role("button", name=f"Remove {name}").click()
    expect(page.locator("#choose")).to_be_visible()
    assert not page.locator("#compare-scores").is_visible(), "nothing empty stands around"


def test_an_unknown_run_is_said_to_be_unknown(visit: Open, site: Path) -> None:
    made = visit(site / "compare.html", fragment="#runs=feedfeedfeed")
    expect(made.page.locator("#compare-note")).to_contain_text("could not be loaded: run feedfeedfeed")
    expect(made.page.locator("#choose-list label").first).to_be_visible()
    made.complaints[:] = [text for text in made.complaints if "ERR_FILE_NOT_FOUND" not in text]


def test_a_run_that_is_unknown_takes_no_other_column_with_it(visit: Open, site: Path) -> None:
    """A mistyped id once left the old table standing, and every later change failed."""
    made = visit(site / "index.html")
    page = compared(made.page)
    columns = page.locator("#compare-table thead th")
    expect(columns).to_have_count(4)
    page.locator("#add-id").fill("feedfeedfeed")
    page.locator("#add-id").press("Enter")
    expect(page.locator("#compare-note")).to_contain_text("could not be loaded: run feedfeedfeed")
    expect(columns).to_have_count(4)
    page.get_by_role("button", name="Remove").last.click()
    expect(columns).to_have_count(3)
    expect(page.locator("#compare-note")).not_to_contain_text("could not")
    made.complaints[:] = [text for text in made.complaints if "ERR_FILE_NOT_FOUND" not in text]
