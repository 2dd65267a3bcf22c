"""The forms of a report, and the command line around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palimpsest.cli.app import main
from palimpsest.harness.authoring.report import Finding, Outcome, Report

REPORT = Report(
    "mine",
    "my|package",
    "1.0",
    ("pocket-gpt2",),
    [
        Outcome("C02", "configuration", Finding("ok", "3 fields"), 0.5),
        Outcome("C05", "only declared", Finding("fail", "<b>x</b> | @all", "less", "`writes()`"), 1.0),
        Outcome("C13", "global state", Finding("warn", "draws", "a generator", "edit"), 0.5),
    ],
)


def test_a_failure_decides_and_a_warning_does_not() -> None:
    assert not REPORT.passed
    assert Report("mine", "p", "1", (), [REPORT.outcomes[0], REPORT.outcomes[2]]).passed
    assert REPORT.summary == "3 checks in 2 s: 1 ok, 1 warn, 1 fail"


def test_details_say_observed_expected_and_where_to_look() -> None:
    text = "\n".join(REPORT.details())
    assert "C05 fail" in text and "expected: less" in text and "look at:  `writes()`" in text and "C02" not in text


def test_markdown_shows_what_an_editor_says_as_text() -> None:
    text = "\n".join(REPORT.as_markdown())
    assert "failed" in text and "&lt;b&gt;x&lt;/b&gt; \\| @\u200ball" in text
    assert "<b>" not in text and "my\\|package" in text


def test_json_and_exit_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", "c02", "--only", "C02,c01", "--json", "--home", str(tmp_path)]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert [(c["id"], c["status"]) for c in printed["checks"]] == [("C01", "ok"), ("C02", "fail")]
    assert printed["passed"] is False and printed["editor"] == "c02"


def test_lines_for_people(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", "memit", "--only", "C02", "--home", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("C02  ok") and "memit" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "memmit"], "'memit'"),
        (["check", "memit", "--only", "C99"], "'C99'"),
        (["check", "memit", "--set", "ridge"], "key=value"),
        (["check", "memit", "--json", "--markdown"], "one of them"),
        (["check", "memit", "--only", "C02", "--set", "no_field=1"], ""),
    ],
)
def test_wrong_words_are_answered(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(arguments)
    captured = capsys.readouterr()
    assert code in (1, 2) and said in captured.err + captured.out
    assert "Traceback" not in captured.err
