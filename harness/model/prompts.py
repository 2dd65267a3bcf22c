"""Texts with a subject as token sequences, and the lookup position in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palimpsest.harness.errors import EditorError
from palimpsest.harness.model.tokens import prompt_ids

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


@dataclass(frozen=True, slots=True)
class Sentence:
    """A tokenised text with a subject in it."""

    ids: tuple[int, ...]
    """Special tokens included."""
    lookup: int
    """Position of the subject's last token."""


def sentences(model: EditableModel, texts: Sequence[tuple[str, str]]) -> list[Sentence]:
    """Tokenise (text with one ``{}``, subject) pairs, in their order, and find each subject's last token.

    The position is that of the last token of the text up to and including the subject, tokenised alone (as in MEMIT,
    arXiv 2210.07229).

    Raises:
        EditorError: A text has no place for the subject, or nothing remains of the subject after tokenising.
    """
    whole, upto = [], []
    for text, subject in texts:
        before, place, after = text.partition("{}")
        if not place:
            raise EditorError(f"The prompt {text!r} has no {{}} for the subject {subject!r}.")
        upto.append(before + subject)
        whole.append(before + subject + after)
    rows = prompt_ids(model.tokenizer, whole + upto)
    ids, lookups = rows[: len(whole)], [len(part) - 1 for part in rows[len(whole) :]]
    for (text, subject), sequence, lookup in zip(texts, ids, lookups, strict=True):
        if not subject.strip() or not 0 <= lookup < len(sequence):
            raise EditorError(f"The subject {subject!r} has no token of its own in {text!r}.")
    return [Sentence(tuple(sequence), lookup) for sequence, lookup in zip(ids, lookups, strict=True)]
