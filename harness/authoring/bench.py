"""The bench on which an editor is tried: pocket models, a few requests, courses of three batches that checks share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.editable import hook_places
from palimpsest.harness.model.tokens import continuation_ids, prompt_ids
from palimpsest.harness.plugins.configuration import build_editor, find_editor, resolve_config
from palimpsest.harness.plugins.session import Editing, restore_pristine
from palimpsest.harness.runs.loaded_model import load
from palimpsest.harness.specs.run_spec import EditorRef

if TYPE_CHECKING:
    from torch import Tensor

    from palimpsest.harness.editor import EditReport
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.runs.installation import Installation
    from palimpsest.harness.specs.cases import EditRequest, EditTask

SMALL, LARGE = "pocket-gpt2", "pocket-llama"
"""Conv1D weights and a tied head; a gated MLP. Checks that need but one model use the first."""
TASK = "pocket-counterfact"
SIZES = (4, 3, 3)
"""Sizes of the batches of a course."""
SEED = 7

Tensors = Mapping[str, "Tensor"]


@dataclass(slots=True)
class Course:
    """Weights, states and answers that an editor left behind, batch by batch; position 0 is before the first."""

    weights: list[Tensors] = field(default_factory=list)
    """Parameters that it writes, by name."""
    states: list[Tensors] = field(default_factory=list)
    reports: list[EditReport] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    """Mean log-probability per token of each request's target, just before its batch, as scored."""
    after: list[float] = field(default_factory=list)
    """The same just after its batch."""
    pristine_logits: list[Tensor] = field(default_factory=list)
    """Logits behind each request's prompt on the unedited model."""
    logits: list[Tensor] = field(default_factory=list)
    """The same after the last batch, as scored."""


class Bench:
    """One editor with everything that checks need of the harness."""

    def __init__(
        self,
        editor: str,
        overrides: Mapping[str, Any],
        home: Path,
        installed: Installation,
        models: Sequence[str] = (SMALL, LARGE),
    ) -> None:
        """Take up an editor or a composition, with fields as ``--set`` gives them; nothing is loaded yet.

        The first of the pocket models is the one for checks that need but one.
        """
        self.editor = editor
        self.overrides = dict(overrides)
        self.home = home
        self.models = tuple(models)
        self._installed = installed
        self._loaded: dict[str, EditableModel] = {}
        self._courses: dict[str, Course] = {}

    @property
    def small(self) -> str:
        """The model for checks that need but one."""
        return self.models[0]

    @cached_property
    def ref(self) -> EditorRef:
        """The editor as messages name it."""
        entry = find_editor(self.editor)
        return EditorRef(
            name=entry.name,
            config=self.config(self.small),
            distribution=entry.distribution,
            version=entry.version,
        )

    @cached_property
    def task(self) -> EditTask:
        """The real task, with all that is asked about it, held as a run holds it."""
        return self._installed.tasks.load(TASK)

    @cached_property
    def requests(self) -> list[EditRequest]:
        """Enough requests for a course, about subjects of their own."""
        chosen: dict[str, EditRequest] = {}
        for case in self.task.cases:
            chosen.setdefault(case.request.subject, case.request)
            if len(chosen) == 2 * sum(SIZES):
                break
        return list(chosen.values())

    @property
    def batches(self) -> list[list[EditRequest]]:
        """The batches of a course."""
        return split(self.requests, SIZES)

    def config(self, model: str) -> dict[str, Any]:
        """The editor's complete configuration for a model."""
        return resolve_config(self.editor, model, self.overrides)

    def model(self, name: str) -> EditableModel:
        """A model, loaded once; `editing` puts it back to its pristine weights."""
        if name not in self._loaded:
            self._loaded[name] = self.fresh(name)
        return self._loaded[name]

    def fresh(self, name: str) -> EditableModel:
        """A model of its own."""
        return load(resolve(name), self.home, texts=self._installed.texts).model

    @contextmanager
    def editing(self, name: str, model: EditableModel | None = None) -> Iterator[Editing]:
        """The editor, prepared on the pristine model, which is pristine again afterwards."""
        model = model if model is not None else self.model(name)
        config = self.config(name)
        try:
            yield Editing(model, lambda: build_editor(self.editor, config), self.ref, SEED)
        finally:
            restore_pristine(model)

    def course(self, name: str, batches: Sequence[Sequence[EditRequest]] | None = None) -> Course:
        """Do these batches; None: those of `batches`."""
        with self.editing(name) as editing:
            return follow(editing, batches if batches is not None else self.batches)

    def base(self, name: str) -> Course:
        """The course of `batches`, done once and kept."""
        if name not in self._courses:
            self._courses[name] = self.course(name)
        return self._courses[name]


def follow(editing: Editing, batches: Sequence[Sequence[EditRequest]]) -> Course:
    """Do batches and note what becomes of the model."""
    course = Course()
    everything = [request for batch in batches for request in batch]
    course.pristine_logits = [last_logits(editing.model, request) for request in everything]
    _note(editing, course)
    for number, batch in enumerate(batches):
        course.before += scored(editing, batch)
        report, _ = editing.edit(number, batch)
        course.reports.append(report)
        course.after += scored(editing, batch)
        _note(editing, course)
    with editing.evaluated():
        course.logits = [last_logits(editing.model, request) for request in everything]
    return course


def _note(editing: Editing, course: Course) -> None:
    course.weights.append(copied(editing.model.read_weights(editing.written)))
    course.states.append(copied(editing.editor.state_dict()))


def scored(editing: Editing, requests: Sequence[EditRequest]) -> list[float]:
    """`target_log_probabilities`, as the harness would score them."""
    with editing.evaluated():
        return target_log_probabilities(editing.model, requests)


@torch.no_grad()
def target_log_probabilities(model: EditableModel, requests: Sequence[EditRequest]) -> list[float]:
    """Mean log-probability per token of each request's target behind its prompt."""
    values = []
    for request in requests:
        prompt, target = _ids(model, request)
        ids = torch.tensor([prompt + target[:-1]], device=model.device)
        log_p = _logits(model, ids)[len(prompt) - 1 :].float().log_softmax(-1)
        values.append(float(log_p.gather(1, torch.tensor(target, device=log_p.device)[:, None]).mean()))
    return values


@torch.no_grad()
def last_logits(model: EditableModel, request: EditRequest) -> Tensor:
    """Logits of the token behind a request's prompt."""
    prompt, _ = _ids(model, request)
    return _logits(model, torch.tensor([prompt], device=model.device))[-1].clone()


def _logits(model: EditableModel, ids: Tensor) -> Tensor:
    logits: Tensor = model.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return logits[0]


def _ids(model: EditableModel, request: EditRequest) -> tuple[list[int], list[int]]:
    (prompt,) = prompt_ids(model.tokenizer, [request.prompt.replace("{}", request.subject)])
    (target,) = continuation_ids(model.tokenizer, [f" {request.target_new}"])
    return prompt, target


def hooks_of(model: EditableModel) -> list[list[int]]:
    """Ids of all hooks, by module and kind."""
    return [sorted(place) for place in hook_places(model.model)]


def split(requests: Sequence[EditRequest], sizes: Sequence[int]) -> list[list[EditRequest]]:
    """The first requests, in batches of these sizes."""
    batches, start = [], 0
    for size in sizes:
        batches.append(list(requests[start : start + size]))
        start += size
    return batches


def copied(tensors: Tensors) -> dict[str, Tensor]:
    """Tensors of their own."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def differing(first: Tensors, second: Tensors) -> list[str]:
    """Names of which the two do not hold the same bits."""
    names = sorted(first.keys() | second.keys())
    return [name for name in names if name not in first or name not in second or not _same(first[name], second[name])]


def _same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and first.dtype == second.dtype and torch.equal(first, second)


def held(editing: Editing) -> dict[str, Tensor]:
    """Copies of `everything` and of the editor's state."""
    state = {f"state {name}": tensor for name, tensor in editing.editor.state_dict().items()}
    return copied(everything(editing.model) | state)


def everything(model: EditableModel) -> dict[str, Tensor]:
    """All parameters and buffers, by name; no copies."""
    return dict(model.model.named_parameters()) | {f"buffer {n}": b for n, b in model.model.named_buffers()}
