"""`palimpsest check`: the conformance suite for one editor or composition."""

from __future__ import annotations

from typing import Annotated

import typer

from palimpsest.cli import debugging, options, output
from palimpsest.cli.flags import setting
from palimpsest.cli.wiring import installation
from palimpsest.harness.authoring.report import Outcome
from palimpsest.harness.errors import UsageError
from palimpsest.harness.plugins.entry_points import misnamed
from palimpsest.harness.specs.composition import parse
from palimpsest.harness.specs.planning import with_settings
from palimpsest.harness.specs.suite import EditorChoice

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest check memit\n\npalimpsest check 'revive(rect(memit))' --only C04,C09\n\n"
    "palimpsest check my-editor --set layer=1 --markdown > check.md\n\nMore: docs/writing-an-editor.md"
)
def check(
    editor: Annotated[str, typer.Argument(help="Editor or composition.", metavar="EDITOR")],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Checks to do, C01 to C18; repeatable.", metavar="C01,C02,…")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A value of its configuration; repeatable.", metavar="KEY=VALUE")
    ] = None,
    markdown: Annotated[
        bool,
        typer.Option("--markdown", help="Print the report for a pull request.", rich_help_panel=options.OUTPUT),
    ] = False,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Try whether an editor keeps what editors promise, on both pocket models; takes about a minute."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.harness.authoring.checks import check as try_editor

    if markdown and as_json:
        raise UsageError("--markdown and --json are two forms of one report; give one of them.")
    parse(editor)
    names = [name.strip() for part in only or [] for name in part.split(",") if name.strip()]
    (choice,) = with_settings([EditorChoice(name=editor)], dict(map(setting, settings or [])))
    live = not (markdown or as_json)
    for text in misnamed():
        output.note(text)

    def tell(outcome: Outcome) -> None:
        (output.line if live else output.note)(outcome.line)
        output.flush()

    report = try_editor(
        editor, choice.set, options.home_folder(home), installation(), only=names, tell=tell, failed=debugging.show
    )
    if as_json:
        output.json_line(report.as_json())
    for text in report.as_markdown() if markdown else []:
        output.line(text)
    if live:
        for text in report.details():
            output.line(text)
        output.line()
        output.line(f"{report.editor} {report.version} of {report.distribution}: {report.summary}")
    if not report.passed:
        raise typer.Exit(1)
