"""The history of the leaderboard: what came, was replaced or left, and why; as a page and as an Atom feed."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from palimpsest.results.records import LedgerRow
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
    "include": Action("included", "+", "good"),
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
    """One line of the ledger."""

    line: int
    time: str
    """As RFC 3339 wants it, in UTC."""
    action: Action
    run_id: str
    run_href: str
    """Page of the run; empty where it has none (any more)."""
    editor: str
    replaces: str
    replaces_href: str
    verdict: str
    reason: str

    @property
    def title(self) -> str:
        """In a few words, for the feed."""
        words = f"{labels.editor_title(self.editor)}: run {self.run_id} {self.action.word}"
        if self.replaces:
            words += f", in place of {self.replaces}"
        return f"{words}: {self.verdict}" if self.verdict else words

    @property
    def identity(self) -> str:
        """The same whenever and wherever the page is built."""
        name = "\n".join((str(self.line), self.time, self.run_id, self.action.word))
        return uuid.uuid5(_NAMESPACE, name).urn


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


def events(ledger: Sequence[LedgerRow], runs: Collection[str]) -> list[Event]:
    """All lines, newest first.

    Args:
        ledger: The lines in the order of time.
        runs: Ids of the runs that have a page.
    """
    found = [
        Event(
            line=number,
            time=rfc3339(row.time),
            action=_action(row),
            run_id=row.run_id,
            run_href=_href(row.run_id, runs),
            editor=row.editor,
            replaces=row.replaces or "",
            replaces_href=_href(row.replaces or "", runs),
            verdict=VERDICTS.get(row.verdict or "", ""),
            reason=row.reason,
        )
        for number, row in enumerate(ledger, start=1)
    ]
    return found[::-1]


def _action(row: LedgerRow) -> Action:
    if row.action == "rerun" and row.verdict == "differs":
        return ACTIONS["rerun"]._replace(shape="✕", style="bad")
    return ACTIONS.get(row.action, Action(clean(row.action, 40), "·", "plain"))


def _href(run_id: str, runs: Collection[str]) -> str:
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
    counted = Counter(event.action.word for event in found)
    counts = tuple((action.word, counted[action.word]) for action in ACTIONS.values() if counted[action.word])
    return HistoryView(tuple(found[:MOST_ROWS]), len(found), counts)


def feed_view(found: Sequence[Event], base_url: str) -> FeedView:
    """The feed of the newest lines.

    Args:
        found: All lines, newest first.
        base_url: Where the site will be, ending in a slash; empty: not known.
    """
    updated = max((event.time for event in found), default=_BEGINNING)
    identity = uuid.uuid5(_NAMESPACE, f"feed {base_url}").urn
    return FeedView(identity, updated, base_url, tuple(found[:MOST_ENTRIES]))
