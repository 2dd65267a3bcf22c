"""Answers of a model to sampled prompts before an edit, right after it and at the end, with their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from palimpsest.results.records import SampleAnswer
from palimpsest.site.words import labels
from palimpsest.site.words.text import MISSING, clean

_ANSWER_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the model, with its verdict."""

    text: str
    verdict: str
    """``kept``: begins as it should; ``true``: with the original fact, after an edit of it; ``spilled``: with the new
    fact on a neighbour's prompt; empty: with something else."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One prompt over time."""

    kind: str
    kind_help: str
    prompt: str
    answers: tuple[Answer, ...]
    """Before the edits, at the first checkpoint that includes the edit, at the end."""


@dataclass(frozen=True, slots=True)
class SampleCase:
    """All prompts of one edited fact."""

    position: int
    target_new: str
    target_true: str
    learned_at: int | None
    """The first checkpoint after the edit."""
    rows: tuple[SampleRow, ...]


def sample_cases(samples: Sequence[SampleAnswer], checkpoints: Sequence[int]) -> tuple[SampleCase, ...]:
    """Sample answers by edited fact, in edit order."""
    groups: dict[int, list[SampleAnswer]] = {}
    for sample in samples:
        groups.setdefault(sample.position, []).append(sample)
    return tuple(_case(position, group, checkpoints) for position, group in sorted(groups.items()))


def _case(position: int, group: Sequence[SampleAnswer], checkpoints: Sequence[int]) -> SampleCase:
    learned_at = next((edits for edits in checkpoints if edits > position), None)
    edit = next((s for s in group if s.kind == "rewrite"), group[0])
    return SampleCase(
        position=position,
        target_new=edit.target_new,
        target_true=edit.target_true,
        learned_at=learned_at,
        rows=tuple(_sample_row(sample, learned_at, checkpoints[-1] if checkpoints else None) for sample in group),
    )


def _sample_row(sample: SampleAnswer, learned_at: int | None, end: int | None) -> SampleRow:
    texts = [sample.before, *(sample.answers.get(e) if e is not None else None for e in (learned_at, end))]
    return SampleRow(
        kind=sample.kind,
        kind_help=labels.KINDS.get(sample.kind, sample.kind),
        prompt=sample.prompt,
        answers=tuple(_answer(text, sample, edited=i > 0) for i, text in enumerate(texts)),
    )


def _answer(text: str | None, sample: SampleAnswer, *, edited: bool) -> Answer:
    if text is None:
        return Answer(MISSING, "")
    said = " ".join(clean(text, _ANSWER_LENGTH).split())
    neighbour = sample.kind in ("neighborhood", "distracting")
    verdict = ""
    if _begins(said, sample.target_new):
        verdict = "spilled" if neighbour else "kept"
    elif _begins(said, sample.target_true):
        verdict = "kept" if neighbour and edited else "true"
    return Answer(said or "(nothing)", verdict)


def _begins(said: str, target: str) -> bool:
    wanted = " ".join(clean(target).split()).casefold()
    return bool(wanted) and said.casefold().startswith(wanted)
