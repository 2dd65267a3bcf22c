"""Handing a model keys and values of earlier positions, whatever its transformers release calls that argument."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn
from transformers import DynamicCache


def carrying(model: nn.Module, states: DynamicCache) -> dict[str, Any]:
    """The arguments with which a forward pass of ``model`` reads and extends ``states``.

    Older releases call it ``past_key_values``, newer ones ``cache`` and warn of the old name.
    """
    renamed = "cache" in inspect.signature(type(model).forward).parameters
    return {"cache" if renamed else "past_key_values": states, "use_cache": True}
