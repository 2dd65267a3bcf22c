"""Fine-tuning of one down-projection by Adam, a batch at a time: what FT and FT-L share.

The target is teacher-forced, every token at its own position. The published baseline reads all target tokens at the
last prompt position, so that they are learned as a bag; its tokeniser adds a begin token, which becomes a target, and
without an unknown token the padding of shorter targets counts as target, too. ``reference_loss`` gives that.
Only the weight is trained, never a bias; the published code trains every parameter whose name begins with that of the
down-projection, so the bias as well on GPT-2. ``reference_parameters`` gives that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from palimpsest.editors.toolkit.packing.upper import settle
from palimpsest.editors.toolkit.pipeline import all_or_nothing, timed
from palimpsest.editors.toolkit.requests import target_ids
from palimpsest.editors.toolkit.trained import Logits, adds_plainly, logits_of
from palimpsest.harness.editor import Editor, EditorConfig, EditReport
from palimpsest.harness.errors import ConfigError, ModelCollapsed
from palimpsest.harness.model import prompts

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest

_FINISHED_LOSS = 0.01
"""A chunk with a lower loss takes no step; an epoch with a lower mean is the last."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Requests trained together, N target positions."""

    logits: Logits
    """N × V."""
    target: Tensor
    weight: Tensor
    """N, summing to 1: requests count alike, and so do the tokens of one target."""


class FineTuning(Editor):
    """Base of FT and FT-L: Adam on one down-projection, in a box if `half_side` gives one."""

    class Config(EditorConfig):
        """Fields that FT and FT-L have in common."""

        layer: int = Field(ge=0)
        """Block whose down-projection is trained."""
        steps: int = Field(default=25, ge=1)
        """Epochs over the batch, at most."""
        learning_rate: float = Field(default=5e-4, gt=0)
        """Learning rate of Adam."""
        weight_decay: float = Field(default=0.0, ge=0)
        """Adam's weight decay."""
        chunk: int = Field(default=64, ge=1)
        """Requests per optimiser step."""
        reference_loss: bool = False
        """Read all target tokens at the last token of the prompt, as the published baseline does; see the module."""
        reference_parameters: bool = False
        """Train the bias of the down-projection too, where it has one, as the published baseline does."""

        silent: ClassVar[frozenset[str]] = frozenset({"reference_parameters"})

    config: Config

    def half_side(self) -> float:
        """ε of the box; infinity for none."""
        return math.inf

    def prepare(self, model: EditableModel) -> None:
        """Check that the model has the layer."""
        if self.config.layer >= model.anatomy.n_layers:
            raise ConfigError(
                f"layer: {model.name} has blocks 0 to {model.anatomy.n_layers - 1}, got {self.config.layer}."
            )
        settle(model)
        self.model = model
        self.name = model.anatomy.weight_name(self.config.layer)
        self.trained = [self.name]
        self.plain = adds_plainly(model, self.config.layer)
        bias = model.anatomy.down(self.config.layer) + ".bias"
        if self.config.reference_parameters and bias in dict(model.model.named_parameters()):
            self.trained.append(bias)

    def writes(self) -> Collection[str]:
        """The trained weight, and its bias if that is trained."""
        return self.trained

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Train on a batch.

        Raises:
            EditorError: A request cannot be tokenised, or the loss is not finite; the model is as before then.
        """
        report = EditReport()
        if not batch:
            return report
        with all_or_nothing(self.model, self.writes()), timed(report, "train"), self._trainable() as parameters:
            size = self.config.chunk
            chunks = [self._chunk(batch[start : start + size], parameters) for start in range(0, len(batch), size)]
            self._train(chunks, parameters, report)
        return report

    def _train(self, chunks: Sequence[_Chunk], parameters: Sequence[Tensor], report: EditReport) -> None:
        start = self.model.read_weights(self.trained)
        present = {name: value.clone() for name, value in start.items()}
        side = self.half_side()
        adam = torch.optim.Adam(present.values(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay)
        epochs: list[float] = []
        for _ in range(self.config.steps):
            losses = []
            for chunk in chunks:
                loss, gradients = self._gradient(chunk, parameters)
                losses.append(loss)
                if loss >= _FINISHED_LOSS:
                    for value, gradient in zip(present.values(), gradients, strict=True):
                        value.grad = gradient
                    adam.step()
                    for name, value in present.items():
                        value.clamp_(start[name] - side, start[name] + side)
                    self.model.write_weights(present)
                    report.counters["steps"] = report.counters.get("steps", 0) + 1
            epochs.append(sum(losses) / len(losses))
            if epochs[-1] < _FINISHED_LOSS:
                break
        for name, value in present.items():
            if not bool(torch.isfinite(value).all()):
                raise ModelCollapsed(f"{name} is not finite after training: the model has collapsed.")
        report.counters["epochs"] = len(epochs)
        if math.isfinite(side):
            at_a_side = [(v <= start[n] - side) | (v >= start[n] + side) for n, v in present.items()]
            report.counters["clipped"] = sum(int(clipped.sum()) for clipped in at_a_side)
        report.values |= {
            "loss_first": epochs[0],
            "loss_last": epochs[-1],
            f"update_norm.{self.config.layer}": float((present[self.name] - start[self.name]).norm()),
        }

    @contextmanager
    def _trainable(self) -> Iterator[list[Tensor]]:
        parameters = [self.model.model.get_parameter(name) for name in self.trained]
        try:
            for parameter in parameters:
                parameter.requires_grad_(True)
            yield parameters
        finally:
            for parameter in parameters:
                parameter.requires_grad_(False)

    def _gradient(self, chunk: _Chunk, parameters: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
        """Loss of a chunk in nats, and its gradient for each trained parameter, of that one's shape, in float32."""
        with torch.enable_grad():
            log_p = torch.log_softmax(chunk.logits().float(), dim=1).gather(1, chunk.target[:, None]).squeeze(1)
            loss = -(log_p * chunk.weight).sum()
            gradients = torch.autograd.grad(loss, list(parameters))
        value = float(loss.detach())
        if value != value or value in (float("inf"), float("-inf")):
            raise ModelCollapsed("The training loss is not finite: the model has collapsed.")
        return value, [gradient.float() for gradient in gradients]

    @torch.no_grad()
    def _chunk(self, requests: Sequence[EditRequest], parameters: Sequence[Tensor]) -> _Chunk:
        sentences = prompts.sentences(self.model, [(request.prompt, request.subject) for request in requests])
        forced = not self.config.reference_loss
        targets = [target_ids(self.model, request) for request in requests] if forced else self._bags(requests)
        whole = [
            [*sentence.ids, *(target[:-1] if forced else ())]
            for sentence, target in zip(sentences, targets, strict=True)
        ]
        reads = [
            (row, len(sentence.ids) - 1 + (number if forced else 0), token, 1 / (len(target) * len(requests)))
            for row, (sentence, target) in enumerate(zip(sentences, targets, strict=True))
            for number, token in enumerate(target)
        ]
        rows, columns, tokens, weights = zip(*reads, strict=True)
        places = list(zip(rows, columns, strict=True))
        logits = logits_of(self.model, self.config.layer, parameters, whole, places, plain=self.plain)
        device = self.model.device
        return _Chunk(logits, torch.tensor(tokens, device=device), torch.tensor(weights, device=device))

    def _bags(self, requests: Sequence[EditRequest]) -> list[list[int]]:
        """Target tokens as the published code counts them: special tokens and padding among them, unknown ones not."""
        tokenizer = self.model.tokenizer
        texts = [f" {request.target_new.removeprefix(' ')}" for request in requests]
        ids = tokenizer(texts)["input_ids"]
        longest = max(map(len, ids))
        fill = tokenizer.pad_token_id if tokenizer.unk_token_id is None else tokenizer.unk_token_id
        rows = int(self.model.model.get_input_embeddings().weight.shape[0])
        if len(set(map(len, ids))) > 1 and not 0 <= fill < rows:
            raise ConfigError(
                f"reference_loss: it makes the padding token of {self.model.name} ({fill}) a target, and the model has "
                f"only {rows} tokens. Use reference_loss = false."
            )
        padded = [[*target, *[fill] * (longest - len(target))] for target in ids]
        return [[token for token in target if token != tokenizer.unk_token_id] for target in padded]
