"""Numbers that papers report, as reference lines beside measured ones; never stored with them and never ranked.

``results/published/*.csv`` holds one number a row, with its source, setting and form. The form is part of the number:
the same edits give values 40 points apart as preference and as argmax, so a line is offered only to a measured metric
of the same name, which says its form.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError
from palimpsest.results.reading.cleaning import clean_text

FOLDER = Path(__file__).resolve().parent / "published"
FORMS = ("preference", "argmax", "token", "generation", "ability", "cost")
EVIDENCE = ("primary", "secondary")
COLUMNS = (
    "arxiv",
    "table",
    "evidence",
    "model",
    "model_as_published",
    "task",
    "edits",
    "batch_size",
    "order",
    "editor",
    "editor_as_published",
    "metric",
    "form",
    "window",
    "value",
    "note",
)
_ARXIV = re.compile(r"\d{4}\.\d{4,5}")
_SUFFIX_OF_FORM = {"preference": "_preference", "argmax": "_argmax", "token": "_token_accuracy"}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class PublishedNumber:
    """One number of a paper."""

    arxiv: str
    """Number of the paper; empty for a public replication, which ``table`` then names."""
    table: str
    """Place in the paper."""
    evidence: str
    """``primary``: read in the paper; ``secondary``: quoted by others."""
    model: str
    """Our name of the model that was run."""
    model_as_published: str
    task: str
    """``counterfact`` or ``zsre``."""
    edits: int
    batch_size: int
    order: str
    """``file`` or ``random``."""
    editor: str
    """Our name of the editor, where it is one that is built in."""
    editor_as_published: str
    metric: str
    """Our name of the metric; the form is in it."""
    form: str
    window: str
    """``all``, or which part of the edits."""
    value: float
    """In the metric's unit."""
    note: str

    @property
    def source(self) -> str:
        """Source to print beside the number."""
        place = f"arXiv {self.arxiv}, {self.table}" if self.arxiv else self.table
        return place if self.evidence == "primary" else f"{place} (quoted)"


def load_published(folder: Path = FOLDER) -> tuple[PublishedNumber, ...]:
    """Every published number, in the order of files and rows.

    Raises:
        ConfigError: Rows that are not as they must be; lists all with file and line.
    """
    numbers: list[PublishedNumber] = []
    problems: list[str] = []
    places: dict[tuple[object, ...], str] = {}
    for path in sorted(folder.glob("*.csv")):
        for where, row in _rows(path, problems):
            found = _problems(row)
            problems += [f"{where}: {problem}" for problem in found]
            if found:
                continue
            number = _number(row)
            key = tuple(row[name] for name in COLUMNS if name not in ("value", "evidence"))
            if key in places:
                problems.append(f"{where}: the same number stands in {places[key]}.")
            places.setdefault(key, where)
            numbers.append(number)
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(numbers)


def _rows(path: Path, problems: list[str]) -> Iterable[tuple[str, Mapping[str, str]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read ({error}).")
        return
    reader = csv.reader(lines)
    if tuple(next(reader, ())) != COLUMNS:
        problems.append(f"{path}, line 1: expected the columns {','.join(COLUMNS)}.")
        return
    for number, values in enumerate(reader, 2):
        if len(values) != len(COLUMNS):
            problems.append(f"{path}, line {number}: expected {len(COLUMNS)} values, got {len(values)}.")
            continue
        yield f"{path}, line {number}", dict(zip(COLUMNS, values, strict=True))


def _problems(row: Mapping[str, str]) -> list[str]:
    found = []
    if row["arxiv"] and not _ARXIV.fullmatch(row["arxiv"]):
        found.append(f"arxiv: expected a number like 2410.02355, got {row['arxiv']!r:.60}.")
    if row["evidence"] not in EVIDENCE:
        found.append(f"evidence: expected {' or '.join(EVIDENCE)}, got {row['evidence']!r:.60}.")
    if row["form"] not in FORMS:
        found.append(f"form: expected one of {', '.join(FORMS)}, got {row['form']!r:.60}.")
    elif not row["metric"].endswith(_SUFFIX_OF_FORM.get(row["form"], "")):
        found.append(f"metric: {row['metric']!r:.60} is not of the form {row['form']}.")
    elif row["form"] not in _SUFFIX_OF_FORM and row["metric"].endswith(tuple(_SUFFIX_OF_FORM.values())):
        found.append(f"form: {row['metric']!r:.60} is not {row['form']}.")
    if row["task"] not in ("counterfact", "zsre"):
        found.append(f"task: expected counterfact or zsre, got {row['task']!r:.60}.")
    for name, least in (("edits", 0), ("batch_size", 1)):
        if not row[name].isascii() or not row[name].isdecimal() or int(row[name]) < least:
            found.append(f"{name}: expected a whole number of at least {least}, got {row[name]!r:.60}.")
    if not _NUMBER.fullmatch(row["value"]) or not math.isfinite(float(row["value"])):
        found.append(f"value: expected a number, got {row['value']!r:.60}.")
    elif row["form"] in _SUFFIX_OF_FORM and float(row["value"]) > 100:
        found.append(f"value: expected percent, got {row['value']}.")
    for name in ("table", "model", "editor", "metric", "window", "order"):
        if not row[name].strip() or clean_text(row[name], _LONGEST) != row[name]:
            found.append(f"{name}: expected a short plain text, got {row[name]!r:.60}.")
    return found


def _number(row: Mapping[str, str]) -> PublishedNumber:
    values: dict[str, Any] = {name: clean_text(value, 1000) for name, value in row.items()}
    values |= {"edits": int(row["edits"]), "batch_size": int(row["batch_size"]), "value": float(row["value"])}
    return PublishedNumber(**values)
