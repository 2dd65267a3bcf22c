"""Editors checked together: each in a process of its own, with the findings that each has alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli.ticket_kinds import CheckTicket
from palimpsest.cli.verbs import check as verb
from palimpsest.harness.fleet.dispatch import RunEnd
from tests.cli.helpers import cli

EDITORS = ("ft-l", "rect(ft-l)")


def findings(text: str) -> Any:
    reports = json.loads(text)
    for report in reports:
        for one in report["checks"]:
            del one["seconds"]
    return reports


def test_two_editors_at_once_are_found_as_one_after_another(tmp_path: Path) -> None:
    found = []
    for on in ("local:1", "local:2"):
        code, out, err = cli("check", *EDITORS, "--only", "C02,C05", "--json", "--on", on, "--home", str(tmp_path))
        assert code == 0, err
        assert ("2 editors, 2 at once" in err) == (on == "local:2")
        assert "rect(ft-l)  C02  ok" in err, "each line says whose it is"
        found.append(findings(out))
    assert found[0] == found[1]
    assert [report["editor"] for report in found[0]] == list(EDITORS)
    assert [one["id"] for one in found[0][1]["checks"]] == ["C02", "C05"]


def test_an_editor_whose_process_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def played(tickets: Sequence[CheckTicket], count: int, *, tell: Any) -> dict[str, RunEnd]:
        return {one.name: RunEnd("given up", 1, "its process ended 3 times: killed by signal 11.") for one in tickets}

    monkeypatch.setattr(verb, "dispatch", played)
    code, _, err = cli("check", *EDITORS, "--on", "local:2", "--home", str(tmp_path))
    assert code == 1 and "rect(ft-l): its process ended 3 times: killed by signal 11." in err
