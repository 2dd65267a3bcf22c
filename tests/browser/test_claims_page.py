"""The page of claims, opened from disk."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Visit, shoot

Open = Callable[..., Visit]


def test_a_claim_is_read_from_its_verdict_down_to_its_runs(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.get_by_role("navigation", name="Site").get_by_role("link", name="Claims").click()
    expect(page.locator("h1")).to_have_text("Claims")
    row = page.locator("#sample-is-shown")
    expect(row).to_contain_text("shown")
    shoot(page, "claims", full=True)
    row.locator("summary").first.click()
    row.locator("details a").first.click()
    expect(page.locator("h1")).to_contain_text("AlphaEdit")


def test_a_claim_that_a_link_names_is_marked_and_a_phone_shows_the_page_whole(visit: Open, site: Path) -> None:
    page = visit(site / "claims.html", width=390, height=844, fragment="#sample-is-open").page
    ground = "node => getComputedStyle(node).backgroundColor"
    assert page.locator("#sample-is-open td").first.evaluate(ground) != page.locator(
        "#sample-is-shown td"
    ).first.evaluate(ground)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
