from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, shoot

Open = Callable[..., Visit]


def run_of(page: Page, editor: str) -> Page:
    page.locator("#board tbody tr", has=page.locator(".name", has_text=editor)).first.locator("a.run").first.click()
    expect(page.locator("#run-components canvas")).to_have_count(1)
    return page


def test_every_row_leads_to_its_run_its_editor_and_back(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    expect(page.locator("#board input[type='checkbox']").first).to_be_visible()
    for index in range(page.locator("#board tbody tr").count()):
        row = page.locator("#board tbody tr").nth(index)
        title = " ".join((row.locator(".name").text_content() or "").split())
        row.locator("a.run").last.click()
        expect(page.locator("h1")).to_contain_text(title)
        page.locator(".crumbs a").nth(1).click()
        expect(page.locator("h1")).to_have_text(title)
        page.go_back()
        page.locator(".crumbs a").first.click()
        expect(page.locator("#board tbody tr")).to_have_count(6)


def test_a_run_page_shows_curves_spectra_command_and_environment(visit: Open, site: Path) -> None:
    page = run_of(visit(site / "index.html").page, "FT-L")
    page.locator("#run-diagnostics").scroll_into_view_if_needed()
    expect(page.locator("#spectra")).to_be_visible()
    page.locator("#spectra").scroll_into_view_if_needed()
    expect(page.locator(".plot canvas")).to_have_count(5)
    expect(page.locator("#spectrum-update")).to_be_hidden()
    expect(page.locator("#spectrum-weight .legend")).to_contain_text("layer 1, before")
    expect(page.locator("#command")).to_contain_text("--editor ft-l")
    for text in ("Linux-6.1.0", "AMD EPYC 7763", "layers", "[0, 1, 2]"):
        expect(page.locator(".columns")).to_contain_text(text)
    page.evaluate("window.scrollTo(0, 0)")
    shoot(page, "run", full=True)


def test_the_form_switch_changes_curves_and_tables_of_a_run(visit: Open, site: Path) -> None:
    page = run_of(visit(site / "index.html").page, "AlphaEdit")
    page.get_by_role("radio", name="preference").check()
    page.locator("#run-components summary").click()
    expect(page.locator("#run-components caption")).to_have_text("Scores (preference), all edits so far")
    expect(page.locator("div.form-argmax")).to_be_hidden()
    expect(page.locator("div.form-preference")).to_be_visible()


def test_a_legend_hides_a_line_and_diagnostics_can_be_chosen(visit: Open, site: Path) -> None:
    page = run_of(visit(site / "index.html").page, "AlphaEdit")
    button = page.locator("#run-components .legend button", has_text="Efficacy")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(button).to_be_focused()
    page.locator("#run-components summary").click()
    expect(page.locator("#run-components tbody tr")).to_have_count(4)
    page.locator("#run-diagnostics").scroll_into_view_if_needed()
    page.locator("#diagnostic").select_option("weight_norm")
    page.locator("#run-diagnostics summary").click()
    expect(page.locator("#run-diagnostics tbody tr")).to_have_count(3)
    page.locator("#log-y").check()
    expect(page.locator("#run-diagnostics .legend")).to_contain_text("layer 3")


def test_the_case_explorer_finds_edits_and_shows_what_became_of_them(visit: Open, site: Path) -> None:
    page = run_of(visit(site / "index.html").page, "MEMIT")
    page.locator("#cases").scroll_into_view_if_needed()
    expect(page.locator("#case-note")).to_contain_text("500 edits:")
    expect(page.locator("#case-list li")).to_have_count(25)
    page.locator("#case-more").click()
    expect(page.locator("#case-list li")).to_have_count(125)
    page.locator("#case-find").fill("corrow 431")
    expect(page.locator("#case-list li")).to_have_count(1)
    page.locator("#case-list summary").click()
    table = page.locator("#case-list table.answers")
    expect(table.locator("tbody tr")).to_have_count(3)
    expect(table.locator("thead")).to_contain_text("Right after, at 500")
    expect(table.locator("thead")).to_contain_text("At the end, at 500")
    expect(table).to_contain_text("The birthplace of Ilvane Corrow 431 is")
    shoot(page, "cases")
    page.locator("#case-find").fill("")
    for state, words in (("kept", "kept to the end"), ("lost", "forgotten by"), ("never", "never learned")):
        page.locator("#case-state").select_option(state)
        expect(page.locator("#case-list .case-state").first).to_contain_text(words)
    page.locator("#case-state").select_option("answers")
    expect(page.locator("#case-list li")).to_have_count(4)
    page.locator("#case-list summary").first.click()
    expect(page.locator("#case-list table")).to_contain_text("recorded answer")


def test_copying_the_command_leaves_a_trace(visit: Open, site: Path) -> None:
    page = run_of(visit(site / "index.html").page, "MEMIT")
    button = page.locator("button[data-copy=command]")
    button.click()
    expect(button).not_to_have_text("Copy")


def test_without_javascript_a_run_page_is_complete(visit: Open, site: Path) -> None:
    page = visit(next((site / "run").iterdir()), java_script_enabled=False).page
    expect(page.locator("#command")).to_be_visible()
    expect(page.locator(".answers tbody").first).to_be_visible()
    expect(page.locator("button[data-copy]:visible")).to_have_count(0)
    expect(page.locator("button[data-copy]")).to_have_count(4)
    expect(page.locator("#case-find")).to_be_hidden()


def test_an_editors_page_says_what_it_does_and_lists_its_runs(visit: Open, three_tracks: Path) -> None:
    page = visit(three_tracks / "editor" / "alphaedit.html").page
    expect(page.locator(".equation").first).to_contain_text("Δ")
    expect(page.locator("a[href='https://arxiv.org/abs/2410.02355']")).to_be_visible()
    expect(page.locator("table tbody tr")).to_have_count(3)
    page.get_by_text("What its settings mean").click()
    expect(page.locator("details .facts").first).to_contain_text("nullspace_threshold")
    shoot(page, "editor")
