"""Second moments of keys: one pass over a text for all layers, which goes on where a killed one stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.harness.model.batches import by_length
from palimpsest.harness.model.hooks import captured_input, stopped_after
from palimpsest.harness.statistics.cache_files import read_tensors, write_tensors

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

TOKENS_PER_FORWARD = 4096
LONGEST_TEXT = 1024
SAVE_SECONDS = 60.0
Progress = Callable[[int, int], None]
"""Called with the tokens done and the tokens in all."""


def tokenised(model: EditableModel, texts: Iterable[str], max_tokens: int | None) -> list[list[int]]:
    """Texts as token sequences, none of them empty, each cut at the longest that is read.

    The texts are read only as far as needed for ``max_tokens`` tokens of all sequences together; None: to their end.
    """
    config = model.model.config.get_text_config()
    longest = min(LONGEST_TEXT, getattr(config, "max_position_embeddings", LONGEST_TEXT))
    sequences: list[list[int]] = []
    left, source = max_tokens, iter(texts)
    while part := list(islice(source, 256)):
        for ids in model.tokenizer(part)["input_ids"]:
            kept = ids[: longest if left is None else min(longest, left)]
            if kept:
                sequences.append(list(kept))
            left = None if left is None else left - len(kept)
            if left == 0:
                return sequences
    return sequences


def collect_moments(
    model: EditableModel,
    layers: Sequence[int],
    sequences: Sequence[Sequence[int]],
    partial: Path | None = None,
    progress: Progress | None = None,
) -> dict[int, Tensor]:
    """C0 of each layer: products in float32 per forward pass, summed in float64 on the device of the statistics.

    Args:
        model: The pristine model.
        layers: Blocks whose down-projection inputs are wanted.
        sequences: Token sequences; their order does not matter.
        partial: File in which the sums so far are kept, once a minute; a pass that finds it goes on from there, and
            its result is the same to the bit. None: nothing is kept.
        progress: Is told how far the pass is.

    Returns:
        Layer → E[k kᵀ] over all tokens, d_in × d_in, float64.
    """
    size, place = model.anatomy.d_inner, model.resources.device
    sums = {layer: torch.zeros(size, size, dtype=torch.float64, device=place) for layer in layers}
    total, done, begun = sum(map(len, sequences)), 0, _resume(partial, sums)
    saved = time.monotonic()
    for number, places in enumerate(by_length([len(sequence) for sequence in sequences], TOKENS_PER_FORWARD)):
        batch = [sequences[place] for place in places]
        done += sum(map(len, batch))
        if number < begun:
            continue
        for layer, product in _products(model, layers, batch).items():
            sums[layer] += product.to(place).double()
        if progress is not None:
            progress(done, total)
        if partial is not None and time.monotonic() - saved > SAVE_SECONDS:
            _keep(partial, sums, number + 1)
            saved = time.monotonic()
    if partial is not None:
        partial.unlink(missing_ok=True)
    return {layer: moment / total for layer, moment in sums.items()}


def seconds_per_token(model: EditableModel, layers: Sequence[int]) -> float:
    """About how many seconds a pass takes for each token, from two batches of made-up ones."""
    longest = min(LONGEST_TEXT, getattr(model.model.config.get_text_config(), "max_position_embeddings", LONGEST_TEXT))
    count = max(1, TOKENS_PER_FORWARD // longest)
    sequence = [number % len(model.tokenizer) for number in range(longest)]
    for _ in range(2):  # the first one is slow
        begin = time.perf_counter()
        for product in _products(model, layers, [sequence] * count).values():
            product.to(model.resources.device).double().sum().item()
        seconds = time.perf_counter() - begin
    return seconds / (count * longest)


@torch.no_grad()
def _products(model: EditableModel, layers: Sequence[int], batch: Sequence[Sequence[int]]) -> dict[int, Tensor]:
    """K Kᵀ of each layer over the tokens of a batch, d_in × d_in, float32."""
    ids, mask = model.padded(batch)
    with stopped_after(model, max(layers)), ExitStack() as stack:
        downs = {layer: model.module(model.anatomy.down(layer)) for layer in layers}
        seen = {layer: stack.enter_context(captured_input(down)) for layer, down in downs.items()}
        model.module(model.anatomy.backbone)(input_ids=ids, attention_mask=mask, use_cache=False)
    products = {}
    for layer in layers:
        inputs = seen[layer][0]
        keys = inputs[mask.bool().to(inputs.device)].float()  # tokens × d_in
        products[layer] = keys.T @ keys
    return products


def _resume(partial: Path | None, sums: Mapping[int, Tensor]) -> int:
    """Put kept sums into ``sums``; the number of batches that they are of, 0 without a usable file."""
    if partial is None or not partial.is_file():
        return 0
    kept = read_tensors(partial, lambda _: None)  # a damaged file is no loss: the pass begins again
    if kept is None or kept.keys() != {"batches", *(f"sum.{layer}" for layer in sums)}:
        return 0
    for layer, total in sums.items():
        total.copy_(kept[f"sum.{layer}"])
    return int(kept["batches"])


def _keep(partial: Path, sums: Mapping[int, Tensor], batches: int) -> None:
    tensors = {f"sum.{layer}": value for layer, value in sums.items()}
    write_tensors(partial, {**tensors, "batches": torch.tensor(batches)})
