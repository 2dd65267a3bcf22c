"""Editors with the manners of a first draft; installed as plugins by `conftest`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from breakers import Honest

from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.specs.cases import EditRequest


class Exits(Honest):
    def edit(self, batch: Sequence[EditRequest]) -> Any:
        sys.exit(7)


class Prints(Honest):
    def prepare(self, model: EditableModel) -> None:
        print("preparing …")
        super().prepare(model)

    def edit(self, batch: Sequence[EditRequest]) -> Any:
        print("editing …")
        return super().edit(batch)


class ReturnsNothing(Honest):
    def edit(self, batch: Sequence[EditRequest]) -> Any:
        super().edit(batch)


class Raises(Honest):
    def prepare(self, model: EditableModel) -> None:
        raise KeyError("no such layer")
