"""Verdicts about claims in words: a table for the terminal, JSON, and the Markdown of docs/findings.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from palimpsest.cli import output
from palimpsest.harness.runs.reading import ENDED
from palimpsest.results.analysis.claims import Judgement, Measured, Outcome, Verdict, mean_over_seeds
from palimpsest.results.store.claim_record import ClaimRecord
from palimpsest.tasks.claim_files import Claim, ClaimSet
from palimpsest.tasks.claim_quantities import unit_of


@dataclass(frozen=True, slots=True)
class View:
    """A set of claims with all that the store knows about it."""

    record: ClaimRecord
    measured: Mapping[str, Measured]
    outcomes: Sequence[Outcome]

    @property
    def claims(self) -> ClaimSet:
        """The set as it was written down."""
        return self.record.claims

    def print_table(self) -> None:
        """A line per claim, and below what the verdicts rest on."""
        columns = ("verdict", "claim", "quantity", "mean", "interval", "p (Holm)", "statement")
        output.table(columns, [self._line(one) for one in self.outcomes])
        output.line(self._summary())

    def _line(self, one: Outcome) -> tuple[str | None, ...]:
        found = one.judgement
        statement = f"{one.claim.statement}: {self._rows(one.claim)}"
        head = (word(one), one.claim.id, one.claim.metric)
        if found is None:
            return (*head, None, None, None, statement)
        return (*head, signed(found.mean), interval(found), chance(found.adjusted), statement)

    def _rows(self, claim: Claim) -> str:
        """The pairs of a claim in words."""
        return "; ".join(f"{self._title(a)} against {self._title(b)}" for a, b in claim.pairs)

    def _title(self, name: str) -> str:
        row = self.claims.by_name[name]
        return f"{row.editor} ({row.setting})" if row.setting else row.editor

    def _summary(self) -> str:
        found = [one.judgement.verdict for one in self.outcomes if one.judgement is not None]
        counts = {verdict: found.count(verdict) for verdict in get_args(Verdict)}
        without = len(self.outcomes) - len(found)
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        return (
            f"{len(self.outcomes)} claims over the seeds {listed(self.claims.seeds)}: {told}"
            + (f", {without} without a verdict" if without else "")
            + f". Holm's procedure over all {len(self.outcomes)}, at {100 * self.claims.level:g} %."
        )

    def as_json(self) -> dict[str, Any]:
        """The documented JSON of ``palimpsest claims --json``."""
        return {
            "set": self.claims.name,
            "description": self.claims.description,
            "seeds": list(self.claims.seeds),
            "level": self.claims.level,
            "claims": [_json_of(one) for one in self.outcomes],
            "runs": [
                one.model_dump() | {"status": self.measured[one.run].status if one.run in self.measured else None}
                for one in self.record.runs
            ],
        }

    def print_markdown(self) -> None:
        """Tables of claims and of rows, one of each per batch size: rows of two batch sizes are never side by side."""
        output.line(self._summary())
        for size in sorted(set(self.record.batch_sizes.values()), reverse=True):
            output.line()
            output.line(f"### In batches of {size}")
            for lines in (self._claims_in(size), self._rows_in(size)):
                output.line()
                for text in lines:
                    output.line(text)

    def _in(self, size: int) -> list[Outcome]:
        """The claims about rows in batches of so many edits."""
        return [one for one in self.outcomes if self.record.batch_sizes[one.claim.pairs[0][0]] == size]

    def _claims_in(self, size: int) -> Iterator[str]:
        differences = f"A − B at seeds {listed(self.claims.seeds)}"
        yield from _head("claim", "statement", "A against B", "quantity", differences, "mean", "verdict")
        for one in self._in(size):
            found, claim = one.judgement, one.claim
            paper = f"{claim.statement} ([{claim.source}](https://arxiv.org/abs/{claim.source}))"
            quantity = f"{words(claim.metric)} after {claim.edits}, {claim.direction}"
            numbers = ["", ""]
            if found is not None:
                each = ", ".join(map(signed, one.differences.values()))
                numbers = [each, f"{signed(found.mean)} ({interval(found)})"]
            yield _cells(f"`{claim.id}`", paper, self._rows(claim), quantity, *numbers, word(one))

    def _rows_in(self, size: int) -> Iterator[str]:
        """Means of the rows in each quantity that a claim about rows of this batch size is about."""
        keys = list(dict.fromkeys((one.claim.metric, one.claim.edits) for one in self._in(size)))
        yield from _head("row", *(f"{words(metric)} after {edits}" for metric, edits in keys))
        for row in self.claims.rows:
            if self.record.batch_sizes[row.name] == size:
                yield _cells(self._title(row.name), *(self._mean(row.name, key) for key in keys))

    def _mean(self, row: str, key: tuple[str, int]) -> str:
        runs = [self.measured.get(run) for run in self.record.by_row[row].values()]
        if any(run is None or run.status not in ENDED for run in runs):
            return "not run yet"
        values = [run.values[key] for run in runs if run is not None and key in run.values]
        if len(values) < len(runs):
            return ""
        mean, half = mean_over_seeds(values)
        return f"{short(mean)} ± {short(half)}"


def word(one: Outcome) -> str:
    """The verdict, or why there is none."""
    if one.judgement is not None:
        return one.judgement.verdict
    reasons = list(dict.fromkeys(lack.why for lack in one.lacking))
    return "not run yet" if reasons == ["not run yet"] else f"none: runs {', '.join(reasons)}"


def _json_of(one: Outcome) -> dict[str, Any]:
    found = one.judgement
    numbers = ("mean", "low", "high", "confidence", "p", "adjusted", "verdict")
    return {
        **one.claim.model_dump(mode="json"),
        "differences": {str(seed): value for seed, value in one.differences.items()},
        **{name: None if found is None else getattr(found, name) for name in numbers},
        "lacking": [{"row": lack.row, "seed": lack.seed, "run": lack.run_id, "why": lack.why} for lack in one.lacking],
    }


def words(quantity: str) -> str:
    """A quantity's name with its unit."""
    unit = unit_of(quantity)
    return quantity.replace("_", " ") + (f", {unit}" if unit == "%" else "")


def short(value: float) -> str:
    """A number with three digits, or none behind the point where it is large."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def signed(value: float) -> str:
    """`short` with its sign."""
    return ("+" if value > 0 else "") + short(value)


def interval(found: Judgement) -> str:
    """The ends of an interval, and of what confidence it is."""
    low, high = ("…" if end is None else signed(end) for end in (found.low, found.high))
    return f"{low} to {high} at {100 * found.confidence:.4g} %"


def chance(p: float) -> str:
    """A p in two digits."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def listed(numbers: Sequence[int]) -> str:
    """Numbers as a person lists them, runs of them by their ends."""
    whole = len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))


def _head(*names: str) -> list[str]:
    return [_cells(*names), "|" + "---|" * len(names)]


def _cells(*texts: str) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
