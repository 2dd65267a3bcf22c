"""The architectures that are supported: each has a row here and a random model in the tests, and nothing else has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple


class Architecture(NamedTuple):
    """Facts about one architecture; what a model is really built like is found and measured on the model."""

    title: str
    down_projection: str
    """Second matrix of the MLP, seen from a block."""
    behind_mlp: Literal["nothing", "norm"] = "nothing"
    """Part between the MLP and the residual stream."""


SUPPORTED: Mapping[str, Architecture] = {
    "llama": Architecture("Llama", "mlp.down_proj"),
    "mistral": Architecture("Mistral", "mlp.down_proj"),
    "qwen2": Architecture("Qwen2", "mlp.down_proj"),
    "qwen3": Architecture("Qwen3", "mlp.down_proj"),
    "gemma": Architecture("Gemma", "mlp.down_proj"),
    "gemma2": Architecture("Gemma 2", "mlp.down_proj", "norm"),
    "gemma3_text": Architecture("Gemma 3", "mlp.down_proj", "norm"),
    "gpt2": Architecture("GPT-2", "mlp.c_proj"),
    "gptj": Architecture("GPT-J", "mlp.fc_out"),
    "gpt_neox": Architecture("GPT-NeoX", "mlp.dense_4h_to_h"),
}
"""``model_type`` of the configuration → architecture; its tests hold it to the models."""


def is_supported(model: Any) -> bool:
    """True for a Hugging Face model of an architecture in the table; others are tried when they are loaded."""
    return model.config.get_text_config().model_type in SUPPORTED


def titles() -> str:
    """Names of all supported architectures, for messages."""
    *most, last = [architecture.title for architecture in SUPPORTED.values()]
    return f"{', '.join(most)} and {last}"
