"""A real Chromium for the tests of the page. It is required: without one these tests fail and say how to get one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from palimpsest.site.build import build_from
from palimpsest.site.pages.plan_extras import Options
from tests.labs.sample_claims import write_claims
from tests.labs.sample_external import write_externals
from tests.labs.sample_nights import write_nights
from tests.labs.sample_source import RUNS, MadeUp, SampleSource, hostile_source, track

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SHOTS = Path(__file__).resolve().parent / "screenshots"
"""Where the tests keep what they saw; not part of the repository."""
PATIENCE = 60_000
"""Milliseconds that a busy machine may take for one step."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def find_browser() -> str:
    named = os.environ.get("PALIMPSEST_CHROMIUM")
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    if not found:
        pytest.fail(
            "The browser tests need Chromium and found none. Install it (apt-get install -y chromium) or name an "
            "executable in PALIMPSEST_CHROMIUM.",
            pytrace=False,
        )
    return found


@dataclass
class Visit:
    """An open page and all that went wrong on it."""

    page: Page
    path: Path
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    executable = find_browser()
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


def shoot(page: Page, name: str, *, full: bool = False) -> None:
    """Keep a screenshot of a page as it is now."""
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=full)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of one track, whose table is the first page."""
    folder = tmp_path_factory.mktemp("browser")
    out = folder / "deep path" / "site"
    source = SampleSource(all_tracks=(track(),))
    extras = Options(nights=write_nights(folder / "nights"), claims=write_claims(folder / "claims", source))
    build_from(source, out, extras)
    return out


@pytest.fixture(scope="session")
def three_tracks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of three tracks, whose first page is the overview: two tasks on one model, and one of them on another.

    Beside them are models that were edited elsewhere.
    """
    folder = tmp_path_factory.mktemp("tracks")
    external = write_externals(folder / "external", "somebody's model", "another " + "long" * 40)
    build_from(SampleSource(), folder / "site", Options(external=external))
    return folder / "site"


def track_page(site: Path, model: str = "pocket-llama", task: str = "pocket-counterfact") -> Path:
    """The page of a track of made-up runs."""
    return site / "track" / f"{track(task, model).track_id}.html"


@pytest.fixture(scope="session")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    source = hostile_source()
    claims = write_claims(folder / "claims", source, hostile=True)
    extras = Options(nights=write_nights(folder / "nights", hostile=True), claims=claims)
    build_from(source, folder / "site", extras)
    return folder / "site"


@pytest.fixture(scope="session")
def published_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A track that papers have published numbers about."""
    home = replace(
        track(), model="llama3-8b", task="counterfact", batch_size=100, edits=2000, checkpoints=(0, 500, 2000)
    )
    out = tmp_path_factory.mktemp("published") / "site"
    build_from(SampleSource((*RUNS[:3], MadeUp("nse", 900, 900)), (home,)), out)
    return out


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Open a file of a site; at the end nothing may have complained and nothing may have left the disk."""
    visits: list[Visit] = []
    contexts = []

    def open_page(path: Path, width: int = 1440, height: int = 900, fragment: str = "", **options: Any) -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        made = Visit(context.new_page(), path)
        made.page.set_default_timeout(PATIENCE)
        made.page.on("console", lambda message: made.complaints.append(f"{message.type}: {message.text}"))
        made.page.on("pageerror", lambda error: made.complaints.append(f"error: {error}"))
        made.page.on("request", lambda request: made.requests.append(request.url))
        made.page.goto(path.as_uri() + fragment)
        visits.append(made)
        return made

    yield open_page
    for made in visits:
        assert made.complaints == []
        assert [url for url in made.requests if not url.startswith(("file://", "blob:"))] == []
    for context in contexts:
        context.close()
