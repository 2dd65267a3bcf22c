"""The list of checks, and doing them one after another: a failing check never keeps the next from its turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from palimpsest.harness.authoring import checks_bits, checks_editing, checks_honesty, checks_loading, checks_state
from palimpsest.harness.authoring.bench import LARGE, SMALL, Bench
from palimpsest.harness.authoring.blame import Errors
from palimpsest.harness.authoring.report import Finding, Outcome, Report
from palimpsest.harness.errors import MissingResource, UsageError, unknown_name
from palimpsest.harness.runs.installation import Installation
from palimpsest.harness.system.public_text import public

CHECKS: Mapping[str, tuple[str, Callable[[Bench], Finding]]] = {
    "C01": ("loads alone, without GPU and network", checks_loading.loads_alone),
    "C02": ("configuration documented, complete, strict", checks_loading.configured),
    "C03": ("edits both anatomies", checks_editing.both_anatomies),
    "C04": ("edits take", checks_editing.edits_take),
    "C05": ("only declared parameters change", checks_editing.only_what_is_declared),
    "C06": ("not a silent no-op", checks_editing.no_silent_no_op),
    "C07": ("same seed, same bits", checks_bits.same_seed_same_bits),
    "C08": ("two instances do not interact", checks_bits.instances_do_not_interact),
    "C09": ("goes on from a save in a new process", checks_bits.goes_on_from_a_save),
    "C10": ("a killed run ends as one left alone", checks_bits.killed_and_resumed),
    "C11": ("state is tensors; its size", checks_state.state_is_tensors),
    "C12": ("`evaluated()` restores", checks_state.evaluated_restores),
    "C13": ("global state untouched", checks_state.global_state_untouched),
    "C14": ("edge requests", checks_editing.edge_requests),
    "C15": ("failures are clean", checks_honesty.errors_are_clean),
    "C16": ("order inside a batch hardly matters", checks_editing.order_within_a_batch),
    "C17": ("no memory growth beyond the state", checks_state.memory_stays),
    "C18": ("does not read ahead, does not see probes", checks_honesty.nothing_is_read_ahead),
}


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
    entry = _entry(bench)
    report = Report(entry.name, entry.distribution, entry.version, tuple(models))
    errors = Errors(bench.editor, failed)
    for name in sorted(set(chosen)):
        title, look = CHECKS[name]
        begin = time.perf_counter()
        finding = _public(_isolated(bench, look, name, errors))
        report.outcomes.append(Outcome(name, title, finding, time.perf_counter() - begin))
        tell(report.outcomes[-1])
    return report


def _entry(bench: Bench) -> Any:
    from palimpsest.harness.plugins.configuration import find_editor

    return find_editor(bench.editor)


def _known(name: str) -> str:
    if name.upper() not in CHECKS:
        raise unknown_name("Check", name, CHECKS, "palimpsest check --help")
    return name.upper()


def _isolated(bench: Bench, look: Callable[[Bench], Finding], name: str, errors: Errors) -> Finding:
    """A finding, whatever the editor raises."""
    try:
        return look(bench)
    except (MissingResource, UsageError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        return errors.finding(name, error)


def _public(finding: Finding) -> Finding:
    """The finding as it may be pasted into a pull request."""
    return replace(
        finding,
        observed=public(finding.observed),
        expected=public(finding.expected),
        look_at=public(finding.look_at),
    )
