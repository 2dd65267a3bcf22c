"""A model in memory with what is made for it and shared by runs: digests, ability harnesses, its engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.model.digests import parameter_digests
from palimpsest.harness.model.placement import Placement
from palimpsest.harness.plugins.session import restore_pristine

if TYPE_CHECKING:
    from palimpsest.harness.abilities.ability_harness import AbilityHarness
    from palimpsest.harness.abilities.engine import Engine
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.run_spec import AbilityRef
    from palimpsest.tasks.ability_library import AbilityLibrary


@dataclass(slots=True)
class LoadedModel:
    """A model in memory with what was made for it."""

    model: EditableModel
    fingerprint: str
    """As in the spec's `ModelRef`."""
    digests: Mapping[str, str]
    """Parameter → digest, as loaded."""
    folder: Path | None = None
    """Where its files are."""
    revision: str | None = None
    """Commit on the hub that the files are of, where they come from there."""
    engine_name: str = "hf"
    seconds_load: float = 0.0
    harnesses: dict[tuple[AbilityRef, ...], AbilityHarness] = field(default_factory=dict)
    _engine: Engine | None = None

    def restored(self) -> bool:
        """Undo all edits; whether every parameter is as it was loaded, to the bit."""
        restore_pristine(self.model)
        return parameter_digests(self.model.model) == self.digests

    def engine(self) -> Engine:
        """Who answers ability tasks; started on first use and kept."""
        if self._engine is None:
            from palimpsest.harness.abilities.engines import make_engine

            self._engine = make_engine(self.engine_name, self.model, self.folder)
        return self._engine

    def abilities(self, refs: tuple[AbilityRef, ...], library: AbilityLibrary | None = None) -> AbilityHarness | None:
        """The harness of these tasks, made before the first edit and used again."""
        if refs and refs not in self.harnesses:
            from palimpsest.harness.abilities.ability_harness import AbilityHarness

            self.harnesses[refs] = AbilityHarness(self.model, refs, library=library, engine=self.engine())
        return self.harnesses.get(refs)


def load(
    source: str,
    fingerprint: str,
    home: Path,
    *,
    placement: Placement | None = None,
    statistics: str | None = None,
) -> LoadedModel:
    """Load the model behind ``source`` and check that it is the one with this fingerprint.

    Args:
        source: What `model_registry.resolve` takes.
        fingerprint: As in the spec's `ModelRef`.
        home: Folder of runs and caches.
        placement: Where it goes; None: the CPU.
        statistics: Text for key statistics in place of the model's own; see `tasks.statistics.statistics_text`.

    Raises:
        ConfigError: It is another one.
        MissingResource: It cannot be loaded.
    """
    from palimpsest.harness.model.catalogue import fingerprint as fingerprint_of_files
    from palimpsest.harness.model.catalogue import locate, resolve, revision_of
    from palimpsest.harness.model.loading import load_model

    begin, placement = time.perf_counter(), placement or Placement()
    placement.check()
    entry = resolve(source)
    found = fingerprint_of_files(entry)
    if found != fingerprint:
        raise ConfigError(
            f"Model {entry.name!r} is {found[:12]} now, but the run is of {fingerprint[:12]}: its files have changed. "
            "Plan the run again, or give the folder of the right model."
        )
    folder = locate(entry)
    model = load_model(
        str(folder),
        name=entry.name,
        dtype=entry.dtype,
        cache=home / "models",
        device=placement.device,
        device_map=placement.device_map,
        offload=placement.offload,
        known_fingerprint=found,
    )
    _set_statistics(model, statistics or entry.statistics)
    digests = parameter_digests(model.model)
    revision, seconds = revision_of(entry, folder), time.perf_counter() - begin
    return LoadedModel(model, fingerprint, digests, folder, revision, placement.engine, seconds)


def _set_statistics(model: EditableModel, name: str | None) -> None:
    """Name the text of the statistics, or read recorded ones (``npz:PATH``)."""
    if name is None:
        return
    kind, _, place = name.partition(":")
    if kind == "npz":
        from palimpsest.harness.statistics.npz import read_npz

        model.resources.set_second_moments(read_npz(Path(place), model.anatomy.d_inner))
        return
    from palimpsest.tasks.statistics_texts import WIKIPEDIA, statistics_text

    texts: Callable[[], Iterable[str]] = lambda: statistics_text(name)  # noqa: E731
    if name == "wikipedia":
        model.resources.set_statistics("@".join(WIKIPEDIA), texts, fixed=True)
    else:
        model.resources.set_statistics(name, texts)


class Statistics(NamedTuple):
    """Key statistics in place of the model's own."""

    source: str
    """As `load` takes it."""
    digest: str
    """What identifies it in a spec."""


def statistics_source(path: Path) -> Statistics:
    """What ``--stats-text`` names.

    Raises:
        UsageError: There is no such file.
        ConfigError: It cannot be read.
    """
    import hashlib

    if path.is_dir() or path.suffix == ".npz":
        from palimpsest.harness.statistics.npz import read_npz

        return Statistics(f"npz:{path}", read_npz(path).texts_hash)
    from palimpsest.tasks.statistics_texts import paragraphs

    return Statistics(f"file:{path}", hashlib.sha256("\n\n".join(paragraphs(path)).encode()).hexdigest())
