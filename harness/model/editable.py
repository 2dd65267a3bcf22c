"""`EditableModel`: a Hugging Face model with its tokenizer, anatomy, float32 master weights and cached resources."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.model.anatomy import Anatomy, detect
from palimpsest.harness.model.hooks import hook_places
from palimpsest.harness.statistics.resources import Resources

_CONFIG_KEYS_WITHOUT_EFFECT = frozenset(
    {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures", "_attn_implementation"}
)


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
        cache: Path | None,
        offload: bool = False,
    ) -> None:
        """Wrap a loaded model.

        Args:
            model: A Hugging Face causal language model; it is put in evaluation mode and frozen.
            tokenizer: Its fast tokenizer; must pad on the right.
            name: What people call the model.
            fingerprint: `fingerprint` of the untouched model; keys the disk cache.
            cache: Folder of cached statistics (``<home>/models``), or None for no disk cache.
            offload: Keep statistics, and what is solved with them, on the CPU.

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
        place = torch.device("cpu") if offload else self.device
        self.resources = Resources(self, None if cache is None else cache / fingerprint, place)

    @property
    def device(self) -> torch.device:
        """Where inputs go: the device of the first parameters. With a device map, others may lie elsewhere."""
        return next(iter(self._parameters.values())).device

    def module(self, path: str) -> nn.Module:
        """The submodule at ``path``."""
        module: nn.Module = self.model.get_submodule(path)
        return module

    def padded(self, sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask, B × S, padded on the right, on the model's device."""
        longest = max(len(sequence) for sequence in sequences)
        filler = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[*sequence, *[filler] * (longest - len(sequence))] for sequence in sequences])
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        mask = (torch.arange(longest)[None] < lengths[:, None]).long()
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


def load_model(
    path_or_id: str,
    *,
    name: str,
    dtype: str = "float32",
    cache: Path | None = None,
    device: str = "cpu",
    device_map: str | None = None,
    offload: bool = False,
    known_fingerprint: str | None = None,
) -> EditableModel:
    """Load a model folder or hub model with its tokenizer; safetensors only, no remote code.

    Args:
        path_or_id: Folder or hub id.
        name: What people call the model.
        dtype: Of all weights; edited ones keep a float32 master copy.
        cache: Folder of cached statistics, or None.
        device: Where the weights go.
        device_map: ``auto`` spreads the blocks over all GPUs instead.
        offload: Keep statistics on the CPU.
        known_fingerprint: That of the files, where the caller has it (`model_registry.fingerprint`); otherwise the
            tensors' own is computed.

    Raises:
        MissingResource: The folder, files or hub entry cannot be read; says which.
        UsageError: The architecture or the dtype is not supported.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # stderr belongs to our own progress
    torch_dtype = getattr(torch, dtype, None)
    if torch_dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise UsageError(f"dtype {dtype!r} is not known; use float32, bfloat16 or float16.")
    is_folder = Path(path_or_id).is_dir()
    if is_folder and not (Path(path_or_id) / "config.json").is_file():
        raise MissingResource(f"{path_or_id} has no config.json; expected a folder saved by transformers.")
    common = {"local_files_only": is_folder, "trust_remote_code": False}
    how = {"dtype": torch_dtype, "use_safetensors": True} | ({"device_map": device_map} if device_map else {})
    try:
        tokenizer = AutoTokenizer.from_pretrained(path_or_id, padding_side="right", **common)
        model = AutoModelForCausalLM.from_pretrained(path_or_id, **how, **common)
    except Exception as error:  # transformers, the hub client and safetensors each have errors of their own
        raise MissingResource(
            f"Model {name} cannot be loaded from {path_or_id}: {_first_line(error)} "
            "Expected a transformers folder (config.json, model.safetensors, tokenizer.json) or a reachable hub id."
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    if device_map is None:
        model.to(device)
    elif any(parameter.is_meta for parameter in model.parameters()):
        raise MissingResource(
            f"{name} does not fit on the GPUs of this machine: with --device-map auto some of its weights would stay "
            "on the disk, where they cannot be edited. Use a larger GPU, or --device cpu."
        )
    identity = known_fingerprint or fingerprint(model, tokenizer)
    return EditableModel(model, tokenizer, name=name, fingerprint=identity, cache=cache, offload=offload)


def fingerprint(model: Any, tokenizer: Any) -> str:
    """SHA-256 of all parameters (name, dtype, shape, bytes), the configuration and the tokenizer."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        tensor = parameter.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    config = model.config.to_dict()
    essentials = {key: value for key, value in config.items() if key not in _CONFIG_KEYS_WITHOUT_EFFECT}
    digest.update(json.dumps(essentials, sort_keys=True, default=str).encode())
    digest.update(_tokenizer_text(tokenizer).encode())
    return digest.hexdigest()


def _tokenizer_text(tokenizer: Any) -> str:
    """The tokenizer as JSON, without padding and truncation, which mere use changes."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content.pop("padding", None)
    content.pop("truncation", None)
    return json.dumps(content, sort_keys=True)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
