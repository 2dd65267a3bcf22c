"""The base of every record that is read from a file: unknown fields and loose types are refused, nothing changes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A frozen record that takes exactly the fields and types it names; texts below fields describe them."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)
