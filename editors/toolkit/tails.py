"""The way from an MLP's output to the residual stream, and what an update must add at its beginning.

ROME, MEMIT and their descendants want the stream to move by some r, and write Δ with Δ k = r: right where a block adds
its MLP's output m to the stream as it is. Some models multiply it by a number first (Granite), or put it through an RMS
norm (Gemma 2 and 3, OLMo 2 and 3, GLM-4, EXAONE 4), y = g ∘ m / rms(m). An update that ignores this leaves most of the
way to its target. Here the way is measured once per layer, on the unedited model, and followed backwards:

    nothing:   Δ k = r
    factor c:  Δ k = r / c
    RMS norm:  Δ k = rms(m) · r / g,   so that m + Δ k = rms(m) · (y + r) / g

Behind a norm only points y with ‖y / g‖ = √d can be reached, whatever is written. So the target is looked for there: δ
is added to m, before the norm, and r = y(m + δ) − y(m), for which the third line is exact. Where r is only a share of
that, as in the lower of several layers, y + r is reached up to its length. What is none of these three is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.model.hooks import added_to_output, captured_output, stopped_after

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

_TOKENS = 8
_SMALLEST_GAIN = 1e-3
"""Coordinates with a gain below this share of the largest are left alone: nothing passes there."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Part behind a down-projection: nothing, a factor, or an RMS norm."""

    factor: float = 1.0
    """c; 1 for nothing."""
    gain: Tensor | None = None
    """g, d_out in float64; None without a norm."""
    epsilon: float = 0.0
    """Added to the mean square in the norm."""

    @property
    def normed(self) -> bool:
        """True behind a norm, where `needed` depends on the present output of the MLP."""
        return self.gain is not None

    @property
    def plain(self) -> bool:
        """True where the MLP's output is added to the stream as it is."""
        return self.gain is None and self.factor == 1.0

    def moved(self, outputs: Tensor, change: Tensor) -> Tensor:
        """Move of the stream for one of the MLP's output; differentiable.

        Args:
            outputs: m, n × d_out.
            change: Added to m, n × d_out.

        Returns:
            n × d_out, in the precision of ``change``.
        """
        if self.gain is None:
            return change * self.factor
        return self._law(outputs + change) - self._law(outputs)

    def _law(self, values: Tensor) -> Tensor:
        assert self.gain is not None
        scale = (values.square().mean(dim=-1, keepdim=True) + self.epsilon).sqrt()
        return self.gain.to(values) * values / scale

    def needed(self, wanted: Tensor, outputs: Tensor | None = None) -> Tensor:
        """Δ k for changes of the stream.

        Args:
            wanted: r, d_out × n.
            outputs: m, the present outputs of the down-projection, d_out × n; needed behind a norm only.

        Returns:
            d_out × n, float64.
        """
        r = wanted.double()
        if self.gain is None:
            return r if self.factor == 1.0 else r / self.factor
        assert outputs is not None
        gain = self.gain.to(r.device)[:, None]
        rms = (outputs.double().square().mean(dim=0) + self.epsilon).sqrt()
        passes = gain.abs() > _SMALLEST_GAIN * gain.abs().max()
        return torch.where(passes, rms * r / torch.where(passes, gain, 1.0), 0.0)


@torch.no_grad()
def measured_tail(model: EditableModel, layer: int) -> Tail:
    """Tail behind the down-projection of ``layer``, found by moving its output and looking at the block's.

    Raises:
        ConfigError: It is neither nothing, nor a factor, nor an RMS norm.
    """
    down = model.module(model.anatomy.down(layer))
    with _first_inputs(model, layer) as inputs:
        output, stream = _pass(model, layer)
    # As long as the stream, so that rounding of the stream, which may be in bfloat16, is small beside it.
    direction = torch.randn(len(stream), generator=torch.Generator().manual_seed(layer), dtype=torch.float64)
    move = (direction / direction.norm()).to(stream.device) * stream.norm()

    def moved(hidden: Tensor) -> Tensor:
        added = torch.zeros_like(hidden)
        added[:, -1] = move.to(hidden.dtype)
        return hidden + added

    with added_to_output(down, moved):
        observed = _pass(model, layer)[1] - stream
    close = 1e-3 if down.weight.dtype == torch.float32 else 0.05
    factor = float(observed @ move / (move @ move))
    if float((observed - factor * move).norm()) <= close * float((factor * move).norm()):
        return Tail(factor=_exact(model, factor, close))
    for norm in (module for module, seen in inputs if seen.shape == output.shape and torch.equal(seen, output)):
        found = _as_rms_norm(norm, output, move, observed, close)
        if found is not None:
            return found
    raise ConfigError(
        f"{model.name} ({type(model.model).__name__}): an update of block {layer}'s down-projection does not reach the "
        "residual stream as it is, nor through a factor or an RMS norm, so editors that aim at the stream cannot know "
        "what they write. Use an editor that trains the weight (ft, ft-l), or another model."
    )


def _exact(model: EditableModel, factor: float, close: float) -> float:
    """The factor without the rounding of its measurement: 1, or what the configuration says."""
    named = getattr(model.model.config.get_text_config(), "residual_multiplier", None)
    for value in (1.0, named):
        if isinstance(value, int | float) and abs(factor - value) <= close * abs(value):
            return float(value)
    return factor


def _as_rms_norm(norm: nn.Module, output: Tensor, move: Tensor, observed: Tensor, close: float) -> Tail | None:
    """The module as a tail, if it is an RMS norm and what was observed is its doing; else None.

    Args:
        norm: A module that gets the MLP's output.
        output: m at the looked-at position, d_out.
        move: What was added to it.
        observed: What the stream then moved by.
        close: Relative distance that is rounding.
    """

    def through(values: Tensor) -> Tensor:
        passed: Tensor = norm(values.to(output.dtype)[None, None])
        return passed[0, 0].double()

    epsilon = float(getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0)) or 0.0)
    gain = through(torch.ones_like(output)) * (1.0 + epsilon) ** 0.5

    tail = Tail(gain=gain, epsilon=epsilon)
    before = output.double()
    expected = tail.moved(before, move)
    steps = (through(before + move) - through(before), observed)
    fits = all(float((step - expected).norm()) <= close * float(expected.norm()) for step in steps)
    return tail if fits else None


def _pass(model: EditableModel, layer: int) -> tuple[Tensor, Tensor]:
    """Output of the down-projection, and of its block in float64, at the last of a few tokens; d_out each."""
    rows = int(model.model.get_input_embeddings().weight.shape[0])
    ids, mask = model.padded([[(7 * place + 5) % rows for place in range(_TOKENS)]])
    with ExitStack() as stack:
        outputs = stack.enter_context(captured_output(model.module(model.anatomy.down(layer))))
        streams = stack.enter_context(captured_output(model.module(model.anatomy.block(layer))))
        stack.enter_context(stopped_after(model, layer))
        model.module(model.anatomy.backbone)(input_ids=ids, attention_mask=mask, use_cache=False)
    return outputs[0][0, -1], streams[0][0, -1].double()


@contextmanager
def _first_inputs(model: EditableModel, layer: int) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """A list that receives each module of a block with the last position of its input, d, in order of the calls."""
    seen: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor) and inputs[0].ndim == 3:
            seen.append((module, inputs[0][0, -1]))

    block = model.module(model.anatomy.block(layer))
    handles = [module.register_forward_pre_hook(note) for module in block.modules() if module is not block]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
