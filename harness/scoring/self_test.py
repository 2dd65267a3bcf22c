"""A short trial of a model whose architecture nobody has tested: is what we say about it what it says itself?

Everything is compared with plain forward passes of the model. It takes a few dozen passes over a dozen tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.harness.errors import UsageError, first_line
from palimpsest.harness.model.architectures import titles
from palimpsest.harness.model.hooks import captured_input, captured_output, head_at, mlp_at, stopped_after
from palimpsest.harness.scoring.generation import greedy
from palimpsest.harness.scoring.isolation import untouched
from palimpsest.harness.scoring.packing import score_targets

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

_LENGTHS = (20, 14, 11)
_STEPS = 4


class _Failed(Exception):
    """A check that does not hold; the message says what differs."""


def try_architecture(model: EditableModel) -> None:
    """Refuse a model that cannot be scored and edited here; its weights are the same afterwards, to the bit.

    Raises:
        UsageError: A check fails; names it.
    """
    for title, check in _CHECKS.items():
        try:
            with untouched(model):
                check(model)
        except Exception as error:  # whatever a foreign architecture trips over
            reason = str(error) if isinstance(error, _Failed) else f"{type(error).__name__}: {first_line(error)}"
            raise UsageError(
                f"Model {model.name}: {type(model.model).__name__} is not among the tested architectures ({titles()}), "
                f'and a trial shows that it cannot be edited and scored here. The check "{title}" fails: {reason}'
            ) from error


def _scores_are_those_of_a_plain_pass(model: EditableModel) -> None:
    rows = _rows(model)
    pairs = [(row[:5], row[5:]) for row in (*rows, [*rows[0][:8], *rows[1][:3]])]
    found = score_targets(model, pairs).log_prob
    for (context, target), value in zip(pairs, found.tolist(), strict=True):
        log_p = _logits(model, [*context, *target])[len(context) - 1 : -1].log_softmax(dim=-1)
        expected = float(log_p.gather(1, torch.tensor(target, device=log_p.device)[:, None]).mean())
        _require_near(value, expected, model, "the mean log-probability of a target")


def _greedy_texts_are_those_of_plain_passes(model: EditableModel) -> None:
    rows = _rows(model)
    for row, more in zip(rows, greedy(model, rows, _STEPS), strict=True):
        for step, token in enumerate(more):
            last = _logits(model, [*row, *more[:step]])[-1]
            _require_near(float(last[token]), float(last.max()), model, "the logit of a greedy token and the largest")


def _parts_of_the_model_run_alone(model: EditableModel) -> None:
    row = _rows(model)[0]
    plain = _logits(model, row)
    ids, mask = model.padded([row])
    places = torch.arange(len(row), device=ids.device)
    last = model.anatomy.n_layers - 1
    with head_at(model, torch.zeros_like(places), places), mlp_at(model, last, torch.zeros_like(places), places):
        _require_close(model.model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float(), plain, model)
    middle = model.anatomy.n_layers // 2
    whole = _key(model, row, middle)
    with stopped_after(model, middle):
        _require_close(_key(model, row, middle, backbone=True), whole, model)


def _an_edit_moves_the_output_as_it_should(model: EditableModel) -> None:
    row = _rows(model)[0]
    plain = _logits(model, row)
    for layer in sorted({0, model.anatomy.n_layers // 2, model.anatomy.n_layers - 1}):
        name = model.anatomy.weight_name(layer)
        before = model.read_weights([name])
        key = _key(model, row, layer)  # d_in
        output = _output(model, row, layer)  # d_out
        wanted = output.flip(0) + output.norm() / len(output) ** 0.5
        try:
            model.add_update(layer, torch.outer(wanted, key / (key @ key)))
            _require_close(_output(model, row, layer) - output, wanted, model)
            if not float((_logits(model, row) - plain).abs().max()) > 0:
                raise _Failed(f"an update of {name} leaves the logits as they are")
        finally:
            model.write_weights(before)
    if not torch.equal(_logits(model, row), plain):
        raise _Failed("after the old weights were put back the logits are others")


_CHECKS: dict[str, Callable[[EditableModel], None]] = {
    "scores equal a plain forward pass": _scores_are_those_of_a_plain_pass,
    "greedy texts equal plain forward passes": _greedy_texts_are_those_of_plain_passes,
    "parts of the model run alone": _parts_of_the_model_run_alone,
    "an edit moves the output as it should": _an_edit_moves_the_output_as_it_should,
}


def _rows(model: EditableModel) -> list[list[int]]:
    """Made-up token ids, rows of different lengths."""
    count = min(len(model.tokenizer), int(model.model.get_input_embeddings().weight.shape[0]))
    return [[(13 * place + 31 * number + 3) % count for place in range(size)] for number, size in enumerate(_LENGTHS)]


def _logits(model: EditableModel, row: Sequence[int]) -> Tensor:
    """Logits of one text by one plain pass, S × V, float32."""
    ids, mask = model.padded([row])
    logits: Tensor = model.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return logits[0].float()


def _key(model: EditableModel, row: Sequence[int], layer: int, *, backbone: bool = False) -> Tensor:
    """Input of a layer's down-projection at the last token, d_in, float32."""
    ids, mask = model.padded([row])
    with captured_input(model.module(model.anatomy.down(layer))) as seen:
        whole = model.module(model.anatomy.backbone) if backbone else model.model
        whole(input_ids=ids, attention_mask=mask, use_cache=False)
    return seen[0].reshape(-1, seen[0].shape[-1])[-1].float()


def _output(model: EditableModel, row: Sequence[int], layer: int) -> Tensor:
    """Output of a layer's down-projection at the last token, d_out, float32."""
    with ExitStack() as stack:
        seen = stack.enter_context(captured_output(model.module(model.anatomy.down(layer))))
        _logits(model, row)
    return seen[0].reshape(-1, seen[0].shape[-1])[-1].float()


def _tolerance(model: EditableModel) -> float:
    return 1e-3 if next(model.model.parameters()).dtype == torch.float32 else 0.1


def _require_near(found: float, expected: float, model: EditableModel, what: str) -> None:
    if not abs(found - expected) <= _tolerance(model) * (1 + abs(expected)):
        raise _Failed(f"{what} is {found:.4g}, and {expected:.4g} by a plain pass.")


def _require_close(found: Tensor, expected: Tensor, model: EditableModel) -> None:
    if found.shape != expected.shape:
        raise _Failed(f"shapes are {tuple(found.shape)}, and {tuple(expected.shape)} by a plain pass.")
    distance = float((found - expected).norm() / expected.norm().clamp_min(1e-30))
    if not distance <= _tolerance(model):
        raise _Failed(f"values differ from those of a plain pass by {distance:.2g} of their size.")
