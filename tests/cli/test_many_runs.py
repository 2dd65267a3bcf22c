"""Several runs in one command: order, failures, interruptions, last lines, exit codes."""

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from palimpsest.cli.many_runs import RunResult, exit_code, last_line, own_command, report, run_all
from palimpsest.harness.errors import EditorError, MissingResource
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.specs.cases import EditTask
from palimpsest.harness.specs.planning import PlannedRun
from tests.labs.synthetic import SyntheticRun, write_run

MEMIT = SyntheticRun("memit", checkpoints=(0, 50, 100))
FT_L = SyntheticRun("ft-l", checkpoints=(0, 50, 100), status="collapsed", stops_at=50)
ALPHAEDIT = SyntheticRun("alphaedit", checkpoints=(0, 50, 100), status="partial", stops_at=50)
ALL = (MEMIT, FT_L, ALPHAEDIT)


def planned(*runs: SyntheticRun) -> list[PlannedRun]:
    return [PlannedRun(run.spec(), resolve("pocket-llama"), EditTask("t", "counterfact", ())) for run in runs]


def writer(home: Path, **behaviour: BaseException | str) -> Callable[[PlannedRun], str | None]:
    """An executor that writes synthetic folders; ``behaviour``: editor (with _ for -) → error or signal."""

    def execute(plan: PlannedRun) -> str | None:
        what = behaviour.get(plan.spec.editor.name.replace("-", "_"))
        if isinstance(what, BaseException):
            raise what
        write_run(home / "runs", next(run for run in ALL if run.spec() == plan.spec))
        return what

    return execute


def test_complete_collapsed_and_partial_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = run_all(planned(*ALL), tmp_path, writer(tmp_path))
    assert [(r.editor, r.status, r.edits, r.exit_code) for r in results] == [
        ("memit", "complete", 100, 0),
        ("ft-l", "collapsed", 50, 0),
        ("alphaedit", "partial", 50, 3),
    ]
    assert exit_code(results) == 3
    assert exit_code(results[:2]) == 0
    first = results[0]
    assert first.score is not None
    assert 0 < first.score <= 100
    assert first.abilities_kept is not None
    line = last_line(first, "palimpsest run --suite x")
    assert line.startswith(first.run)
    assert first.effective_edits is not None and f"{first.effective_edits:.0f} effective edits" in line
    assert f"score {first.score:.1f} %" in line
    assert str(tmp_path / "runs" / first.run) in line
    assert line.endswith(f"next: palimpsest show {first.run} --home {tmp_path}")
    assert last_line(results[2], "palimpsest run --suite x").endswith("continue: palimpsest run --suite x")
    notes = capsys.readouterr()
    assert notes.out == ""
    assert "Run 3 of 3" in notes.err


def test_a_failing_run_does_not_stop_the_others(tmp_path: Path) -> None:
    execute = writer(tmp_path, memit=EditorError("memit could not solve."), ft_l=MissingResource("no room."))
    results = run_all(planned(*ALL), tmp_path, execute)
    assert [(r.status, r.exit_code, r.reason) for r in results] == [
        ("failed", 1, "memit could not solve."),
        ("failed", 4, "no room."),
        ("partial", 3, None),
    ]
    assert exit_code(results) == 1
    assert "memit could not solve." in last_line(results[0], "c")
    assert last_line(results[0], "c").endswith("--events")


def test_a_bug_in_one_run_keeps_its_traceback_and_stops_no_other(tmp_path: Path) -> None:
    results = run_all(planned(MEMIT, FT_L), tmp_path, writer(tmp_path, memit=ZeroDivisionError("division by zero")))
    assert [(r.status, r.exit_code) for r in results] == [("failed", 1), ("collapsed", 0)]
    assert "ZeroDivisionError" in str(results[0].reason)
    assert "Traceback" in (tmp_path / "runs" / results[0].run / "error.txt").read_text()


@pytest.mark.parametrize(("word", "code"), [("interrupted", 130), ("terminated", 143)])
def test_after_a_signal_the_rest_is_not_begun(tmp_path: Path, word: str, code: int) -> None:
    results = run_all(planned(*ALL), tmp_path, writer(tmp_path, ft_l=word))
    assert [r.status for r in results] == ["complete", word]
    assert exit_code(results) == code
    assert "continue: c" in last_line(results[1], "c")


def test_ctrl_c_outside_a_batch_counts_as_interruption(tmp_path: Path) -> None:
    results = run_all(planned(*ALL), tmp_path, writer(tmp_path, memit=KeyboardInterrupt()))
    assert [(r.status, r.exit_code) for r in results] == [("interrupted", 130)]


def test_the_most_serious_exit_code_wins() -> None:
    result = RunResult("a", "e", "m", "t", 0, "complete", 1, 1, None, None, None, "f")
    for codes, expected in [((), 0), ((0, 3), 3), ((3, 2), 2), ((2, 4), 4), ((4, 1, 3), 1), ((1, 130), 130)]:
        assert exit_code([replace(result, exit_code=code) for code in codes]) == expected


def test_continuing_drops_the_limit_that_stopped_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["/x/palimpsest", "run", "--limit", "2", "--suite", "my suite", "--limit=3", "--fresh", "--set", "limit=4"]
    monkeypatch.setattr("sys.argv", given)
    assert own_command() == "palimpsest run --suite 'my suite' --set limit=4"
    monkeypatch.setattr("sys.argv", ["/y/palimpsest/cli/__main__.py", "run", "--limit", "1"])
    assert own_command() == "python -m palimpsest.cli run"


def test_the_line_that_says_what_comes_then_keeps_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "my home"
    results = run_all(planned(MEMIT), home, writer(home), quiet=True)
    report(results, as_json=False)
    place = f"--home '{home}'"
    assert f"Then: palimpsest store ingest {place} && palimpsest site build {place}" in capsys.readouterr().out
    monkeypatch.setenv("PALIMPSEST_HOME", str(home))
    report(results, as_json=False)
    assert "Then: palimpsest store ingest && palimpsest site build\n" in capsys.readouterr().out


def test_after_a_page_was_built_nothing_is_left_but_to_look_at_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(run_all(planned(MEMIT), tmp_path, writer(tmp_path), quiet=True), as_json=False, built=True)
    told = capsys.readouterr().out
    assert f"Then: palimpsest site serve --home {tmp_path}\n" in told and "ingest" not in told


def test_a_run_that_could_not_begin_is_to_be_given_again(tmp_path: Path) -> None:
    """There is no folder to show."""
    lack = OSError(errno.ENOSPC, "No space left on device")
    (result,) = run_all(planned(MEMIT), tmp_path, writer(tmp_path, memit=lack), quiet=True)
    assert (result.status, result.exit_code) == ("failed", 4)
    assert "The disk is full" in str(result.reason)
    assert last_line(result, "palimpsest run --suite x").endswith("again: palimpsest run --suite x")
    assert not (tmp_path / "runs").exists()
