"""`EditableModel`: a Hugging Face model with its tokenizer, anatomy, float32 master weights and cached resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.model.anatomy import Anatomy, detect
from palimpsest.harness.model.batches import filler_of, padded
from palimpsest.harness.model.pristine_statistics import PristineStatistics


class EditableModel:
    """A causal language model whose weights editors may change in place.

    Parameters never require gradients here; an editor that trains one turns that on for the time of its edit.
    Each changed parameter has a float32 master copy; for float32 parameters it is the parameter itself.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        fingerprint: str,
    ) -> None:
        """Wrap a loaded model.

        Args:
            model: A Hugging Face causal language model; it is put in evaluation mode and frozen.
            tokenizer: Its fast tokenizer; must pad on the right.
            name: What people call the model.
            fingerprint: `fingerprint` of the untouched model; keys the disk cache.

        Raises:
            UsageError: The architecture is not supported, or the tokenizer pads on the left.
        """
        if getattr(tokenizer, "padding_side", "right") != "right":
            raise UsageError(f"The tokenizer of {name} pads on the left; positions need right padding.")
        self.model: Any = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.fingerprint = fingerprint
        self.anatomy: Anatomy = detect(model)
        self._parameters: dict[str, Tensor] = dict(model.named_parameters())
        self._masters: dict[str, Tensor] = {}
        self._pristine: dict[str, Tensor] = {}
        self._hooks = [(place, dict(place)) for place in hook_places(model)]
        self._resources: PristineStatistics | None = None

    @property
    def resources(self) -> PristineStatistics:
        """Statistics of the unedited model that editors may ask for.

        Raises:
            MissingResource: Whoever loaded the model gave it none; see `harness.statistics.resources.with_statistics`.
        """
        if self._resources is None:
            raise MissingResource(f"{self.name} was loaded without statistics. Load it with harness.runs.loaded_model.")
        return self._resources

    @resources.setter
    def resources(self, statistics: PristineStatistics) -> None:
        self._resources = statistics

    @property
    def device(self) -> torch.device:
        """Device that inputs go to: the device of the first parameters. With a device map, others may lie elsewhere."""
        return next(iter(self._parameters.values())).device

    def module(self, path: str) -> nn.Module:
        """The submodule at ``path``."""
        module: nn.Module = self.model.get_submodule(path)
        return module

    def padded(self, sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask, B × S, padded on the right, on the model's device."""
        ids, mask = padded(sequences, filler_of(self.model, self.tokenizer))
        return ids.to(self.device), mask.to(self.device)

    def remove_hooks(self) -> None:
        """Take off every hook that was not there when this model was wrapped: those of memory-based editors."""
        for place, before in self._hooks:
            place.clear()
            place.update(before)

    def weight(self, layer: int) -> Tensor:
        """Down-projection of ``layer``, float32, d_out × d_in; a view on the master copy: do not write to it."""
        master = self._master(self.anatomy.weight_name(layer))
        return master.T if self.anatomy.transposed else master

    def add_update(self, layer: int, delta: Tensor) -> None:
        """W += Δ for the down-projection of ``layer``; ``delta`` is d_out × d_in of any precision."""
        name = self.anatomy.weight_name(layer)
        update = delta.to(device=self._parameters[name].device, dtype=torch.float32)
        self._write(name, self._master(name) + (update.T if self.anatomy.transposed else update))

    def read_weights(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Copies of the float32 masters of these parameters, in the parameters' own orientation."""
        return {name: self._master(name).clone() for name in names}

    def write_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set parameters from float32 masters as `read_weights` gives them.

        Raises:
            UsageError: A name or shape that this model does not have; nothing is written then.
        """
        for name, value in weights.items():
            if name not in self._parameters:
                raise UsageError(f"{self.name} has no parameter {name!r}.")
            if value.shape != self._parameters[name].shape:
                shape = tuple(self._parameters[name].shape)
                raise UsageError(f"Parameter {name} of {self.name} has shape {shape}, got {tuple(value.shape)}.")
        for name, value in weights.items():
            self._write(name, value.to(device=self._parameters[name].device, dtype=torch.float32))

    def pristine(self, name: str) -> Tensor:
        """The untouched float32 tensor of parameter ``name``; do not write to it."""
        return self._pristine[name] if name in self._pristine else self._master(name)

    def pristine_weight(self, layer: int) -> Tensor:
        """The untouched down-projection of ``layer``, float32, d_out × d_in; do not write to it."""
        pristine = self.pristine(self.anatomy.weight_name(layer))
        return pristine.T if self.anatomy.transposed else pristine

    def edited_names(self) -> tuple[str, ...]:
        """Names of the parameters written so far, also if by now restored."""
        return tuple(self._pristine)

    def _master(self, name: str) -> Tensor:
        parameter = self._parameters[name]
        if parameter.dtype == torch.float32:
            return parameter.detach()
        return self._masters[name] if name in self._masters else parameter.detach().float()

    @torch.no_grad()
    def _write(self, name: str, value: Tensor) -> None:
        parameter = self._parameters[name]
        if name not in self._pristine:
            self._pristine[name] = self._master(name).clone()
        if parameter.dtype != torch.float32:
            self._masters[name] = value.clone()
        parameter.copy_(value)


def hook_places(model: nn.Module) -> list[dict[int, Any]]:
    """Dictionaries of the hooks of a module and all within it, by module and kind; changing them changes the hooks."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [getattr(module, kind) for module in model.modules() for kind in kinds]


def is_bare(model: nn.Module) -> bool:
    """True where nothing stands between the modules: no hook, and no module with a forward pass of its own."""
    return not any(hook_places(model)) and not any("forward" in module.__dict__ for module in model.modules())
