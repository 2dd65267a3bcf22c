"""Data of the case explorer: what a run edits and asks (shared by runs that ask the same), and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from palimpsest.results.records import SampleAnswer
from palimpsest.results.store.bulk import Text
from palimpsest.site.jobs import File
from palimpsest.site.source import RunParts
from palimpsest.site.words.text import clean, script

CHUNK = 1000
"""Cases per file of courses and of subjects."""
PROBE_CHUNK = 100
"""Cases per file of prompts, which are ten times as long."""
_KINDS = {"rewrite": "r", "paraphrase": "p", "neighborhood": "n"}
_ANSWER_LENGTH = 160


def text_files(name: str, texts: Sequence[Text]) -> Iterator[File]:
    """Subjects and targets by the thousand, for searching; prompts by the hundred, for reading."""
    for number, part in enumerate(_parts(texts, CHUNK)):
        value = [[t.subject, t.prompt, t.target_new, t.target_true] for t in part]
        yield File(f"data/cases/{name}/index-{number}.js", script(f"cases/{name}/index-{number}", value))
    for number, part in enumerate(_parts(texts, PROBE_CHUNK)):
        rows = [[_probe(t, probe) for probe in t.probes] for t in part]
        yield File(f"data/cases/{name}/probes-{number}.js", script(f"cases/{name}/probes-{number}", rows))


def _probe(text: Text, probe: tuple[str, str, str, str]) -> list[str]:
    kind, prompt, new, true = probe
    own = [] if (new, true) == (text.target_new, text.target_true) else [new, true]
    return [_KINDS[kind], prompt, *own]


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def course_files(run: str, parts: RunParts) -> Iterator[File]:
    """Outcome of each case over the checkpoints, and sampled answers."""
    for number, part in enumerate(_parts(parts.courses, CHUNK)):
        value = [one.course for one in part]
        yield File(f"data/run/{run}/courses-{number}.js", script(f"courses/{run}/{number}", value))
    if parts.samples:
        yield File(f"data/run/{run}/answers.js", script(f"answers/{run}", answers(parts.samples)))


def answers(samples: Sequence[SampleAnswer]) -> dict[str, list[list[Any]]]:
    """Position → [kind, prompt, answer before the edits, {edits: answer}] of each sampled prompt."""
    found: dict[str, list[list[Any]]] = {}
    for one in samples:
        before = None if one.before is None else _said(one.before)
        later = {str(edits): _said(text) for edits, text in sorted(one.answers.items())}
        found.setdefault(str(one.position), []).append([_KINDS.get(one.kind, one.kind), one.prompt, before, later])
    return found


def _said(text: str) -> str:
    return " ".join(clean(text, _ANSWER_LENGTH).split())
