"""Bundles, read in a process of its own with bounds on its time and memory: a malicious bundle may expand.

A Parquet page says itself how large it unpacks, and no check of a file's size sees that. What expands ends the child,
and the parent says so. The parent never opens a table of a bundle: it gets back problems, the checked spec and a few
texts as JSON, and for a re-run how each checkpoint agrees.
"""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from palimpsest.harness.errors import MissingResource, RunFailed
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system import child
from palimpsest.harness.system.trouble import trouble
from palimpsest.results.analysis.aggregate import aggregate_run
from palimpsest.results.reading.cleaning import clean_json
from palimpsest.results.reading.problems import Invalid, Problem
from palimpsest.results.reading.run_folder import read_run_folder
from palimpsest.results.reading.score_folder import read_score_folder
from palimpsest.results.submissions.agreement import Agreement, compared
from palimpsest.results.submissions.bundle import Source
from palimpsest.results.submissions.verify import verify_bundle

MEMORY = 8_000_000_000
"""Bytes of address space; the libraries alone take about 2 GB."""
SECONDS = 300
_MOST_PROBLEMS = 1_000


class CheckedBundle(BaseModel):
    """Content of a bundle that passed through the child: small, cleaned, and no table."""

    model_config = ConfigDict(frozen=True)

    problems: tuple[Problem, ...]
    """Everything that speaks against the bundle; empty: nothing does."""
    digest: str = ""
    """SHA-256 of its ``bundle.json``, which names the checksums of all other files."""
    spec: RunSpec | None = None
    editors: tuple[Source, ...] = ()
    """Outermost first."""
    segment: dict[str, Any] = Field(default_factory=dict)
    """Environment of the run's last start or resumption; texts cleaned."""
    scored: tuple[int, ...] = ()
    """Checkpoints with scores, ascending."""


def verify_bounded(folder: Path, *, memory: int = MEMORY, seconds: int = SECONDS) -> CheckedBundle:
    """Check the bundle in ``folder``.

    Args:
        folder: of the bundle.
        memory: bytes of address space that the check may take.
        seconds: of processor time that it may take.
    """
    try:
        return CheckedBundle.model_validate_json(_child("verify", [str(folder.absolute())], memory, seconds))
    except (Invalid, ValidationError) as error:
        reason = str(error) if isinstance(error, Invalid) else "gives back what no check gives: refused"
        return CheckedBundle(problems=(Problem(str(folder), reason),))


def require_readable(folder: Path) -> None:
    """Let a child read the run of a bundle first, as ingest does, so that what expands ends the child.

    Raises:
        Invalid: it cannot be read, not as a whole, or not within the bounds.
    """
    problem = json.loads(_child("read", [str(folder.absolute())], MEMORY, SECONDS))
    if problem is not None:
        raise Invalid(str(problem))


def compare_bounded(folder: Path, digest: str, own: Path, checkpoints: Sequence[int]) -> list[Agreement]:
    """Compare the scores of a bundle with those of a run done again here.

    Args:
        folder: of the bundle.
        digest: that the bundle had when it was checked.
        own: run folder of the run done again.
        checkpoints: numbers of edits.

    Raises:
        RunFailed: the bundle is no longer the one that was checked, or cannot be read within the bounds.
    """
    given = [str(folder.absolute()), digest, str(own.absolute()), *map(str, checkpoints)]
    try:
        answer = json.loads(_child("compare", given, MEMORY, SECONDS))
    except Invalid as error:
        raise RunFailed(f"{folder} {error}") from error
    if isinstance(answer, str):
        raise RunFailed(f"{folder} {answer}")
    return [Agreement(**values) for values in answer]


def _child(task: str, given: Sequence[str], memory: int, seconds: int) -> str:
    """The JSON text that the child prints last.

    Raises:
        Invalid: it did not get there within the bounds.
        MissingResource: this machine lacks something that has nothing to do with the bundle.
    """
    arguments = ("-m", "palimpsest.results.submissions.bounded", str(memory), str(seconds), task, *given)
    try:
        done = child.run(*arguments, timeout=2 * seconds)
    except subprocess.TimeoutExpired as error:
        raise Invalid(f"takes more than {2 * seconds} s to check: refused") from error
    if done.returncode == MissingResource.exit_code:
        raise MissingResource(done.stderr.splitlines()[-1])
    if done.returncode:
        raise Invalid(f"cannot be checked within {memory} bytes of memory and {seconds} s of time: refused")
    return done.stdout.splitlines()[-1]


def _verify(folder: str) -> str:
    found = verify_bundle(Path(folder))
    run, manifest = found.run, found.manifest
    checked = CheckedBundle(
        problems=tuple(found.problems[:_MOST_PROBLEMS]),
        digest=found.digest,
        spec=run.spec if run is not None else None,
        editors=manifest.editors if manifest is not None else (),
        segment=clean_json(run.segments[-1]) if run is not None and run.segments else {},
        scored=tuple(run.checkpoints) if run is not None else (),
    )
    return checked.model_dump_json()


def _read(folder: str) -> str:
    try:
        run = read_run_folder(Path(folder), "")
    except Invalid as error:
        return json.dumps(str(error))
    if not run.problems:
        aggregate_run(run)
    # Where memory ended a reader may have called it a problem, which without bounds would be none.
    return json.dumps(f"{run.problems[0].path}: {run.problems[0].message}" if run.problems else None)


def _compare(folder: str, digest: str, own: str, *checkpoints: str) -> str:
    found = verify_bundle(Path(folder))
    if found.run is None or found.problems or found.digest != digest:
        return json.dumps("was changed while its run was done again.")
    answers = []
    for edits in map(int, checkpoints):
        ours = read_score_folder(Path(own) / "scores" / f"{edits:06d}", edits)
        answers.append(asdict(compared(found.run.checkpoints[edits], ours, edits)))
    return json.dumps(answers)


_TASKS: Mapping[str, Callable[..., str]] = {"verify": _verify, "read": _read, "compare": _compare}


def _main(memory: str, seconds: str, task: str, *given: str) -> None:
    if sys.platform != "win32":  # where there are no such limits, the parent's patience is the only one
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    try:
        print(_TASKS[task](*given))
    except OSError as error:
        lack = None if error.errno == errno.ENOMEM else trouble(error, files=False)  # memory is bounded by ourselves
        if lack is None:
            raise
        print(lack, file=sys.stderr)
        sys.exit(lack.exit_code)


if __name__ == "__main__":
    _main(*sys.argv[1:])
