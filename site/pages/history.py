"""The history of the leaderboard: rows that came, were replaced or left, and why; as a page and as an Atom feed.

A row of a submission came by a line of the ledger, as did a run of ours that was published; another row of our own came
with the first of its runs.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from palimpsest.results.records import LedgerRow, Track
from palimpsest.results.store.bulk import RunHead
from palimpsest.site.words import columns as columns_of
from palimpsest.site.words import labels
from palimpsest.site.words.text import clean, file_name

MOST_ROWS = 300
"""Newest lines that are written into the page; all are among the downloads."""
MOST_ENTRIES = 50
"""Newest lines that are in the feed."""
_NAMESPACE = uuid.UUID("8f3b1c52-5d0e-4c7a-9a55-0b6f6d1c2e77")
_BEGINNING = "1970-01-01T00:00:00Z"


class Action(NamedTuple):
    """The act that a line of the ledger records: a word, a shape (so that colour is never alone) and a style class."""

    word: str
    shape: str
    style: str


ACTIONS = {
    "add": Action("added", "+", "good"),
    "include": Action("included", "+", "good"),
    "publish": Action("published", "+", "good"),
    "replace": Action("replaced", "⇄", "plain"),
    "withdraw": Action("withdrawn", "✕", "bad"),
    "rerun": Action("run again", "✓", "good"),
}
VERDICTS = {
    "bits": "agrees to the bit",
    "tolerance": "agrees within the tolerances",
    "differs": "differs",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the ledger, or the arrival of a row of our own."""

    line: int | None
    """Number in the ledger; None: it is about a row of our own."""
    row: str
    """Track and row of our own, harmless in an address; empty for a line of the ledger."""
    time: str
    """As RFC 3339 wants it, in UTC."""
    action: Action
    run_id: str
    run_href: str
    """Page of the run; empty where it has none (any more)."""
    editor: str
    track: str
    """Model, task and schedule; empty where the run is not on the board."""
    track_href: str
    replaces: str
    replaces_href: str
    verdict: str
    reason: str
    raw: LedgerRow
    runs: int = 1
    """Runs that it is about; several where they were published together."""

    @property
    def anchor(self) -> str:
        """Place of it on the history page."""
        return f"line-{self.line}" if self.line is not None else f"row-{self.row}"

    @property
    def title(self) -> str:
        """In a few words, for the feed."""
        if self.runs > 1:
            return f"{self.runs} runs {self.action.word}: {self.reason}"
        words = f"{labels.editor_title(self.editor)}: run {self.run_id} {self.action.word}"
        if self.replaces:
            words += f", in place of {self.replaces}"
        if self.verdict:
            words += f": {self.verdict}"
        return f"{words}, on {self.track}" if self.track else words

    def identity(self, site: str) -> str:
        """The same whenever the page is built; that of a line of the ledger also wherever.

        Args:
            site: Identity of the site, whose own rows another site may have, too.
        """
        name = "\n".join((str(self.line), self.time, self.run_id, self.action.word))
        return uuid.uuid5(_NAMESPACE, name if self.line is not None else f"{site}\nrow {self.row}").urn


@dataclass(frozen=True, slots=True)
class HistoryView:
    """The history page."""

    events: tuple[Event, ...]
    """Newest first."""
    total: int
    counts: tuple[tuple[str, int], ...]
    """(what, how often) in the order of `ACTIONS`."""


@dataclass(frozen=True, slots=True)
class FeedView:
    """The feed; addresses are relative to it where no base address is known."""

    identity: str
    updated: str
    base: str
    events: tuple[Event, ...]


def events(ledger: Sequence[LedgerRow], heads: Sequence[RunHead], tracks: Mapping[str, str]) -> list[Event]:
    """All lines, and all rows of our own that did not come by one, newest first.

    Args:
        ledger: The lines in the order of time.
        heads: Runs that have a page.
        tracks: Track id → its title.
    """
    known = {head.run_id: head for head in heads}
    published = {row.run_id for row in ledger if row.action == "publish"}
    lines = [_event(number, row, "", known, tracks) for number, row in enumerate(ledger, start=1)]
    own = [
        _event(None, LedgerRow(head.came, "add", head.run_id, head.editor, "", None, None), row, known, tracks)
        for row, head in _first_of_rows(heads)
        if head.run_id not in published
    ]
    return sorted([*own, *lines], key=lambda event: event.time)[::-1]


def gathered(found: Sequence[Event]) -> list[Event]:
    """The events for readers: what was published on one day for one reason is one, where its first line is.

    Args:
        found: All of them, newest first.
    """
    together: dict[tuple[str, str], list[Event]] = {}
    for event in found:
        if event.raw.action == "publish":
            together.setdefault((event.time[:10], event.reason), []).append(event)
    firsts = {batch[-1].line: _as_one(batch) for batch in together.values()}
    return [firsts.get(event.line, event) for event in found if event.raw.action != "publish" or event.line in firsts]


def _as_one(batch: Sequence[Event]) -> Event:
    """The first of some events, newest first, in the words of all of them."""
    editors, tracks = sorted({event.editor for event in batch}), {(event.track, event.track_href) for event in batch}
    track, track_href = tracks.pop() if len(tracks) == 1 else ("", "")
    return replace(
        batch[-1],
        runs=len({event.run_id for event in batch}),
        editor=editors[0] if len(editors) == 1 else f"{len(editors)} editors",
        track=track,
        track_href=track_href,
    )


def _first_of_rows(heads: Sequence[RunHead]) -> list[tuple[str, RunHead]]:
    """Each row of our own with the run by which it came."""
    first: dict[str, RunHead] = {}
    for head in sorted(heads, key=lambda head: (rfc3339(head.came), head.run_id)):
        if not head.submitted:
            first.setdefault(f"{file_name(head.track_id)}-{file_name(head.row_id)}", head)
    return sorted(first.items())


def _event(
    number: int | None, line: LedgerRow, row: str, known: Mapping[str, RunHead], tracks: Mapping[str, str]
) -> Event:
    track = known[line.run_id].track_id if line.run_id in known else ""
    return Event(
        line=number,
        row=row,
        time=rfc3339(line.time),
        action=_action(line),
        run_id=line.run_id,
        run_href=_href(line.run_id, known),
        editor=line.editor,
        track=tracks.get(track, ""),
        track_href=f"track/{file_name(track)}.html" if track in tracks else "",
        replaces=line.replaces or "",
        replaces_href=_href(line.replaces or "", known),
        verdict=VERDICTS.get(line.verdict or "", ""),
        reason=line.reason,
        raw=line,
    )


def _action(row: LedgerRow) -> Action:
    if row.action == "rerun" and row.verdict == "differs":
        return ACTIONS["rerun"]._replace(shape="✕", style="bad")
    return ACTIONS.get(row.action, Action(clean(row.action, 40), "·", "plain"))


def _href(run_id: str, runs: Mapping[str, RunHead]) -> str:
    return f"run/{file_name(run_id)}.html" if run_id in runs else ""


def rfc3339(time: str) -> str:
    """A time of the ledger in the one form that every feed reader knows; the epoch where it is no time at all."""
    try:
        read = datetime.fromisoformat(time)
    except ValueError:
        return _BEGINNING
    known = read if read.tzinfo is not None else read.replace(tzinfo=UTC)
    try:
        return known.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        return _BEGINNING


def history_view(found: Sequence[Event]) -> HistoryView:
    """The page with the newest lines."""
    counted: Counter[str] = Counter()
    for event in found:
        counted[event.action.word] += event.runs
    counts = tuple((action.word, counted[action.word]) for action in ACTIONS.values() if counted[action.word])
    return HistoryView(tuple(found[:MOST_ROWS]), len(found), counts)


def verifications(ledger: Sequence[LedgerRow]) -> dict[tuple[str, str], str]:
    """(Run, day) → how doing it again on that day agreed, and what the line says of who did it and where."""
    return {
        (row.run_id, row.time[:10]): f"{VERDICTS[row.verdict]}: {clean(row.reason, 300)}"
        for row in ledger
        if row.action == "rerun" and row.verdict in ("bits", "tolerance")
    }


def arrivals(found: Sequence[Event]) -> dict[str, str]:
    """Run that brought a row → day on which it came, of the newest events; read by ``static/fresh.js``."""
    came = [event for event in found[:MOST_ROWS] if event.raw.action in ("add", "include", "publish", "replace")]
    return {file_name(event.run_id): event.time[:10] for event in reversed(came) if event.run_href}


def columns(found: Sequence[Event], heads: Sequence[RunHead], tracks: Sequence[Track]) -> dict[str, list[Any]]:
    """Every event for downloading, the oldest first.

    Args:
        found: All of them, newest first.
        heads: Runs that have a page.
        tracks: All tracks of the site.
    """
    ordered = found[::-1]
    by_run, by_id = {head.run_id: head for head in heads}, {track.track_id: track for track in tracks}
    runs = [by_run.get(event.run_id) for event in ordered]
    result: dict[str, list[Any]] = {"line": [event.line for event in ordered]}
    for name in ("time", "action", "run_id", "editor", "reason", "replaces", "verdict"):
        result[name] = [getattr(event.raw, name) for event in ordered]
    result["track"] = [event.track or None for event in ordered]
    result |= columns_of.of_tracks([by_id.get(run.track_id) if run else None for run in runs])
    dates = {"date": [run.came if run else "" for run in runs]}
    return result | dates | {"verified": [columns_of.verified([run]) if run else "" for run in runs]}


def site_identity(found: Sequence[Event], base_url: str) -> str:
    """Identity of a site: its address, or where that is not known the oldest event on it, which stays the oldest."""
    oldest = min(found, key=lambda event: (event.time, event.run_id), default=None)
    name = base_url or ("\n".join((oldest.time, oldest.run_id, oldest.anchor)) if oldest else "")
    return uuid.uuid5(_NAMESPACE, f"feed {name}").urn


def feed_view(found: Sequence[Event], base_url: str) -> FeedView:
    """The feed of the newest events.

    Args:
        found: All of them, newest first.
        base_url: Where the site will be, ending in a slash; empty: not known.
    """
    updated = max((event.time for event in found), default=_BEGINNING)
    return FeedView(site_identity(found, base_url), updated, base_url, tuple(found[:MOST_ENTRIES]))
