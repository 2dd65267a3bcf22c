"""`palimpsest ledger`: what came onto the leaderboard and what left it, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from palimpsest.cli import options, output
from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.system.environment import DISTRIBUTION, utc_now
from palimpsest.results.reading.run_folder import RUN_ID
from palimpsest.results.submissions.bounded import CheckedBundle, verify_bounded
from palimpsest.results.submissions.ledger import Entry, append, last_lines, read_ledger, standing

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Keep the record of inclusions, replacements and withdrawals."
)

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is shown on the page.")]
LedgerOption = Annotated[Path, typer.Option("--ledger", help="The record.")]
BundleArgument = Annotated[Path, typer.Argument(help="A bundle in the folder of submissions.", metavar="BUNDLE")]
LEDGER = Path("results/ledger.jsonl")


@app.command(
    epilog="Example:\n\npalimpsest ledger include results/submissions/3f9c0a1b2c3d --reason 'pull request 12'\n\n"
    "More: docs/submitting.md"
)
def include(bundle: BundleArgument, reason: ReasonOption, ledger: LedgerOption = LEDGER) -> None:
    """Put a checked bundle onto the leaderboard."""
    _record("include", bundle, reason, ledger)


@app.command(
    epilog="Examples:\n\npalimpsest ledger publish results/submissions/* --reason 'suite editors, five seeds'\n\n"
    "palimpsest ledger publish results/submissions/3f9c0a1b2c3d --also 3f9c0a1b2c3d --reason 'withdrawn in error'\n\n"
    "More: docs/submitting.md"
)
def publish(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles of runs of your own.", metavar="BUNDLE…")],
    reason: ReasonOption,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            metavar="RUN",
            help="Publish this one, too, though the record had it before or its editor is not ours; repeatable.",
        ),
    ] = None,
    ledger: LedgerOption = LEDGER,
) -> None:
    """Put runs that the maintainers made themselves onto the leaderboard, as seeds like those of a home."""
    entries, asked = read_ledger(ledger), set(also or ())
    present, before = standing(entries), last_lines(entries)
    named = {bundle.name: bundle for bundle in bundles if RUN_ID.fullmatch(bundle.name)}
    if not named:
        raise UsageError(f"{', '.join(map(str, bundles[:3]))}: no bundle among them; its folder has the name of a run.")
    if asked - set(named):
        raise UsageError(f"--also {min(asked - set(named))}: expected the id of a run whose bundle is named, too.")
    lines: list[Entry] = []
    left_out: dict[str, str] = {}
    for run, bundle in named.items():
        if run in present:
            continue
        if run not in asked and (why := _had_before(before.get(run))):
            left_out[run] = why
            continue
        checked = _checked(bundle)
        if run not in asked and (why := _of_others(checked)):
            left_out[run] = why
            continue
        lines.append(_line("publish", bundle, checked, reason))
    for run, why in left_out.items():
        output.note(f"{run} is left out: {why}. To publish it all the same: --also {run}")
    for line in lines:
        append(ledger, line)
    there = len(named) - len(lines) - len(left_out)
    told = [(len(lines), "published"), (there, "on the leaderboard already"), (len(left_out), "left out")]
    output.line(", ".join(f"{number} {what}" for number, what in told if number or what == "published") + ".")


def _had_before(last: Entry | None) -> str:
    """Reason why a run that does not stand is not published by the way, by the last line about it; empty: none."""
    if last is None:
        return ""
    how = {"withdraw": "was withdrawn", "replace": "was replaced"}.get(last.action, "was in the record")
    return f"it {how} on {last.time[:10]} ({last.reason})"


def _of_others(checked: CheckedBundle) -> str:
    """Reason why a bundle may be somebody's submission; empty: all of its editor is ours."""
    others = sorted({source.distribution for source in checked.editors} - {DISTRIBUTION})
    return f"its editor is of {', '.join(others)}, so it may be somebody's submission" if others else ""


@app.command(
    epilog="Example:\n\npalimpsest ledger replace results/submissions/3f9c0a1b2c3d 81aa00112233 "
    "--reason 'data had moved'\n\nMore: docs/submitting.md"
)
def replace(
    bundle: BundleArgument,
    replaces: Annotated[str, typer.Argument(help="Id of the run that it takes the place of.", metavar="RUN")],
    reason: ReasonOption,
    ledger: LedgerOption = LEDGER,
) -> None:
    """Put a checked bundle onto the leaderboard in place of another run."""
    _record("replace", bundle, reason, ledger, replaces=replaces)


@app.command(
    epilog="Example:\n\npalimpsest ledger withdraw results/submissions/3f9c0a1b2c3d --reason 'bug in the plugin'\n\n"
    "More: docs/submitting.md"
)
def withdraw(bundle: BundleArgument, reason: ReasonOption, ledger: LedgerOption = LEDGER) -> None:
    """Take a run off the leaderboard; its bundle stays, and the page says why."""
    _record("withdraw", bundle, reason, ledger)


@app.command(
    epilog="Example:\n\npalimpsest ledger rerun results/submissions/3f9c0a1b2c3d bits "
    "--reason 'palimpsest verify --rerun, release 0.2.0'\n\nMore: docs/submitting.md"
)
def rerun(
    bundle: BundleArgument,
    verdict: Annotated[Literal["bits", "tolerance", "differs"], typer.Argument(help="What verify --rerun said.")],
    reason: ReasonOption,
    ledger: LedgerOption = LEDGER,
) -> None:
    """Note that a run was done again, and how it agreed; the page then says "verified by re-run"."""
    _record("rerun", bundle, reason, ledger, verdict=verdict)


@app.command(epilog="Example:\n\npalimpsest ledger show --json\n\nMore: docs/submitting.md")
def show(ledger: LedgerOption = LEDGER, as_json: options.JsonOption = False) -> None:
    """Print the record."""
    entries = read_ledger(ledger)
    if as_json:
        output.json_line([entry.model_dump(exclude_none=True) for entry in entries])
        return
    rows = [(e.time[:10], e.action, e.run, e.editor, e.verdict or e.replaces or "", e.reason) for e in entries]
    output.table(["day", "what", "run", "editor", "", "reason"], rows)


def _record(action: str, bundle: Path, reason: str, ledger: Path, **more: str) -> None:
    entry = _line(action, bundle, _checked(bundle), reason, **more)
    append(ledger, entry)
    output.line(entry.model_dump_json(exclude_none=True))


def _checked(bundle: Path) -> CheckedBundle:
    if not bundle.is_dir():
        raise UsageError(f"There is no bundle {bundle}.")
    return verify_bounded(bundle)


def _line(action: str, bundle: Path, checked: CheckedBundle, reason: str, **more: str) -> Entry:
    """The line about a bundle that was checked.

    Raises:
        UsageError: A word does not fit.
        ConfigError: The bundle is not sound; a withdrawal may be of such a one.
    """
    if checked.problems and action != "withdraw":
        raise ConfigError("\n".join(f"{problem.path}: {problem.message}" for problem in checked.problems))
    editor = checked.spec.editor.name if checked.spec is not None else "unknown"
    line = {"time": utc_now(), "action": action, "run": bundle.name, "editor": editor, "reason": reason, **more}
    if checked.digest:
        line["digest"] = checked.digest
    try:
        return Entry.model_validate(line)
    except ValueError as error:
        raise UsageError(f"--reason or RUN: {error}") from error
