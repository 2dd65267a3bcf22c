"""Suites: which editors run on which models and tasks, in which schedule. Written in YAML or made from flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.specs.composition import parse as parse_editor
from palimpsest.harness.specs.composition import spell
from palimpsest.harness.specs.run_spec import LARGEST, LARGEST_SEED, Schedule, Scoring, check_top
from palimpsest.harness.system.strict import Strict
from palimpsest.harness.system.validation_messages import describe, shown

_SINGULARS = {"model": "models", "task": "tasks", "editor": "editors", "seed": "seeds"}


class EditorChoice(Strict):
    """An editor and the configuration values that differ from its preset for the model."""

    name: str = Field(min_length=1, max_length=200)
    """A registered editor, or a composition such as ``revive(memit)``."""
    set: dict[str, JsonValue] = Field(default_factory=dict)
    """Field of the editor's configuration → value; ``host`` → the fields of a filter's host."""
    batch_size: int | None = Field(default=None, ge=1, le=LARGEST)
    """Edits at once for this editor; null: the schedule's. Another batch size is another track."""

    @field_validator("name")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            return spell(parse_editor(value))
        except UsageError as error:
            raise ValueError(str(error).removesuffix(".")) from None


class AbilityChoice(Strict):
    """General abilities that are measured at each checkpoint."""

    tasks: tuple[str, ...] = Field(default=(), strict=False)
    """Names of ability tasks or of groups of them."""
    limit: int | None = Field(default=None, ge=1, le=LARGEST)
    """At most this many items of each task; null: all."""


class Suite(Strict):
    """Runs of each model × task × editor × seed, in one schedule."""

    name: str = Field(min_length=1, max_length=100)
    description: str = ""
    models: tuple[str, ...] = Field(min_length=1, strict=False)
    tasks: tuple[str, ...] = Field(min_length=1, strict=False)
    editors: tuple[EditorChoice, ...] = Field(min_length=1, strict=False)
    schedule: Schedule
    scoring: Scoring = Scoring()
    abilities: AbilityChoice = AbilityChoice()
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1, strict=False)

    @field_validator("editors", mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [{"name": entry} if isinstance(entry, str) else entry for entry in value]

    @field_validator("models", "tasks", "seeds")
    @classmethod
    def _no_repetition(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        _distinct(value)
        return value

    @field_validator("editors")
    @classmethod
    def _no_editor_twice(cls, value: tuple[EditorChoice, ...]) -> tuple[EditorChoice, ...]:
        _distinct([entry.name if not (entry.set or entry.batch_size) else entry.model_dump() for entry in value])
        return value

    @field_validator("seeds")
    @classmethod
    def _not_negative(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 0 <= seed <= LARGEST_SEED for seed in value):
            raise ValueError(f"expected whole numbers from 0 to {LARGEST_SEED}, got {shown(list(value))}")
        return value

    @model_validator(mode="after")
    def _has_what_top_needs(self) -> Suite:
        check_top(self.schedule, self.scoring)
        return self


def _distinct(values: Sequence[Any]) -> None:
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if twice:
        raise ValueError(f"{shown(twice[0])} stands twice")


def build_suite(values: Mapping[str, Any], *, place: Callable[[Sequence[str | int]], str]) -> Suite:
    """A checked suite from plain values; ``model``, ``task``, ``editor``, ``seed`` may stand for lists of one.

    Raises:
        ConfigError: Lists every problem, each at its ``place``.
    """
    plural = {name: value for name, value in values.items() if name not in _SINGULARS}
    problems = []
    for name, several in _SINGULARS.items():
        if name in values and several in values:
            problems.append(f"{place([name])}: stands beside {several}; give one of the two.")
        elif name in values:
            plural[several] = values[name] if isinstance(values[name], list | tuple) else [values[name]]
    try:
        suite = Suite.model_validate(plural)
    except ValidationError as error:
        problems += describe(error, Suite, place)
    if problems:
        raise ConfigError("\n".join(problems))
    return suite
