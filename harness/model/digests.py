"""Digests of tensors: whether a weight is what it was, to the bit."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of a tensor's bytes; about half a gigabyte to two per second."""
    plain = tensor.detach().to("cpu").contiguous()
    return hashlib.sha256(plain.reshape(-1).view(torch.uint8).numpy().data).hexdigest()


def parameter_digests(model: Any, *, leaving_out: Collection[str] = ()) -> dict[str, str]:
    """Parameter name → digest of its content, but for those left out."""
    return {name: tensor_digest(p) for name, p in model.named_parameters() if name not in set(leaving_out)}
