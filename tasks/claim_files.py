"""Claims in TOML, written down before the runs that decide them: those that ship, and those of users.

A set of claims names rows (an editor with its configuration) of one suite, and says of pairs of them which is to be
higher or lower in what, after how many edits, over which seeds, by which test. All of it is fixed there; nothing that
is measured later can change a claim.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, ValidationError, field_validator

from palimpsest.harness.errors import ConfigError, PalimpsestError, UsageError, unknown_name
from palimpsest.harness.specs.composition import parse as parse_editor
from palimpsest.harness.specs.composition import spell
from palimpsest.harness.specs.run_spec import LARGEST, LARGEST_SEED
from palimpsest.harness.specs.suite import EditorChoice, Suite
from palimpsest.harness.system.strict import Strict
from palimpsest.harness.system.validation_messages import describe, dotted, near, shown
from palimpsest.tasks.claim_quantities import HEADLINE, QUANTITIES
from palimpsest.tasks.suite_files import load_suite

CLAIMS_FOLDER = Path(__file__).resolve().parent / "claims"
LEAST_SEEDS = 3
"""Courses that a test needs: two tell next to nothing about a spread."""
Test = Literal["paired t, two-sided", "paired t, one-sided"]


def _word(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,59}", value):
        raise ValueError(f"expected a word of small letters, digits, dots and hyphens, got {shown(value)}")
    return value


def _arxiv(value: str) -> str:
    if not re.fullmatch(r"\d{4}\.\d{4,5}", value):
        raise ValueError(f"expected the number of a paper at arXiv, like 2210.07229, got {shown(value)}")
    return value


Word = Annotated[str, AfterValidator(_word)]
"""Name that is part of addresses and file names."""


class Row(Strict):
    """An editor as it is run: with what of its preset changed, and why."""

    name: Word
    """Its name in claims."""
    editor: str = Field(min_length=1, max_length=200)
    """A registered editor, or a composition such as ``revive(memit)``."""
    set: dict[str, JsonValue] = Field(default_factory=dict)
    """Field of the editor's configuration → value; ``host`` → the fields of a filter's host."""
    batch_size: int | None = Field(default=None, ge=1, le=LARGEST)
    """Edits at once; null: the suite's."""
    setting: str = Field(default="", max_length=100)
    """The setting in a few words."""

    @field_validator("editor")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            return spell(parse_editor(value))
        except UsageError as error:
            raise ValueError(str(error).removesuffix(".")) from None

    @property
    def choice(self) -> EditorChoice:
        """The row as an editor of a suite."""
        return EditorChoice(name=self.editor, set=dict(self.set), batch_size=self.batch_size)


class Claim(Strict):
    """One statement that the runs of a set will bear out, refute, or leave open."""

    id: Word
    statement: str = Field(min_length=1, max_length=300)
    """In plain words."""
    source: Annotated[str, AfterValidator(_arxiv)]
    """The paper that says so: its number at arXiv."""
    pairs: tuple[tuple[str, str], ...]
    """Rows A and B, by name; of several pairs the difference of a seed is the mean of theirs."""
    metric: str
    """One of `palimpsest.tasks.claim_quantities.QUANTITIES`."""
    edits: int = Field(ge=1, le=LARGEST)
    """Checkpoint at which it is taken; of effective edits, the end."""
    direction: Literal["higher", "lower"]
    """A is higher, or lower, than B."""
    test: Test
    """Test of the differences A − B of the seeds, whose mean is 0 if nothing is the matter."""

    @property
    def side(self) -> int:
        """Sign of the difference that is claimed."""
        return 1 if self.direction == "higher" else -1

    @property
    def two_sided(self) -> bool:
        """True if the opposite can be found, too."""
        return self.test == "paired t, two-sided"


class ClaimSet(Strict):
    """Claims that are judged together, and the rows that they are about."""

    name: Word
    """Its file's name, unless it says another."""
    description: str = Field(min_length=1, max_length=300)
    suite: str = Field(min_length=1)
    """The suite whose model, task, schedule, scoring and abilities the runs have."""
    seeds: tuple[int, ...]
    level: float = Field(gt=0, le=0.2)
    """Chance that anything is said wrongly, of all claims together."""
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]

    @field_validator("seeds")
    @classmethod
    def _enough_and_distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < max(LEAST_SEEDS, len(value)) or any(not 0 <= seed <= LARGEST_SEED for seed in value):
            what = f"at least {LEAST_SEEDS} whole numbers of at least 0, none of them twice"
            raise ValueError(f"expected {what}, got {shown(list(value))}")
        return value

    @property
    def by_name(self) -> dict[str, Row]:
        """The rows under their names."""
        return {row.name: row for row in self.rows}

    def suite_of_rows(self) -> Suite:
        """The suite with the set's rows, in their order, as its editors, and the set's seeds."""
        choices = tuple(row.choice for row in self.rows)
        return load_suite(self.suite).model_copy(update={"editors": choices, "seeds": self.seeds})


def claim_set_names() -> dict[str, str]:
    """Every set of claims that ships with Palimpsest, with its description."""
    return {path.stem: load_claims(path).description for path in sorted(CLAIMS_FOLDER.glob("*.toml"))}


def load_claims(name: str | Path) -> ClaimSet:
    """The set of claims called ``name``, or in the file ``name``.

    Raises:
        UsageError: There is no such set.
        ConfigError: The file has wrong fields or values; all of them are listed.
    """
    path = _file(name)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"Claims {path}: not readable as TOML: {error}.") from error
    try:
        # As JSON, in which a list is what a tuple is written as. A date becomes text, which no field takes for one.
        found = ClaimSet.model_validate_json(json.dumps({"name": path.stem, **values}, default=str))
    except ValidationError as error:
        raise ConfigError("\n".join(describe(error, ClaimSet, lambda where: _at(path, where)))) from error
    problems = [f"{_at(path, where)}: {what}" for where, what in _problems(found)]
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _file(name: str | Path) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix == ".toml" or len(path.parts) != 1:
        raise ConfigError(f"Claims {path}: there is no such file. Sets that ship: palimpsest list claims")
    shipped = CLAIMS_FOLDER / f"{name}.toml"
    if not shipped.is_file():
        known = (entry.stem for entry in CLAIMS_FOLDER.glob("*.toml"))
        raise unknown_name("Set of claims", str(name), known, "palimpsest list claims (or give a TOML file)")
    return shipped


def _at(path: Path, where: Sequence[str | int]) -> str:
    return ", ".join(part for part in (str(path), dotted(where)) if part)


Problem = tuple[tuple[str | int, ...], str]
"""Path to a field, and what is wrong there."""


def _problems(found: ClaimSet) -> Iterator[Problem]:
    """Faults between fields that are each of the right kind."""
    try:
        suite = load_suite(found.suite)
    except PalimpsestError as error:
        yield ("suite",), str(error)
        return
    if len(suite.models) != 1 or len(suite.tasks) != 1:
        yield ("suite",), f"expected a suite of one model and one task, {shown(found.suite)} has more."
    if not found.claims:
        yield ("claims",), "expected at least one claim."
    yield from _problems_of_rows(found)
    yield from _twice("claims", "id", (claim.id for claim in found.claims))
    for place, claim in enumerate(found.claims):
        for where, what in _problems_of(claim, found, suite):
            yield ("claims", place, *where), what


def _problems_of_rows(found: ClaimSet) -> Iterator[Problem]:
    yield from _twice("rows", "name", (row.name for row in found.rows))
    used = {name for claim in found.claims for pair in claim.pairs for name in pair}
    seen: dict[str, str] = {}
    for place, row in enumerate(found.rows):
        if row.name not in used:
            yield ("rows", place, "name"), f"no claim is about {shown(row.name)}; take the row out."
        same = seen.setdefault(row.choice.model_dump_json(), row.name)
        if same != row.name:
            yield ("rows", place), f"is the same editor as the row {shown(same)}; keep one of them."


def _problems_of(claim: Claim, found: ClaimSet, suite: Suite) -> Iterator[Problem]:
    if claim.metric not in QUANTITIES:
        yield (
            ("metric",),
            f"{shown(claim.metric)} is nothing that a claim can be about{_hint(claim.metric, QUANTITIES)}",
        )
    points = [point for point in suite.schedule.checkpoints if point > 0]
    ends = points[-1:] if claim.metric == HEADLINE else points
    if claim.edits not in ends:
        what = "the end of the suite" if claim.metric == HEADLINE else "a checkpoint of the suite"
        yield ("edits",), f"expected {what} {found.suite}, {_or(ends)}, got {claim.edits}."
    if not claim.pairs:
        yield ("pairs",), "expected at least one pair of rows, A and B."
    rows, sizes = found.by_name, set()
    for place, pair in enumerate(claim.pairs):
        for side, name in enumerate(pair):
            if name not in rows:
                yield ("pairs", place, side), f"{shown(name)} is not among the rows{_hint(name, rows)}"
            else:
                sizes.add(rows[name].batch_size or suite.schedule.batch_size)
        if pair[0] == pair[1]:
            yield ("pairs", place), f"{shown(pair[0])} is compared with itself; give two rows."
    if len(sizes) > 1:
        yield ("pairs",), f"rows in batches of {_or(sorted(sizes))} edits are no pair; compare rows of one batch size."


def _twice(field: str, key: str, names: Iterable[str]) -> Iterator[Problem]:
    for name, count in Counter(names).items():
        if count > 1:
            yield (field,), f"the {key} {shown(name)} stands twice; give each its own."


def _hint(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: the nearest known names, or all."""
    text = near(name, known).replace("the fields are", "these are")
    return text if text.endswith("?") else f"{text}."


def _or(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))
