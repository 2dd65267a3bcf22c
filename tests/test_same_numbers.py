"""Every editor of the suite `editors` gives the numbers that were recorded; see `tests.golden.same_numbers`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.cli.helpers import cli
from tests.golden.same_numbers import (
    COUNTED,
    MACHINE,
    MEANT,
    RECORDED,
    SUITE,
    code,
    machine_of,
    name_of,
    record_of,
    run_folders,
    write_suite,
)

NAMES = sorted(path.stem for path in RECORDED.glob("*.json") if path != MACHINE)
EVERYTHING = bool(os.environ.get("PALIMPSEST_TEST_ALL_NUMBERS"))
"""Compare the bits whatever has changed in the code."""
ROUNDING = 0.05
"""How far, relative to 1 and to itself, a mean NLL may be from the recorded one on another machine."""
OUTCOMES = 0.05
"""Share of the outcomes of a kind that may then differ, and one more."""


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def runs(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of every run, done in this process with one thread."""
    home = tmp_path_factory.mktemp("short")
    write_suite(home / "suite.yaml")
    ended, _, err = cli("run", "--suite", str(home / "suite.yaml"), "--on", "local:1", home=home)
    assert ended == 0, err
    return {name_of(folder): folder for folder in run_folders(home)}


@pytest.fixture(scope="module")
def records(runs: dict[str, Path]) -> dict[str, dict[str, Any]]:
    return {name: record_of(folder) for name, folder in runs.items()}


def recorded(name: str) -> dict[str, Any]:
    return dict(json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8")))


def test_every_run_of_the_suite_is_recorded(runs: dict[str, Path]) -> None:
    assert len(runs) == len(yaml.safe_load(SUITE.read_text(encoding="utf-8"))["editors"])
    assert sorted(runs) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_run_has_the_recorded_id(name: str, runs: dict[str, Path]) -> None:
    assert runs[name].name == recorded(name)["run"]


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_the_recorded_ones_within_rounding(name: str, records: dict[str, dict[str, Any]]) -> None:
    wanted = recorded(name)["numbers"]
    for edits, kinds in records[name]["numbers"].items():
        assert kinds.keys() == wanted[edits].keys()
        for kind, values in kinds.items():
            assert_close(values, wanted[edits][kind], f"{name} at {edits} edits, {kind}")


def test_the_bits_are_the_recorded_ones_on_the_machine_that_recorded(
    runs: dict[str, Path], records: dict[str, dict[str, Any]]
) -> None:
    made_with = json.loads(MACHINE.read_text(encoding="utf-8"))
    made_by = made_with.pop("code")
    if any(machine_of(folder) != made_with for folder in runs.values()):
        pytest.skip("recorded with another processor or other packages; the test within rounding holds here")
    if made_by != code() and not EVERYTHING:
        pytest.skip("editors or model have changed since; PALIMPSEST_TEST_ALL_NUMBERS=1 shows whether to the bit")
    moved = {name for name, record in records.items() if record != recorded(name)}
    assert not moved, f"record again, in a commit that says why these moved: {', '.join(sorted(moved))}"


def assert_close(found: dict[str, float], wanted: dict[str, float], where: str) -> None:
    """As many rows, nearly as many outcomes, nearly the same NLLs."""
    assert found.keys() == wanted.keys()
    assert found["rows"] == wanted["rows"], where
    for field in {*COUNTED, "correct"} & wanted.keys():
        assert abs(found[field] - wanted[field]) <= 1 + OUTCOMES * wanted["rows"], f"{where}, {field}"
    for field in {*MEANT} & wanted.keys():
        assert found[field] == pytest.approx(wanted[field], rel=ROUNDING, abs=ROUNDING), f"{where}, {field}"
