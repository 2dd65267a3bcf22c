"""How a run goes, told on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from palimpsest.harness.specs.run_spec import RunSpec


class Progress(Protocol):
    """Listens to one run after another."""

    def started(self, spec: RunSpec, edits: int) -> None:
        """A run begins; ``edits`` of it are saved."""

    def resumed(self, edits: int) -> None:
        """The run stands at a save."""

    def phase(self, what: str) -> None:
        """Something that takes time begins."""

    def batch(self, edits: int, size: int, seconds: float) -> None:
        """A batch of ``size`` edits took ``seconds``; ``edits`` are done in all."""

    def scored(self, edits: int, scores: Mapping[str, float]) -> None:
        """A checkpoint was scored."""

    def message(self, text: str) -> None:
        """Something a person should read."""

    def ended(self, status: str, edits: int, reason: str | None) -> None:
        """The run ended."""


class SilentProgress:
    """Says nothing, except warnings when asked to."""

    def __init__(self, warn: Callable[[str], None] | None = None) -> None:
        """Args: what takes messages; None: nobody."""
        self._warn = warn

    def started(self, spec: RunSpec, edits: int) -> None:
        """Nothing."""

    def resumed(self, edits: int) -> None:
        """Nothing."""

    def phase(self, what: str) -> None:
        """Nothing."""

    def batch(self, edits: int, size: int, seconds: float) -> None:
        """Nothing."""

    def scored(self, edits: int, scores: Mapping[str, float]) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Hand the message on."""
        if self._warn is not None:
            self._warn(text)

    def ended(self, status: str, edits: int, reason: str | None) -> None:
        """Nothing."""
