from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Visit

Open = Callable[..., Visit]


def test_every_row_leads_to_its_run_and_back(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    for index in range(page.locator("#board tbody tr").count()):
        page.goto((site / "index.html").as_uri())
        link = page.locator("#board tbody tr").nth(index).locator("a")
        title = link.inner_text()
        link.click()
        expect(page.locator("h1")).to_contain_text(title.strip())
        page.locator(".crumbs a").click()
        expect(page.locator("#board tbody tr")).to_have_count(5)


def test_a_run_page_shows_curves_samples_command_and_environment(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.locator("#board tbody a", has_text="FT-L").click()
    expect(page.locator(".plot canvas")).to_have_count(4)
    expect(page.locator("#command")).to_contain_text("palimpsest run")
    expect(page.locator("#command")).to_contain_text("--editor ft-l")
    expect(page.locator(".answers tbody")).to_have_count(4)
    expect(page.locator(".answers .said.spilled").first).to_be_visible()
    for text in ("Linux-6.1.0", "AMD EPYC 7763", "layers", "[0, 1, 2]"):
        expect(page.locator(".columns")).to_contain_text(text)


def test_the_form_switch_changes_curves_and_tables_of_a_run(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.locator("#board tbody a").first.click()
    page.get_by_role("radio", name="preference").check()
    expect(page.locator("[data-chart-view='run-components']")).to_have_value("components|preference|all")
    expect(page.locator("div.form-argmax")).to_be_hidden()
    expect(page.locator("div.form-preference")).to_be_visible()


def test_the_weights_chart_has_two_views(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.locator("#board tbody a").first.click()
    page.locator("[data-chart-view='run-weights']").select_option("weight_norm")
    expect(page.locator("#run-weights caption").first).to_contain_text("Size")


def test_copying_the_command_leaves_a_trace(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.locator("#board tbody a").first.click()
    button = page.locator("button[data-copy]")
    button.click()
    expect(button).not_to_have_text("Copy")


def test_without_javascript_a_run_page_is_complete(visit: Open, site: Path) -> None:
    page = visit(next((site / "run").iterdir()), java_script_enabled=False).page
    expect(page.locator("#command")).to_be_visible()
    expect(page.locator(".answers tbody").first).to_be_visible()
    expect(page.locator("button[data-copy]")).to_be_hidden()


def test_printing_is_light_even_in_the_dark(visit: Open, site: Path) -> None:
    page = visit(site / "index.html", color_scheme="dark").page
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(page.locator("html")).not_to_have_attribute("data-theme", "light")
