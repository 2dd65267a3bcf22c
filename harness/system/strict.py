"""Bases of records that are read from files: unknown fields and loose types are refused, nothing changes."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Strict(BaseModel):
    """A frozen record that takes exactly the fields and types it names; texts below fields describe them."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)


class SilentDefaults(BaseModel):
    """A record whose later fields leave no trace where they have their default."""

    silent: ClassVar[frozenset[str]] = frozenset()
    """Fields that came later: left out where they have their default, so that older runs keep their identity."""

    @model_serializer(mode="wrap")
    def _without_silent_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {k: v for k, v in values.items() if k not in self.silent or v != _plain(fields[k].default)}


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value
