"""Meaning of the flags of `palimpsest run`: values read strictly, and a suite made of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palimpsest.cli.options import whole_numbers
from palimpsest.cli.settings import preset_settings, with_settings
from palimpsest.harness.errors import PalimpsestError, UsageError
from palimpsest.harness.plugins.compositions import canonical_name
from palimpsest.harness.specs.command import FLAGS, on_command_line, put
from palimpsest.harness.specs.planning import Place
from palimpsest.harness.specs.suite import Suite, build_suite
from palimpsest.harness.system.validation_messages import shown
from palimpsest.tasks.known import marked
from palimpsest.tasks.suite_files import load_suite

_WORD = re.compile(r"[A-Za-z_][\w.:/+-]*")
_KEY = re.compile(r"[A-Za-z_][\w.()-]*")
_AROUND = re.compile(r"\s*([()])\s*")
_FALSE_FRIENDS = {"true": "true", "false": "false", "null": "null", "none": "null", "nan": None, "inf": None}


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags that say what is run, each under its name in the table of flags; None or empty: not given."""

    suite: str | None = None
    model: Sequence[str] = ()
    editor: Sequence[str] = ()
    task: Sequence[str] = ()
    edits: int | None = None
    batch_size: int | None = None
    checkpoints: str | None = None
    order_seed: int | str | None = None
    sample: int | None = None
    scoring_seed: int | None = None
    generation: int | None = None
    generation_tokens: int | None = None
    generation_top_k: int | None = None
    special_tokens: bool = False
    top: bool = False
    published_top: bool = False
    reference_tokenisation: bool = False
    abilities: Sequence[str] = ()
    ability_limit: int | None = None
    seed: Sequence[int] = ()
    set: Sequence[str] = ()
    preset: Sequence[str] = ()
    """Files of values, over which those of ``set`` go."""
    known: bool = False
    """Only the facts of every task that the model knows."""


_NEEDED = ("--model", "--editor", "--task", "--edits")
"""Flags that say what is run where no suite does."""


def selected(flags: Flags) -> tuple[Suite, Place]:
    """The suite that the flags describe, on top of ``--suite`` when one is given, and a way to name its fields.

    Raises:
        UsageError: Flags that are needed without a suite are missing, or a value cannot be read.
        ConfigError: Values that do not fit together; all are listed.
    """
    given = _given(flags)
    base = load_suite(flags.suite) if flags.suite is not None else None
    values = _without_suite(given) if base is None else base.model_dump()
    _apply(given, values, base)
    suite = build_suite(values, place=on_command_line)
    settings: dict[str, Any] = {}
    for key, value in map(setting, flags.set):
        if key in settings:
            raise UsageError(f"--set {key} is given twice.")
        settings[key] = value
    editors = with_settings(suite.editors, preset_settings(flags.preset), "--preset")
    suite = suite.model_copy(update={"editors": with_settings(editors, settings)})
    if flags.known:
        suite = suite.model_copy(update={"tasks": tuple(map(marked, suite.tasks))})
    changed = {flag.suite.removesuffix(".tasks") for flag in FLAGS if flag.words in given}

    def place(path: Sequence[str | int]) -> str:
        if base is None or str(path[0]) in changed:
            return on_command_line(path)
        return f"suite {flags.suite}, {path[0]}" + (f"[{path[1]}]" if len(path) > 1 else "")

    return suite, place


def _given(flags: Flags) -> dict[str, Any]:
    """Flag → value, of those that were given; the words of ``--checkpoints`` as numbers."""
    values = {flag.words: getattr(flags, flag.name) for flag in FLAGS}
    given = {words: value for words, value in values.items() if _is_given(value)}
    if "--checkpoints" in given:
        given["--checkpoints"] = whole_numbers(given["--checkpoints"], "--checkpoints", "0,50,100")
    return given


def _is_given(value: object) -> bool:
    """True if a flag has a value; 0 is one."""
    return bool(value) if isinstance(value, list | tuple | bool) else value is not None


def _without_suite(given: Mapping[str, Any]) -> dict[str, Any]:
    missing = [words for words in _NEEDED if words not in given]
    if missing:
        raise UsageError(
            f"Missing {', '.join(missing)}. Give a suite (palimpsest run --suite smoke) or all of "
            f"{', '.join(_NEEDED)}. Suites: palimpsest list suites"
        )
    return {"name": "command line", "schedule": {}}


def _apply(given: Mapping[str, Any], values: dict[str, Any], base: Suite | None) -> None:
    """Put the given flags over the suite's values."""
    editors = _editors(given, base)
    checkpoints = values["schedule"].get("checkpoints", (0,))
    for flag in FLAGS:
        if flag.words in given and flag.words not in ("--editor", "--set"):
            put(values, flag.suite, given[flag.words])
    values["editors"] = editors
    if "--abilities" in given:
        put(values, "abilities.tasks", [name for name in given["--abilities"] if name != "none"])
    _complete_schedule(given, values["schedule"], checkpoints)


def _editors(given: Mapping[str, Any], base: Suite | None) -> list[dict[str, Any]]:
    """The suite's editors, or those named, each as often as the suite has it; in the batch size given, if one is."""
    ours = [choice.model_dump() for choice in base.editors] if base else []
    if "--batch-size" in given:
        alike = [choice | {"batch_size": None} for choice in ours]
        ours = [choice for place, choice in enumerate(alike) if choice not in alike[:place]]
    if "--editor" not in given:
        return ours
    known: dict[str, list[dict[str, Any]]] = {}
    for choice in ours:
        known.setdefault(_complete(choice["name"]), []).append(choice)
    return [
        choice
        for name in given["--editor"]
        for choice in known.get(_complete(name) if known else name, [{"name": name}])
    ]


def _complete(name: str) -> str:
    """The canonical name of an editor; a name that has none, which planning tells of, as it is."""
    try:
        return canonical_name(name)
    except PalimpsestError:
        return name


def _complete_schedule(given: Mapping[str, Any], schedule: dict[str, Any], checkpoints: Sequence[int]) -> None:
    """Add what the flags leave open; when only the number of edits changes, the checkpoints before it stay."""
    edits = schedule["edits"]
    schedule.setdefault("batch_size", max(1, min(100, edits // 4)))
    if "--edits" in given and "--checkpoints" not in given:
        earlier = [point for point in checkpoints if point < edits]
        schedule["checkpoints"] = (
            [*earlier, edits] if any(earlier) else geometric_checkpoints(edits, max(1, schedule["batch_size"]))
        )


def geometric_checkpoints(edits: int, batch_size: int) -> tuple[int, ...]:
    """0, and the number of edits halved up to five times, each at the next end of a batch: what flags leave open.

    Early checkpoints lie close together, since there a curve begins; so no run is measured at its end alone.
    """
    halves = (math.ceil(edits / 2**power / batch_size) * batch_size for power in range(6))
    return tuple(sorted({0, *(min(point, edits) for point in halves)}))


def setting(text: str) -> tuple[str, Any]:
    """``key=value`` as a key and a value: a number, true, false, null, a list or object in JSON, or a word.

    Raises:
        UsageError: There is no ``=``, the key is no name, or the value is none of these.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    key = _AROUND.sub(r"\1", key)
    if not equals or not _KEY.fullmatch(key):
        raise UsageError(f"--set {text}: expected key=value, for example --set layers=[1,2].")
    try:
        return key, json.loads(value, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        pass
    word = value.lower()
    if word in _FALSE_FRIENDS:
        instead = (
            f'write {_FALSE_FRIENDS[word]}, or "{value}" for the text' if _FALSE_FRIENDS[word] else "give a number"
        )
        raise UsageError(f"--set {text}: {value} is not a value here; {instead}.")
    if not _WORD.fullmatch(value):
        raise UsageError(
            f"--set {text}: expected a number, true, false, null, a JSON list, a word, or text in double quotes; "
            f"got {shown(value)}."
        )
    return key, value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
