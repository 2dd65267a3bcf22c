"""Architectures of transformers that put a norm or a factor between the MLP and the residual stream."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf

from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.loading import fingerprint
from palimpsest.harness.statistics.resources import with_statistics
from tests.labs.tiny_models import CORPUS, LLAMA_LIKE, WORDS, random_model, tokenizer

FACTOR = 0.3
OTHERS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "olmo2": (hf.Olmo2ForCausalLM, hf.Olmo2Config, LLAMA_LIKE),
    "olmo3": (hf.Olmo3ForCausalLM, hf.Olmo3Config, LLAMA_LIKE),
    "glm4": (hf.Glm4ForCausalLM, hf.Glm4Config, LLAMA_LIKE | {"head_dim": 8, "pad_token_id": 1}),
    "exaone4": (hf.Exaone4ForCausalLM, hf.Exaone4Config, LLAMA_LIKE),
    "granite": (hf.GraniteForCausalLM, hf.GraniteConfig, LLAMA_LIKE | {"residual_multiplier": FACTOR}),
}
"""Architecture → class, class of its configuration, and what is set there; none is among the supported ones."""
NORMED = ("gemma2", "gemma3", "olmo2", "olmo3", "glm4", "exaone4")


def model_of(architecture: str, dtype: torch.dtype = torch.float32) -> EditableModel:
    """A random model, weights as large as after a training, gains of norms between 0.3 and 1.7 of what they were."""
    torch.manual_seed(0)
    if architecture in OTHERS:
        cls, config, sizes = OTHERS[architecture]
        model = cls(config(**(WORDS | sizes)))
    else:
        model = random_model(architecture)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.mul_(1.2 / (parameter.std() * min(parameter.shape) ** 0.5))
            elif "norm" in name:
                parameter.add_(torch.rand_like(parameter) * 1.4 - 0.7)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    words = tokenizer()
    editable = EditableModel(model, words, name=f"tiny-{architecture}", fingerprint=fingerprint(model, words))
    resources = with_statistics(editable)
    resources.set_context_templates([["{}"]])
    resources.set_statistics("corpus", lambda: CORPUS[:5])
    return editable
