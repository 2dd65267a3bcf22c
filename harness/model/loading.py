"""A model from a folder or the hub, ready to be edited, and what identifies it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from palimpsest.harness.errors import MissingResource, UsageError, first_line
from palimpsest.harness.model.editable import EditableModel

_CONFIG_KEYS_WITHOUT_EFFECT = frozenset(
    {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures", "_attn_implementation"}
)


def load_model(
    path_or_id: str,
    *,
    name: str,
    dtype: str = "float32",
    device: str = "cpu",
    device_map: str | None = None,
    known_fingerprint: str | None = None,
) -> EditableModel:
    """Load a model folder or hub model with its tokenizer; safetensors only, no remote code.

    Args:
        path_or_id: Folder or hub id.
        name: What people call the model.
        dtype: Of all weights; edited ones keep a float32 master copy.
        device: Where the weights go.
        device_map: ``auto`` spreads the blocks over all GPUs instead.
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
            f"Model {name} cannot be loaded from {path_or_id}: {first_line(error)} "
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
    return EditableModel(model, tokenizer, name=name, fingerprint=identity)


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
