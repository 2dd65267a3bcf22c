"""Checks on what an editor did: parameters that it may not touch, and numbers that are no longer finite."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import torch

from palimpsest.harness.errors import EditorError
from palimpsest.harness.model.digests import parameter_digests

if TYPE_CHECKING:
    from palimpsest.harness.editor import EditReport

_CANARY = (1, 2, 3, 5, 8, 13)


def seed_everything(seed: int, batch: int) -> None:
    """Seed the generators of Python, NumPy and torch from (run seed, batch number); -1 is for `prepare`."""
    import numpy as np

    digest = hashlib.sha256(f"palimpsest {seed} {batch}".encode()).digest()
    random.seed(digest)
    np.random.seed(int.from_bytes(digest[:4], "big"))
    torch.manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def check_untouched(model: Any, before: Mapping[str, str], editor: str) -> None:
    """Check that all parameters of ``before`` are as they were.

    Raises:
        EditorError: The editor changed one that it does not name in ``writes()``; names them.
    """
    now = parameter_digests(model, leaving_out={n for n, _ in model.named_parameters()} - set(before))
    changed = [name for name, digest in before.items() if now.get(name) != digest]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise EditorError(
            f"{editor} changed {', '.join(changed[:3])}{more}, which its writes() does not name. "
            "Editors may change only what writes() names."
        )


def not_finite(model: Any, written: Collection[str], report: EditReport) -> str | None:
    """The first thing that is not finite after a batch: a written weight, a reported value, the logits; else None."""
    wanted = set(written)
    for name, parameter in model.named_parameters():
        if name in wanted and not bool(torch.isfinite(parameter).all()):
            return f"{name} holds values that are not finite"
    for name, value in {**report.values, **report.seconds}.items():
        if not math.isfinite(value):
            return f"the editor reports {name} = {value}"
    with torch.no_grad():
        embeddings = model.get_input_embeddings()
        ids = torch.tensor([_CANARY], device=embeddings.weight.device) % embeddings.num_embeddings
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return None if bool(torch.isfinite(logits).all()) else "logits are not finite"
