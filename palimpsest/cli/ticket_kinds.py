"""Tickets that are no runs: what runs of a model share, one trial of a tuning, and the checks of one editor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from palimpsest.harness.fleet.ticket import RunTicket, Ticket
from palimpsest.harness.specs.run_spec import RunSpec

PREPARE = "prepare-"


class PrepareTicket(RunTicket):
    """Things that the runs of a model share: their key statistics, and the unedited scores of the one in the ticket."""

    kind: Literal["prepare"] = "prepare"  # type: ignore[assignment]
    also: tuple[RunSpec, ...] = Field(default=(), strict=False)
    """Runs whose editors are tried for a moment too, to know how long they take on a machine of this kind."""

    @classmethod
    def of(cls, alike: Sequence[RunTicket]) -> PrepareTicket:
        """The ticket before those of a model's runs."""
        first = next((ticket for ticket in alike if ticket.statistics), alike[0])
        specs = [ticket.spec for ticket in alike if ticket.task == first.task]
        by_editor = {(spec.editor.model_dump_json(), spec.schedule.batch_size): spec for spec in [*specs, first.spec]}
        also = tuple(spec for spec in by_editor.values() if spec.id != first.spec.id)
        return cls(**{**dict(first), "kind": "prepare", "seconds": None, "also": also})

    @property
    def name(self) -> str:
        """By the run that is named."""
        return f"{PREPARE}{self.spec.id}"


def prepared_first(tickets: Sequence[RunTicket]) -> list[RunTicket]:
    """The tickets of runs and, for each model of several, one that makes what they share, for whose end they wait."""
    models: dict[str, list[RunTicket]] = {}
    for ticket in tickets:
        models.setdefault(ticket.spec.model.fingerprint, []).append(ticket)
    found: list[RunTicket] = []
    for alike in models.values():
        if len(alike) == 1:
            found += alike
            continue
        before = PrepareTicket.of(alike)
        found += [before, *(ticket.model_copy(update={"after": (before.name,)}) for ticket in alike)]
    return found


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
