"""docs/command-line.md names every verb, option and exit code, and none that is not there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from palimpsest.cli import app
from palimpsest.cli.app import VERBS
from palimpsest.harness import errors

DOCS = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
EVERYWHERE = {"--help", "-h", "--debug", "--version"}


def commands() -> Iterator[tuple[str, Any]]:
    """Every verb, and each of its commands as ``verb command``."""
    top: Any = typer.main.get_command(app.app)
    for verb in VERBS:
        command = top.get_command(None, verb)
        if getattr(command, "commands", None):
            for name, inner in command.commands.items():
                yield f"{verb} {name}", inner
        else:
            yield verb, command


def options(command: Any) -> set[str]:
    return {
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("-")
    } - EVERYWHERE


def section(verb: str) -> str:
    text = DOCS.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^## palimpsest {verb}\b.*?\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return str(found)


def flags_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*|(?<![\w-])-[a-z](?=`)", text))


def test_every_verb_has_a_section_and_every_section_a_verb() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert set(re.findall(r"^## palimpsest ([\w-]+)", text, re.M)) == set(VERBS)


def test_every_command_of_a_group_is_named() -> None:
    for name, _ in commands():
        if " " in name:
            assert f"`palimpsest {name}" in section(name.split()[0])


def test_every_option_is_documented_where_it_belongs() -> None:
    missing = {}
    for name, command in commands():
        short = {option for option in options(command) if not option.startswith("--")}
        lacking = options(command) - short - flags_in(section(name.split()[0]))
        if lacking:
            missing[name] = sorted(lacking)
    assert missing == {}


def test_no_option_is_documented_that_does_not_exist() -> None:
    for verb in VERBS:
        real = set().union(*(options(command) for name, command in commands() if name.split()[0] == verb))
        foreign = {"--keep-all", "--keep"} if verb == "export" else set()
        assert flags_in(section(verb)) - real - EVERYWHERE - foreign == set(), verb


def test_every_environment_variable_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    named = {
        variable
        for _, command in commands()
        for parameter in command.params
        for variable in ([parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or [])
    }
    assert named
    assert all(variable in text for variable in named)
    assert set(re.findall(r"PALIMPSEST_[A-Z_]+", text)) == named | {"PALIMPSEST_DEBUG", "PALIMPSEST_PLUGINS"}


def test_every_exit_code_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    told = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", text, re.M) for code in row.split(",")}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert told == {kind.exit_code for kind in kinds if issubclass(kind, errors.PalimpsestError)} | {0, 3, 130, 143}


def test_help_is_one_sentence_with_examples() -> None:
    for name, command in commands():
        sentence = (command.help or "").strip()
        assert sentence.endswith("."), name
        assert "\n" not in sentence, name
        assert "xample" in (command.epilog or ""), name
        assert "palimpsest " + name in (command.epilog or ""), name
        assert "docs/" in (command.epilog or ""), name


def test_every_option_has_a_help_text() -> None:
    for name, command in commands():
        for parameter in command.params:
            if parameter.opts[0].startswith("-") and parameter.opts[0] != "--help":
                assert parameter.help, (name, parameter.opts)
