"""Editors that raise."""

from third_party_editors.small_ridge import SmallRidge


class FailsToPrepare(SmallRidge):
    """Raises before the first edit."""

    def prepare(self, model):
        raise RuntimeError("no such GPU")


class FailsMidway(SmallRidge):
    """Raises in its second batch."""

    def edit(self, batch):
        self.batches = getattr(self, "batches", 0) + 1
        if self.batches == 2:
            raise KeyError("layer norm")
        return super().edit(batch)
