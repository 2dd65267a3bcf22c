"""What an author sees at two in the morning: exits, prints, wrong returns, and one error met by many checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli.app import main

RUN = (
    "--model",
    "pocket-gpt2",
    "--task",
    "pocket-counterfact",
    "--edits",
    "2",
    "--batch-size",
    "1",
    "--abilities",
    "none",
)


def runs(*editors: str, home: Path, code: int, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    words = [word for editor in editors for word in ("--editor", editor)]
    assert main(["run", *words, *RUN, "--home", str(home), "--json", "--quiet"]) == code
    results: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return results


def test_an_editor_that_exits_or_returns_nothing_fails_its_own_run_only_and_a_print_spoils_no_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = runs("exits", "returns-nothing", "prints", home=tmp_path, code=1, capsys=capsys)
    assert [result["status"] for result in results] == ["failed", "failed", "complete"]
    assert "failed in batch 0: SystemExit: 7" in results[0]["reason"]
    assert "in batch 0: edit() returned NoneType, expected an EditReport" in results[1]["reason"]


def test_the_report_says_file_and_line_and_one_error_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", "raises", "--only", "C03,C04,C05,C06", "--home", str(tmp_path)]
    assert main(words) == 1
    shown = capsys.readouterr()
    assert shown.out.count("no such layer") == 2, "in the line of the check, and in its details"
    assert shown.out.count("the same error as in C03") == 3
    assert "C03, C04, C05, C06 fail: " in shown.out
    assert "look at:  rude_breakers.py, line 37, in prepare" in shown.out
    assert "Traceback" not in shown.err
    assert main([*words, "--json"]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [check["status"] for check in checks] == ["fail"] * 4
    assert {check["look_at"] for check in checks} == {"rude_breakers.py, line 37, in prepare"}


@pytest.mark.parametrize("editors", [["raises"], ["raises", "prints"]], ids=["alone", "one of two"])
@pytest.mark.parametrize("by", ["--debug", "PALIMPSEST_DEBUG"])
def test_check_prints_the_traceback_once_when_it_is_asked_for(
    by: str, editors: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["check", *editors, "--only", "C04,C05", "--home", str(tmp_path)]
    if by == "PALIMPSEST_DEBUG":
        monkeypatch.setenv(by, "1")
    else:
        words.append(by)
    assert main(words) == 1
    err = capsys.readouterr().err
    assert err.count('raise KeyError("no such layer")') == 1
    assert "rude_breakers.py" in err


def test_prints_of_an_editor_are_told_beside_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "prints", "--only", "C04", "--json", "--home", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["passed"]
    assert "preparing …" in shown.err
