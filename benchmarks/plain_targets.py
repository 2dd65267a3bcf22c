"""The target optimisation written plainly: one request at a time, whole sentences, torch's own Adam.

What `palimpsest.editors.toolkit.targets.search` must agree with, and what its speed is measured against.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from palimpsest.editors.toolkit.requests import flat, in_template, target_ids
from palimpsest.editors.toolkit.targets.search import TargetSettings
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.hooks import added_to_output, captured_output
from palimpsest.harness.model.prompts import sentences
from palimpsest.harness.specs.cases import EditRequest


def plain_target(
    model: EditableModel,
    request: EditRequest,
    templates: Sequence[Sequence[str]],
    layer: int,
    settings: TargetSettings,
) -> tuple[Tensor, float, int]:
    """z of one request (d_out), its last loss, and the number of forward passes."""
    contexts = flat(templates)
    target = target_ids(model, request)
    texts = [(in_template(context, request.prompt), request.subject) for context in contexts]
    tokenised = sentences(model, [*texts, ("{} is a", request.subject)])
    *asked, described = [list(sentence.ids) for sentence in tokenised]
    ids, filled = model.padded([*(prompt + target[:-1] for prompt in asked), described])
    lookups = torch.tensor([sentence.lookup for sentence in tokenised])
    rows = torch.arange(len(tokenised))
    block = model.module(model.anatomy.block(layer))
    wanted = torch.tensor(target)

    delta = torch.zeros(model.anatomy.d_hidden, requires_grad=True)
    adam = torch.optim.Adam([delta], lr=settings.learning_rate)
    start = reference = torch.empty(0)
    for step in range(settings.steps):

        def changed(hidden: Tensor) -> Tensor:
            added = torch.zeros_like(hidden)
            added[rows, lookups] = delta
            return hidden + added

        with captured_output(block) as seen, added_to_output(block, changed):
            logits = model.model(input_ids=ids, attention_mask=filled, use_cache=False).logits
        log_p = torch.log_softmax(logits, dim=2)
        if step == 0:
            start = seen[0][0, lookups[0]].detach()
            reference = log_p[-1, lookups[-1]].detach()
        nll = torch.stack([
            -log_p[row, len(prompt) - 1 : len(prompt) - 1 + len(target)].gather(1, wanted[:, None]).mean()
            for row, prompt in enumerate(asked)
        ]).mean()  # fmt: skip
        present = log_p[-1, lookups[-1]]
        kl = settings.kl_factor * (present.exp() * (present - reference)).sum()
        decay = settings.weight_decay * delta.norm() / start.norm() ** 2
        loss = nll + kl + decay
        if float(loss.detach()) < settings.early_stop_loss or step == settings.steps - 1:
            break
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            limit = settings.clamp_norm_factor * start.norm()
            if delta.norm() > limit:
                delta.mul_(limit / delta.norm())
    return (start + delta).detach(), float(loss.detach()), step + 1
