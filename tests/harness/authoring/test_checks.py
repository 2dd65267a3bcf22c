"""Every check passes an honest editor and fails one that breaks just that promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.harness.authoring.bench import LARGE, SMALL
from palimpsest.harness.authoring.checks import CHECKS, check
from tests.labs.installed import INSTALLED

FOUND = {
    "C01": "2",
    "C02": "no_such_field",
    "C03": "gated MLPs",
    "C04": "0%",
    "C05": "wte.weight",
    "C06": "unedited model",
    "C07": "differs between two courses",
    "C08": "another instance",
    "C09": "differs after the next batch",
    "C10": "killed",
    "C11": "'count': int",
    "C12": "left by an exception",
    "C13": "environment",
    "C14": "an empty batch",
    "C15": "stays changed",
    "C16": "reverse order",
    "C17": "tensors grew by 8.",
    "C18": "load_task",
}
"""What the finding about each breaker must say."""


def test_every_check_has_a_breaker() -> None:
    assert list(FOUND) == list(CHECKS) == [f"C{number:02}" for number in range(1, 19)]


@pytest.mark.usefixtures("new_interpreters")
def test_an_honest_editor_passes_every_check(home: Path) -> None:
    report = check("honest", {}, home, INSTALLED, models=(SMALL,))
    assert [(o.id, o.finding.observed) for o in report.outcomes if o.finding.status != "ok"] == []
    assert (report.passed, report.distribution, report.version) == (True, "palimpsest-breakers", "0.1")


@pytest.mark.parametrize("name", [name for name in FOUND if name not in ("C01", "C03")])
def test_the_check_fails_an_editor_that_breaks_its_promise(name: str, home: Path) -> None:
    report = check(name.lower(), {}, home, INSTALLED, only=[name], models=(SMALL,))
    (outcome,) = report.outcomes
    assert outcome.finding.status == "fail", outcome.finding.observed
    assert FOUND[name] in outcome.finding.observed
    assert outcome.finding.expected and outcome.finding.look_at
    assert not report.passed


@pytest.mark.parametrize(("editor", "said"), [("c01-slow", "s of processor time"), ("c01-calling", "socket.connect")])
def test_imports_that_compute_or_call_home_fail(editor: str, said: str, home: Path) -> None:
    (outcome,) = check(editor, {}, home, INSTALLED, only=["C01"]).outcomes
    assert outcome.finding.status == "fail" and said in outcome.finding.observed


@pytest.mark.parametrize(
    ("editor", "said"), [("c18-walking", "gc.get_objects"), ("c18-reading", "harness.specs.packed_lines")]
)
def test_looking_for_probes_in_memory_fails_with_those_of_a_real_task_present(
    editor: str, said: str, home: Path
) -> None:
    (outcome,) = check(editor, {}, home, INSTALLED, only=["C18"], models=(SMALL,)).outcomes
    assert outcome.finding.status == "fail" and said in outcome.finding.observed


def test_an_editor_for_one_anatomy_only_fails(home: Path) -> None:
    (outcome,) = check("c03", {}, home, INSTALLED, only=["C03"], models=(SMALL, LARGE)).outcomes
    assert outcome.finding.status == "fail" and FOUND["C03"] in outcome.finding.observed
    (alone,) = check("c03", {}, home, INSTALLED, only=["C03"], models=(SMALL,)).outcomes
    assert alone.finding.status == "ok"


def test_a_memory_based_editor_passes(home: Path) -> None:
    report = check("writes-nothing", {}, home, INSTALLED, models=(SMALL,))
    assert [(o.id, o.finding.observed) for o in report.outcomes if o.finding.status == "fail"] == []


@pytest.mark.parametrize("editor", ["ft-l", "deltaedit", "revive(rect(memit))"])
def test_built_in_editors_pass_what_needs_no_process_of_its_own(editor: str, home: Path) -> None:
    names = [name for name in CHECKS if name not in ("C01", "C09", "C10")]
    report = check(editor, {}, home, INSTALLED, only=names, models=(SMALL,))
    assert [(o.id, o.finding.observed) for o in report.outcomes if o.finding.status == "fail"] == []
