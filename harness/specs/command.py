"""The flags of `palimpsest run` and the fields that they set, stated once.

The command line puts the values of flags into a suite by this table, messages name the flag that a wrong field came
from, and a run's page writes the command that repeats the run.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palimpsest.harness.specs.composition import HOST
from palimpsest.harness.specs.run_spec import Generation, Scoring
from palimpsest.harness.system.validation_messages import dotted


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of `palimpsest run` that can change a number."""

    words: str
    """As it is typed, for example ``--batch-size``."""
    suite: str
    """Field of a suite that it sets, with dots."""
    spec: str = ""
    """Field of a run's spec that has the value, with dots; empty: the same as in the suite."""
    default: object = None
    """Value in a spec that needs no flag."""

    @property
    def name(self) -> str:
        """The flag as a name in Python, for example ``batch_size``."""
        return self.words.removeprefix("--").replace("-", "_")


FLAGS = (
    Flag("--model", "models", "model.name"),
    Flag("--editor", "editors", "editor.name"),
    Flag("--task", "tasks", "task.name"),
    Flag("--edits", "schedule.edits"),
    Flag("--batch-size", "schedule.batch_size"),
    Flag("--checkpoints", "schedule.checkpoints"),
    Flag("--order-seed", "schedule.order_seed"),
    Flag("--sample", "scoring.sample"),
    Flag("--scoring-seed", "scoring.seed", default=Scoring().seed),
    Flag("--generation", "scoring.generation.cases", default=Generation().cases),
    Flag("--generation-tokens", "scoring.generation.tokens", default=Generation().tokens),
    Flag("--generation-top-k", "scoring.generation.top_k", default=Generation().top_k),
    Flag("--special-tokens", "scoring.generation.special_tokens", default=False),
    Flag("--top", "scoring.top", default=False),
    Flag("--published-top", "scoring.published_top", default=False),
    Flag("--reference-tokenisation", "scoring.reference_tokenisation", default=False),
    Flag("--abilities", "abilities.tasks", "abilities"),
    Flag("--ability-limit", "abilities.limit", "abilities"),
    Flag("--seed", "seeds", "seed"),
    Flag("--set", "editors.set", "editor.config"),
)
"""In the order in which a command is written. What else identifies a run follows from these and from the content of
model, data and installation."""

_PARTS = {
    "schedule": "--edits, --batch-size, --checkpoints",
    "scoring.generation": "--generation",
    "abilities": "--abilities",
}
"""Part of a suite → the flags to name where it is wrong as a whole."""


def on_command_line(path: Sequence[str | int]) -> str:
    """The flag by which a field of a suite, as ``("schedule", "checkpoints", 1)``, was given; for messages."""
    field = dotted([part for part in path if isinstance(part, str)])
    known = _PARTS | {flag.suite: flag.words for flag in FLAGS}
    inner = field
    while inner and inner not in known:
        inner = inner.rpartition(".")[0]
    return known.get(inner) or field or "command line"


def put(values: dict[str, Any], field: str, value: object) -> None:
    """Set a field, named with dots, of nested plain values; the parts that it is in are copied, not changed."""
    name, _, rest = field.partition(".")
    if not rest:
        values[name] = value
        return
    inner = dict(values.get(name) or {})
    put(inner, rest, value)
    values[name] = inner


def command_words(spec: Mapping[str, Any], local_abilities: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """The flags that repeat a run, each with its value; a switch has an empty one.

    Local files stand as ``DIR`` and ``TEXT``, since a spec, here in plain values, knows their content and not their
    place. ``local_abilities`` are the ability tasks whose items are given by ``--ability-data``.
    """
    for flag in FLAGS:
        value = _value(spec, flag.spec or flag.suite)
        if flag.words == "--task":
            yield from _task(spec["task"])
        elif flag.words == "--abilities":
            yield from _abilities(value or (), local_abilities)
        elif flag.words == "--set":
            yield from (("--set", f"{key}={json.dumps(value)}") for key, value in _settings(value or {}))
        elif flag.words != "--ability-limit" and value is not None and value != flag.default:
            yield flag.words, _text(value)
    if spec.get("statistics") is not None:
        yield "--stats-text", "TEXT"


def _value(spec: Mapping[str, Any], field: str) -> Any:
    """A field of a spec; None where the spec leaves it out."""
    value: Any = spec
    for name in field.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:
    if value is True:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)


def _task(task: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A task, the file that its data come from, and whether bad records are left out."""
    name, _, file = str(task["name"]).partition(":")
    yield "--task", name
    if file:
        yield "--data", file
    if task.get("skipped"):
        yield "--skip-bad-records", ""


def _abilities(abilities: Sequence[Mapping[str, Any]], local: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each task, with a limit of its own where they do not share one."""
    limits = {ability.get("limit") for ability in abilities}
    shared = limits.pop() if len(limits) == 1 else None
    if not abilities:
        yield "--abilities", "none"
    for ability in abilities:
        limit = ability.get("limit")
        own = "" if limit is None or shared is not None else f"={limit}"
        yield "--abilities", f"{ability['name']}{own}"
    if shared is not None:
        yield "--ability-limit", str(shared)
    if any(ability["name"] in local for ability in abilities):
        yield "--ability-data", "DIR"


def _settings(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a config; those of a filter's host as ``host.name``."""
    for key, value in sorted(config.items()):
        if key == HOST and isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{HOST}.")
        else:
            yield f"{prefix}{key}", value
