"""Every diagnostic has a record that explains it, and the table of metrics has all of them."""

from __future__ import annotations

import pytest

from palimpsest.harness.metrics.diagnostic_definitions import EVALUATED, GROUPS, RECORDS, record
from palimpsest.harness.metrics.probes import METRICS


def test_names_are_distinct_and_every_group_is_used() -> None:
    assert len({entry.name for entry in RECORDS}) == len(RECORDS)
    assert {entry.group for entry in RECORDS} == set(GROUPS)


def test_every_record_is_a_diagnostic_of_the_table_of_metrics() -> None:
    assert set(RECORDS) <= {entry for entry in METRICS if entry.kind == "diagnostic"}


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("weight_norm", "weight_norm"),
        ("weight_norm:model.norm.weight", "weight_norm"),
        (f"{EVALUATED}weight_norm", "weight_norm"),
        ("singular_value:03", "singular_value"),
        ("reported:epochs", "reported"),
    ],
)
def test_a_stored_name_leads_to_its_record(stored: str, name: str) -> None:
    found = record(stored)
    assert found is not None and found.name == name


def test_a_strange_name_has_no_record() -> None:
    assert record("mystery:3") is None
