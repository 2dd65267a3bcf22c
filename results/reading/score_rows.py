"""Rows of a run's tables: exactly those that its spec asks for, with outcomes that can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from palimpsest.harness.abilities.items import ROUGE
from palimpsest.harness.runs.layout import ABILITIES, ANSWERS, OPTIONAL_COLUMNS, PROBES
from palimpsest.harness.specs.cases import SCORED_KINDS, ProbeKind
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.specs.windows import WINDOWS, choose_windows
from palimpsest.results.reading.cleaning import NAME_LENGTH, clean_text
from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.tables import degrees, filled, values_of

PROBE_KINDS: tuple[str, ...] = get_args(ProbeKind)
_PROBE = ["case_id", "kind", "index"]


def check_cases(cases: pa.Table, probes: pa.Table, spec: RunSpec) -> None:
    """Check that the cases are those of a schedule: every position once, distinct ids, each case with its probes.

    Args:
        cases: `CASE_COLUMNS` of `palimpsest.harness.runs.layout`.
        probes: `PROBE_COLUMNS` of it.
        spec: of the run.

    Raises:
        Invalid: they are not.
    """
    wanted = spec.schedule.edits
    positions, ids = values_of(cases, "position"), values_of(cases, "case_id")
    if len(cases) != wanted or not np.array_equal(np.sort(positions), np.arange(wanted)):
        raise Invalid(f"cases.parquet must hold the positions 0 to {wanted - 1}, each once")
    if np.unique(ids).size != ids.size:
        raise Invalid("cases.parquet holds a case_id twice")
    if not np.isin(values_of(probes, "case_id"), ids).all():
        raise Invalid("probes.parquet has probes of cases that are not in cases.parquet")
    _check_keys("probes.parquet", probes)
    counted = probes.group_by(["case_id", "kind"]).aggregate([("index", "min"), ("index", "max"), ("index", "count")])
    gaps = (values_of(counted, "index_min") != 0) | (
        values_of(counted, "index_max") + 1 != values_of(counted, "index_count")
    )
    if gaps.any():
        raise Invalid("probes.parquet must number the probes of a case and kind from 0, without gaps")
    rewrites = counted.filter(pc.equal(counted["kind"], "rewrite"))
    if len(rewrites) != wanted or (values_of(rewrites, "index_count") != 1).any():
        raise Invalid("probes.parquet must hold one rewrite of each case")


def check_scores(tables: Mapping[str, pa.Table], edits: int, cases: pa.Table, probes: pa.Table, spec: RunSpec) -> None:
    """Check that the tables of one checkpoint hold the rows that the spec asks for, and outcomes that can be.

    Args:
        tables: of the score folder, by file name.
        edits: number of edits that the checkpoint is at.
        cases: of the run.
        probes: of the run, all that may be asked.
        spec: of the run.

    Raises:
        Invalid: a row is missing, surplus or doubled, stands in another window than the seed chooses, or holds what
            cannot be.
    """
    order = np.empty(len(cases), dtype=np.int64)
    order[values_of(cases, "position")] = values_of(cases, "case_id")
    for name in (PROBES, ANSWERS, *(name for name in OPTIONAL_COLUMNS if name in tables)):
        position = values_of(tables[name], "position")
        if position.size and (position.min() < 0 or position.max() >= order.size):
            raise Invalid(f"{name} has a position outside the schedule")
        if not np.array_equal(order[position], values_of(tables[name], "case_id")):
            raise Invalid(f"{name} has a case_id that is not at its position in cases.parquet")
        _check_keys(name, tables[name])
    _check_outcomes(tables[PROBES])
    scored = _check_windows(tables[PROBES], edits, spec)
    _check_probes(tables[PROBES], order[scored], probes)
    check_abilities(tables[ABILITIES], spec)


def _check_keys(name: str, table: pa.Table) -> None:
    unknown = set(pc.unique(table["kind"]).to_pylist()) - set(PROBE_KINDS)
    if unknown:
        raise Invalid(f"{name} has probes of unknown kind {sorted(unknown)[0]!r}")
    groups = table.group_by(_PROBE).aggregate([([], "count_all")])
    if len(groups) != len(table):
        raise Invalid(f"{name} has a probe twice")


def _check_outcomes(table: pa.Table) -> None:
    for target in ("new", "true", "top"):
        tokens = filled(table, f"tokens_{target}")
        hits = filled(table, f"hits_{target}")
        if ((tokens < 0) | (hits < 0) | (hits > tokens)).any():
            raise Invalid(f"probes.parquet has counts of hits_{target} that are not between 0 and tokens_{target}")
        if (filled(table, f"exact_{target}") & (hits != tokens)).any():
            raise Invalid(f"probes.parquet calls a target exact of which tokens were missed (exact_{target})")
    fed = filled(table, "tokens_fed")
    for name in ("hits_fed", "hits_first"):
        if ((fed < 0) | (filled(table, name) < 0) | (filled(table, name) > fed)).any():
            raise Invalid(f"probes.parquet has counts of {name} that are not between 0 and tokens_fed")


def _check_windows(table: pa.Table, edits: int, spec: RunSpec) -> NDArray[np.int64]:
    """Positions of the cases that the checkpoint must score, ascending.

    Raises:
        Invalid: a row is in a window that its case is not in, or not in one that it is in.
    """
    position = values_of(table, "position")
    chosen = choose_windows(spec.schedule.edits, spec.scoring, edits)
    for window in WINDOWS:
        column = table[f"window_{window}"]
        if len(column) and column.null_count == len(column):
            chosen.pop(window, None)  # the run is older than the window
            continue
        wanted = np.array(chosen.get(window, ()), dtype=np.int64)
        inside = filled(table, f"window_{window}").astype(bool)
        if window not in chosen and inside.any():
            raise Invalid(f"probes.parquet has the window {window}, which does not exist at {edits} edits")
        scored = np.unique(position[inside]).size
        if scored != wanted.size:
            raise Invalid(f"probes.parquet has {scored} cases in the window {window}, the spec asks for {wanted.size}")
        if (inside != np.isin(position, wanted)).any():
            raise Invalid(f"probes.parquet has other cases in the window {window} than the spec and its seed choose")
    return np.unique(np.concatenate([np.array(members, dtype=np.int64) for members in chosen.values()]))


def _check_probes(table: pa.Table, case_ids: NDArray[np.int64], probes: pa.Table) -> None:
    """Check that every scored probe of these cases is there, and no other one."""
    asked = pc.and_(
        pc.is_in(probes["kind"], value_set=pa.array(SCORED_KINDS)),
        pc.is_in(probes["case_id"], value_set=pa.array(case_ids)),
    )
    wanted = probes.filter(asked).select(_PROBE)
    missing = len(wanted.join(table.select(_PROBE), _PROBE, join_type="left anti"))
    surplus = len(table) + missing - len(wanted)  # no probe stands twice in either
    if missing or surplus:
        raise Invalid(
            f"probes.parquet must hold {len(wanted)} probes, all of the cases that the spec and its seed choose; "
            f"{missing} are missing and {surplus} of others are there"
        )


def check_abilities(table: pa.Table, spec: RunSpec) -> None:
    """Check that each ability task of the spec is there with items numbered from 0, one metric and one chance level.

    Raises:
        Invalid: it is not, or an item's outcome contradicts its label.
    """
    expected = {clean_text(ability.name, NAME_LENGTH) for ability in spec.abilities}
    found = set(pc.unique(table["ability"]).to_pylist())
    if found != expected:
        raise Invalid(f"abilities.parquet must hold the tasks {sorted(expected)}, got {sorted(found)}")
    chance = values_of(table, "chance")
    if not ((chance >= 0) & (chance < 1)).all():
        raise Invalid("abilities.parquet has a chance level that is not between 0 and 1")
    labels = table.filter(pc.and_(pc.is_valid(table["label"]), pc.is_valid(table["predicted"])))
    if not pc.all(pc.equal(labels["correct"], pc.equal(labels["label"], labels["predicted"]))).as_py() and len(labels):
        raise Invalid("abilities.parquet calls items right or wrong against their labels")
    if not np.array_equal(values_of(table, "metric") == ROUGE, pc.is_valid(table["score"]).to_numpy()):
        raise Invalid(f"abilities.parquet must give degrees to the items of {ROUGE}, and to no others")
    degree = degrees(table)
    if not ((degree >= 0) & (degree <= 1)).all() or not np.array_equal(degree == 1, values_of(table, "correct")):
        raise Invalid("abilities.parquet has degrees that are not from 0 to 1, or calls others right than those of 1")
    if len(table.group_by(["ability", "item"]).aggregate([([], "count_all")])) != len(table):
        raise Invalid("abilities.parquet has an item twice")
    counted = table.group_by("ability").aggregate([("item", "min"), ("item", "max"), ("item", "count")])
    first, last = values_of(counted, "item_min"), values_of(counted, "item_max")
    if (first != 0).any() or (last + 1 != values_of(counted, "item_count")).any():
        raise Invalid("abilities.parquet must number the items of a task from 0, without gaps: some were left out")
    if len(table.group_by(["ability", "metric", "chance"]).aggregate([([], "count_all")])) != len(found):
        raise Invalid("abilities.parquet has a task with several metrics or chance levels")
