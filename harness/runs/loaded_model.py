"""A model in memory with what is made for it and shared by runs: digests, ability harnesses, its engine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.model.architectures import is_supported
from palimpsest.harness.model.catalogue import fingerprint, located, revision_of
from palimpsest.harness.model.digests import parameter_digests
from palimpsest.harness.model.loading import load_model
from palimpsest.harness.model.placement import Placement, use_threads
from palimpsest.harness.plugins.session import restore_pristine
from palimpsest.harness.scoring.self_test import try_architecture
from palimpsest.harness.statistics.npz import read_npz
from palimpsest.harness.statistics.resources import with_statistics

if TYPE_CHECKING:
    from palimpsest.harness.abilities.ability_harness import AbilityHarness
    from palimpsest.harness.abilities.engine import Engine
    from palimpsest.harness.abilities.items import AbilityFinder
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.model_entry import ModelEntry
    from palimpsest.harness.specs.run_spec import AbilityRef
    from palimpsest.harness.statistics.resources import Resources
    from palimpsest.harness.statistics.texts import TextFinder


@dataclass(slots=True)
class LoadedModel:
    """A model in memory with what was made for it."""

    model: EditableModel
    resources: Resources
    """Its statistics, which the harness may set and editors may ask."""
    fingerprint: str
    """As in the spec's `ModelRef`."""
    digests: Mapping[str, str]
    """Parameter → digest, as loaded."""
    folder: Path | None = None
    """Folder of its files."""
    revision: str | None = None
    """Commit on the hub that the files are of, where they come from there."""
    engine_name: str = "hf"
    seconds_load: float = 0.0
    harnesses: dict[tuple[AbilityRef, ...], AbilityHarness] = field(default_factory=dict)
    _engine: Engine | None = None

    def restored(self) -> bool:
        """Undo all edits; true if every parameter is as it was loaded, to the bit."""
        restore_pristine(self.model)
        return parameter_digests(self.model.model) == self.digests

    def engine(self) -> Engine:
        """The engine that answers ability tasks; started on first use and kept."""
        if self._engine is None:
            from palimpsest.harness.abilities.engines import make_engine

            self._engine = make_engine(self.engine_name, self.model, self.folder)
        return self._engine

    def abilities(self, refs: tuple[AbilityRef, ...], library: AbilityFinder) -> AbilityHarness | None:
        """The harness of these tasks, made before the first edit and used again."""
        if refs and refs not in self.harnesses:
            from palimpsest.harness.abilities.ability_harness import AbilityHarness

            self.harnesses[refs] = AbilityHarness(self.model, refs, library=library, engine=self.engine())
        return self.harnesses.get(refs)


def load(
    entry: ModelEntry,
    home: Path,
    *,
    expected: str | None = None,
    placement: Placement | None = None,
    statistics: str | None = None,
    texts: TextFinder,
) -> LoadedModel:
    """Load a model of the catalogue.

    Args:
        entry: The model.
        home: Folder of runs and caches.
        expected: The fingerprint that it must have; None: whatever it has.
        placement: Where it goes; None: the CPU.
        statistics: Text for key statistics in place of the model's own, or ``npz:PATH``.
        texts: Finds such texts by name.

    Raises:
        ConfigError: It has another fingerprint.
        MissingResource: It cannot be loaded.
        UsageError: Its architecture is not a tested one and fails a trial.
    """
    begin = time.perf_counter()
    placement = placement or Placement()
    placement.check()
    use_threads(placement)
    entry = located(entry)
    found = fingerprint(entry)
    if expected is not None and found != expected:
        raise ConfigError(
            f"Model {entry.name!r} is {found[:12]} now, but the run is of {expected[:12]}: its files have changed. "
            "Plan the run again, or give the folder of the right model."
        )
    model = load_model(
        str(entry.folder),
        name=entry.name,
        dtype=entry.dtype,
        device=placement.device,
        device_map=placement.device_map,
        known_fingerprint=found,
    )
    if not is_supported(model.model):
        try_architecture(model)
    resources = with_statistics(model, home / "models", offload=placement.offload)
    _set_statistics(resources, model.anatomy.d_inner, statistics or entry.statistics, texts)
    return LoadedModel(
        model,
        resources,
        found,
        digests=parameter_digests(model.model),
        folder=entry.folder,
        revision=revision_of(entry),
        engine_name=placement.engine,
        seconds_load=time.perf_counter() - begin,
    )


def _set_statistics(resources: Resources, size: int, name: str | None, texts: TextFinder) -> None:
    """Name the text of the statistics, or read recorded ones (``npz:PATH``)."""
    if name is None:
        return
    kind, _, place = name.partition(":")
    if kind == "npz":
        resources.set_second_moments(read_npz(Path(place), size))
        return
    text = texts(name)
    resources.set_statistics(text.name, text.read, fixed=text.fixed)
