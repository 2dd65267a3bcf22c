"""MEMIT with tricks that a headline may fall for: each editor here is to end below MEMIT itself.

They take MEMIT's configuration. ``pip install tests/plugins/gaming`` makes them editors of the command line.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field

from palimpsest.editors.memit import Memit
from palimpsest.harness.editor import EditReport, EditRequest


class Lazy(Memit):
    """Writes every tenth request only: whoever writes little harms little, and keeps the little that is written."""

    seen = 0

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Write the requests whose place in the course is a multiple of ten."""
        chosen = [request for place, request in enumerate(batch, self.seen) if place % 10 == 0]
        self.seen += len(batch)
        return super().edit(chosen) if chosen else EditReport()


class Sandbagging(Memit):
    """Writes its first batch badly, so that a share of its own start is low."""

    first = True

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Write one request of the first batch, and all of the later ones."""
        chosen = batch[:1] if self.first else batch
        self.first = False
        return super().edit(chosen)


class StandStill(Memit):
    """Writes its first batch and nothing more: the model stays as good as it is then."""

    first = True

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Write the first batch."""
        chosen = batch if self.first else []
        self.first = False
        return super().edit(chosen) if chosen else EditReport()


class DieLate(Memit):
    """Breaks the model in its last batch: nothing bad is ever scored."""

    class Config(Memit.Config):
        """MEMIT's settings, and when to die."""

        dies_at: int = Field(default=500, ge=1)
        """Number of edits with which the batch ends that breaks the model."""

    config: Config
    seen = 0

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Write the batch; the last one as weights that are no numbers."""
        self.seen += len(batch)
        if self.seen >= self.config.dies_at:
            layer = self.config.layers[-1]
            weight = self.model.weight(layer)
            self.model.add_update(layer, torch.full_like(weight, float("nan")))
            return EditReport()
        return super().edit(batch)


class OneDip(Memit):
    """Spoils the weight for one checkpoint, the first, and puts it right again: a low start to be measured against."""

    spoilt: torch.Tensor | None = None
    first = True

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Write the batch; spoil the weight after the first one, and restore it before the next."""
        layer = self.config.layers[-1]
        if self.spoilt is not None:
            self.model.add_update(layer, -self.spoilt)
            self.spoilt = None
        report = super().edit(batch)
        if self.first:
            weight = self.model.weight(layer)
            self.spoilt = 2 * weight.std() * torch.randn(weight.shape)
            self.model.add_update(layer, self.spoilt)
        self.first = False
        return report
