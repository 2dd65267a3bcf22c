"""The record of a set of claims in a home: its claims as they were written down, and the run of each row and seed.

Which run belongs to a row depends on presets and on the fingerprints of model and data; whoever shows claims later, as
the page does, has none of these. So `palimpsest claims` keeps a small JSON file, ``<home>/claims/<name>.json``. Numbers
are not in it: they come from the store each time. A record that is published beside bundles has them, since not every
run that a claim needs is a row of the board.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from palimpsest.harness.errors import StoreError, first_line
from palimpsest.harness.system.atomic_files import atomic_write_text, remove_partials
from palimpsest.harness.system.strict import Strict
from palimpsest.results.analysis.claims import Measured, Runs
from palimpsest.results.reading.cleaning import clean_text
from palimpsest.tasks.claim_files import ClaimSet

MOST_RECORDS = 100
"""Records that `read_records` reads."""


class RowRun(Strict):
    """One run of a row."""

    row: str
    seed: int
    run: str = Field(pattern=r"^[0-9a-f]{12}$")
    batch_size: int = Field(ge=1)
    """Rows are compared, and shown together, only with rows in batches of as many edits."""


class RunNumbers(Strict):
    """Numbers that claims take from one run."""

    run: str = Field(pattern=r"^[0-9a-f]{12}$")
    status: Literal["complete", "collapsed"]
    values: tuple[tuple[str, int, FiniteFloat], ...]
    """(quantity, edits, value)."""


class ClaimRecord(Strict):
    """A set of claims with its runs, whether they are done or not."""

    format: Literal[1] = 1
    claims: ClaimSet
    runs: tuple[RowRun, ...]
    numbers: tuple[RunNumbers, ...] = ()
    """Numbers of runs that whoever reads the record may not have; a run that is there counts itself."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        rows = {row.name for row in self.claims.rows}
        if not self.claims.claims or not all(claim.pairs for claim in self.claims.claims):
            raise ValueError("expected claims, each about at least one pair of rows")
        strangers = {name for claim in self.claims.claims for pair in claim.pairs for name in pair} - rows
        if strangers:
            raise ValueError(f"claims are about rows that are not there: {', '.join(sorted(strangers))}")
        if {(one.row, one.seed) for one in self.runs} != {(row, seed) for row in rows for seed in self.claims.seeds}:
            raise ValueError("expected one run for each row and seed")
        return self

    @property
    def by_row(self) -> Runs:
        """Name of a row → seed → run id."""
        found: dict[str, dict[int, str]] = {}
        for one in self.runs:
            found.setdefault(one.row, {})[one.seed] = one.run
        return found

    @property
    def batch_sizes(self) -> dict[str, int]:
        """Name of a row → edits at once."""
        return {one.row: one.batch_size for one in self.runs}

    @property
    def run_ids(self) -> list[str]:
        """All runs, each once: rows may have come to the same configuration."""
        return sorted({one.run for one in self.runs})

    @property
    def measured(self) -> dict[str, Measured]:
        """Run id → `numbers`."""
        return {
            one.run: Measured(one.status, {(quantity, edits): value for quantity, edits, value in one.values})
            for one in self.numbers
        }

    def with_numbers(self, runs: Mapping[str, Measured]) -> Self:
        """The record with what its claims take from these runs, which have all ended."""
        wanted = {(claim.metric, claim.edits) for claim in self.claims.claims}
        found = []
        for run in self.run_ids:
            values = tuple((*key, value) for key, value in sorted(runs[run].values.items()) if key in wanted)
            found.append(RunNumbers.model_validate({"run": run, "status": runs[run].status, "values": values}))
        return self.model_copy(update={"numbers": tuple(found)})


def write_record(folder: Path, record: ClaimRecord) -> None:
    """Keep a record in the folder of claims, in place of an earlier one of the same name; see `read_records`."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_partials(folder, older_than=3600.0)
    atomic_write_text(folder / f"{record.claims.name}.json", record.model_dump_json(indent=1) + "\n")


def record_files(folder: Path) -> list[Path]:
    """The records in a folder, by name, at most `MOST_RECORDS`."""
    return sorted(folder.glob("*.json"))[:MOST_RECORDS]


def read_records(folder: Path) -> list[ClaimRecord]:
    """The records of `record_files`, in their order.

    Raises:
        StoreError: One of them cannot be read; all such are named.
    """
    found, wrong = [], []
    for path in record_files(folder):
        try:
            found.append(ClaimRecord.model_validate_json(path.read_bytes()))
        except (ValidationError, OSError) as error:
            wrong.append(f"{path}: {clean_text(first_line(error), 300)}")
    if wrong:
        raise StoreError("\n".join([*wrong, "Move what is damaged away; palimpsest claims writes it anew."]))
    return found


def brought_together(own: Iterable[ClaimRecord], published: Iterable[ClaimRecord]) -> list[ClaimRecord]:
    """One record for each name: the own one, unless the published one has the same claims about the same runs."""
    found = {record.claims.name: record for record in own}
    for record in published:
        mine = found.get(record.claims.name, record)
        if (mine.claims, mine.by_row) == (record.claims, record.by_row):
            found[record.claims.name] = record
    return [found[name] for name in sorted(found)]
