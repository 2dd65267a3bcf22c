"""Keys of requests at a layer, and the present residual stream at the last edited layer (MEMIT's compute_ks)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from palimpsest.editors.toolkit.packing.trees import Tree, planted
from palimpsest.editors.toolkit.requests import flat, in_template
from palimpsest.harness.model import prompts
from palimpsest.harness.model.batches import by_length
from palimpsest.harness.model.hooks import BlockForward, captured_input, captured_output, replaced_blocks, unchanged

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest

_TOKENS_PER_FORWARD = 8192
Captured = Callable[[nn.Module], AbstractContextManager[list[Tensor]]]


@dataclass(slots=True)
class _Part:
    """Sentences that go through the model together."""

    tree: Tree
    places: Tensor
    """Positions of the subjects' last tokens."""
    stream: Tensor | None = None
    """Input of the lowest block that is still run."""


class Ascent:
    """Sentences at their subjects' last tokens, on the way up through the blocks while layers are written.

    Layers are written in ascending order, so what was computed below the layer that is written next stays valid: each
    call says how many blocks are ``settled``, and these are not run again.
    """

    def __init__(self, model: EditableModel, sentences: Sequence[prompts.Sentence]) -> None:
        """Args: the model, and sentences with a subject."""
        self._model = model
        self._order: list[int] = []
        self._parts: list[_Part] = []
        self._settled = 0
        for numbers in by_length([sentence.lookup + 1 for sentence in sentences], _TOKENS_PER_FORWARD):
            # Later tokens cannot change anything at the lookup position, so the texts end there.
            tree = planted(model, [sentences[i].ids[: sentences[i].lookup + 1] for i in numbers])
            places = torch.tensor([places[-1] for places in tree.places], device=model.device)
            self._parts.append(_Part(tree, places))
            self._order.extend(numbers)

    def inputs(self, layer: int, *, settled: int = 0) -> Tensor:
        """Inputs of the layer's down-projection, sentences × d_in, float32."""
        return self._read(layer, captured_input, self._model.anatomy.down(layer), settled)

    def down_outputs(self, layer: int, *, settled: int = 0) -> Tensor:
        """Outputs of the layer's down-projection, sentences × d_out, float32."""
        return self._read(layer, captured_output, self._model.anatomy.down(layer), settled)

    def stream(self, layer: int, *, settled: int = 0) -> Tensor:
        """Outputs of the block, sentences × d_out, float32."""
        return self._read(layer, captured_output, self._model.anatomy.block(layer), settled)

    @torch.no_grad()
    def _read(self, layer: int, captured: Captured, path: str, settled: int) -> Tensor:
        anatomy = self._model.anatomy
        backbone = self._model.module(anatomy.backbone)
        found = []
        for part in self._parts:
            replaced: dict[int, BlockForward] = dict.fromkeys(
                [*range(self._settled), *range(layer + 1, anatomy.n_layers)], unchanged
            )
            if part.stream is not None:
                replaced[self._settled - 1] = _given(part.stream)
            with ExitStack() as stack:
                seen = stack.enter_context(captured(self._model.module(path)))
                entering: list[Tensor] = []
                if settled:
                    block = self._model.module(anatomy.block(settled - 1))
                    entering = stack.enter_context(captured_output(block))
                stack.enter_context(replaced_blocks(self._model, replaced))
                arguments, _ = stack.enter_context(part.tree.running())
                backbone(**arguments)
            found.append(seen[0].flatten(0, 1)[part.places].float())
            part.stream = entering[0] if settled else None
        self._settled = settled
        return torch.cat(found)[torch.tensor(self._order, device=self._model.device).argsort()]


class Keys:
    """K of a batch at one layer after the other.

    A request's key is the mean over template groups of the mean within each group: 0.5 for the clean prompt and
    0.1 for each of five sampled contexts.
    """

    def __init__(
        self, model: EditableModel, requests: Sequence[EditRequest], templates: Sequence[Sequence[str]]
    ) -> None:
        """Args: the model, the batch, and groups of templates."""
        texts = [
            (in_template(template, request.prompt), request.subject)
            for request in requests
            for template in flat(templates)
        ]
        self._ascent = Ascent(model, prompts.sentences(model, texts))
        self._requests = len(requests)
        self._groups = [len(group) for group in templates]

    def at(self, layer: int, *, settled: int = 0) -> Tensor:
        """K: inputs of the layer's down-projection at each subject's last token, d_in × n, float32."""
        inputs = self._ascent.inputs(layer, settled=settled)  # (n · templates) × d_in
        per_request = inputs.view(self._requests, -1, inputs.shape[1])
        means = [part.mean(dim=1) for part in torch.split(per_request, self._groups, dim=1)]
        return torch.stack(means).mean(dim=0).T.contiguous()


def keys_at(
    model: EditableModel, requests: Sequence[EditRequest], templates: Sequence[Sequence[str]], layer: int
) -> Tensor:
    """K of a batch at one layer, d_in × n, float32; see `Keys`."""
    return Keys(model, requests, templates).at(layer)


def clean(model: EditableModel, requests: Sequence[EditRequest]) -> Ascent:
    """The clean prompts of requests."""
    return Ascent(model, prompts.sentences(model, [(request.prompt, request.subject) for request in requests]))


def residual_stream_at(model: EditableModel, requests: Sequence[EditRequest], layer: int) -> Tensor:
    """H: output of block ``layer`` at each subject's last token in the clean prompt, d_out × n, float32."""
    return clean(model, requests).stream(layer).T.contiguous()


def outputs_at(model: EditableModel, requests: Sequence[EditRequest], layer: int) -> Tensor:
    """W k: output of the layer's down-projection, bias included, at each subject's last token in the clean prompt.

    Returns:
        d_out × n, float32.
    """
    return clean(model, requests).down_outputs(layer).T.contiguous()


def outputs_of(model: EditableModel, sentences: Sequence[prompts.Sentence], layer: int) -> Tensor:
    """Output of the layer's down-projection at each sentence's lookup position, n × d_out, float32."""
    return Ascent(model, sentences).down_outputs(layer)


def _given(stream: Tensor) -> BlockForward:
    return lambda _: stream
