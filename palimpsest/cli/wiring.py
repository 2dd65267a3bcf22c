"""What the harness is handed: the models, tasks, editors and abilities of this installation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from palimpsest.harness.specs.planning import Catalog
from palimpsest.harness.specs.run_spec import EditorRef, ModelRef

if TYPE_CHECKING:
    from palimpsest.tasks.ability_library import AbilityLibrary
    from palimpsest.tasks.registry import DataFiles


UNKNOWN = "0" * 64
"""Fingerprint of a model whose files are not here; its runs are only planned."""


def installed_catalog(
    library: AbilityLibrary | None = None, *, data: DataFiles | None = None, fetch: bool = True
) -> Catalog:
    """The models, tasks, editors and abilities of this installation.

    Args:
        library: Finds abilities also elsewhere; None: only those that ship and lm-eval's own.
        data: Local files for tasks whose data do not ship; None: those of the hub.
        fetch: Whether models that are not here are fetched; if not, their fingerprint is `UNKNOWN`.
    """
    from palimpsest.harness.model import catalogue
    from palimpsest.harness.plugins import configuration
    from palimpsest.tasks import ability_library
    from palimpsest.tasks.registry import DataFiles

    def model(name: str) -> ModelRef:
        entry = catalogue.resolve(name)
        here = fetch or catalogue.is_here(entry)
        fingerprint = catalogue.fingerprint(entry) if here else UNKNOWN
        return ModelRef.model_validate({"name": entry.name, "fingerprint": fingerprint, "dtype": entry.dtype})

    def editor(name: str, model_name: str, overrides: Mapping[str, Any]) -> EditorRef:
        complete = configuration.canonical_name(name)
        config = configuration.resolve_config(complete, model_name, dict(overrides))
        entry = configuration.find_editor(complete)
        return EditorRef(name=complete, config=config, distribution=entry.distribution, version=entry.version)

    return Catalog(model, (data or DataFiles()).load, editor, (library or ability_library.AbilityLibrary()).refs)
