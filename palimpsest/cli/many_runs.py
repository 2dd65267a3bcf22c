"""Several runs one after another: a failing one stops no other, and each ends with a line that says what comes next."""

from __future__ import annotations

import math
import shlex
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from palimpsest.cli import debugging, output
from palimpsest.cli.latest_scores import LatestScores, latest_scores
from palimpsest.cli.options import home_words
from palimpsest.cli.run_folders import summarise
from palimpsest.harness.errors import PalimpsestError
from palimpsest.harness.metrics.probes import main_score
from palimpsest.harness.runs.reading import ENDED
from palimpsest.harness.specs.planning import PlannedRun
from palimpsest.harness.system.public_text import public
from palimpsest.harness.system.trouble import trouble

STOPPED = {"interrupted": 130, "terminated": 143}


@dataclass(frozen=True, slots=True)
class RunResult:
    """Outcome of one run; the documented JSON of ``palimpsest run --json``."""

    run: str
    editor: str
    model: str
    task: str
    seed: int
    status: str
    """``complete``, ``collapsed``, ``partial``, ``failed``, ``interrupted``, ``terminated``."""
    edits: int
    edits_planned: int
    effective_edits: float | None
    """The headline, over the checkpoints so far; None before the first one with edits."""
    score: float | None
    """Main score of all edits so far, percent; None where the task lacks a part of it."""
    abilities_kept: float | None
    folder: str
    reason: str | None = None
    exit_code: int = 0


Executor = Callable[[PlannedRun], str | None]
"""Does or continues a run in this process; returns a word of `STOPPED` when a signal ended it, else None."""


def run_all(
    planned: Sequence[PlannedRun],
    home: Path,
    execute: Executor,
    *,
    quiet: bool = False,
    finished: Callable[[RunResult], None] = lambda result: None,
) -> list[RunResult]:
    """Do the runs in order. After an interruption the rest is not begun.

    Args:
        planned: What to do; a run that is done already is only reported.
        home: Folder of runs, caches and store.
        execute: Does one run.
        quiet: No notes about what comes next.
        finished: Receives each result as soon as it is there.
    """
    results: list[RunResult] = []
    for number, run in enumerate(planned, 1):
        if not quiet:
            output.note(f"Run {number} of {len(planned)}: {describe(run)}")
        result = _one(run, home, execute)
        results.append(result)
        finished(result)
        if result.status in STOPPED:
            break
    return results


def _one(run: PlannedRun, home: Path, execute: Executor) -> RunResult:
    try:
        return result_of(run, home, stopped=execute(run))
    except PalimpsestError as error:
        debugging.show(error)
        return result_of(run, home, error=str(error), code=error.exit_code)
    except KeyboardInterrupt:
        return result_of(run, home, stopped="interrupted")
    except Exception as error:  # one run must not take the others with it
        debugging.show(error)
        lack = trouble(error)
        if lack is not None:
            return result_of(run, home, error=str(lack), code=lack.exit_code)
        _keep_traceback(home / "runs" / run.spec.id, error)
        return result_of(run, home, error=f"{type(error).__name__}: {error}", code=1)


def result_of(
    run: PlannedRun, home: Path, *, stopped: str | None = None, error: str | None = None, code: int = 0
) -> RunResult:
    """The result of a run from its folder and from how the attempt at it ended.

    Args:
        run: The run.
        home: Folder of runs.
        stopped: A word of `STOPPED` when a signal ended it.
        error: What kept it from going on.
        code: Exit code of that error.
    """
    folder = home / "runs" / run.spec.id
    summary = summarise(folder)
    scores = _scores(folder)
    status = stopped or ("failed" if error and summary.status == "unreadable" else summary.status)
    return RunResult(
        run=run.spec.id,
        editor=run.spec.editor.name,
        model=run.spec.model.name,
        task=run.spec.task.name,
        seed=run.spec.seed,
        status=status,
        edits=summary.edits_done,
        edits_planned=run.spec.schedule.edits,
        effective_edits=scores.held.effective_edits if scores and scores.held else None,
        score=_main(scores, run.spec.task.form),
        abilities_kept=scores.abilities_kept if scores and scores.edits else None,
        folder=str(folder),
        reason=error or summary.reason,
        exit_code=STOPPED[stopped] if stopped else code or _CODES.get(status, 1),
    )


def not_run(unusable: Mapping[str, str]) -> list[RunResult]:
    """Results of editors that cannot be imported: they cost only their own runs."""
    nothing = ("", "", 0, "failed", 0, 0, None, None, None, "")
    return [RunResult("", editor, *nothing, reason, 1) for editor, reason in unusable.items()]


_CODES = {"complete": 0, "collapsed": 0, "partial": 3}


def _keep_traceback(folder: Path, error: Exception) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "error.txt").write_text(public("".join(traceback.format_exception(error))), encoding="utf-8")
    except OSError:
        output.note("".join(traceback.format_exception(error)))


def _scores(folder: Path) -> LatestScores | None:
    try:
        return latest_scores(folder)
    except PalimpsestError as error:
        output.note(str(error))
        return None


def _main(scores: LatestScores | None, form: str) -> float | None:
    found = scores.metrics.get("all", {}).get(main_score(form)) if scores else None
    return None if found is None or math.isnan(found) else found


def describe(run: PlannedRun) -> str:
    """A run in one phrase."""
    spec = run.spec
    return (
        f"{spec.id}  {spec.editor.name} on {spec.model.name}, {spec.task.name}, {spec.schedule.edits} edits, "
        f"seed {spec.seed}"
    )


def last_line(result: RunResult, command: str) -> str:
    """Id, score, folder and the next sensible command.

    Args:
        result: What became of the run.
        command: The command that is running, which continues a partial run.
    """
    if not result.run:
        return f"{result.editor}, not run: {result.reason}"
    parts = [f"{result.run}  {result.editor}, {result.status} after {result.edits} of {result.edits_planned} edits"]
    if result.reason:
        parts[0] += f": {result.reason}"
    if result.effective_edits is not None:
        kept = "without abilities" if result.abilities_kept is None else f"abilities kept {result.abilities_kept:.1f} %"
        score = "" if result.score is None else f"score {result.score:.1f} %, "
        parts.append(f"{result.effective_edits:.0f} effective edits, {score}{kept}")
    parts.append(result.folder)
    return "  ·  ".join([*parts, *_next(result, command)])


def _next(result: RunResult, command: str) -> list[str]:
    """The next sensible command, if there is one: a run that was refused needs another command, not the same."""
    if result.status in ("partial", *STOPPED):
        return [f"continue: {command}"]
    if not Path(result.folder).is_dir() and result.exit_code in (2, 4):
        return [f"again: {command}"] if result.exit_code == 4 else []
    events = " --events" if result.status == "failed" else ""
    return [f"next: palimpsest show {result.run}{home_words(_home(result))}{events}"]


def _home(result: RunResult) -> Path:
    return Path(result.folder).parent.parent


def report(results: Sequence[RunResult], *, as_json: bool, built: bool = False) -> None:
    """Print the results: one line each and what is left to do, or one JSON list.

    Args:
        results: What became of the runs.
        as_json: Print JSON.
        built: They are in the store and on the page already.
    """
    if as_json:
        output.json_line(results)
        return
    for result in results:
        output.line(last_line(result, own_command()))
    finished = [result for result in results if result.status in ENDED]
    if finished:
        place = home_words(_home(finished[0]))
        building = f"palimpsest store ingest{place} && palimpsest site build{place}"
        output.line(f"Then: palimpsest site serve{place}" if built else f"Then: {building}")


def own_command() -> str:
    """The command that is running, as it can be given again to go on: no ``--fresh``, ``--limit`` or ``--detach``."""
    name = Path(sys.argv[0]).name
    words = ["python", "-m", "palimpsest.cli"] if name == "__main__.py" else [name]
    skip = False
    for word in sys.argv[1:]:
        if not skip and word not in ("--fresh", "--limit", "--detach") and not word.startswith("--limit="):
            words.append(word)
        skip = word == "--limit" and not skip
    return shlex.join(words)


def exit_code(results: Sequence[RunResult]) -> int:
    """The exit code of the whole command: interruption first, then failure, lack, wrong use, incompleteness."""
    codes = {result.exit_code for result in results}
    return next((code for code in (130, 143, 1, 4, 2, 3) if code in codes), 0)
