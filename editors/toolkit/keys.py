"""Keys of requests at a layer, and the present residual stream at the last edited layer (MEMIT's compute_ks)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.harness.model import prompts
from palimpsest.harness.model.batches import by_length
from palimpsest.harness.model.hooks import captured_input, captured_output, stopped_after

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest

_TOKENS_PER_FORWARD = 8192


def keys_at(
    model: EditableModel, requests: Sequence[EditRequest], templates: Sequence[Sequence[str]], layer: int
) -> Tensor:
    """K: inputs of the layer's down-projection at each subject's last token, d_in × n, float32.

    A request's key is the mean over template groups of the mean within each group: 0.5 for the clean prompt and
    0.1 for each of five sampled contexts.
    """
    texts = [
        (prompts.in_template(template, request.prompt), request.subject)
        for request in requests
        for template in prompts.flat(templates)
    ]
    with captured_input(model.module(model.anatomy.down(layer))) as seen:
        inputs = _at_lookups(model, prompts.sentences(model, texts), layer, seen)  # (n · templates) × d_in
    per_request = inputs.view(len(requests), -1, inputs.shape[1])
    means = [part.mean(dim=1) for part in torch.split(per_request, [len(group) for group in templates], dim=1)]
    return torch.stack(means).mean(dim=0).T.contiguous()


def residual_stream_at(model: EditableModel, requests: Sequence[EditRequest], layer: int) -> Tensor:
    """H: output of block ``layer`` at each subject's last token in the clean prompt, d_out × n, float32."""
    texts = [(request.prompt, request.subject) for request in requests]
    with captured_output(model.module(model.anatomy.block(layer))) as seen:
        return _at_lookups(model, prompts.sentences(model, texts), layer, seen).T.contiguous()


def outputs_at(model: EditableModel, requests: Sequence[EditRequest], layer: int) -> Tensor:
    """W k: output of the layer's down-projection, bias included, at each subject's last token in the clean prompt.

    Returns:
        d_out × n, float32.
    """
    texts = [(request.prompt, request.subject) for request in requests]
    return outputs_of(model, prompts.sentences(model, texts), layer).T.contiguous()


def outputs_of(model: EditableModel, sentences: Sequence[prompts.Sentence], layer: int) -> Tensor:
    """Output of the layer's down-projection at each sentence's lookup position, n × d_out, float32."""
    with captured_output(model.module(model.anatomy.down(layer))) as seen:
        return _at_lookups(model, sentences, layer, seen)


@torch.no_grad()
def _at_lookups(model: EditableModel, sentences: Sequence[prompts.Sentence], layer: int, seen: list[Tensor]) -> Tensor:
    """What ``seen`` captures in a forward pass up to ``layer``, at the lookup positions, in order of sentences."""
    found: list[Tensor] = []
    order: list[int] = []
    for part in by_length([sentence.lookup + 1 for sentence in sentences], _TOKENS_PER_FORWARD):
        # Later tokens cannot change anything at the lookup position, so the texts end there.
        ids, mask = model.padded([sentences[i].ids[: sentences[i].lookup + 1] for i in part])
        with stopped_after(model, layer):
            model.module(model.anatomy.backbone)(input_ids=ids, attention_mask=mask, use_cache=False)
        lookups = torch.tensor([sentences[i].lookup for i in part], device=model.device)
        found.append(seen.pop()[torch.arange(len(part), device=model.device), lookups].float())
        order.extend(part)
    values = torch.cat(found)
    return values[torch.tensor(order, device=model.device).argsort()]
