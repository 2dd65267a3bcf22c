"""`palimpsest list`: the names that other commands take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import options, output
from palimpsest.cli.run_folders import list_runs
from palimpsest.harness.errors import unknown_name
from palimpsest.harness.metrics.probes import METRICS
from palimpsest.harness.model.catalogue import registered_models
from palimpsest.harness.plugins.entry_points import available_editors, misnamed
from palimpsest.tasks.ability_library import ability_groups, ability_names, local_tasks
from palimpsest.tasks.claim_files import claim_set_names
from palimpsest.tasks.registry import task_names
from palimpsest.tasks.suite_files import suite_names

app = typer.Typer(add_completion=False)

KINDS = ("editors", "models", "tasks", "abilities", "suites", "claims", "runs", "metrics")


@app.command(
    name="list",
    epilog="Examples:\n\npalimpsest list editors\n\npalimpsest list runs --json\n\nMore: docs/command-line.md",
)
def list_names(
    what: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.", metavar="WHAT")],
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """List editors, models, tasks, abilities, suites, claims, runs or metrics."""
    if what not in KINDS:
        raise unknown_name("Kind of list", what, KINDS, "palimpsest list --help")
    headers, rows = _runs(home) if what == "runs" else _LISTINGS[what]()
    if as_json:
        names = [header.replace(" ", "_") for header in headers]
        output.json_line([dict(zip(names, row, strict=True)) for row in rows])
    elif rows:
        output.table(headers, rows)
    else:
        output.note(f"There are no {what} yet.")


Listing = tuple[tuple[str, ...], list[tuple[object, ...]]]


def _editors() -> Listing:
    for text in misnamed():
        output.note(text)
    rows: list[tuple[object, ...]] = [
        (entry.name, entry.distribution, entry.version, entry.target) for entry in available_editors()
    ]
    return ("name", "distribution", "version", "target"), rows


def _models() -> Listing:
    rows: list[tuple[object, ...]] = []
    for entry in registered_models().values():
        there = entry.folder is not None and (entry.folder / "config.json").is_file()
        where = "hub" if entry.folder is None else "here" if there else "missing"
        rows.append((entry.name, where, entry.dtype, entry.description))
    return ("name", "where", "dtype", "description"), rows


def _tasks() -> Listing:
    return ("name", "description"), list(task_names().items())


def _abilities() -> Listing:
    """Groups and the tasks that ship; lm-eval's own are not listed, there are thousands."""
    rows: list[tuple[object, ...]] = []
    for name, group in ability_groups().items():
        limit = "all items" if group.limit is None else f"{group.limit} items each"
        rows.append((name, "group", f"{', '.join(group.stock or group.local)}; {limit}"))
    rows += [(name, "local data" if name in local_tasks() else "ships", "") for name in ability_names()]
    return ("name", "kind", "what"), rows


def _suites() -> Listing:
    return ("name", "description"), list(suite_names().items())


def _claims() -> Listing:
    return ("name", "description"), list(claim_set_names().items())


def _metrics() -> Listing:
    rows: list[tuple[object, ...]] = [
        (m.name, m.kind, m.direction, m.unit, m.applies, m.since_protocol, m.definition) for m in METRICS
    ]
    return ("name", "kind", "better", "unit", "tasks", "since protocol", "definition"), rows


def _runs(home: Path | None) -> Listing:
    rows: list[tuple[object, ...]] = [
        (
            run.run_id,
            run.name_in_spec("editor"),
            run.name_in_spec("model"),
            run.name_in_spec("task"),
            (run.spec or {}).get("seed"),
            run.status,
            run.edits_done,
            run.edits_planned,
            run.started_at,
        )
        for run in list_runs(options.home_folder(home))
    ]
    return ("run", "editor", "model", "task", "seed", "status", "edits", "planned", "started"), rows


_LISTINGS: dict[str, Callable[[], Listing]] = {
    "editors": _editors,
    "models": _models,
    "tasks": _tasks,
    "abilities": _abilities,
    "suites": _suites,
    "claims": _claims,
    "metrics": _metrics,
}
