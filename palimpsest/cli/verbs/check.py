"""`palimpsest check`: the conformance suite for editors and compositions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from palimpsest.cli import debugging, options, output
from palimpsest.cli.flags import setting
from palimpsest.cli.pool import LEAST_BYTES, at_once, dispatch
from palimpsest.cli.settings import with_settings
from palimpsest.cli.ticket_kinds import CheckTicket
from palimpsest.cli.wiring import installation
from palimpsest.harness.authoring.report import Finding, Outcome, Report
from palimpsest.harness.errors import RunFailed, UsageError
from palimpsest.harness.fleet.local import slots
from palimpsest.harness.fleet.ticket import versions_here
from palimpsest.harness.plugins.entry_points import misnamed
from palimpsest.harness.specs.composition import parse
from palimpsest.harness.specs.suite import EditorChoice

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest check memit\n\npalimpsest check 'revive(rect(memit))' --only C04,C09\n\n"
    "palimpsest check memit alphaedit ft-l --json\n\n"
    "palimpsest check my-editor --set layer=1 --markdown > check.md\n\nMore: docs/writing-an-editor.md"
)
def check(
    editors: Annotated[list[str], typer.Argument(help="Editors or compositions.", metavar="EDITOR…")],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Checks to do, C01 to C18; repeatable.", metavar="C01,C02,…")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A value of their configuration, EDITOR.KEY=VALUE for one of them; repeatable.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    markdown: Annotated[
        bool,
        typer.Option("--markdown", help="Print the report for a pull request.", rich_help_panel=options.OUTPUT),
    ] = False,
    on: options.OnOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Try whether editors keep what editors promise, on both pocket models; takes about a minute each."""
    if markdown and as_json:
        raise UsageError("--markdown and --json are two forms of one report; give one of them.")
    names = list(dict.fromkeys(editors))
    for editor in names:
        parse(editor)
    checks = tuple(name.strip() for part in only or [] for name in part.split(",") if name.strip())
    chosen = with_settings([EditorChoice(name=name) for name in names], dict(map(setting, settings or [])))
    live = not (markdown or as_json)
    for text in misnamed():
        output.note(text)

    def tell(editor: str, outcome: Outcome) -> None:
        line = outcome.line if len(chosen) == 1 else f"{editor}  {outcome.line}"
        (output.line if live else output.note)(line)
        output.flush()

    place = options.home_folder(home)
    count = slots(at_once(on), len(chosen), 1, LEAST_BYTES)
    if debugging.asked():
        count = 1  # processes of the pool tell outcomes, not tracebacks
    reports = (
        _several_at_once(chosen, checks, place, count, tell)
        if count > 1
        else _one_after_another(chosen, checks, place, tell)
    )
    if as_json:
        found = [report.as_json() for report in reports]
        output.json_line(found[0] if len(chosen) == 1 else found)
    for text in (line for report in reports for line in report.as_markdown() if markdown):
        output.line(text)
    for report in reports if live else ():
        for text in report.details():
            output.line(text)
        output.line()
        output.line(f"{report.editor} {report.version} of {report.distribution}: {report.summary}")
    if not all(report.passed for report in reports):
        raise typer.Exit(1)


def _one_after_another(
    chosen: Sequence[EditorChoice], only: Sequence[str], home: Path, tell: Callable[[str, Outcome], None]
) -> list[Report]:
    """Check the editors in this process."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.harness.authoring.checks import check as try_editor

    return [
        try_editor(
            *(choice.name, choice.set, home, installation()),
            only=only,
            tell=lambda outcome, name=choice.name: tell(name, outcome),  # type: ignore[misc]
            failed=debugging.show,
        )
        for choice in chosen
    ]


def _several_at_once(
    chosen: Sequence[EditorChoice],
    only: tuple[str, ...],
    home: Path,
    count: int,
    tell: Callable[[str, Outcome], None],
) -> list[Report]:
    """Check each editor in a process of its own, ``count`` at once.

    Raises:
        RunFailed: Some could not be checked.
        typer.Exit: A signal came.
    """
    versions = versions_here()
    tickets = [
        CheckTicket(home=str(home.absolute()), versions=versions, editor=one.name, overrides=one.set, only=only)
        for one in chosen
    ]
    editors = {ticket.name: ticket.editor for ticket in tickets}
    outcomes: dict[str, list[Outcome]] = {ticket.name: [] for ticket in tickets}
    about: dict[str, Mapping[str, Any]] = {}

    def hear(name: str, event: Mapping[str, Any]) -> None:
        match event:
            case {"event": "here"}:
                outcomes[name].clear()
            case {"event": "outcome", "outcome": outcome}:
                outcomes[name].append(Outcome(**{**outcome, "finding": Finding(**outcome["finding"])}))
                tell(editors[name], outcomes[name][-1])
            case {"event": "checked"}:
                about[name] = event
            case {"event": "warning", "message": message}:
                output.note(f"{editors[name]}: {message}")

    output.note(f"{len(tickets)} editors, {count} at once")
    ends = dispatch(tickets, count, tell=hear)
    stopped = next((end.code for end in ends.values() if end.verdict in ("stopped", "not begun")), None)
    if stopped is not None:
        raise typer.Exit(stopped)
    failed = [f"{editors[name]}: {end.reason}" for name, end in ends.items() if end.verdict != "done"]
    if failed:
        raise RunFailed("\n".join(failed))
    return [
        Report(told["editor"], told["distribution"], told["version"], tuple(told["models"]), outcomes[name])
        for name, told in ((ticket.name, about[ticket.name]) for ticket in tickets)
    ]
