"""`palimpsest plan`: what a suite would run, how far it is, about how long it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palimpsest.harness.cli import output

if TYPE_CHECKING:
    from palimpsest.harness.planning import PlannedRun

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest plan pocket\n\npalimpsest plan mine.yaml --json\n\nMore: docs/command-line.md"
)
def plan(
    suite: Annotated[str, typer.Argument(help="Name of a suite, or a YAML file.", metavar="SUITE")],
    home: output.HomeOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Show what a suite would run, how far each run is, and about how long it takes."""
    from palimpsest.harness.cli.flags import Flags, selected
    from palimpsest.harness.planning import installed_catalog
    from palimpsest.harness.planning import plan as plan_suite

    chosen, place = selected(Flags(suite=suite))
    rows = outlook(plan_suite(chosen, installed_catalog(), place=place), output.home_folder(home))
    known = [row["seconds"] for row in rows if row["seconds"] is not None]
    if as_json:
        total = sum(known) if len(known) == len(rows) else None
        output.json_line({"suite": chosen.name, "runs": rows, "seconds": total})
        return
    output.table(
        ["run", "editor", "model", "task", "seed", "state", "takes"],
        [[*list(row.values())[:6], output.duration(row["seconds"])] for row in rows],
    )
    left = [row for row in rows if row["seconds"] != 0]
    unknown = len(rows) - len(known)
    takes = f", about {output.duration(sum(known))}" if known else ""
    more = f", {unknown} of unknown length (no earlier run of the editor on the model)" if unknown else ""
    output.line(f"{len(left)} of {len(rows)} runs are left{takes}{more}.")


def outlook(planned: list[PlannedRun], home: Path) -> list[dict[str, Any]]:
    """For each run its id, names, seed, state and the seconds it still takes (None: not known)."""
    from palimpsest.harness.runstate import predict, run_state

    rows = []
    for spec in (run.spec for run in planned):
        estimate = predict(home, spec)
        rows.append(
            {
                "run": spec.id,
                "editor": spec.editor.name,
                "model": spec.model.name,
                "task": spec.task.name,
                "seed": spec.seed,
                "state": str(run_state(home, spec)),
                "seconds": None if estimate is None else estimate.seconds,
            }
        )
    return rows
