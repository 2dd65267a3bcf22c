"""From requests to texts and to the tokens of targets (MEMIT's preparation of requests)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from palimpsest.harness.errors import EditorError
from palimpsest.harness.model.tokens import continuation_ids

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest


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


def flat(templates: Sequence[Sequence[str]]) -> list[str]:
    """All templates of all groups in order; the first is the clean ``{}``."""
    return [template for group in templates for template in group]


def in_template(template: str, prompt: str) -> str:
    """The prompt (which has a ``{}`` of its own) put into the place of the template's ``{}``."""
    before, _, after = template.partition("{}")
    return before + prompt + after
