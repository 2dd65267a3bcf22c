"""Findings of the checks, in the forms that a person, a program and a pull request read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "warn", "fail", "skip"]
_SIGNS: dict[Status, str] = {"ok": "✓", "warn": "!", "fail": "✗", "skip": "–"}


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check."""

    status: Status
    observed: str
    """Observation; for ``ok`` the number that shows it, for ``skip`` the reason."""
    expected: str = ""
    """Expectation, for ``warn`` and ``fail``; empty: the check's own."""
    look_at: str = ""
    """Place that an author should look at; empty: as the check says."""
    same_as: str = ""
    """Check that failed with the same error before, and told it."""


def last_line(text: str) -> str:
    """Last line that a process printed."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check with its finding."""

    id: str
    """``C01`` … ``C18``."""
    title: str
    finding: Finding
    seconds: float

    @property
    def line(self) -> str:
        """The line that is printed when the check is done."""
        return f"{self.id}  {self.finding.status:<4}  {self.seconds:5.1f} s  {self.title}: {self.finding.observed}"


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes about one editor."""

    editor: str
    distribution: str
    version: str
    models: tuple[str, ...]
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """True if no check failed."""
        return all(outcome.finding.status != "fail" for outcome in self.outcomes)

    @property
    def summary(self) -> str:
        """Counts in a line."""
        counts = {status: sum(o.finding.status == status for o in self.outcomes) for status in _SIGNS}
        said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        seconds = sum(outcome.seconds for outcome in self.outcomes)
        checks = "1 check" if len(self.outcomes) == 1 else f"{len(self.outcomes)} checks"
        return f"{checks} in {seconds:.0f} s: {said}"

    def details(self) -> list[str]:
        """For each warning and failure: observed, expected, where to look."""
        lines: list[str] = []
        for outcome in self._remarkable():
            found = outcome.finding
            lines += [
                "",
                f"{', '.join([outcome.id, *self._alike(outcome.id)])} {found.status}: {outcome.title}",
                f"  observed: {found.observed}",
                f"  expected: {found.expected}",
                f"  look at:  {found.look_at}",
            ]
        return lines

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "editor": self.editor,
            "distribution": self.distribution,
            "version": self.version,
            "models": list(self.models),
            "passed": self.passed,
            "checks": [
                {
                    "id": o.id,
                    "title": o.title,
                    "status": o.finding.status,
                    "seconds": round(o.seconds, 2),
                    "observed": o.finding.observed,
                    "expected": o.finding.expected,
                    "look_at": o.finding.look_at,
                }
                for o in self.outcomes
            ],
        }

    def as_markdown(self) -> list[str]:
        """For a pull request."""
        lines = [
            f"### `palimpsest check {self.editor}`: {'passed' if self.passed else 'failed'}",
            "",
            f"{_plain(self.distribution)} {_plain(self.version)} on {', '.join(self.models)}. {self.summary}.",
            "",
            "| | check | seconds | observed |",
            "|---|---|---:|---|",
        ]
        for o in self.outcomes:
            seen = _plain(o.finding.observed)
            lines.append(f"| {_SIGNS[o.finding.status]} {o.id} | {o.title} | {o.seconds:.1f} | {seen} |")
        for o in self._remarkable():
            expected, place = _plain(o.finding.expected), _plain(o.finding.look_at)
            names = ", ".join(f"**{name}**" for name in [o.id, *self._alike(o.id)])
            lines += ["", f"{names} ({o.finding.status}): expected {expected} Look at {place}"]
        return lines

    def _remarkable(self) -> Sequence[Outcome]:
        """Warnings and failures; an error that several checks met, once."""
        told = [outcome for outcome in self.outcomes if outcome.finding.status in ("warn", "fail")]
        return [outcome for outcome in told if not outcome.finding.same_as]

    def _alike(self, name: str) -> list[str]:
        """Checks that failed with the error that ``name`` tells."""
        return [outcome.id for outcome in self.outcomes if outcome.finding.same_as == name]


def _plain(text: str) -> str:
    """Text of an editor's making in a cell of a table: on one line, without marks that Markdown or HTML would read."""
    flat = " ".join(text.split())
    for sign, safe in {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "|": "\\|",
        "`": "'",
        "[": "\\[",
        "@": "@\u200b",
    }.items():
        flat = flat.replace(sign, safe)
    return flat
