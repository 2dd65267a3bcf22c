"""The options that several verbs share, and how their values are read."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import typer

from palimpsest.cli.output import clean
from palimpsest.harness.errors import UsageError, unknown_name
from palimpsest.harness.metrics.diagnostic_definitions import LEVELS, Level

OUTPUT = "Output"
MACHINE = "Machine"
DATA = "Data"
PLACE = "Place"

SUBMISSIONS = Path("results/submissions")

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="PALIMPSEST_HOME",
        help="Folder of runs, caches and store.",
        show_default="./.palimpsest",
        rich_help_panel=PLACE,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print results as JSON on stdout.", rich_help_panel=OUTPUT)]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.", rich_help_panel=OUTPUT)]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Print each editor's complete configuration first.", rich_help_panel=OUTPUT),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        envvar="PALIMPSEST_DEVICE",
        help="cpu, cuda or cuda:N.",
        rich_help_panel=MACHINE,
    ),
]
DeviceMapOption = Annotated[
    str | None,
    typer.Option("--device-map", metavar="auto", help="Spread the model over all GPUs.", rich_help_panel=MACHINE),
]
OffloadOption = Annotated[
    bool,
    typer.Option("--offload", help="Keep statistics and the solves with them on the CPU.", rich_help_panel=MACHINE),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        envvar="PALIMPSEST_ENGINE",
        help="Who answers ability tasks: hf (in memory) or vllm.",
        rich_help_panel=MACHINE,
    ),
]
AbilityDataOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--ability-data",
        metavar="DIR",
        help="Folder with items of ability tasks, in place of the hub's; repeatable.",
        rich_help_panel=DATA,
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="FILE|TASK=FILE",
        help="File of the edit task's records, in place of the hub's: JSON, JSON lines, .gz or Parquet; repeatable.",
        rich_help_panel=DATA,
    ),
]
SkipBadOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad-records", help="Leave bad records out, and count them, instead of stopping.", rich_help_panel=DATA
    ),
]
KnownOption = Annotated[
    bool,
    typer.Option(
        "--known",
        help="Of each task only the facts that the unedited model knows; they are listed once per model and task.",
        rich_help_panel="What is run",
    ),
]
StatsTextOption = Annotated[
    Path | None,
    typer.Option(
        "--stats-text",
        metavar="PATH",
        help="Text file for key statistics in place of the model's own, or a folder of ROME-style .npz statistics.",
        rich_help_panel=DATA,
    ),
]
SubmissionsOption = Annotated[
    Path,
    typer.Option(
        "--submissions",
        envvar="PALIMPSEST_SUBMISSIONS",
        help="Folder of bundles; the ledger.jsonl beside it says which count.",
    ),
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder of the site.", show_default="HOME/site")]
NightsOption = Annotated[
    Path | None, typer.Option("--nights", help="Folder of nights that the page tells of.", show_default="HOME/nights")
]
BaseOption = Annotated[
    str, typer.Option("--base-url", metavar="URL", help="Where the site will be; makes the feed's addresses absolute.")
]


def whole_number(text: str | int) -> int:
    """Read a number in a flag, where typer's own message would not repeat what was given."""
    if isinstance(text, int):
        return text  # a default
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        raise typer.BadParameter(f'expected a whole number, got "{clean(text)}".')
    return int(text)


OnOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="local[:N]",
        envvar="PALIMPSEST_ON",
        help="Do N runs at once, each in a process of its own; local:1: one after another in this process.",
        show_default="as many as cores and free memory allow",
        rich_help_panel=MACHINE,
    ),
]
OnRayOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="local[:N]|ray[:HOST:PORT]",
        envvar="PALIMPSEST_ON",
        help="Do N runs at once here, each in a process of its own (local:1: one after another in this process), or "
        "all on a Ray cluster.",
        show_default="as many as cores and free memory allow",
        rich_help_panel=MACHINE,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        parser=whole_number,
        metavar="N",
        envvar="PALIMPSEST_THREADS",
        help="Threads of each run on the CPU; a run goes on with as many as it was begun with.",
        show_default="1 with --device cpu",
        rich_help_panel=MACHINE,
    ),
]
KeepOption = Annotated[
    str | None,
    typer.Option(
        "--keep",
        metavar="WHICH",
        help="Weights that stay of each run: newest (of its last two checkpoints), all, or none once it is over.",
        show_default="newest",
        rich_help_panel="Course",
    ),
]
KeepAllOption = Annotated[bool, typer.Option("--keep-all", help="The same as --keep all.", rich_help_panel="Course")]
AnyMachineOption = Annotated[
    bool,
    typer.Option(
        "--any-machine",
        help="Go on with runs that were begun on another kind of CPU or GPU.",
        rich_help_panel="Course",
    ),
]
DiagnosticsOption = Annotated[
    str,
    typer.Option(
        "--diagnostics",
        metavar="LEVEL",
        envvar="PALIMPSEST_DIAGNOSTICS",
        help="cheap, or full: measure also what costs more; changes no score.",
        rich_help_panel="Course",
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        parser=whole_number,
        metavar="N",
        help="Stop after this many edits of each run; the run stays partial and unranked.",
        rich_help_panel="Course",
    ),
]


def diagnostics_level(word: str) -> Level:
    """The word of ``--diagnostics``.

    Raises:
        UsageError: It is another word; names the near ones.
    """
    level = next((known for known in LEVELS if known == word), None)
    if level is None:
        raise unknown_name("Level of diagnostics", word, LEVELS, "palimpsest run --help")
    return level


def kept(which: str | None, *, keep_all: bool, otherwise: str) -> Literal["newest", "all", "none"]:
    """The word of ``--keep`` and ``--keep-all``; ``otherwise`` where neither is given.

    Raises:
        UsageError: It is another word, or the two contradict each other.
    """
    if keep_all and which not in (None, "all"):
        raise UsageError(f"--keep-all and --keep {clean(which)} contradict each other.")
    match "all" if keep_all else which or otherwise:
        case "newest" | "all" | "none" as word:
            return word
        case other:
            raise UsageError(f'--keep: expected newest, all or none, got "{clean(other)}".')


DepotOption = Annotated[
    str | None,
    typer.Option(
        "--depot",
        metavar="URL",
        envvar="PALIMPSEST_DEPOT",
        help="Keep the runs on object storage, as s3://bucket/folder; the home has scratch and mirrors.",
        rich_help_panel=PLACE,
    ),
]


def whole_number_or_run(text: str | int) -> int | str:
    """`whole_number`, or the word ``run``."""
    return text if text == "run" else whole_number(text)


def whole_numbers(text: str, flag: str, example: str) -> list[int]:
    """Numbers between commas, in the order given.

    Args:
        text: As ``0,50,100``.
        flag: Where it was given, for the message.
        example: What is expected, for the message.

    Raises:
        UsageError: Something between the commas is not a whole number.
    """
    parts = [part.strip() for part in text.split(",")]
    wrong = next((part for part in parts if not (part.isascii() and part.isdecimal())), None)
    if wrong is not None:
        raise UsageError(f'{flag}: expected whole numbers with commas, like {example}; got "{clean(wrong)}".')
    return [int(part) for part in parts]


def home_folder(option: Path | None) -> Path:
    """The folder of runs, caches and store: ``--home``, else ``PALIMPSEST_HOME``, else ``./.palimpsest``."""
    return option if option is not None else Path(os.environ.get("PALIMPSEST_HOME") or ".palimpsest")


def submissions_folder() -> Path:
    """The folder of bundles where no option names one: ``PALIMPSEST_SUBMISSIONS``, else `SUBMISSIONS`."""
    return Path(os.environ.get("PALIMPSEST_SUBMISSIONS") or SUBMISSIONS)


def home_words(home: Path) -> str:
    """The words that name a home in a further command, with a space before; empty where they are not needed."""
    return "" if home == home_folder(None) else f" --home {shlex.quote(str(home))}"


def writable_file(path: Path | None, flag: str) -> None:
    """Refuse a file that could not be written in the end, before anything is done.

    Args:
        path: Where results will go; None: nowhere.
        flag: Where it was given, for the message.

    Raises:
        UsageError: It is a folder, or lies in none.
    """
    if path is not None and path.is_dir():
        raise UsageError(f"{flag} {path}: expected a file, this is a folder.")
    if path is not None and not path.parent.is_dir():
        raise UsageError(f"{flag} {path}: there is no folder {path.parent}.")


def writable_folder(path: Path | None, flag: str) -> None:
    """Refuse a folder in which nothing could be written in the end, before anything is done.

    Args:
        path: Where results will go; None: nowhere.
        flag: Where it was given, for the message.

    Raises:
        UsageError: It is no folder, or nothing may be written there.
    """
    if path is None:
        return
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise UsageError(f"{flag} {path}: expected a folder, {nearest} is a file.")
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise UsageError(f"{flag} {path}: nothing can be written in {nearest} ({error.strerror}).") from error


def base_address(url: str) -> str:
    """The address of the site, ending in a slash; empty stays empty.

    Raises:
        UsageError: It is no address of a folder on the web.
    """
    if not url:
        return ""
    parts = urlsplit(url)
    plain = url.isascii() and url.isprintable() and not set(url) & set(" \"'<>\\")
    if not plain or parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"--base-url: expected an address like https://example.org/palimpsest/, got {url!r}.")
    return url if url.endswith("/") else url + "/"


def repeated(flag: str, values: Sequence[object] | None) -> list[str]:
    """The flag with each of its values, as words of a command."""
    return [word for value in values or () for word in (flag, str(value))]
