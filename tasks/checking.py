"""Kind of a file of edits, and its usable records: each reader is tried, and the one that can use most wins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError
from palimpsest.tasks import counterfact, knowedit, mquake, zsre
from palimpsest.tasks.collecting import Collected, Form, collect, notes
from palimpsest.tasks.records import RecordProblem, scan

READERS: Mapping[str, tuple[str, Form]] = {
    "counterfact": ("CounterFact, as counterfact.json and multi_counterfact.json", counterfact.FORM),
    "zsre": ("ZsRE in MEND's form", zsre.FORM),
    "knowedit": ("KnowEdit in EasyEdit's form", knowedit.FORM),
    "mquake": ("MQuAKE", mquake.FORM),
}
"""Task that reads a kind of file → what the kind is called, and its reader."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A file, and the reader that fits it."""

    task: str
    """Task that reads it."""
    kind: str
    found: Collected
    records: tuple[Any, ...]
    """The usable records."""

    @property
    def notes(self) -> list[str]:
        """Remarks for a person: records that cannot be used and why, requests that contradict each other."""
        return list(notes(self.found, self.task))


def check(path: Path) -> Checked:
    """Tell what kind of edits a file holds.

    Raises:
        MissingResource: There is no such file.
        ConfigError: It cannot be read, or no reader can use a record of it; says what each of them lacks.
    """
    records = list(scan(path))
    tried: dict[str, Collected] = {}
    lacking: list[str] = []
    for task, (kind, form) in READERS.items():
        try:
            tried[task] = collect(records, form, skip_bad=True)
        except ConfigError:
            lacking.append(f"as {kind}: {_first_problem(records, form)}")
    if not tried:
        told = "\n".join(lacking) if records else "It holds no record."
        raise ConfigError(f"{path}: no record of it can be used.\n{told}\nThe schemas: docs/data.md")
    task = max(tried, key=lambda name: len(tried[name].cases))
    found = tried[task]
    usable = set(found.places)
    kept = tuple(record for where, record in records if where in usable)
    return Checked(task, READERS[task][0], found, kept)


def _first_problem(records: list[tuple[str, Any]], form: Form) -> str:
    where, record = records[0] if records else ("", {})
    try:
        if isinstance(record, RecordProblem):
            raise record
        form.parse(record, 0)
        form.relation(record)
    except RecordProblem as problem:
        return f"{where}: {problem}"
    return "no record can be used."


def lines(checked: Checked) -> str:
    """The usable records as JSON lines, which every command takes with ``--data``."""
    return "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in checked.records)
