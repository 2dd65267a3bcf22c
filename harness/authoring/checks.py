"""The list of checks, and doing them one after another: a failing check never keeps the next from its turn."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from palimpsest.harness.authoring import checks_bits, checks_editing, checks_honesty, checks_loading, checks_state
from palimpsest.harness.authoring.bench import LARGE, SMALL, Bench
from palimpsest.harness.authoring.blame import Errors
from palimpsest.harness.authoring.report import Finding, Outcome, Report
from palimpsest.harness.errors import MissingResource, UsageError, unknown_name
from palimpsest.harness.plugins.configuration import find_editor
from palimpsest.harness.runs.installation import Installation
from palimpsest.harness.system.public_text import public

CHECKS: Mapping[str, Callable[[Bench], Finding]] = {
    "C01": checks_loading.loads_alone,
    "C02": checks_loading.configured,
    "C03": checks_editing.both_anatomies,
    "C04": checks_editing.edits_take,
    "C05": checks_editing.only_what_is_declared,
    "C06": checks_editing.no_silent_no_op,
    "C07": checks_bits.same_seed_same_bits,
    "C08": checks_bits.instances_do_not_interact,
    "C09": checks_bits.goes_on_from_a_save,
    "C10": checks_bits.killed_and_resumed,
    "C11": checks_state.state_is_tensors,
    "C12": checks_state.evaluated_restores,
    "C13": checks_state.global_state_untouched,
    "C14": checks_editing.edge_requests,
    "C15": checks_honesty.errors_are_clean,
    "C16": checks_editing.order_within_a_batch,
    "C17": checks_state.memory_stays,
    "C18": checks_honesty.nothing_is_read_ahead,
}
WORDS: Mapping[str, Mapping[str, str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
"""Id of a check → its title, what it expects, and where an author should look."""


def check(
    editor: str,
    overrides: Mapping[str, Any],
    home: Path,
    installed: Installation,
    *,
    only: Sequence[str] = (),
    models: Sequence[str] = (SMALL, LARGE),
    tell: Callable[[Outcome], None] = lambda _: None,
    failed: Callable[[BaseException], None] = lambda _: None,
) -> Report:
    """Try an editor or a composition.

    Args:
        editor: Its name.
        overrides: Fields of its configuration, as ``--set`` gives them.
        home: Folder of caches.
        installed: Finds the task and the texts of key statistics.
        only: Ids of the checks to do; none: all.
        models: The models to try it on; the first serves the checks that need but one.
        tell: Called with each outcome when it is there.
        failed: Called with each exception that ended a check, once for those that are the same.

    Raises:
        UsageError: There is no such editor or check.
        EditorError: A name is taken twice.
        MissingResource: A model cannot be loaded.
    """
    chosen = [_known(name) for name in only] or list(CHECKS)
    bench = Bench(editor, overrides, home, installed, models)
    entry = find_editor(bench.editor)
    report = Report(entry.name, entry.distribution, entry.version, tuple(models))
    errors = Errors(bench.editor, failed)
    for name in sorted(set(chosen)):
        begin = time.perf_counter()
        finding = _told(_isolated(bench, name, errors), WORDS[name])
        report.outcomes.append(Outcome(name, WORDS[name]["title"], finding, time.perf_counter() - begin))
        tell(report.outcomes[-1])
    return report


def _known(name: str) -> str:
    if name.upper() not in CHECKS:
        raise unknown_name("Check", name, CHECKS, "palimpsest check --help")
    return name.upper()


def _isolated(bench: Bench, name: str, errors: Errors) -> Finding:
    """A finding, whatever the editor raises."""
    try:
        return CHECKS[name](bench)
    except (MissingResource, UsageError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        return errors.finding(name, error)


def _told(finding: Finding, words: Mapping[str, str]) -> Finding:
    """The finding with the words of its check where it has none of its own, as it may be pasted into a pull request."""
    if finding.status == "ok":
        return replace(finding, observed=public(finding.observed))
    return replace(
        finding,
        observed=public(finding.observed),
        expected=public(finding.expected or words.get("expected", "")),
        look_at=public(finding.look_at or words["look_at"]),
    )
