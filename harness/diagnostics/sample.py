"""A sample of things that come one after another: uniform, decided by their numbers alone, bounded in size."""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Mapping

import torch
from torch import Tensor


class Sample:
    """The members of smallest hash among all that were offered, each with some named vectors.

    Which members stay depends on nothing but their numbers: runs of the same schedule keep the same edits whatever the
    editor, and a resumed run keeps what the uninterrupted one does.
    """

    def __init__(self, size: int) -> None:
        """Keep at most ``size`` members."""
        self.size = size
        self._order: list[tuple[int, int]] = []
        self._members: dict[int, dict[str, Tensor]] = {}

    def __len__(self) -> int:
        return len(self._order)

    def wants(self, number: int) -> bool:
        """True if a member of this number would be kept now."""
        return len(self) < self.size or (_priority(number), number) < self._order[-1]

    def add(self, number: int, vectors: Mapping[str, Tensor]) -> None:
        """Offer a member by its number, from 0 and distinct; one of the others gives way if the sample is full.

        The vectors have the same names and lengths for all members; they are kept as float32 copies on the CPU.
        """
        if not self.wants(number) or number in self._members:
            return
        insort(self._order, (_priority(number), number))
        self._members[number] = {name: v.detach().to("cpu", torch.float32, copy=True) for name, v in vectors.items()}
        if len(self._order) > self.size:
            del self._members[self._order.pop()[1]]

    def stacked(self) -> dict[str, Tensor]:
        """Name → the vectors of all members as rows, by number; empty without members."""
        members = [self._members[number] for number in self.numbers()]
        return {name: torch.stack([member[name] for member in members]) for name in (members[0] if members else ())}

    def numbers(self) -> list[int]:
        """Numbers of the members, ascending."""
        return sorted(self._members)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything there is to keep; empty without members."""
        return {"number": torch.tensor(self.numbers(), dtype=torch.int64), **self.stacked()} if len(self) else {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict` in place of what is held."""
        self._order, self._members = [], {}
        for row, number in enumerate(state["number"].tolist() if state else ()):
            self.add(number, {name: tensor[row] for name, tensor in state.items() if name != "number"})


def _priority(number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"sample {number}".encode()).digest()[:8], "big")
