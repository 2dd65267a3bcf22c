import csv
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.results.records import BoardRow, Track
from palimpsest.results.store.bulk import RunHead
from palimpsest.site.build import MARKER, build_from
from palimpsest.site.pages.plan_extras import Options
from palimpsest.site.serve import make_server
from palimpsest.site.words.frame import POLICY
from tests.labs.sample_claims import write_claims
from tests.labs.sample_nights import write_nights
from tests.labs.sample_source import HOSTILE, RUNS, MadeUp, SampleSource, hostile_source, track

_EXECUTABLE = re.compile(r"^\s*(javascript|data|vbscript):", re.IGNORECASE)


class Facts(HTMLParser):
    """What a page loads, links to and would execute."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.outside: list[tuple[str, str]] = []
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.ids: list[str] = []
        self.policy = ""
        self._script: dict[str, str | None] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.inline += [f"{tag} {key}" for key in found if key.startswith("on") or key == "style"]
        if tag == "a" and (found.get("href") or "").startswith("https:"):
            self.outside.append((found.get("href") or "", found.get("rel") or ""))
        elif tag == "a":
            self.links.append(found.get("href") or "")
        if tag in ("script", "img", "iframe", "object", "embed") and found.get("src"):
            self.loads.append(found["src"] or "")
        if tag == "link":
            self.loads.append(found.get("href") or "")
        if tag == "style" or (tag == "script" and not found.get("src") and found.get("type") != "application/json"):
            self.inline.append(tag)
        if tag in ("iframe", "object", "embed", "base", "form", "img"):
            self.inline.append(tag)
        if tag == "meta" and found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found.get("content") or ""


@pytest.fixture(scope="module", params=["ordinary", "hostile"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, hostile = tmp_path_factory.mktemp("built"), request.param == "hostile"
    source = hostile_source() if hostile else SampleSource()
    claims = write_claims(folder / "claims", source, hostile=hostile)
    options = Options(nights=write_nights(folder / "nights", hostile=hostile), claims=claims)
    build_from(source, folder / "site", options)
    return folder / "site"


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_every_page_carries_the_policy_and_nothing_inline(site: Path) -> None:
    for path in pages(site):
        facts = Facts(path.read_text(encoding="utf-8"))
        assert facts.policy == POLICY
        assert facts.inline == [], path


def test_every_link_and_file_is_inside_the_site_and_exists(site: Path) -> None:
    for path in pages(site):
        facts = Facts(path.read_text(encoding="utf-8"))
        for target in facts.links + facts.loads:
            assert not target.startswith(("/", "http:", "https:", "//")) and not _EXECUTABLE.match(target), target
            name = target.partition("#")[0]
            assert not name or (path.parent / name).resolve().is_relative_to(site.resolve()), target
            assert not name or (path.parent / name).is_file(), f"{path}: {target}"


def test_no_two_elements_share_an_id(site: Path) -> None:
    for path in pages(site):
        ids = Facts(path.read_text(encoding="utf-8")).ids
        assert len(ids) == len(set(ids)), path


def test_links_to_other_hosts_are_papers_only(site: Path) -> None:
    for path in pages(site):
        for target, relation in Facts(path.read_text(encoding="utf-8")).outside:
            assert re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}", target)
            assert relation == "noopener nofollow"


def test_no_page_loads_from_another_host(site: Path) -> None:
    harmless = ("http://www.w3.org/2000/svg", "https://arxiv.org/abs/")
    for path in [*pages(site), *site.glob("static/*")]:
        if path.is_file() and path.suffix != ".png":
            hosts = re.findall(r"https?://[^\s\"'<>]+", path.read_text(encoding="utf-8"))
            assert [host for host in hosts if not host.startswith(harmless)] == [], path


def test_data_files_can_end_no_element_and_hide_no_text(site: Path) -> None:
    for path in site.rglob("data/**/*.js"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("palimpsest.put(") and text.endswith(");\n") and text.count("\n") == 1
        assert not set("<>&\u202e\u2066\u2028\u2029\x00\x1b") & set(text)


def test_cells_of_csv_files_are_no_formulas(site: Path) -> None:
    for path in [*site.rglob("data/**/*.csv"), *site.glob("downloads/*.csv")]:
        for line in csv.reader(path.read_text(encoding="utf-8").splitlines()):
            assert not [cell for cell in line if cell.startswith(("=", "+", "@"))], path


def test_hostile_texts_never_reach_the_markup(tmp_path: Path) -> None:
    build_from(hostile_source(), tmp_path / "site")
    for path in pages(tmp_path / "site"):
        html = path.read_text(encoding="utf-8")
        assert "<script>document" not in html and "<img" not in html and "<!--" not in html
        assert not set("\u202e\u2066\u2069\u200f\u2028\u2029\x00\x1b") & set(html)
        assert "x" * 4001 not in html
    front = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;document" in front
    texts = "".join(p.read_text(encoding="utf-8") for p in pages(tmp_path / "site"))
    assert "{{ 7 * 7 }}{% raw %}" in texts and HOSTILE[6] in texts


def tree(folder: Path) -> dict[Path, bytes]:
    """All files but the DuckDB one, which carries a random identifier of its own."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix != ".duckdb"}


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        build_from(SampleSource(), tmp_path / name)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_the_front_page_stays_small(site: Path) -> None:
    html = (site / "index.html").read_text(encoding="utf-8")
    weight = sum((site / name).stat().st_size for name in Facts(html).loads)
    assert len(html.encode()) + weight < 300_000


def test_the_table_is_complete_without_scripts(site: Path) -> None:
    html = (site / "track" / f"{track().track_id}.html").read_text(encoding="utf-8")
    for word in ("AlphaEdit", "MEMIT-Seq", "FT-L", "collapsed at 300", "2026-03-10"):
        assert word in html
    assert html.count('<th role="rowheader"') == html.count("data-row=")


class Broken(SampleSource):
    def track(self, track_id: str) -> tuple[Track, list[BoardRow]]:
        raise RuntimeError("the store went away")


def test_a_failing_build_leaves_the_old_page_and_no_rubbish(tmp_path: Path) -> None:
    out = tmp_path / "site"
    build_from(SampleSource(), out)
    before = (out / "index.html").read_bytes()
    with pytest.raises(RuntimeError, match="went away"):
        build_from(Broken(digest="d1"), out)
    assert (out / "index.html").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


def test_a_failing_swap_puts_the_old_page_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "site"
    build_from(SampleSource(), out)
    real = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if ".new-" in self.name:
            raise OSError("disk gone")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk gone"):
        build_from(SampleSource(), out)
    assert (out / "index.html").is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


def test_pages_of_runs_that_are_gone_vanish(tmp_path: Path) -> None:
    out = tmp_path / "site"
    build_from(hostile_source(), out)
    (out / "run" / "feedfeedfeed.html").write_text("old")
    build_from(SampleSource(), out)
    assert not (out / "run" / "feedfeedfeed.html").exists()


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not built here"):
        build_from(SampleSource(), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    with pytest.raises(UsageError, match="is a file"):
        build_from(SampleSource(), tmp_path / "thesis.tex")


def test_the_site_may_be_read_by_others_than_its_builder(tmp_path: Path) -> None:
    build_from(SampleSource(), tmp_path / "site")
    assert (tmp_path / "site").stat().st_mode & 0o055 == 0o055
    assert (tmp_path / "site" / MARKER).is_file() and os.access(tmp_path / "site" / "index.html", os.R_OK)


def test_only_what_changed_is_made_again_and_the_result_is_the_same(tmp_path: Path) -> None:
    first = build_from(SampleSource(), tmp_path / "site")
    assert first.kept == 0
    again = build_from(SampleSource(), tmp_path / "site")
    assert again.made == 0 and again.kept == first.made
    more = SampleSource((*RUNS, MadeUp("nse", 900, 900)))
    later = build_from(more, tmp_path / "site")
    assert 0 < later.made <= 13 and later.kept > 15, "the history, the overview and all choosers tell of the row, too"
    assert tree(tmp_path / "site") == tree(build_from(more, tmp_path / "fresh").path.parent)


def test_a_file_that_someone_deleted_is_made_again(tmp_path: Path) -> None:
    build_from(SampleSource(), tmp_path / "site")
    before = tree(tmp_path / "site")
    next((tmp_path / "site" / "run").iterdir()).unlink()
    assert build_from(SampleSource(), tmp_path / "site").made == 1
    assert tree(tmp_path / "site") == before


@pytest.mark.parametrize("text", ["", "{}", '{"code": 1, "jobs": {"a": ["b", ["../../etc/passwd"]]}}', "[1]"])
def test_a_marker_that_makes_no_sense_means_building_anew(tmp_path: Path, text: str) -> None:
    source = SampleSource(RUNS[:2], (track(runs=2),))
    first = build_from(source, tmp_path / "site")
    (tmp_path / "site" / MARKER).write_text(text)
    assert build_from(source, tmp_path / "site").made == first.made


def test_no_page_grows_with_the_number_of_runs(tmp_path: Path) -> None:
    def biggest(count: int) -> int:
        runs = tuple(MadeUp(f"editor-{i}", 900 + i, 900) for i in range(count))
        out = build_from(SampleSource(runs, (replace(track(), runs=count),)), tmp_path / str(count)).path.parent
        return max(p.stat().st_size for p in out.rglob("*.html") if p.name != "editors.html")

    assert biggest(90) < 1.05 * biggest(40)


class Empty(SampleSource):
    def tracks(self) -> list[Track]:
        return []

    def heads(self) -> list[RunHead]:
        return []


def test_an_empty_store_gives_a_page_that_says_what_to_do(tmp_path: Path) -> None:
    report = build_from(Empty(), tmp_path / "site")
    html = report.path.read_text(encoding="utf-8")
    assert "No runs yet" in html and "palimpsest store ingest" in html


def test_the_server_answers_on_this_machine_only(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="palimpsest site build"):
        make_server(tmp_path)
    build_from(SampleSource(), tmp_path / "site")
    with make_server(tmp_path / "site", 0) as server:
        host, port = server.server_address[:2]
        assert host == "127.0.0.1"
        with pytest.raises(UsageError, match="--port"):
            make_server(tmp_path / "site", int(port))


def test_the_vendored_version_is_the_documented_one() -> None:
    vendor = Path(__file__).resolve().parents[2] / "site" / "static" / "vendor"
    version = re.search(r"\(v([\d.]+)\)", (vendor / "uPlot.iife.min.js").read_text(encoding="utf-8")[:200])
    assert version is not None
    assert f"uPlot {version[1]}" in (vendor / "README.md").read_text(encoding="utf-8")
    assert "MIT" in (vendor / "uPlot-LICENSE.txt").read_text(encoding="utf-8")
