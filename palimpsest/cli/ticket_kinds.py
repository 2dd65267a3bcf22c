"""Tickets that are no runs: what runs of a model share, one trial of a tuning, and the checks of one editor."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from palimpsest.harness.fleet.ticket import RunTicket, Ticket


class PrepareTicket(RunTicket):
    """Things that the runs of a model share: their key statistics, and the unedited scores of the one in the ticket."""

    kind: Literal["prepare"] = "prepare"  # type: ignore[assignment]

    @property
    def name(self) -> str:
        """By the run that is named."""
        return f"prepare-{self.spec.id}"


class TrialTicket(Ticket):
    """One trial of a tuning."""

    kind: Literal["trial"] = "trial"
    editor: str
    model: str
    task: str
    config: dict[str, Any]
    """Values of the axes."""
    host: dict[str, Any] | None = None
    """Complete configuration of a filter's host."""
    to_beat: float | None = None
    """Effective edits that the trial must be able to reach, or it is stopped."""
    abilities: tuple[str, ...] = Field(strict=False)
    """Names of the abilities that are to be kept."""
    ability_limit: int | None
    edits: int
    batch_size: int
    checkpoints: tuple[int, ...] = Field(strict=False)

    @property
    def group(self) -> str:
        """The model."""
        return self.model


class CheckTicket(Ticket):
    """The checks of one editor."""

    kind: Literal["check"] = "check"
    editor: str
    overrides: dict[str, Any] = Field(default_factory=dict)
    only: tuple[str, ...] = Field(default=(), strict=False)


AnyTicket = Annotated[RunTicket | PrepareTicket | TrialTicket | CheckTicket, Field(discriminator="kind")]
