"""`palimpsest`: mounts the verbs and turns errors into messages and exit codes. Only the verb in use is imported."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from palimpsest import __version__
from palimpsest.cli import debugging, output
from palimpsest.cli.streams import guarded, only_results
from palimpsest.harness.errors import MissingResource, PalimpsestError, unknown_name
from palimpsest.harness.system.public_text import public
from palimpsest.harness.system.trouble import trouble

VERBS = {
    "doctor": "Check that this machine, or a cluster, has what runs need; exit 4 when something is lacking.",
    "list": "List editors, models, tasks, abilities, suites, claims, runs or metrics.",
    "models": "Fetch a model from the package index or the hub.",
    "plan": "Show what a suite would run, how far each run is, how long it takes, and whether it fits; exit 4 if not.",
    "run": "Run editors over tasks: skip what is done, continue what is partial, begin what is missing.",
    "fleet": "Show the runs that were handed over to Slurm or a Ray cluster, stop them, or show what one printed.",
    "show": "Show a run: its spec, its state, its latest scores.",
    "stats": "Collect key statistics of a model in one pass over a text; skip what is there, continue what is partial.",
    "export": "Write the edited model of a run, with its tokenizer, as a folder that transformers loads.",
    "score": "Score a model that was edited elsewhere against its unedited base, as a row that is never ranked.",
    "depot": "Look at the runs of a depot, and mirror them.",
    "store": "Keep the DuckDB store of all runs.",
    "table": "Write the board of a track as a table for a paper: LaTeX, Markdown or CSV.",
    "figure": "Write the figures of a track's page as PDF, SVG and PNG for print, without a browser.",
    "site": "Build the leaderboard page and look at it.",
    "claims": "Run what a set of claims needs, and say which claims are shown, refuted or open.",
    "tasks": "Look at files of edits.",
    "presets": "Bring in hyperparameters of other code.",
    "tune": "Search for the best configuration on the tuning split, write it as the preset, record every trial.",
    "new-editor": "Write a small package with an editor of your own, complete with a test, that runs as it is.",
    "check": "Try whether editors keep what editors promise, on both pocket models; takes about a minute each.",
    "locate": "Trace known facts through a model's blocks, and propose those that editors are to write.",
    "probe-spectrum": "Measure a model's abilities with only the largest singular components of its down-projections.",
    "submit": "Seal finished runs as bundles without weights, and check them as a reviewer would.",
    "verify": "Check bundles: schema, checksums, completeness, values, means against rows; nothing of them is run.",
    "ledger": "Keep the record of inclusions, replacements and withdrawals.",
    "nightly": "Run a night, or go on with it; exit 1 if a number of a built-in editor left its interval.",
    "pocket": "Make and measure the pocket models.",
}
"""Verb → its help in one line, in the order of the work. Each is a module of `verbs`, with _ for -, with an ``app``."""

EPILOG = (
    "Examples:\n\n"
    "palimpsest run --suite smoke\n\n"
    "palimpsest plan pocket\n\n"
    "palimpsest show 3f9c --events\n\n"
    "Everywhere, --debug shows the traceback of an error. More: docs/command-line.md"
)


class Verbs(TyperGroup):
    """Imports a verb's module when the verb is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All verbs, in the order of the work."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb's command; a wrong name is answered with the near ones."""
        if cmd_name not in VERBS:
            raise unknown_name("Command", cmd_name, VERBS, "palimpsest --help")
        module = import_module(f"palimpsest.cli.verbs.{cmd_name.replace('-', '_')}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        for one in getattr(command, "commands", {"": command}).values():
            one.callback = only_results(one.callback)
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page of all verbs from the table alone, so that it comes at once."""
        page = TyperGroup(
            name=self.name,
            commands={verb: TyperCommand(verb, help=text) for verb, text in VERBS.items()},
            params=self.params,
            help=self.help,
            epilog=self.epilog,
            rich_markup_mode=self.rich_markup_mode,
        )
        page.format_help(ctx, formatter)


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=EPILOG,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.line(f"palimpsest {__version__}")
        raise typer.Exit


@app.callback()
def _palimpsest(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    """Measure what thousands of knowledge edits in sequence do to a language model."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; no error leaves a traceback unless ``--debug`` asks for it.

    Args:
        arguments: What follows the command's name; None: this process's arguments.
    """
    if arguments is None:
        _in_utf8()
    given = debugging.listen(list(sys.argv[1:] if arguments is None else arguments))
    with guarded():
        code = _answer(given)
        try:
            output.flush()
        except MissingResource as error:
            output.note(str(error))
            return code or error.exit_code
        return code


def _in_utf8() -> None:
    """Begin anew in UTF-8 mode where Python took up the locale's encoding, which paths and subjects may not have."""
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _answer(arguments: Sequence[str]) -> int:
    """Do what the words say; the exit code."""
    strange = [ascii(word) for word in (*arguments, os.environ.get("PALIMPSEST_HOME", "")) if not _is_text(word)]
    if strange:
        output.note(f"{strange[0]} is no text in UTF-8. Rename the file or folder, or choose another place.")
        return 2
    try:
        ended = typer.main.get_command(app).main(args=arguments, prog_name="palimpsest", standalone_mode=False)
        return ended if isinstance(ended, int) else 0
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(bool(ending.code))
    except KeyboardInterrupt:
        output.note("Interrupted.")
        return 130
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own errors, whose classes moved between its versions
            if str(error.format_message()).strip():
                output.note(_usage_message(error))
            return 2
        debugging.show(error)
        known = error if isinstance(error, PalimpsestError) else trouble(error)
        if known is not None:
            output.note(str(known) or type(known).__name__)
            return known.exit_code
        output.note(_bug_message(error, arguments))
        return 1


def _is_text(word: str) -> bool:
    """False for a name with bytes that are no UTF-8, which tables, stores and models cannot take."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _usage_message(error: Any) -> str:
    """Message about wrong words in the command, and where its help is."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "palimpsest"
    return f"{command}: {str(error.format_message()).strip()} Help: {command} --help"


def _bug_message(error: Exception, arguments: Sequence[str]) -> str:
    """Message about an error that nobody foresaw; its traceback goes to a file of its own."""
    what = public(f"This is a bug in Palimpsest, not a mistake of yours: {type(error).__name__}: {error}")
    if debugging.asked():
        return what
    try:
        handle, name = tempfile.mkstemp(prefix="palimpsest-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            told = f"palimpsest {' '.join(arguments)}\n\n{''.join(traceback.format_exception(error))}"
            file.write(public(told))
    except OSError:
        return f"{what}\nThe same command with --debug shows where it happened."
    return f"{what}\nPlease report it with {Path(name)}, or run the same command with --debug to see where it happened."
