"""The editors written plainly on a GPT-2, one request at a time, in float64: closed forms in numpy, gradients by torch.

An independent implementation of ours, from the papers' formulas; not the published code, and nothing of
`palimpsest.editors` is used. Where the published code departs from its paper and recorded runs of it show that, the
published rule is followed here too, so that one test replays both sets: DeltaEdit's two-sided trigger, NSE's selection,
FT's loss at the last position, the direction of the KL term.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fact:
    """A request with its text cut into tokens by the caller's tokenizer."""

    prompt: str
    subject: str
    target: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """Result of one target optimisation."""

    vector: Array
    start: Array
    first: list[float]
    last: list[float]
    passes: int


class PlainGpt2:
    """A Hugging Face GPT-2 in float64 whose down-projections are read and written as d_out × d_in."""

    def __init__(self, model: Any, tokenizer: Any, templates: Sequence[Sequence[str]]) -> None:
        self.model = model.double().eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.templates = templates

    def weight(self, layer: int) -> Array:
        """W, d_out × d_in."""
        weight: Array = self.down(layer).weight.detach().numpy().T.copy()
        return weight

    def write(self, layer: int, weight: Array) -> None:
        """W ← the nearest float32 values of ``weight``."""
        with torch.no_grad():
            self.down(layer).weight.copy_(torch.from_numpy(weight.astype(np.float32).astype(np.float64).T))

    def add(self, layer: int, delta: Array) -> None:
        """W ← W + float32(Δ)."""
        self.write(layer, (self.weight(layer).astype(np.float32) + delta.astype(np.float32)).astype(np.float64))

    def down(self, layer: int) -> Any:
        return self.model.transformer.h[layer].mlp.c_proj

    def tokens(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text)["input_ids"]
        return ids

    def asked(self, fact: Fact, template: str = "{}") -> tuple[list[int], int]:
        """Tokens of the prompt in a template, and where the subject's last one is."""
        before, after = template.replace("{}", fact.prompt, 1).split("{}")
        return self.tokens(before + fact.subject + after), len(self.tokens(before + fact.subject)) - 1

    def seen(self, module: Any, text: tuple[list[int], int], *, inputs: bool) -> Array:
        """Input or output of a module at the position that comes with the text."""
        value: Array = self.run(module, text[0], inputs=inputs)[text[1]]
        return value

    def run(self, module: Any, ids: list[int], *, inputs: bool) -> Array:
        """Input or output of a module at all positions, tokens × width."""
        kept: list[Tensor] = []

        def note(_: Any, given: Any, output: Any) -> None:
            kept.append(given[0] if inputs else output[0] if isinstance(output, tuple) else output)

        handle = module.register_forward_hook(note)
        with torch.no_grad():
            self.model(torch.tensor([ids]))
        handle.remove()
        values: Array = kept[0][0].numpy()
        return values

    def clean_key(self, fact: Fact, layer: int) -> Array:
        return self.seen(self.down(layer), self.asked(fact), inputs=True)

    def plain_key(self, fact: Fact, layer: int) -> Array:
        """Mean over all templates alike (ROME)."""
        keys = [
            self.seen(self.down(layer), self.asked(fact, t), inputs=True) for group in self.templates for t in group
        ]
        return np.mean(keys, axis=0)

    def key(self, fact: Fact, layer: int) -> Array:
        """Half the clean prompt's key, half the mean of the others (MEMIT)."""
        (clean,), others = self.templates
        keys = [self.seen(self.down(layer), self.asked(fact, t), inputs=True) for t in others]
        return 0.5 * self.seen(self.down(layer), self.asked(fact, clean), inputs=True) + 0.5 * np.mean(keys, axis=0)

    def keys(self, facts: Sequence[Fact], layer: int) -> Array:
        return np.stack([self.key(fact, layer) for fact in facts], axis=1)

    def stream(self, facts: Sequence[Fact], layer: int) -> Array:
        """Output of the block, d_out × n."""
        block = self.model.transformer.h[layer]
        return np.stack([self.seen(block, self.asked(fact), inputs=False) for fact in facts], axis=1)

    @contextmanager
    def shifted(self, module: Any, position: int, delta: Tensor) -> Iterator[None]:
        """δ added to a module's output at one position."""

        def change(_: Any, given: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            added = torch.zeros_like(hidden).index_put((torch.tensor([0]), torch.tensor([position])), delta[None])
            return (hidden + added, *output[1:]) if isinstance(output, tuple) else hidden + added

        handle = module.register_forward_hook(change)
        try:
            yield
        finally:
            handle.remove()

    def log_p(self, module: Any, ids: list[int], position: int, delta: Tensor) -> Tensor:
        """Log-distributions after each position, with δ."""
        with self.shifted(module, position, delta):
            logits: Tensor = self.model(torch.tensor([ids])).logits[0]
        return torch.log_softmax(logits, dim=1)

    def target(
        self,
        fact: Fact,
        module: Any,
        s: dict[str, Any],
        *,
        removed: Array | None = None,
        enough: float = 2.0,
    ) -> Found:
        """Optimise δ behind ``module``; ``removed``: columns that δ stays orthogonal to; ``enough``: probability."""
        asked = [self.asked(fact, template) for group in self.templates for template in group]
        described = self.asked(Fact("{} is a", fact.subject, ()))
        start = torch.from_numpy(self.seen(module, asked[0], inputs=False))
        delta = torch.zeros_like(start, requires_grad=True)
        adam = torch.optim.Adam([delta], lr=s["v_lr"])
        reference: Tensor | None = None
        first: list[float] = []
        for number in range(s["v_num_grad_steps"]):
            with torch.enable_grad():
                losses = []
                for ids, position in asked:
                    log_p = self.log_p(module, [*ids, *fact.target[:-1]], position, delta)
                    steps = [-log_p[len(ids) - 1 + i, token] for i, token in enumerate(fact.target)]
                    losses.append(torch.stack(steps).mean())
                each = torch.stack(losses)
                present = self.log_p(module, described[0], described[1], delta)[described[1]]
                reference = present.detach() if reference is None else reference
                kl = s["kl_factor"] * (present.exp() * (present - reference)).sum()
                decay = s["v_weight_decay"] * delta.norm() / start.norm() ** 2
                total = each.mean() + kl + decay
            last = [float(value.detach()) for value in (total, each.mean(), kl, decay)]
            first = first or last
            done = last[0] < 0.05 or float((-each.detach()).exp().mean()) > enough
            if done or number == s["v_num_grad_steps"] - 1:
                break
            adam.zero_grad()
            total.backward()
            adam.step()
            with torch.no_grad():
                if removed is not None:
                    delta -= torch.from_numpy(removed @ (removed.T @ delta.numpy()))
                limit = s["clamp_norm_factor"] * start.norm()
                if delta.norm() > limit:
                    delta *= limit / delta.norm()
        return Found((start + delta.detach()).numpy(), start.numpy(), first, last, number + 1)

    def bag_loss(self, fact: Fact) -> Tensor:
        """FT's loss of the published code: all target tokens at the prompt's last position."""
        log_p = torch.log_softmax(self.model(torch.tensor([self.asked(fact)[0]])).logits[0, -1], dim=0)
        return -log_p[list(fact.target)].mean()

    def forced_nll(self, fact: Fact) -> float:
        """Mean NLL of the target, every token at its own position."""
        ids, _ = self.asked(fact)
        with torch.no_grad():
            log_p = torch.log_softmax(self.model(torch.tensor([[*ids, *fact.target[:-1]]])).logits[0], dim=1)
        return float(-torch.stack([log_p[len(ids) - 1 + i, token] for i, token in enumerate(fact.target)]).mean())


def memit_solve(base: Array, keys: Array) -> Array:
    """A = (base + K Kᵀ)⁻¹ K."""
    return np.linalg.solve(base + keys @ keys.T, keys)


def alphaedit_delta(removed: Array, past: Array, keys: Array, residual: Array, ridge: float) -> Array:
    """Δ = Xᵀ, [P (K Kᵀ + C_p) + L2 I] X = P K Rᵀ, with P = I − U Uᵀ; the published form, not symmetric."""
    p = np.eye(len(keys)) - removed @ removed.T
    return np.linalg.solve(p @ (keys @ keys.T + past) + ridge * np.eye(len(keys)), p @ keys @ residual.T).T


def selected(keys: Array, share: float) -> NDArray[np.int64]:
    """NSE's neurons by the published rule: the longest run of largest Σ|k| that does not exceed the share; 1: all."""
    mass = np.abs(keys).sum(axis=1)
    order = np.argsort(-mass, kind="stable")
    return order if share == 1 else order[: int((mass[order].cumsum() <= share * mass.sum()).sum())]


def leading(update: Array, disturbance: Array, floor: float, most: int) -> tuple[Array, Array]:
    """Leading eigenvectors and eigenvalues of H Hᵀ + (H k)(H k)ᵀ above the floor."""
    values, vectors = np.linalg.eigh(update @ update.T + np.outer(disturbance, disturbance))
    count = min(most, int((values > floor).sum()))
    return vectors[:, ::-1][:, :count].copy(), values[::-1][:count].copy()
