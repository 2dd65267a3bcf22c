"""Scores of the unedited model, measured once and shared by all runs that ask it the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.harness.abilities.items import AbilityOutcome, ItemOutcome, score_of
from palimpsest.harness.runs.layout import ABILITIES, DIAGNOSTICS, packed, read_table, score_files
from palimpsest.harness.runs.score_files import ability_table
from palimpsest.harness.system.atomic_files import remove_folder, remove_partials, verify_folder, write_folder

if TYPE_CHECKING:
    from palimpsest.harness.specs.run_spec import AbilityRef, RunSpec

_DAMAGED = "{} of the unedited model, kept in {}, are damaged; they are measured again."
_ABANDONED = 86_400.0
"""Seconds after which a half-written folder is taken to be a killed process's."""


class PristineScores:
    """A folder below ``<home>/models/<fingerprint>/scores``, addressed by everything that its content depends on."""

    def __init__(
        self, cache: Path, spec: RunSpec, environment: Mapping[str, Any], damaged: list[str] | None = None
    ) -> None:
        """Address the scores that a run would have of the unedited model, below the model's caches.

        The environment (versions and hardware) may move the last bits. ``damaged`` receives a message where what was
        kept is.
        """
        self._damaged = [] if damaged is None else damaged
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
        self._names = tuple(name for name in score_files(spec, 0) if name != DIAGNOSTICS)
        text = json.dumps(relevant, sort_keys=True, default=str)
        self._key = hashlib.sha256(text.encode()).hexdigest()
        self.folder = cache / "scores" / self._key[:24]

    def find(self) -> dict[str, pa.Table] | None:
        """The tables by file name, verified; None if they are not there or damaged."""
        if not self.folder.exists():
            return None
        if verify_folder(self.folder, edits=0, names=self._names, key=self._key):
            self._damaged.append(_DAMAGED.format("Scores", self.folder.name))
            remove_folder(self.folder)
            return None
        return {name: read_table(self.folder / name) for name in self._names}

    def keep(self, tables: Mapping[str, pa.Table]) -> None:
        """Store the tables for other runs.

        Raises:
            MissingResource: The disk is full.
        """
        files = {name: packed(tables[name]) for name in self._names}
        needed = sum(map(len, files.values()))
        remove_partials(self.folder.parent, older_than=_ABANDONED)
        try:
            with write_folder(self.folder, edits=0, bytes_needed=needed, key=self._key) as partial:
                for name, content in files.items():
                    (partial / name).write_bytes(content)
        except OSError:
            if self.find() is None:  # unless another process was quicker
                raise


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
        folder, key = self._place(ref, items_hash)
        if not folder.exists():
            return None
        if verify_folder(folder, edits=0, names=(ABILITIES,), key=key):
            self._damaged.append(_DAMAGED.format(f"Outcomes of {ref.name}", folder.name))
            remove_folder(folder)
            return None
        return _outcome(read_table(folder / ABILITIES))

    def keep(self, ref: AbilityRef, outcome: AbilityOutcome) -> None:
        """Store an outcome for other runs.

        Raises:
            MissingResource: The disk is full.
        """
        folder, key = self._place(ref, outcome.items_hash)
        content = packed(ability_table([outcome]))
        remove_partials(folder.parent, older_than=_ABANDONED)
        try:
            with write_folder(folder, edits=0, bytes_needed=len(content), key=key) as partial:
                (partial / ABILITIES).write_bytes(content)
        except OSError:
            if self.find(ref, outcome.items_hash) is None:  # unless another process was quicker
                raise

    def _place(self, ref: AbilityRef, items_hash: str) -> tuple[Path, str]:
        text = json.dumps([ref.model_dump(mode="json"), items_hash, self._environment])
        key = hashlib.sha256(text.encode()).hexdigest()
        return self._cache / key[:24], key


def _outcome(content: pa.Table) -> AbilityOutcome:
    """The one outcome that `ability_table` made a table of."""
    rows = content.to_pylist()
    names = ItemOutcome.__dataclass_fields__
    items = tuple(ItemOutcome(**{name: row[name] for name in names}) for row in rows)
    first = rows[0]
    score = score_of(first["metric"], items)
    return AbilityOutcome(first["ability"], first["metric"], score, first["chance"], items, first["items_hash"])
