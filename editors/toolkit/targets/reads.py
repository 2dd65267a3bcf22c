"""Readings of a group of sentences: the loss of wanted tokens, and the drift of a distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True)
class Reads:
    """M positions whose next-token distribution enters the loss; those that want the divergence stand last."""

    place: Tensor
    """M: place among the group's tokens."""
    row: Tensor
    """M: sentence of the group."""
    request: Tensor
    """M: request of that sentence."""
    target: Tensor
    """W: token wanted at each of the first W reads."""
    weight: Tensor
    """M."""
    reference: Tensor | None = None
    """(M − W) × V: log-distributions without δ at the others, known once the first pass, which has none, was made."""

    def losses(self, logits: Tensor, requests: int) -> tuple[Tensor, Tensor]:
        """Weighted NLL and KL of each request, n × 2, and the weighted terms of each read, M.

        Args:
            logits: M × V.
            requests: n.
        """
        wanted = len(self.target)
        log_p = torch.log_softmax(logits.float(), dim=1)  # M × V
        values = -log_p[:wanted].gather(1, self.target[:, None]).squeeze(1)
        present = log_p[wanted:]
        if self.reference is None:
            self.reference = present.detach()
        divergence = (present.exp() * (present - self.reference)).sum(1)  # KL( p_δ ‖ p_0 )
        weighted = torch.cat([values, divergence]) * self.weight
        total = log_p.new_zeros(2, requests)
        total = total.index_put((self.is_divergence(), self.request), weighted, accumulate=True)
        return total.T, weighted.detach()

    def is_divergence(self) -> Tensor:
        """M: 1 for reads that want the divergence, else 0."""
        return (torch.arange(len(self.place), device=self.place.device) >= len(self.target)).long()

    def probability(self, weighted: Tensor, requests: int, rows: int) -> Tensor:
        """Probability of each request's target, n, averaged over its sentences by their weight.

        That of a sentence is the one of its tokens on average: exp of minus their mean NLL.

        Args:
            weighted: The terms of each read, as `losses` gives them.
            requests: n.
            rows: Number of sentences.
        """
        wanted = len(self.target)
        row = self.row[:wanted]
        nll, weight = (x.new_zeros(rows).index_add(0, row, x[:wanted]) for x in (weighted, self.weight))
        owner = torch.zeros(rows, dtype=torch.long, device=row.device).index_copy(0, row, self.request[:wanted])
        probability = torch.where(weight > 0, weight * torch.exp(-nll / weight.clamp_min(1e-30)), 0.0)
        return weighted.new_zeros(requests).index_add(0, owner, probability)

    def kept(self, new_row: Tensor, new_place: Tensor) -> Reads:
        """Only the reads of rows that stay.

        Args:
            new_row: New number of each row; -1 for those that leave.
            new_place: New place of each token.
        """
        stays = new_row[self.row] >= 0
        wanted = len(self.target)
        return Reads(
            new_place[self.place[stays]],
            new_row[self.row[stays]],
            self.request[stays],
            self.target[stays[:wanted]],
            self.weight[stays],
            None if self.reference is None else self.reference[stays[wanted:]],
        )

    @staticmethod
    def joined(parts: Sequence[tuple[Reads, int, int]]) -> Reads:
        """Reads of several groups that become one: each with what its rows and its places are moved by."""

        def together(columns: Sequence[Tensor]) -> Tensor:
            begins = [column[: len(part.target)] for column, (part, _, _) in zip(columns, parts, strict=True)]
            ends = [column[len(part.target) :] for column, (part, _, _) in zip(columns, parts, strict=True)]
            return torch.cat([*begins, *ends])

        known = [part.reference for part, _, _ in parts if part.reference is not None]
        return Reads(
            together([part.place + tokens for part, _, tokens in parts]),
            together([part.row + rows for part, rows, _ in parts]),
            together([part.request for part, _, _ in parts]),
            torch.cat([part.target for part, _, _ in parts]),
            together([part.weight for part, _, _ in parts]),
            torch.cat(known) if known else None,
        )
