import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from palimpsest.results.records import LedgerRow
from palimpsest.site.build import build_from
from palimpsest.site.pages import history
from palimpsest.site.pages.plan_extras import INDEX, Options
from tests.labs.sample_source import HOSTILE, SampleSource, hostile_source

ATOM = "{http://www.w3.org/2005/Atom}"
HEADS = SampleSource().heads()
ROWS = {(head.track_id, head.row_id) for head in HEADS}
"""Rows of the made-up source, all of them of our own."""
LINE = LedgerRow("2026-03-10T09:00:00+00:00", "include", "0123456789ab", "memit", "pull request 11", None, None)


def built(tmp_path: Path, source: SampleSource, base_url: str = "") -> Path:
    return build_from(source, tmp_path / "site", Options(base_url=base_url)).path.parent


def feed(site: Path) -> ElementTree.Element:
    return ElementTree.parse(site / "feed.xml").getroot()


def test_every_line_of_the_ledger_is_on_the_page_newest_first(tmp_path: Path) -> None:
    html = (built(tmp_path, SampleSource()) / "history.html").read_text(encoding="utf-8")
    words = [
        html.index(word)
        for word in ("run again</span>", "agrees to the bit", "replaced</span>", "in place of", "included</span>")
    ]
    assert words == sorted(words)
    assert "pull request 12" in html and f"{len(ROWS)} added · 1 included · 1 replaced · 1 run again" in html
    assert html.count("by a run of our own") == len(ROWS)


def test_each_row_of_our_own_comes_once_with_the_first_of_its_runs_and_names_its_track() -> None:
    base = HEADS[0]._replace(row_id="aaaa0000aaaa", track_id="feedfeedfeed")
    heads = [
        base._replace(run_id="000000000002", came="2026-03-12T08:00:00+00:00"),
        base._replace(run_id="000000000001", came="2026-03-11T08:00:00+00:00"),
        base._replace(run_id="000000000003", came="2026-03-10T08:00:00+00:00", submitted=True),
        base._replace(run_id="000000000004", came="2026-03-09T08:00:00+00:00", track_id="beefbeefbeef"),
    ]
    found = history.events([], heads, {"feedfeedfeed": "a model, a task"})
    assert [(event.run_id, event.track) for event in found] == [
        ("000000000001", "a model, a task"),
        ("000000000004", ""),
    ]
    assert found[0].track_href == "track/feedfeedfeed.html" and "on a model, a task" in found[0].title
    assert history.arrivals(found) == {"000000000001": "2026-03-11", "000000000004": "2026-03-09"}


def test_a_line_of_the_ledger_names_the_track_of_its_run_too() -> None:
    head = HEADS[0]._replace(run_id=LINE.run_id, submitted=True)
    (event,) = history.events([LINE], [head], {head.track_id: "a model, a task"})
    assert event.line == 1 and event.track == "a model, a task"
    assert history.arrivals([event]) == {LINE.run_id: "2026-03-10"}


def test_sites_without_an_address_have_feeds_of_their_own_that_stay_when_rows_come() -> None:
    one, other = ([head._replace(came=f"2026-0{month}-01T00:00:00Z") for head in HEADS[:2]] for month in (1, 2))
    later = [*one, HEADS[5]._replace(came="2026-05-01T00:00:00Z")]
    ids = [history.site_identity(history.events([], heads, {}), "") for heads in (one, other, later)]
    assert ids[0] != ids[1] and ids[0] == ids[2]
    own = [event.identity(site) for site in ids[:2] for event in history.events([], HEADS[:1], {})]
    assert own[0] != own[1], "two sites may have the same run"


def test_runs_without_a_page_are_named_but_not_linked() -> None:
    (event,) = history.events([LINE], [], {})
    assert event.run_href == "" and [
        one.run_href for one in history.events([LINE], [HEADS[0]._replace(run_id=LINE.run_id, submitted=True)], {})
    ] == ["run/0123456789ab.html"]


def test_a_re_run_that_differs_is_no_good_news() -> None:
    good, bad = history.events(
        [replace(LINE, action="rerun", verdict="differs"), replace(LINE, action="rerun", verdict="bits")], [], {}
    )
    assert (good.action.style, bad.action.style) == ("good", "bad") and "differs" in bad.title


@pytest.mark.parametrize("source", [SampleSource(), hostile_source()], ids=["ordinary", "hostile"])
@pytest.mark.parametrize("base_url", ["", "https://example.org/deep/palimpsest/"])
def test_the_feed_is_valid_atom_wherever_the_site_lies(tmp_path: Path, source: SampleSource, base_url: str) -> None:
    site = built(tmp_path, source, base_url)
    root = feed(site)
    entries = root.findall(f"{ATOM}entry")
    assert root.tag == f"{ATOM}feed" and len(entries) == 3 + len(
        {(h.track_id, h.row_id) for h in source.heads() if not h.submitted}
    )
    assert root.findtext(f"{ATOM}author/{ATOM}name")
    identities = [one.findtext(f"{ATOM}id") or "" for one in (root, *entries)]
    assert len(set(identities)) == 1 + len(entries) and all(
        re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", one) for one in identities
    )
    for one in (root, *entries):
        assert one.findtext(f"{ATOM}title")
        moment = one.findtext(f"{ATOM}updated") or ""
        assert moment.endswith("Z") and datetime.fromisoformat(moment)
    assert root.findtext(f"{ATOM}updated") == "2026-03-12T09:00:00Z"
    page = (site / "history.html").read_text(encoding="utf-8")
    for one in (root, *entries):
        for link in one.findall(f"{ATOM}link"):
            address = link.get("href") or ""
            assert address.startswith(base_url)
            name, _, fragment = address.removeprefix(base_url).partition("#")
            assert (site / name).is_file() and (not fragment or f'id="{fragment}"' in page)
    (own,) = root.findall(f"{ATOM}link[@rel='self']")
    assert own.get("href") == f"{base_url}feed.xml"


def test_hostile_words_are_text_in_the_feed(tmp_path: Path) -> None:
    site = built(tmp_path, hostile_source())
    raw = (site / "feed.xml").read_text(encoding="utf-8")
    assert "<script" not in raw and "<img" not in raw and not set("\x00\x1b\u202e\u2066") & set(raw)
    reasons = [one.findtext(f"{ATOM}content") or "" for one in feed(site).findall(f"{ATOM}entry")]
    assert any(HOSTILE[1] in reason for reason in reasons)


@pytest.mark.parametrize(
    ("time", "read"),
    [
        ("2026-03-10T09:00:00+00:00", "2026-03-10T09:00:00Z"),
        ("2026-03-10T09:00:00.123456+02:00", "2026-03-10T07:00:00Z"),
        ("2026-03-10T09:00:00", "2026-03-10T09:00:00Z"),
        ("2026-99-10T09:00:00<script>", "1970-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z"),
    ],
)
def test_times_are_written_in_the_one_form_that_every_reader_knows(time: str, read: str) -> None:
    assert history.rfc3339(time) == read


def test_identities_of_lines_stay_when_lines_are_added() -> None:
    before = history.events([LINE], [], {})
    after = history.events([LINE, replace(LINE, action="withdraw")], HEADS, {})
    same = [event.identity("any") for event in after if event.line == 1]
    assert same == [before[0].identity("another")] and len({event.identity("") for event in after}) == len(after)


def test_page_and_feed_are_bounded_and_say_what_is_left_out(tmp_path: Path) -> None:
    class Long(SampleSource):
        def ledger(self) -> list[LedgerRow]:
            return [replace(LINE, reason=f"request {i}") for i in range(history.MOST_ROWS + 60)]

    site = built(tmp_path, Long())
    html = (site / "history.html").read_text(encoding="utf-8")
    total = history.MOST_ROWS + 60 + len(ROWS)
    assert html.count("<tr id=") == history.MOST_ROWS and f"newest 300 of {total}" in html
    assert len(feed(site).findall(f"{ATOM}entry")) == history.MOST_ENTRIES
    assert len((site / "data/history.csv").read_text().splitlines()) == total + 1


def test_a_new_line_makes_the_history_again_and_little_else(tmp_path: Path) -> None:
    class Later(SampleSource):
        def ledger(self) -> list[LedgerRow]:
            return [*super().ledger(), LINE]

    build_from(SampleSource(), tmp_path / "site")
    assert build_from(Later(), tmp_path / "site").made <= 2
    assert (tmp_path / "site" / "history.html").read_text(encoding="utf-8").count('<tr id="line-') == 4


def test_the_index_for_programs_names_every_track_and_its_tables(tmp_path: Path) -> None:
    import json

    site = built(tmp_path, SampleSource())
    index = json.loads((site / INDEX).read_text(encoding="utf-8"))
    assert index["format"] == 1 and len(index["tracks"]) == 3
    for track in index["tracks"]:
        assert (site / track["page"]).is_file() and all((site / path).is_file() for path in track["table"].values())
        assert json.loads((site / track["table"]["json"]).read_text(encoding="utf-8"))


def published(count: int, day: str = "2026-03-10", reason: str = "five seeds") -> list[LedgerRow]:
    return [
        LedgerRow(f"{day}T09:{n:02d}:00+00:00", "publish", f"{n:012x}", f"editor-{n % 3}", reason, None, None)
        for n in range(count)
    ]


def test_runs_that_were_published_together_are_one_entry_and_have_no_other() -> None:
    lines = published(6)
    heads = [
        HEADS[0]._replace(run_id=line.run_id, row_id=f"row-{n % 3}", came="2026-03-01T08:00:00Z", track_id="feed")
        for n, line in enumerate(lines)
    ]
    found = history.events(lines, heads, {"feed": "a model, a task"})
    assert [event.raw.action for event in found] == ["publish"] * 6, "no row came by a run of our own besides"
    (one,) = history.gathered(found)
    assert (one.runs, one.title, one.editor) == (6, "6 runs published: five seeds", "3 editors")
    assert (one.track, one.track_href, one.anchor) == ("a model, a task", "track/feed.html", "line-1")
    assert history.history_view([one]).counts == (("published", 6),)
    assert set(history.arrivals(found)) == {line.run_id for line in lines}
    later = history.gathered(history.events(published(9), heads, {}))
    assert [event.identity("any") for event in later] == [one.identity("any")], "it grew, and is no new one"


def test_what_was_published_on_another_day_or_for_another_reason_is_told_apart() -> None:
    lines = [*published(2), *published(1, reason="a preset was wrong"), *published(2, day="2026-03-11"), LINE]
    found = history.gathered(history.events(lines, [], {}))
    assert sorted((event.time[:10], event.runs, event.reason) for event in found) == [
        ("2026-03-10", 1, "a preset was wrong"),
        ("2026-03-10", 1, "pull request 11"),
        ("2026-03-10", 2, "five seeds"),
        ("2026-03-11", 2, "five seeds"),
    ]


def test_a_row_of_which_another_run_was_here_first_came_by_that_run() -> None:
    (line,) = published(1)
    heads = [
        HEADS[0]._replace(run_id=run, row_id="row", came=came)
        for run, came in ((line.run_id, "2026-03-05T08:00:00Z"), ("f" * 12, "2026-03-02T08:00:00Z"))
    ]
    assert [event.run_id for event in history.events([line], heads, {})] == [line.run_id, "f" * 12]


def test_many_published_runs_leave_room_in_the_feed_and_are_all_in_the_downloads(tmp_path: Path) -> None:
    class Ours(SampleSource):
        def ledger(self) -> list[LedgerRow]:
            return [*super().ledger(), *published(59)]

    site = built(tmp_path, Ours())
    html = (site / "history.html").read_text(encoding="utf-8")
    assert "59 runs</td>" in html and "59 published" in html and html.count("five seeds") == 1
    titles = [one.findtext(f"{ATOM}title") or "" for one in feed(site).findall(f"{ATOM}entry")]
    assert titles.count("59 runs published: five seeds") == 1 and len(titles) == len(ROWS) + 4
    assert len((site / "data/history.csv").read_text().splitlines()) == 1 + len(ROWS) + 3 + 59
