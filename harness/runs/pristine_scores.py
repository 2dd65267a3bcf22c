"""Scores of the unedited model, measured once and shared by all runs that ask it the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.harness.abilities.items import AbilityOutcome, ItemOutcome, score_of
from palimpsest.harness.runs.layout import ABILITIES, DIAGNOSTICS, read_table, score_files, write_tables
from palimpsest.harness.runs.score_files import ability_table
from palimpsest.harness.system.atomic_files import ABANDONED, remove_folder, remove_partials, verify_folder
from palimpsest.harness.system.locks import alone

if TYPE_CHECKING:
    from palimpsest.harness.specs.run_spec import AbilityRef, RunSpec

_DAMAGED = "{} of the unedited model, kept in {}, are damaged; they are measured again."


@dataclass(frozen=True, slots=True)
class _Kept:
    """A folder of tables, addressed by everything that they depend on."""

    folder: Path
    key: str
    names: tuple[str, ...]
    title: str
    """The tables in messages."""
    damaged: list[str]
    """Receives a message where they are damaged."""

    @classmethod
    def at(cls, place: Path, relevant: str, names: tuple[str, ...], title: str, damaged: list[str]) -> _Kept:
        """The folder in ``place`` for tables that depend on what ``relevant`` says."""
        key = hashlib.sha256(relevant.encode()).hexdigest()
        return cls(place / key[:24], key, names, title, damaged)

    def find(self) -> dict[str, pa.Table] | None:
        """The tables by file name, verified; None if they are not there or damaged."""
        if not self.folder.exists():
            return None
        if verify_folder(self.folder, edits=0, names=self.names, key=self.key):
            self.damaged.append(_DAMAGED.format(self.title, self.folder.name))
            remove_folder(self.folder)
            return None
        return {name: read_table(self.folder / name) for name in self.names}

    def keep(self, tables: Mapping[str, pa.Table]) -> None:
        """Store the tables, unless another process was quicker."""
        remove_partials(self.folder.parent, older_than=ABANDONED)
        try:
            write_tables(self.folder, {name: tables[name] for name in self.names}, edits=0, key=self.key)
        except OSError:
            if self.find() is None:
                raise


class PristineScores:
    """A folder below ``<home>/models/<fingerprint>/scores``, addressed by everything that its content depends on."""

    def __init__(
        self, cache: Path, spec: RunSpec, environment: Mapping[str, Any], damaged: list[str] | None = None
    ) -> None:
        """Address the scores that a run would have of the unedited model, below the model's caches.

        The environment (versions and hardware) may move the last bits. ``damaged`` receives a message where what was
        kept is.
        """
        relevant = {
            "protocol": spec.protocol,
            "task": spec.task.model_dump(mode="json"),
            "schedule": spec.schedule.model_dump(mode="json", include={"edits", "order_seed"}),
            "order": spec.seed if spec.schedule.order_seed == "run" else None,
            "scoring": spec.scoring.model_dump(mode="json"),
            "abilities": [ability.model_dump(mode="json") for ability in spec.abilities],
            "environment": dict(environment),
        }
        if spec.scoring.top:  # which cases are scored later decides of which the continuations are there
            relevant["checkpoints"] = spec.schedule.checkpoints
        names = tuple(name for name in score_files(spec, 0) if name != DIAGNOSTICS)
        text = json.dumps(relevant, sort_keys=True, default=str)
        self._kept = _Kept.at(cache / "scores", text, names, "Scores", [] if damaged is None else damaged)
        self.folder = self._kept.folder

    def alone(self, **how: Any) -> AbstractContextManager[bool]:
        """The lock that who measures them holds; see `palimpsest.harness.system.locks.alone`."""
        return alone(self.folder.parent.parent, self.folder.name, **how)

    def find(self) -> dict[str, pa.Table] | None:
        """The tables by file name, verified; None if they are not there or damaged."""
        return self._kept.find()

    def keep(self, tables: Mapping[str, pa.Table]) -> None:
        """Store the tables for other runs.

        Raises:
            MissingResource: The disk is full.
        """
        self._kept.keep(tables)


class PristineAbilities:
    """Outcomes of single ability tasks on the unedited model, below ``<home>/models/<fingerprint>/abilities``.

    Addressed by the task, its rendered questions and the environment, so that runs over other edits share them.
    """

    def __init__(self, cache: Path, environment: Mapping[str, Any], damaged: list[str] | None = None) -> None:
        """Address outcomes below the model's caches; as `PristineScores`, the environment with the engine."""
        self._damaged = [] if damaged is None else damaged
        self._cache = cache / "abilities"
        self._environment = json.dumps(dict(environment), sort_keys=True, default=str)

    def find(self, ref: AbilityRef, items_hash: str) -> AbilityOutcome | None:
        """The outcome of a task whose questions have this hash; None if it is not there or damaged."""
        tables = self._kept(ref, items_hash).find()
        return None if tables is None else _outcome(tables[ABILITIES])

    def keep(self, ref: AbilityRef, outcome: AbilityOutcome) -> None:
        """Store an outcome for other runs.

        Raises:
            MissingResource: The disk is full.
        """
        self._kept(ref, outcome.items_hash).keep({ABILITIES: ability_table([outcome])})

    def _kept(self, ref: AbilityRef, items_hash: str) -> _Kept:
        text = json.dumps([ref.model_dump(mode="json"), items_hash, self._environment])
        return _Kept.at(self._cache, text, (ABILITIES,), f"Outcomes of {ref.name}", self._damaged)


def _outcome(content: pa.Table) -> AbilityOutcome:
    """The one outcome that `ability_table` made a table of."""
    rows = content.to_pylist()
    names = ItemOutcome.__dataclass_fields__
    items = tuple(ItemOutcome(**{name: row.get(name) for name in names}) for row in rows)
    first = rows[0]
    score = score_of(first["metric"], items)
    return AbilityOutcome(first["ability"], first["metric"], score, first["chance"], items, first["items_hash"])
