"""Pictures of a built site for the docs: 1440, 1024 and 390 pixels wide, light and dark.

    python docs/screenshots.py SITE OUT        # e.g. .palimpsest/site docs/images

Needs playwright and a Chromium (PALIMPSEST_CHROMIUM names one). The pictures have few colours, so they are stored with
a palette where Pillow is installed, which makes them a third as large.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import Browser, Locator, Page, sync_playwright

SHOTS = (
    ("leaderboard", "front", 1440, 1280, "light"),
    ("leaderboard-dark", "front", 1440, 1280, "dark"),
    ("leaderboard-1024", "front", 1024, 1200, "light"),
    ("leaderboard-phone", "front", 390, 1100, "light"),
    ("leaderboard-phone-dark", "front", 390, 1100, "dark"),
    ("curves", "curves", 1440, 1360, "light"),
    ("run", "run", 1440, 1280, "light"),
    ("run-1024-dark", "run", 1024, 1200, "dark"),
    ("cases", "cases", 1440, 900, "light"),
    ("compare", "compare", 1440, 1100, "light"),
    ("editor", "editor", 1440, 1100, "light"),
)
"""(name, page, width, height, colour scheme)."""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def main() -> int:
    """Take what was asked for; 2 where there is no site or no browser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("site", type=Path, help="folder of a built site")
    parser.add_argument("out", type=Path, help="folder of the pictures")
    parser.add_argument("--only", help="names that match this regular expression")
    options = parser.parse_args()
    found = os.environ.get("PALIMPSEST_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found or not (options.site / "index.html").is_file():
        print("No Chromium found." if not found else f"There is no site in {options.site}.", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_ARGUMENTS)
        for name, kind, width, height, scheme in SHOTS:
            if options.only is None or re.search(options.only, name):
                path = options.out / f"{name}.png"
                take(browser, options.site.resolve(), kind, path, (width, height), scheme)
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
        browser.close()
    return 0


def take(browser: Browser, site: Path, kind: str, path: Path, size: tuple[int, int], scheme: str) -> None:
    """Open a page, let it settle, and store what the window shows."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto((site / "index.html").as_uri())
    if page.locator("#overview").count():
        fullest(page).click()
    page.locator("#board input[type='checkbox']").first.wait_for()
    PAGES[kind](page)
    page.wait_for_timeout(400)
    page.screenshot(path=path)
    context.close()
    smaller(path)


def fullest(page: Page) -> Locator:
    """The link to the track that has most editors."""
    heads = page.locator("#overview thead th:has(a)").all()
    editors = [re.search(r"(\d+) editor", head.inner_text()) for head in heads]
    counts = [int(found[1]) if found else 0 for found in editors]
    return heads[counts.index(max(counts))].locator("a").first


def front(page: Page) -> None:
    """The front page, its figures loaded."""
    page.locator("#curve-scores").scroll_into_view_if_needed()
    page.wait_for_timeout(600)
    page.evaluate("window.scrollTo(0, 0)")


def curves(page: Page) -> None:
    """The figures of the front page."""
    for name in ("curve-scores", "multiples", "pareto"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
        page.wait_for_timeout(600)
    page.evaluate("document.getElementById('curves-title').scrollIntoView({block: 'start'})")


def run(page: Page) -> None:
    """The page of the best editor's run."""
    page.locator("#board tbody a.run").first.click()
    for name in ("run-components", "run-diagnostics"):
        page.locator(f"#{name} canvas").first.wait_for()
        page.locator(f"#{name}").scroll_into_view_if_needed()
    page.evaluate("window.scrollTo(0, 0)")


def cases(page: Page) -> None:
    """Its edits, the first one open."""
    page.locator("#board tbody a.run").first.click()
    page.locator("#cases").scroll_into_view_if_needed()
    page.locator("#case-list summary").first.wait_for()
    page.locator("#case-state").select_option("answers")
    page.locator("#case-list summary").first.click()
    page.locator("#case-list table").first.wait_for()
    page.evaluate("document.getElementById('cases').scrollIntoView({block: 'start'})")


def compare(page: Page) -> None:
    """The chosen editors side by side."""
    address = page.locator("#chosen a").get_attribute("href") or ""
    page.goto(urljoin(page.url, address))
    page.locator("#compare-table tbody tr").first.wait_for()
    page.locator("#compare-scores").scroll_into_view_if_needed()
    page.wait_for_timeout(600)
    page.evaluate("window.scrollTo(0, 0)")


def editor(page: Page) -> None:
    """The page of the best editor."""
    page.locator("#board tbody .to-editor").first.click()
    page.locator("h1").wait_for()


PAGES = {"front": front, "curves": curves, "run": run, "cases": cases, "compare": compare, "editor": editor}


def smaller(path: Path) -> None:
    """The same picture with at most 256 colours."""
    try:
        from PIL import Image
    except ImportError:
        return
    picture = Image.open(path).convert("RGB")
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
