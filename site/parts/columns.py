"""The columns of a track's table: their order, their titles, and what each one says in words.

What makes the headline comes first: effective edits, then the four shares that they are made of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from palimpsest.harness.metrics.definitions import METRICS, metric
from palimpsest.results.records import Track
from palimpsest.site.parts.table import ABILITIES_KEPT, forms_of
from palimpsest.site.words import labels

_HELD = ("efficacy", "paraphrase", "neighborhood")
_OWN_WORDS = {
    "rank": "The places that the data allow: editors that are not told apart share them. A rank needs three courses,"
    " each in its own order.",
    "editor": "The method and its version. The name leads to its page, a run to the page of that run.",
    "courses": "Seeds × cases that each of them is scored on at the end.",
    "status": "How the runs ended: complete, collapsed, failed, or partial, which is not finished.",
    "date": "The day on which the newest of its runs ended.",
    "verified": "The day by which all of its runs were done again and agreed, how, and what is known of who and where.",
}
_IN_WORDS = {"quality": "h", **{form: title for form, title in labels.FORMS.items() if form != title}}
_NAMES = re.compile("|".join(rf"\b{name}\b" for name in (*(m.name for m in METRICS if "_" in m.name), *_IN_WORDS)))


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    key: str
    title: str
    words: str
    """Meaning of its figures, in the form that the table shows at first."""
    other_words: str = ""
    """The same in the other form, where there is one."""
    kind: str = "num"
    """Class of its head; empty for texts."""
    first: str = "down"
    """Direction in which the first press on the head sorts: ``down``, or ``up`` where less is better."""


def columns(track: Track, *, verified: bool = False) -> tuple[Column, ...]:
    """All columns of a track's table, in order.

    Args:
        track: The track.
        verified: Whether it has a row that was done again; only then is there a column for that.
    """
    until = f"{definition('until_80')}. The small figure is that for 50 %."
    return (
        Column("rank", "Rank", _OWN_WORDS["rank"], kind="rank", first="up"),
        Column("editor", "Editor", _OWN_WORDS["editor"], kind="editor", first="up"),
        Column("effective", "Effective edits", _headline(), kind=""),
        *(_scored(part, track) for part in _HELD),
        Column("abilities", labels.METRICS[ABILITIES_KEPT], definition(ABILITIES_KEPT)),
        _scored("score", track),
        *(Column(name, labels.metric_title(name), definition(name)) for name in track.extras),
        Column("until", "h under 80 / 50 %", until),
        Column("courses", "Courses", _OWN_WORDS["courses"]),
        Column("seconds", "Time per edit", definition("seconds_per_edit"), first="up"),
        Column("memory", "Peak memory", definition("peak_memory_mb"), first="up"),
        Column("status", "Status", _OWN_WORDS["status"], kind="", first="up"),
        Column("date", "Date", _OWN_WORDS["date"], kind=""),
        *([Column("verified", "Verified", _OWN_WORDS["verified"], kind="")] if verified else []),
    )


def _scored(part: str, track: Track) -> Column:
    first, *other = [definition(f"{part}_{form}") for form in forms_of(track)]
    return Column(part, labels.METRICS[part], first, *other)


def _headline() -> str:
    held = _NAMES.sub(_in_words, metric("quality").definition)
    return f"{definition('effective_edits')}. {held}."


def definition(name: str) -> str:
    """A metric's definition from the table of metrics, its fellow metrics named in words."""
    words = _NAMES.sub(_in_words, metric(name).definition)
    return words[:1].upper() + words[1:]


def _in_words(found: re.Match[str]) -> str:
    title = labels.metric_title(found[0])
    return _IN_WORDS.get(found[0]) or title[:1].lower() + title[1:]
