"""Things that the harness is handed: the models, tasks, editors, abilities and texts of this installation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from palimpsest.cli.model_download import offered
from palimpsest.harness.model import catalogue
from palimpsest.harness.plugins import configuration
from palimpsest.harness.plugins.compositions import canonical_name
from palimpsest.harness.runs.installation import Installation
from palimpsest.harness.specs.model_entry import ModelEntry
from palimpsest.harness.specs.planning import Catalog
from palimpsest.harness.specs.run_spec import EditorRef, ModelRef
from palimpsest.tasks.ability_library import AbilityLibrary
from palimpsest.tasks.registry import DataFiles
from palimpsest.tasks.statistics_texts import find_text

UNKNOWN = "0" * 64
"""Fingerprint of a model whose files are not here; its runs are only planned."""


def installation(data: DataFiles | None = None, ability_data: Sequence[Path] = ()) -> Installation:
    """The finders of this installation.

    Args:
        data: Local files for tasks whose data do not ship; None: those of the hub.
        ability_data: Folders with the items of ability tasks that ship without them.
    """
    return Installation(data or DataFiles(), AbilityLibrary(ability_data), find_text)


def installed_catalog(installed: Installation | None = None, *, fetch: bool = True) -> Catalog:
    """Resolver of the names of a suite to content here.

    Args:
        installed: Finds tasks and abilities; None: `installation` without local files.
        fetch: Whether models that are not here are fetched; if not, their fingerprint is `UNKNOWN`.
    """
    finders = installed or installation()

    def model(name: str) -> tuple[ModelRef, ModelEntry]:
        entry = catalogue.resolve(name)
        fingerprint = UNKNOWN
        if fetch:
            offered(entry)
        if fetch or catalogue.is_here(entry):
            entry = catalogue.located(entry)
            fingerprint = catalogue.fingerprint(entry)
        ref = ModelRef.model_validate({"name": entry.name, "fingerprint": fingerprint, "dtype": entry.dtype})
        return ref, entry

    def editor(name: str, model_name: str, overrides: Mapping[str, Any]) -> EditorRef:
        complete = canonical_name(name)
        config = configuration.resolve_config(complete, model_name, dict(overrides))
        entry = configuration.find_editor(complete)
        return EditorRef(name=complete, config=config, distribution=entry.distribution, version=entry.version)

    return Catalog(model, finders.tasks.load, editor, finders.abilities.refs)
