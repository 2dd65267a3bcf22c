"""2,000 runs: the front page stays light and is ready within a second; a track of that many rows can still be used."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from palimpsest.results.records import Track
from palimpsest.site import build
from palimpsest.site.pages.plan import batches
from palimpsest.site.pages.plan_extras import Options
from tests.browser.conftest import Visit, shoot
from tests.labs.sample_source import MadeUp, SampleSource, identity, track

Open = Callable[..., Visit]
EDITORS = ("memit", "memit-seq", "alphaedit", "nse", "rome", "ft-l", "revive(memit)", "sphere(alphaedit)", "my-editor")
RUNS = 2000
ROWS = 720
"""Rows of one track; 2,000 runs have fewer where rows have three seeds."""


class Many(SampleSource):
    """The same runs on each of some tracks."""

    def _made(self, track_id: str) -> tuple[MadeUp, ...]:
        return self.made

    def _find(self, run_id: str) -> tuple[Track, MadeUp, int]:
        if not hasattr(self, "places"):
            self.places = {identity(t, i): (t, run, i) for t in self.all_tracks for i, run in enumerate(self.made)}
        return self.places[run_id]


def made_up(count: int, seeds: int) -> tuple[MadeUp, ...]:
    names = [f"{EDITORS[row % len(EDITORS)]}" + (f"-{row // len(EDITORS)}" if row >= len(EDITORS) else "")
             for row in range(count)]  # fmt: skip
    return tuple(
        MadeUp(names[i // seeds], 300 + 7 * (i % 311), 280 + 5 * (i % 401), seed=i % seeds, seconds=0.1 + i % 7 / 50)
        for i in range(count)
    )


def front(source: SampleSource, out: Path) -> Path:
    """The front page and its data, without the pages of the runs, which it does not load."""
    wanted = 1  # the batch of plain pages comes first, then the overview, or the only track
    for place, batch in enumerate(batches(source, "0.1.0", "code", Options())):
        if place > wanted and not any(job.key == "history" for job in batch.jobs):
            continue
        for _, file in batch.make([job.key for job in batch.jobs]):
            path = out / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
    shutil.copytree(Path(build.__file__).parent / "static", out / "static")
    return out


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 runs: 200 on each of ten tracks, in rows of three seeds."""
    homes = tuple(replace(track(model=f"model-{i}"), runs=200) for i in range(10))
    return front(Many(made_up(RUNS // 10, 3), homes), tmp_path_factory.mktemp("many") / "site")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """720 rows on one track."""
    source = Many(made_up(ROWS, 1), (replace(track(), runs=ROWS),))
    return front(source, tmp_path_factory.mktemp("crowded") / "site")


def test_the_front_page_of_2000_runs_weighs_less_than_300_kb(many: Path) -> None:
    html = (many / "index.html").read_text(encoding="utf-8")
    assert "2\u202f000 runs" in html or "2000 runs" in html
    loaded = re.findall(r'<(?:script src|link rel="(?:stylesheet|icon)" href)="([^"]+)"', html)
    assert len(html.encode()) + sum((many / name).stat().st_size for name in loaded) < 300_000


def test_the_front_page_of_2000_runs_is_ready_within_a_second(visit: Open, many: Path) -> None:
    """The best of some openings: what else the machine does makes single ones slower, never faster."""
    took = []
    for _ in range(4):
        page = visit(many / "index.html").page
        expect(page.locator("#overview .sort").first).to_be_visible()
        ready = "performance.getEntriesByType('mark').find(one => one.name === 'palimpsest:overview').startTime"
        took.append(float(page.evaluate(ready)))
    assert min(took) < 1000, took


def test_a_track_of_720_rows_weighs_less_than_300_kb_beside_its_data(crowded: Path) -> None:
    html = (crowded / "index.html").read_text(encoding="utf-8")
    loaded = re.findall(r'<(?:script src|link rel="(?:stylesheet|icon)" href)="(static[^"]+)"', html)
    assert len(loaded) > 5
    assert len(html.encode()) + sum((crowded / name).stat().st_size for name in loaded) < 300_000


def test_a_track_of_720_rows_can_be_searched_sorted_and_shown(visit: Open, crowded: Path) -> None:
    made = visit(crowded / "index.html")
    page = made.page
    rows = page.locator("#board tbody tr")
    expect(rows).to_have_count(100)
    expect(page.locator("#shown")).to_have_text(f"The first 100 of {ROWS} rows.")
    page.locator("#more").click()
    expect(rows).to_have_count(300)
    page.locator("#find").fill("sphere(alphaedit)-77")
    expect(rows).to_have_count(1)
    page.locator("#find").fill("")
    page.locator("th[data-column='seconds'] button").click()
    expect(page.locator("#board-live")).to_contain_text(f"{ROWS} of {ROWS} rows")
    page.locator("#at").fill("0")
    expect(page.locator("#at-value")).to_have_text("50 edits")
    page.locator("#pareto").scroll_into_view_if_needed()
    expect(page.locator("#pareto canvas")).to_have_count(1)
    page.evaluate("window.scrollTo(0, 0)")
    shoot(page, "crowded")
    not_built = ("ERR_FILE_NOT_FOUND", "cannot load data/run/")
    made.complaints[:] = [text for text in made.complaints if not any(word in text for word in not_built)]
