"""What search engines and messengers read of a page: its title, its words, its one address, its picture."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from palimpsest.site.build import build_from
from palimpsest.site.pages.plan_extras import Options
from tests.labs.sample_source import HOSTILE, RUNS, SampleSource, hostile_source, track

BASE = "https://example.org/deep/palimpsest/"


class Head(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.said: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.title = self.h1 = ""
        self._inside = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self._inside = tag
        if tag == "meta" and ("property" in found or "name" in found):
            self.said[found.get("property") or found["name"]] = found.get("content", "")
        if tag == "link":
            self.links[found["rel"]] = found["href"]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.title += data if self._inside == "title" else ""
        self.h1 += data if self._inside == "h1" else ""


def made(source: SampleSource, folder: Path, base_url: str = "") -> dict[str, Head]:
    site = build_from(source, folder / "site", Options(base_url=base_url)).path.parent
    return {str(path.relative_to(site)): Head(path) for path in site.rglob("*.html")}


def test_every_page_says_what_it_is_and_has_one_address(tmp_path: Path) -> None:
    found = made(SampleSource(RUNS[:2]), tmp_path, BASE)
    assert len(found) > 12
    for path, head in found.items():
        assert head.said["og:title"] == head.title and len(head.title) > 10, path
        assert head.said["og:description"] == head.said["description"] and len(head.said["description"]) > 20, path
        address = BASE if path == "index.html" else BASE + path
        assert head.links["canonical"] == head.said["og:url"] == address, path
        assert (tmp_path / "site" / path).parent.joinpath(head.links["icon"]).is_file(), path
        assert (tmp_path / "site" / path).parent.joinpath(head.links["apple-touch-icon"]).is_file(), path


def test_the_heading_of_a_track_names_it_and_the_only_one_has_the_address_of_the_site(tmp_path: Path) -> None:
    home = track()
    found = made(SampleSource(RUNS[:2], (home,)), tmp_path, BASE)
    for path in ("index.html", f"track/{home.track_id}.html"):
        assert found[path].h1 == "pocket-llama, pocket-counterfact, 500 edits, batches of 50"
        assert found[path].links["canonical"] == BASE


@pytest.mark.parametrize("hostile", [False, True])
def test_a_site_without_an_address_names_none(tmp_path: Path, hostile: bool) -> None:
    found = made(hostile_source() if hostile else SampleSource(RUNS[:2]), tmp_path)
    for path, head in found.items():
        assert "canonical" not in head.links and "og:url" not in head.said, path
        assert head.said["og:title"] == head.title, path
    if hostile:
        assert HOSTILE[0] in found["index.html"].said["og:description"]
