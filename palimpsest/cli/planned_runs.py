"""The runs of a suite on this installation; where known facts are asked for, the list of each model comes first."""

from __future__ import annotations

from pathlib import Path

from palimpsest.cli.known_facts import per_model
from palimpsest.cli.means import Means
from palimpsest.cli.wiring import installed_catalog
from palimpsest.harness.specs.planning import Place, PlannedRun, plan
from palimpsest.harness.specs.suite import Suite


def planned_runs(
    suite: Suite,
    place: Place,
    given: Means,
    home: Path,
    *,
    unusable: dict[str, str] | None = None,
    fetch: bool = True,
    quiet: bool = False,
) -> list[PlannedRun]:
    """Every run of a suite, as `palimpsest.harness.specs.planning.plan` has them, which tells of errors, too.

    Args:
        suite: What is run.
        place: Says where a field of the suite was written.
        given: With what runs are done.
        home: Folder of caches.
        unusable: Receives the editors that cannot be imported.
        fetch: Fetch models that are not here, and list the facts that a model knows; if not, only what is here counts.
        quiet: Print nothing but warnings.
    """
    catalog = installed_catalog(given.installed, fetch=fetch)
    suites = per_model(suite, catalog, given, home, make=fetch, quiet=quiet)
    return [
        run
        for one in suites
        for run in plan(one, catalog, place=place, statistics=given.statistics_hash, unusable=unusable)
    ]
