"""A model from a folder or the hub, ready to be edited, and what identifies it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
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
        known_fingerprint: That of the files (`catalogue.fingerprint`); None: the tensors' own is computed.

    Raises:
        MissingResource: The folder, files or hub entry cannot be read, or hold other parameters than the model has;
            says which.
        UsageError: The architecture or the dtype is not supported.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # stderr belongs to our own progress
    torch_dtype = getattr(torch, dtype, None)
    if torch_dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise UsageError(f"dtype {dtype!r} is not known; use float32, bfloat16 or float16.")
    is_folder = Path(path_or_id).is_dir()
    if is_folder and not (Path(path_or_id) / "config.json").is_file():
        raise MissingResource(f"{path_or_id} has no config.json; expected a folder saved by transformers.")
    common = {"local_files_only": is_folder, "trust_remote_code": False}
    how: dict[str, Any] = {"dtype": torch_dtype, "use_safetensors": True, "output_loading_info": True}
    if device_map:
        how["device_map"] = device_map
    try:
        tokenizer = AutoTokenizer.from_pretrained(path_or_id, padding_side="right", **common)
        config = _with_padding_inside(AutoConfig.from_pretrained(path_or_id, **common))
        model, found = AutoModelForCausalLM.from_pretrained(path_or_id, config=config, **how, **common)
    except Exception as error:  # transformers, the hub client and safetensors each have errors of their own
        raise MissingResource(
            f"Model {name} cannot be loaded from {path_or_id}: {first_line(error)} "
            "Expected a transformers folder (config.json, model.safetensors, tokenizer.json) or a reachable hub id."
        ) from error
    _require_all_weights(found, name, path_or_id)
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


def _with_padding_inside(config: Any) -> Any:
    """The configuration, without a padding token that the embedding has no row for: nothing is ever read there."""
    text = config.get_text_config()
    pad = getattr(text, "pad_token_id", None)
    if isinstance(pad, int) and not 0 <= pad < text.vocab_size:
        text.pad_token_id = None
    return config


def _require_all_weights(found: Mapping[str, Any], name: str, place: str) -> None:
    """Refuse a model of which a parameter was not in the files, and would hold random numbers, or too much was in them.

    ``found`` is what transformers says about loading; a head that is tied to the embedding is not missing there.

    Raises:
        MissingResource: Some are missing or unexpected; names them.
    """
    missing = sorted(map(str, found.get("missing_keys", ())))
    unexpected = sorted(map(str, found.get("unexpected_keys", ())))
    if not missing and not unexpected:
        return
    problems = []
    if missing:
        problems.append(f"{_listed(missing)} not in the files (they would hold random numbers)")
    if unexpected:
        problems.append(f"{_listed(unexpected)} in the files but not in the model")
    advice = "Take the files that were saved with this config.json."
    prefix = next((key.partition(".")[0] for key in unexpected if key.startswith("_")), None)
    if missing and prefix is not None:
        advice = f"The names begin with {prefix!r}: save the model again, unwrapped."
    raise MissingResource(f"Model {name} in {place} does not fit its config.json: {'; '.join(problems)}. {advice}")


def _listed(names: Sequence[str]) -> str:
    """``3 parameters (a, b, c) are``, with the first three names."""
    more = ", …" if len(names) > 3 else ""
    amount = "1 parameter" if len(names) == 1 else f"{len(names)} parameters"
    return f"{amount} ({', '.join(names[:3])}{more}) {'is' if len(names) == 1 else 'are'}"


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
