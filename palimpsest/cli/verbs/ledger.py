"""`palimpsest ledger`: what came onto the leaderboard and what left it, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from palimpsest.cli import options, output
from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.system.environment import utc_now
from palimpsest.results.reading.run_folder import RUN_ID
from palimpsest.results.submissions.bounded import verify_bounded
from palimpsest.results.submissions.ledger import Entry, append, read_ledger, standing

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
    epilog="Example:\n\npalimpsest ledger publish results/submissions/* --reason 'suite editors, five seeds'\n\n"
    "More: docs/submitting.md"
)
def publish(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles of runs of your own.", metavar="BUNDLE…")],
    reason: ReasonOption,
    ledger: LedgerOption = LEDGER,
) -> None:
    """Put runs that the maintainers made themselves onto the leaderboard, as seeds like those of a home."""
    present = standing(read_ledger(ledger))
    named = [bundle for bundle in bundles if RUN_ID.fullmatch(bundle.name)]
    if not named:
        raise UsageError(f"{', '.join(map(str, bundles[:3]))}: no bundle among them; its folder has the name of a run.")
    lines = [_line("publish", bundle, reason) for bundle in named if bundle.name not in present]
    for line in lines:
        append(ledger, line)
    there = len(named) - len(lines)
    output.line(f"{len(lines)} published" + (f", {there} on the leaderboard already." if there else "."))


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
    entry = _line(action, bundle, reason, **more)
    append(ledger, entry)
    output.line(entry.model_dump_json(exclude_none=True))


def _line(action: str, bundle: Path, reason: str, **more: str) -> Entry:
    """The line about a bundle, which is checked.

    Raises:
        UsageError: There is no such bundle, or a word does not fit.
        ConfigError: The bundle is not sound; a withdrawal may be of such a one.
    """
    if not bundle.is_dir():
        raise UsageError(f"There is no bundle {bundle}.")
    checked = verify_bounded(bundle)
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
