"""What the flags of `palimpsest run` say: values read strictly, and a suite made of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palimpsest.cli.options import whole_numbers
from palimpsest.harness.errors import PalimpsestError, UsageError
from palimpsest.harness.plugins.compositions import canonical_name
from palimpsest.harness.specs.planning import Place, with_settings
from palimpsest.harness.specs.suite import Suite, build_suite, load_suite, on_command_line
from palimpsest.harness.system.validation_messages import shown

_WORD = re.compile(r"[A-Za-z_][\w.:/+-]*")
_KEY = re.compile(r"[A-Za-z_][\w.()-]*")
_AROUND = re.compile(r"\s*([()])\s*")
_FALSE_FRIENDS = {"true": "true", "false": "false", "null": "null", "none": "null", "nan": None, "inf": None}


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags that say what is run; None or empty: not given."""

    suite: str | None = None
    models: Sequence[str] = ()
    editors: Sequence[str] = ()
    tasks: Sequence[str] = ()
    edits: int | None = None
    batch_size: int | None = None
    checkpoints: str | None = None
    seeds: Sequence[int] = ()
    order_seed: int | str | None = None
    settings: Sequence[str] = ()
    abilities: Sequence[str] = ()
    ability_limit: int | None = None
    sample: int | None = None
    generation: int | None = None
    top: bool = False
    reference_tokenisation: bool = False


def selected(flags: Flags) -> tuple[Suite, Place]:
    """The suite that the flags describe, on top of ``--suite`` when one is given, and a way to name its fields.

    Raises:
        UsageError: Flags that are needed without a suite are missing, or a value cannot be read.
        ConfigError: Values that do not fit together; all are listed.
    """
    base = load_suite(flags.suite) if flags.suite is not None else None
    values = _without_suite(flags) if base is None else base.model_dump()
    _apply(flags, values, base)
    suite = build_suite(values, place=on_command_line)
    settings: dict[str, Any] = {}
    for key, value in map(setting, flags.settings):
        if key in settings:
            raise UsageError(f"--set {key} is given twice.")
        settings[key] = value
    suite = suite.model_copy(update={"editors": with_settings(suite.editors, settings)})
    changed = {"models": flags.models, "tasks": flags.tasks, "editors": flags.editors, "abilities": flags.abilities}

    def place(path: Sequence[str | int]) -> str:
        if base is None or changed.get(str(path[0])):
            return on_command_line(path)
        return f"suite {flags.suite}, {path[0]}" + (f"[{path[1]}]" if len(path) > 1 else "")

    return suite, place


def _without_suite(flags: Flags) -> dict[str, Any]:
    needed = {
        "--model": flags.models,
        "--editor": flags.editors,
        "--task": flags.tasks,
        "--edits": flags.edits,
    }
    missing = [flag for flag, value in needed.items() if not value and value != 0]
    if missing:
        raise UsageError(
            f"Missing {', '.join(missing)}. Give a suite (palimpsest run --suite smoke) or all of "
            f"{', '.join(needed)}. Suites: palimpsest list suites"
        )
    return {"name": "command line", "schedule": {}}


def _apply(flags: Flags, values: dict[str, Any], base: Suite | None) -> None:
    """Put the given flags over the suite's values."""
    lists: dict[str, Sequence[Any]] = {"models": flags.models, "tasks": flags.tasks, "seeds": flags.seeds}
    values |= {name: list(given) for name, given in lists.items() if given}
    values["editors"] = _editors(flags, base)
    values["schedule"] = _schedule(flags, dict(values["schedule"]))
    values["scoring"] = _scoring(flags, dict(values.get("scoring", {})))
    abilities = dict(values.get("abilities", {}))
    if flags.abilities:
        abilities["tasks"] = [name for name in flags.abilities if name != "none"]
    if flags.ability_limit is not None:
        abilities["limit"] = flags.ability_limit
    values["abilities"] = abilities


def _editors(flags: Flags, base: Suite | None) -> list[dict[str, Any]]:
    """The suite's editors, or those named, each as often as the suite has it; in the batch size given, if one is."""
    ours = [choice.model_dump() for choice in base.editors] if base else []
    if flags.batch_size is not None:
        alike = [choice | {"batch_size": None} for choice in ours]
        ours = [choice for place, choice in enumerate(alike) if choice not in alike[:place]]
    if not flags.editors:
        return ours
    known: dict[str, list[dict[str, Any]]] = {}
    for choice in ours:
        known.setdefault(_complete(choice["name"]), []).append(choice)
    return [
        choice for name in flags.editors for choice in known.get(_complete(name) if known else name, [{"name": name}])
    ]


def _scoring(flags: Flags, scoring: dict[str, Any]) -> dict[str, Any]:
    if flags.sample is not None:
        scoring["sample"] = flags.sample
    if flags.generation is not None:
        scoring["generation"] = {**scoring.get("generation", {}), "cases": flags.generation}
    switches = {"top": flags.top, "reference_tokenisation": flags.reference_tokenisation}
    return scoring | {name: True for name, given in switches.items() if given}


def _complete(name: str) -> str:
    """The canonical name of an editor; a name that has none, which planning tells of, as it is."""
    try:
        return canonical_name(name)
    except PalimpsestError:
        return name


def _schedule(flags: Flags, schedule: dict[str, Any]) -> dict[str, Any]:
    """The schedule; when only the number of edits changes, the checkpoints before it stay."""
    if flags.edits is not None:
        kept = [point for point in schedule.get("checkpoints", (0,)) if point < flags.edits]
        schedule |= {"edits": flags.edits, "checkpoints": [*kept, flags.edits]}
    if flags.batch_size is not None:
        schedule["batch_size"] = flags.batch_size
    elif "batch_size" not in schedule:
        schedule["batch_size"] = max(1, min(100, schedule["edits"]))
    if flags.order_seed is not None:
        schedule["order_seed"] = flags.order_seed
    if flags.checkpoints is not None:
        schedule["checkpoints"] = whole_numbers(flags.checkpoints, "--checkpoints", "0,50,100")
        if flags.edits is None and schedule.get("edits") is None:
            schedule["edits"] = max(schedule["checkpoints"], default=0)
    return schedule


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
