"""Target vectors z: the residual stream at which the model says the new object (MEMIT's compute_z), batch by batch.

For each request, δ is added to the output of block L* at the subject's last token, in every one of its sentences:
the prompt behind each context template, and "{subject} is a". Adam minimises

    mean over templates of the mean NLL of the target's tokens
    + kl_factor · KL( p_δ ‖ p_0 )  at the subject's last token of "{subject} is a"
    + weight_decay · ‖δ‖ / ‖h_0‖²

and ‖δ‖ is held below clamp_norm_factor · ‖h_0‖. Then z = h_0 + δ (Meng et al. 2022, arXiv 2210.07229).

The published code has the KL divergence in this direction (its `kl_div` gets p_0 as input), and recorded runs of it
agree with that.

All requests are optimised together: Adam works element by element, so each δ takes the path it would take alone. What
δ cannot change is computed once (see `suffixes`), and a request whose loss falls below the limit leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.editors.toolkit.requests import flat, in_template, target_ids
from palimpsest.editors.toolkit.tails import Tail
from palimpsest.editors.toolkit.targets.splitting import KL, Task, remaining, split
from palimpsest.editors.toolkit.targets.suffixes import Suffixes
from palimpsest.harness.errors import ModelCollapsed
from palimpsest.harness.model import prompts

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """Settings of the search for z; names as in the editors' configurations."""

    steps: int
    """Forward passes; there is one step of Adam less."""
    learning_rate: float
    weight_decay: float
    clamp_norm_factor: float
    kl_factor: float
    early_stop_loss: float
    early_stop_probability: float | None = None
    """A request also leaves once its target's probability, averaged over templates, is above this; None: never."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """Keeps δ of some requests out of a subspace: δ ← δ − U Uᵀ δ after each step, before the clamp."""

    directions: Tensor
    """U: d_out × c, orthonormal."""
    rows: Tensor
    """n, bool: which requests."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Results, one column or row per request."""

    z: Tensor
    """d_out × n, float32."""
    start: Tensor
    """h_0, d_out × n: the present residual stream at the clean prompt's lookup position."""
    loss_first: Tensor
    """n × 4, float64: total, NLL, KL term, decay term at the first pass."""
    loss_last: Tensor
    """The same at the last pass."""
    passes: Tensor
    """n: forward passes until the request left."""
    clamped: Tensor
    """n, bool: whether the clamp was active at the last step."""

    def early_stopped(self, settings: TargetSettings) -> int:
        """Number of requests that left because of their loss."""
        return int((self.loss_last[:, 0] < settings.early_stop_loss).sum())


def compute_targets(
    model: EditableModel,
    requests: Sequence[EditRequest],
    templates: Sequence[Sequence[str]],
    layer: int,
    settings: TargetSettings,
    *,
    whole: bool = False,
    start: Tensor | None = None,
    confinement: Confinement | None = None,
    tail: Tail | None = None,
) -> Targets:
    """Optimise z for all requests at the output of block ``layer``, with the model as it is now.

    Args:
        model: The model.
        requests: One z each.
        templates: Groups of context templates; the first is the clean ``{}``.
        layer: L*.
        settings: Of the optimisation.
        whole: Compute whole sentences at each step, for models of which `suffixes_hold` is false.
        start: h_0 in place of the residual stream, d_out × n: what δ is added to, if that only enters the stream as
            one of its summands (ROME's MLP output).
        confinement: Restricts δ.
        tail: δ is added to the MLP's output and goes through this to the stream; its size and decay are then measured
            against that output. None: δ is added to the stream.

    Raises:
        EditorError: A request cannot be tokenised, or a loss is not finite.
    """
    tasks, clean = _tasks(model, requests, templates, settings)
    parts = split(model, tasks, layer, whole=whole, tail=tail)
    if start is not None:
        origin = start = start.T.float()
    else:
        start = _found(clean, [part.starts() for part in parts])
        origin = start if tail is None else _found(clean, [part.lookup_outputs() for part in parts])
    in_stream = tail is None or origin is start  # of the latter, z is an output of the MLP like its start
    search = _Search(origin, settings, confinement)
    for step in range(settings.steps):
        is_last = step == settings.steps - 1
        search.visit(parts, step, backward=not is_last)
        active = search.look(step)
        if is_last or not any(active):
            break
        parts = remaining(parts, active)
        search.step(step + 1)
    moved = search.delta if in_stream or tail is None else tail.moved(origin, search.delta)
    return Targets(
        (start + moved).T.contiguous(),
        start.T.contiguous(),
        search.loss_first,
        search.loss_last,
        search.passes,
        search.clamped,
    )


class _Search:
    """δ of all requests with Adam's moments, rows = requests."""

    def __init__(self, start: Tensor, settings: TargetSettings, confinement: Confinement | None) -> None:
        n = len(start)
        self.settings = settings
        self.confinement = confinement
        self.delta = torch.zeros_like(start)
        self.gradient = torch.zeros_like(start)
        self.first, self.second = torch.zeros_like(start), torch.zeros_like(start)
        self.start_norm = start.norm(dim=1)
        self.active = torch.ones(n, dtype=torch.bool, device=start.device)
        self.loss_first = torch.zeros(n, 4, dtype=torch.float64, device=start.device)
        self.loss_last = torch.zeros_like(self.loss_first)
        self.passes = torch.zeros(n, dtype=torch.long, device=start.device)
        self.clamped = torch.zeros_like(self.active)
        self.probability = torch.zeros(n, device=start.device)
        self.sound = torch.ones(2, dtype=torch.bool, device=start.device)

    def look(self, step: int) -> list[bool]:
        """Let requests leave; which are active now. All that the host learns of a step comes in this one transfer.

        Raises:
            ModelCollapsed: A loss of this step, or a δ before it, is not finite.
        """
        self.active = self.active & ~self.finished()
        *active, losses_sound, deltas_sound = torch.cat([self.active, self.sound]).tolist()
        if not deltas_sound:
            raise ModelCollapsed(f"A target vector is not finite after step {step}: the model has collapsed.")
        if not losses_sound:
            raise ModelCollapsed(f"The loss of a target vector is not finite at step {step}: the model has collapsed.")
        return active

    def finished(self) -> Tensor:
        """n, bool: which requests need no further step."""
        done = self.loss_last[:, 0] < self.settings.early_stop_loss
        limit = self.settings.early_stop_probability
        return done if limit is None else done | (self.probability > limit)

    def visit(self, parts: Sequence[Suffixes], step: int, *, backward: bool) -> None:
        """One forward pass of all active requests; their losses, and the gradient of δ."""
        s = self.settings
        delta = self.delta.detach().requires_grad_(backward)
        with torch.set_grad_enabled(backward):
            decay = s.weight_decay * torch.linalg.vector_norm(delta, dim=1) / self.start_norm**2
            if backward:
                torch.autograd.backward(torch.where(self.active, decay, 0.0).sum())
        terms = torch.zeros(len(delta), 2, device=delta.device)
        probability = torch.zeros(len(delta), device=delta.device)
        for part in parts:
            with torch.set_grad_enabled(backward):
                found, weighted = part.losses(delta)  # n × 2: NLL, KL
                if backward:
                    torch.autograd.backward(found[:, 0].sum() + s.kl_factor * found[:, 1].sum())
            terms += found.detach()
            if s.early_stop_probability is not None:
                probability += part.reads.probability(weighted, len(delta), len(part.rows))
        kl = s.kl_factor * terms[:, 1]
        losses = torch.stack([terms[:, 0] + kl + decay.detach(), terms[:, 0], kl, decay.detach()], dim=1).double()
        self.sound[0] = (torch.isfinite(losses).all(dim=1) | ~self.active).all()
        if step == 0:
            self.loss_first = losses
        self.loss_last = torch.where(self.active[:, None], losses, self.loss_last)
        self.probability = probability
        self.passes += self.active
        if delta.grad is not None:
            self.gradient = delta.grad

    def step(self, number: int) -> None:
        """Adam step ``number`` (from 1) on the active requests, then the clamp."""
        rows, g = self.active, self.gradient
        first = _BETA1 * self.first + (1 - _BETA1) * g
        second = _BETA2 * self.second + (1 - _BETA2) * g * g
        scale = (second / (1 - _BETA2**number)).sqrt() + _EPSILON
        moved = self.delta - self.settings.learning_rate / (1 - _BETA1**number) * first / scale
        if self.confinement is not None:
            u = self.confinement.directions
            moved = torch.where(self.confinement.rows[:, None], moved - (moved @ u) @ u.T, moved)
        limit = self.settings.clamp_norm_factor * self.start_norm
        norm = moved.norm(dim=1)
        over = norm > limit
        moved = torch.where(over[:, None], moved * (limit / norm.clamp_min(1e-30))[:, None], moved)
        self.sound[1] = (torch.isfinite(moved).all(dim=1) | ~rows).all()
        self.first, self.second, self.delta = (
            torch.where(rows[:, None], new, old)
            for new, old in ((first, self.first), (second, self.second), (moved, self.delta))
        )
        self.clamped = torch.where(rows, over, self.clamped)


def _tasks(
    model: EditableModel,
    requests: Sequence[EditRequest],
    templates: Sequence[Sequence[str]],
    settings: TargetSettings,
) -> tuple[list[Task], list[int]]:
    """The sentences of all requests with what is read from them, and which sentence is each request's clean one."""
    contexts = flat(templates)
    texts: list[tuple[str, str]] = []
    plans: list[tuple[int, list[int], float]] = []
    clean: list[int] = []
    for number, request in enumerate(requests):
        target = target_ids(model, request)
        clean.append(len(texts))
        for context in contexts:
            texts.append((in_template(context, request.prompt), request.subject))
            plans.append((number, target, 1.0 / len(contexts)))
        if settings.kl_factor:
            texts.append(("{} is a", request.subject))
            plans.append((number, [KL], 1.0))
    tasks = []
    for sentence, (number, target, weight) in zip(prompts.sentences(model, texts), plans, strict=True):
        first = sentence.lookup if target == [KL] else len(sentence.ids) - 1
        reads = tuple(range(first, first + len(target)))
        # The target is put in up to its last token but one. Nothing behind the last position that is read changes it.
        ids = (*sentence.ids, *target[:-1])[: reads[-1] + 1]
        tasks.append(Task(number, ids, sentence.lookup, reads, tuple(target), weight))
    return tasks, clean


def _found(clean: Sequence[int], parts: Sequence[Mapping[int, Tensor]]) -> Tensor:
    """One row per request, n × d_out: that of its clean sentence, among the parts' rows by sentence number."""
    rows = {number: row for part in parts for number, row in part.items()}
    return torch.stack([rows[number] for number in clean])
