"""From requests to token sequences: targets, templates, lookup positions (MEMIT's preparation of requests)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palimpsest.harness.errors import EditorError
from palimpsest.harness.model.tokens import continuation_ids, prompt_ids

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest


@dataclass(frozen=True, slots=True)
class Sentence:
    """A tokenised text with a subject in it."""

    ids: tuple[int, ...]
    """Special tokens included."""
    lookup: int
    """Position of the subject's last token."""


def target_ids(model: EditableModel, request: EditRequest) -> list[int]:
    """Tokens of the new object, with one leading space and without special tokens; at least one.

    Raises:
        EditorError: The target is empty.
    """
    tokenizer = model.tokenizer
    text = request.target_new if request.target_new.startswith(" ") else f" {request.target_new}"
    (ids,) = continuation_ids(tokenizer, [text])
    if ids and ids[0] in (tokenizer.bos_token_id, tokenizer.unk_token_id):
        ids = ids[1:]
    if not ids or not request.target_new.strip():
        raise EditorError(f"Case {request.case_id} has an empty target: {request.target_new!r}.")
    return ids


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


def flat(templates: Sequence[Sequence[str]]) -> list[str]:
    """All templates of all groups in order; the first is the clean ``{}``."""
    return [template for group in templates for template in group]


def in_template(template: str, prompt: str) -> str:
    """The prompt (which has a ``{}`` of its own) put into the place of the template's ``{}``."""
    before, _, after = template.partition("{}")
    return before + prompt + after
