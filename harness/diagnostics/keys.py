"""Keys of edits as diagnostics use them: those of the clean prompt, at all layers in one pass, whatever the editor."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.harness.errors import EditorError
from palimpsest.harness.model.hooks import captured_input, stopped_after
from palimpsest.harness.model.prompts import Sentence, sentences

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest

_PROMPTS_PER_FORWARD = 128


@torch.no_grad()
def clean_keys(
    model: EditableModel, requests: Sequence[EditRequest], layers: Sequence[int]
) -> list[dict[int, Tensor] | None]:
    """k_e of each request: input of the down-projections at the subject's last token in the prompt.

    Returns:
        For each request layer → d_in, float32; None where the subject has no token of its own.
    """
    found: list[dict[int, Tensor] | None] = [None] * len(requests)
    prepared = [(place, sentence) for place, sentence in enumerate(_sentences(model, requests)) if sentence is not None]
    for start in range(0, len(prepared), _PROMPTS_PER_FORWARD):
        part = prepared[start : start + _PROMPTS_PER_FORWARD]
        # Later tokens cannot change anything at the lookup position, so the texts end there.
        ids, mask = model.padded([sentence.ids[: sentence.lookup + 1] for _, sentence in part])
        with ExitStack() as stack:
            downs = {layer: model.module(model.anatomy.down(layer)) for layer in layers}
            seen = {layer: stack.enter_context(captured_input(down)) for layer, down in downs.items()}
            stack.enter_context(stopped_after(model, max(layers)))
            model.module(model.anatomy.backbone)(input_ids=ids, attention_mask=mask, use_cache=False)
        for row, (place, sentence) in enumerate(part):
            found[place] = {layer: seen[layer][0][row, sentence.lookup].float() for layer in layers}
    return found


def _sentences(model: EditableModel, requests: Sequence[EditRequest]) -> Sequence[Sentence | None]:
    """All at once; where that fails, one by one, None for those that cannot be had."""
    try:
        return sentences(model, [(request.prompt, request.subject) for request in requests])
    except EditorError:
        return [found for request in requests for found in (_sentences(model, [request]) if requests[1:] else [None])]
