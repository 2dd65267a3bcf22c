"""Places in a language model that editors touch: blocks, MLP down-projections, final norm, head.

Found from the configuration and the module structure, never from the model's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from palimpsest.harness.errors import UsageError
from palimpsest.harness.model.architectures import titles

_BLOCKS = ("layers", "h")
_DOWN_PROJECTIONS = ("mlp.down_proj", "mlp.c_proj", "mlp.fc_out", "mlp.dense_4h_to_h")
_FINAL_NORMS = ("norm", "ln_f", "final_layer_norm")
_EDITABLE = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Module paths of one causal language model, from its root."""

    backbone: str
    """The model without its head, e.g. ``model``."""
    blocks: str
    """The list of transformer blocks, e.g. ``model.layers``."""
    n_layers: int
    down_projection: str
    """Second matrix of the MLP, seen from a block, e.g. ``mlp.down_proj``."""
    transposed: bool
    """True where the weight is stored as d_in × d_out (GPT-2's ``Conv1D``)."""
    final_norm: str
    head: str
    d_hidden: int
    """Width of the residual stream; d_out of the down-projection."""
    d_inner: int
    """Width inside the MLP; d_in of the down-projection."""
    blocks_return_tuples: bool
    """True where a block returns a tuple whose first member is the residual stream (GPT-J)."""
    tied_head: bool
    """True where the head shares its matrix with the input embedding."""

    def block(self, layer: int) -> str:
        """Path of block ``layer``, counted from 0."""
        return f"{self.blocks}.{layer}"

    def down(self, layer: int) -> str:
        """Path of the down-projection of block ``layer``."""
        return f"{self.blocks}.{layer}.{self.down_projection}"

    def weight_name(self, layer: int) -> str:
        """Name of the parameter with the down-projection's weight in block ``layer``."""
        return f"{self.down(layer)}.weight"


def detect(model: Any) -> Anatomy:
    """Find the anatomy of a Hugging Face causal language model.

    Runs the model on one token to see what its blocks return.

    Raises:
        UsageError: The structure is none of the supported ones; says what was looked for.
    """
    backbone_path = str(getattr(model, "base_model_prefix", ""))
    backbone = getattr(model, backbone_path, None) if backbone_path else None
    if not isinstance(backbone, nn.Module) or backbone is model:
        raise _unsupported(model, "a backbone module beside the language-model head")
    blocks_name, blocks = _find_blocks(model, backbone)
    down_name = _first(blocks[0], _DOWN_PROJECTIONS)
    if down_name is None:
        raise _unsupported(model, f"an MLP down-projection in each block ({', '.join(_DOWN_PROJECTIONS)})")
    norm_name = _first(backbone, _FINAL_NORMS)
    if norm_name is None:
        raise _unsupported(model, f"a final norm ({', '.join(_FINAL_NORMS)}) beside the blocks")
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    head_name = next((name for name, module in model.named_modules() if module is head), None)
    if head is None or head_name is None:
        raise _unsupported(model, "a language-model head (output embeddings)")
    transposed, d_hidden, d_inner = _orientation(model, blocks, down_name)
    embeddings = model.get_input_embeddings()
    return Anatomy(
        backbone=backbone_path,
        blocks=f"{backbone_path}.{blocks_name}",
        n_layers=len(blocks),
        down_projection=down_name,
        transposed=transposed,
        final_norm=f"{backbone_path}.{norm_name}",
        head=head_name,
        d_hidden=d_hidden,
        d_inner=d_inner,
        blocks_return_tuples=_blocks_return_tuples(model, blocks[0]),
        tied_head=getattr(head, "weight", None) is getattr(embeddings, "weight", 0),
    )


def _find_blocks(model: Any, backbone: nn.Module) -> tuple[str, nn.ModuleList]:
    config = model.config.get_text_config()
    for name in _BLOCKS:
        blocks = getattr(backbone, name, None)
        if isinstance(blocks, nn.ModuleList) and len(blocks) == config.num_hidden_layers:
            return name, blocks
    raise _unsupported(model, f"a list of {config.num_hidden_layers} blocks named {' or '.join(_BLOCKS)}")


def _orientation(model: Any, blocks: nn.ModuleList, down_name: str) -> tuple[bool, int, int]:
    """True where weights are stored transposed, and d_out and d_in; equal in all blocks."""
    hidden = model.config.get_text_config().hidden_size
    found = set()
    for layer, block in enumerate(blocks):
        down = block.get_submodule(down_name) if _first(block, (down_name,)) else None
        if isinstance(down, Conv1D):
            found.add((True, down.weight.shape[1], down.weight.shape[0]))
        elif isinstance(down, nn.Linear):
            found.add((False, down.weight.shape[0], down.weight.shape[1]))
        else:
            raise _unsupported(model, f"a plain matrix {down_name} (Linear or Conv1D) in block {layer}")
        if down.weight.dtype not in _EDITABLE:
            raise _unsupported(
                model,
                f"a weight in floating point, not quantised ({down.weight.dtype}), at {down_name} in block {layer}",
            )
    transposed, d_hidden, d_inner = next(iter(found))
    if len(found) > 1 or d_hidden != hidden:
        raise _unsupported(model, f"down-projections of one shape with {hidden} outputs (found {sorted(found)})")
    return transposed, d_hidden, d_inner


def _blocks_return_tuples(model: Any, block: nn.Module) -> bool:
    seen: list[bool] = []
    handle = block.register_forward_hook(lambda module, inputs, output: seen.append(isinstance(output, tuple)))
    try:
        with torch.no_grad():
            model(torch.zeros(1, 1, dtype=torch.long, device=next(model.parameters()).device))
    finally:
        handle.remove()
    return seen[0]


def _first(module: nn.Module, paths: tuple[str, ...]) -> str | None:
    """The first of ``paths`` that is a submodule of ``module``."""
    for path in paths:
        try:
            module.get_submodule(path)
        except AttributeError:
            continue
        return path
    return None


def _unsupported(model: Any, missing: str) -> UsageError:
    return UsageError(
        f"Architecture {type(model).__name__} is not supported: {missing} was not found. "
        f"Supported are {titles()}, and decoders built like them."
    )
