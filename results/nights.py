"""Night after night: what a night measured, what moved since the last one, and every number over time.

A night is a small JSON file, made from the store of that night's runs. Two nights are compared number by number: a
metric of an editor on a track moved when its new value lies outside the interval of the night before. The same code on
the same machine gives the same bits, so anything that moves was moved by a change. Seconds and memory are kept as well,
but depend on what else the machine did, and never count as moved.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import Field, ValidationError

from palimpsest.harness.errors import StoreError, first_line
from palimpsest.harness.specs.run_spec import PROTOCOL
from palimpsest.harness.system.atomic_files import atomic_write_text, remove_partials
from palimpsest.harness.system.environment import DISTRIBUTION
from palimpsest.harness.system.strict import Strict
from palimpsest.results.reading.cleaning import clean_text
from palimpsest.results.store.database import Store

NAME = "night.json"
_DAY = r"^\d{4}-\d\d-\d\d$"
COSTS = ("seconds_per_edit", "peak_memory_mb")
"""Numbers that are kept over time, but never said to have moved."""
MOST_NIGHTS = 366
"""Newest nights that `read_nights` reads."""
_SMALLEST = 1e-9
"""Values that are nearer than this are the same, whatever their interval."""


class Number(Strict):
    """One number of one night."""

    track: str
    editor: str
    distribution: str
    seed: int
    metric: str
    value: float | None
    low: float | None
    high: float | None

    @property
    def key(self) -> tuple[str, str, int, str]:
        """Track, editor, seed and metric of the number."""
        return self.track, self.editor, self.seed, self.metric


class Night(Strict):
    """All final numbers of one night."""

    day: str = Field(pattern=_DAY)
    commit: str | None = None
    version: str
    tracks: dict[str, str]
    """Track id → model, task and schedule in words."""
    numbers: tuple[Number, ...] = Field(strict=False)


@dataclass(frozen=True, slots=True)
class Move:
    """A number that is elsewhere than the night before."""

    before: Number
    after: Number | None
    """None: it is no longer measured."""

    @property
    def built_in(self) -> bool:
        """True if all of the editor is ours, so that the move is our doing."""
        return set(self.before.distribution.split(" + ")) == {DISTRIBUTION}

    @property
    def words(self) -> str:
        """In one line."""
        number = self.before
        name = f"{number.editor}, seed {number.seed}: {number.metric}"
        if self.after is None:
            return f"{name} was {_shown(number.value)} and is no longer measured"
        interval = f" (interval {_shown(number.low)} to {_shown(number.high)})" if number.low is not None else ""
        return f"{name} was {_shown(number.value)}{interval} and is {_shown(self.after.value)}"


def night_of(store: Store, day: str, version: str, commit: str | None) -> Night:
    """The final numbers of all finished runs in ``store`` but the submitted ones, which no night makes anew."""
    rows = store.rows(
        """
        WITH own AS (
            FROM runs WHERE status IN ('complete', 'collapsed') AND bundle IS NULL
        )
        SELECT r.track_id, r.editor, r.distribution, r.seed, m.metric, m.value, m.low, m.high
        FROM metrics m JOIN own r USING (run_id)
        WHERE m."window" IN ('all', '') AND m.edits = r.edits_planned
        UNION ALL
        SELECT r.track_id, r.editor, r.distribution, r.seed, 'ability:' || a.ability, a.score, a.low, a.high
        FROM ability_scores a JOIN own r USING (run_id) WHERE a.edits = r.edits_planned
        UNION ALL
        SELECT track_id, editor, distribution, seed, 'seconds_per_edit', seconds_per_edit, NULL, NULL FROM own
        UNION ALL
        SELECT track_id, editor, distribution, seed, 'peak_memory_mb', peak_memory_mb, NULL, NULL FROM own
        UNION ALL
        SELECT r.track_id, r.editor, r.distribution, r.seed, h.quantity, coalesce(h.edits, h.beyond), h.low, h.high
        FROM headlines h JOIN own r USING (run_id) WHERE h.quantity IN ('effective_edits', 'until_80', 'until_50')
        ORDER BY ALL
        """
    )
    names = ("track", "editor", "distribution", "seed", "metric", "value", "low", "high")
    words = store.rows(
        "SELECT DISTINCT track_id, model || ', ' || task || ', ' || edits_planned || ' edits in batches of ' ||"
        " batch_size || if(protocol < ?, ', old protocol ' || protocol, '') FROM runs ORDER BY ALL",
        [PROTOCOL],
    )
    numbers = tuple(Number(**dict(zip(names, row, strict=True))) for row in rows)
    return Night(day=day, commit=commit, version=version, tracks=dict(words), numbers=numbers)


def write_night(path: Path, night: Night) -> None:
    """Keep a night; see `read_nights`. What a killed process left half-written of it goes."""
    remove_partials(path.parent)
    atomic_write_text(path, night.model_dump_json(indent=1) + "\n")


def night_files(folder: Path) -> list[Path]:
    """The newest nights below ``folder``, ``<day>/night.json``, in order of time; at most `MOST_NIGHTS`."""
    return sorted(folder.glob(f"[0-9]*/{NAME}"))[-MOST_NIGHTS:]


def read_nights(folder: Path) -> list[Night]:
    """The nights of `night_files`, in order of time.

    Raises:
        StoreError: One of them cannot be read; all such are named.
    """
    nights, wrong = [], []
    for path in night_files(folder):
        try:
            nights.append(Night.model_validate_json(path.read_bytes()))
        except (ValidationError, OSError) as error:
            wrong.append(f"{path}: {clean_text(first_line(error), 300)}")
    if wrong:
        raise StoreError("\n".join([*wrong, "Move what is damaged away; the other nights stay as they are."]))
    return sorted(nights, key=lambda night: night.day)


def moves(before: Night, after: Night) -> list[Move]:
    """Numbers that moved from one night to the next, in the order of the numbers; new numbers are no moves."""
    now = {number.key: number for number in after.numbers}
    found = [Move(number, now.get(number.key)) for number in before.numbers]
    return [move for move in found if move.after is None or _moved(move.before, move.after)]


def _moved(before: Number, after: Number) -> bool:
    if before.metric in COSTS:
        return False
    if before.value is None or after.value is None:
        return before.value is not after.value
    low = before.low if before.low is not None else before.value
    high = before.high if before.high is not None else before.value
    return not low - _SMALLEST <= after.value <= high + _SMALLEST


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"


def as_markdown(night: Night, moved: Sequence[Move]) -> str:
    """Text of an issue about the numbers that moved."""
    lines = [f"On {night.day} (commit {night.commit or 'unknown'}) these numbers left their intervals:", ""]
    lines += [f"- {'' if move.built_in else '(third party) '}{move.words}" for move in moved]
    return "\n".join([*lines, "", "Repeat with `palimpsest nightly`.", ""])


def next_night(nights: Path) -> str:
    """Day of the newest night if it was cut off before its end, else today in UTC, as ``2026-03-01``.

    Args:
        nights: folder of the nights, each in a folder named after its day; folders of other names do not count.
    """
    newest = max((path.name for path in nights.glob("*") if path.is_dir() and _is_day(path.name)), default=None)
    if newest is not None and not (nights / newest / NAME).is_file():
        return newest
    return datetime.now(UTC).date().isoformat()


def _is_day(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


def forget_runs(nights: Path, keep: int) -> None:
    """Leave only the numbers of all but the newest ``keep`` finished nights below the folder ``nights``."""
    finished = sorted(path.parent for path in nights.glob(f"????-??-??/{NAME}"))
    for folder in finished[:-keep]:
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != NAME:
                path.unlink()
