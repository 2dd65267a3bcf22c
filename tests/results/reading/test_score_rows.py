"""Rows that were left out, added or moved to another window of a checkpoint are found, though all sums fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.run_folder import folder_digest, read_run_folder
from tests.labs.synthetic import write_manifest

Change = Callable[[pa.Table], pa.Table]
EDITS = 20


def problems(run: Path) -> list[str]:
    return [problem.message for problem in read_run_folder(run, folder_digest(run)).problems]


def rewrite(run: Path, name: str, change: Change) -> list[str]:
    folder = run / "scores" / f"{EDITS:06d}"
    pq.write_table(change(pq.read_table(folder / name)), folder / name)
    write_manifest(folder, EDITS)
    return problems(run)


def without_failed_probes(table: pa.Table) -> pa.Table:
    near = pc.equal(table["kind"], "neighborhood")
    return table.filter(pc.or_(near, table["exact_new"]))


def without(kind: str) -> Change:
    return lambda table: table.filter(pc.not_equal(table["kind"], kind))


def without_one_probe(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 7), table.slice(8)])


def with_a_later_case(table: pa.Table) -> pa.Table:
    """A probe of a case that is edited after the checkpoint."""
    row = table.slice(0, 1)
    later = {"case_id": (EDITS * 7) % 100_003 + 1, "position": EDITS}
    for name, value in later.items():
        place = table.schema.get_field_index(name)
        row = row.set_column(place, name, pa.array([value], table.schema.field(place).type))
    for place, name in enumerate(table.column_names):
        if name.startswith("window_"):
            row = row.set_column(place, name, pa.array([False]))
    return pa.concat_tables([table, row])


def with_an_unknown_probe(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("index")
    row = table.slice(0, 1).set_column(place, "index", pa.array([9], pa.int32()))
    return pa.concat_tables([table, row])


def moved(window: str, by: int) -> Change:
    """Another stretch of cases of the same size in a window."""

    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(f"window_{window}")
        inside = np.unique(table["position"].to_numpy()[table[place].to_numpy(zero_copy_only=False)]) + by
        return table.set_column(place, f"window_{window}", pa.array(np.isin(table["position"].to_numpy(), inside)))

    return change


def without_a_row_in(window: str) -> Change:
    """One probe of a case is no longer counted in a window, the others of the case are."""

    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(f"window_{window}")
        values = table[place].to_pylist()
        values[values.index(True)] = False
        return table.set_column(place, f"window_{window}", pa.array(values))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_failed_probes, "are missing"),
        (without("rewrite"), "20 are missing and 0 of others are there"),
        (without("neighborhood"), "40 are missing and 0 of others"),
        (without_one_probe, "1 are missing and 0 of others"),
        (with_a_later_case, "0 are missing and 1 of others"),
        (with_an_unknown_probe, "0 are missing and 1 of others"),
        (moved("first", 3), "other cases in the window first"),
        (moved("latest", -3), "other cases in the window latest"),
        (without_a_row_in("latest"), "other cases in the window latest"),
        (without_a_row_in("all"), "other cases in the window all"),
    ],
)
def test_probes_that_the_spec_does_not_ask_for_or_that_are_left_out_are_found(
    lone: Path, change: Change, message: str
) -> None:
    (found,) = rewrite(lone, "probes.parquet", change)
    assert message in found


@pytest.mark.parametrize("keep", [lambda n: n % 2 == 0, lambda n: n > 0], ids=["every other item", "all but the first"])
def test_ability_items_that_were_left_out_are_found(lone: Path, keep: Callable[[int], bool]) -> None:
    def change(table: pa.Table) -> pa.Table:
        return table.filter(pa.array([keep(item) for item in table["item"].to_pylist()]))

    (found,) = rewrite(lone, "abilities.parquet", change)
    assert "without gaps: some were left out" in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("rewrite"), "one rewrite of each case"),
        (lambda table: table.slice(1), "one rewrite of each case"),
        (lambda table: table.filter(pc.not_equal(table["index"], 0)), "from 0, without gaps"),
    ],
)
def test_a_list_of_probes_that_no_task_has_is_found(lone: Path, change: Change, message: str) -> None:
    path = lone / "probes.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(Invalid, match=message):
        problems(lone)
