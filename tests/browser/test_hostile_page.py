"""A submission full of attacks, opened everywhere: no script of it runs, nothing breaks, texts stay texts."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Visit, shoot

Open = Callable[..., Visit]
NAME = "<script>document.title='owned'</script>"


def test_hostile_texts_are_plain_text_in_the_table_and_the_figures(visit: Open, hostile_site: Path) -> None:
    page = visit(hostile_site / "index.html").page
    expect(page.locator("#board tbody .name").first).to_have_text(NAME)
    page.locator("#curve-scores").scroll_into_view_if_needed()
    expect(page.locator("#curve-scores canvas")).to_have_count(1)
    page.locator("#curve-scores [data-plot]").hover(position={"x": 300, "y": 100})
    expect(page.locator("#curve-scores .tip")).to_contain_text("<script>document.title")
    page.locator("#find").fill("<script>")
    expect(page.locator("#board tbody tr")).to_have_count(1)
    page.locator("#part").select_option(NAME)
    expect(page.locator("#board tbody tr")).to_have_count(1)
    page.locator("#pareto").scroll_into_view_if_needed()
    expect(page.locator("#pareto canvas")).to_have_count(1)
    shoot(page, "hostile")
    assert page.title() != "owned"


def test_hostile_texts_are_plain_text_on_every_other_page(visit: Open, hostile_site: Path) -> None:
    page = visit(hostile_site / "index.html").page
    page.locator("#board tbody a.run").first.click()
    expect(page.locator("h1")).to_contain_text(NAME)
    page.locator("#cases").scroll_into_view_if_needed()
    expect(page.locator("#case-list li").first).to_contain_text("<img src=x onerror")
    page.locator("#case-list summary").first.click()
    expect(page.locator("#case-list table")).to_contain_text("</script><!--")
    page.locator("#run-diagnostics").scroll_into_view_if_needed()
    run = page.locator("#run").get_attribute("data-run")
    assert page.title() != "owned"
    assert page.locator("main img, iframe, body script:not([src])").count() == 0
    page.locator(".crumbs a").nth(1).click()
    expect(page.locator("h1")).to_contain_text(NAME)
    for path in ("editors.html", "downloads.html", "claims.html"):
        page.goto((hostile_site / path).as_uri())
        assert page.title() != "owned"
        assert page.locator("main img, iframe, body script:not([src])").count() == 0
    page.goto((hostile_site / "compare.html").as_uri() + f"#runs={run}")
    expect(page.locator("#compare-table thead")).to_contain_text(NAME)
    expect(page.locator("#compare-note")).to_contain_text("second")
    assert page.title() != "owned"


def test_a_hostile_address_changes_nothing(visit: Open, hostile_site: Path) -> None:
    attack = "#track=../../x&at=<img src=x>&sort=constructor&form=__proto__&rows=<b>&y=<script>|all&z=toString&hide=*"
    page = visit(hostile_site / "index.html", fragment=attack).page
    expect(page.locator("#board tbody input").first).to_be_visible()
    page.locator("#curve-scores").scroll_into_view_if_needed()
    expect(page.locator("#at-value")).to_contain_text("500 edits")
    other = visit(hostile_site / "compare.html", fragment="#runs=../../etc/passwd,<b>&at=NaN&form=<i>").page
    expect(other.locator("#compare-note")).to_contain_text("Choose editors")
