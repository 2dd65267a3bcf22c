"""The options that say where runs are done, and what each takes there."""

from __future__ import annotations

from typing import Annotated

import typer

from palimpsest.cli.options import MACHINE, whole_number

OnAnyOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="local[:N]|ray[:HOST:PORT]|slurm",
        envvar="PALIMPSEST_ON",
        help="Do N runs at once here, each in a process of its own (local:1: one after another in this process), or "
        "all on a Ray cluster, or hand them over to Slurm.",
        show_default="as many as cores and free memory allow",
        rich_help_panel=MACHINE,
    ),
]
OnPlanOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="local[:N]|ray[:HOST:PORT]|slurm",
        envvar="PALIMPSEST_ON",
        help="With ray or slurm measure nothing here: times come from what was measured on any machine of this home.",
        rich_help_panel=MACHINE,
    ),
]
SlurmOption = Annotated[
    str | None,
    typer.Option(
        "--slurm",
        metavar="WORDS",
        envvar="PALIMPSEST_SLURM",
        help='With --on slurm: further options of sbatch, as "--partition=gpu --account=x".',
        rich_help_panel=MACHINE,
    ),
]
DetachOption = Annotated[
    bool,
    typer.Option(
        "--detach",
        help="With --on ray: hand the runs over and end; the same command without it watches them.",
        rich_help_panel=MACHINE,
    ),
]
GpusOption = Annotated[
    int | None,
    typer.Option(
        "--gpus-per-run",
        parser=whole_number,
        metavar="N",
        help="With --on ray or slurm: GPUs of each run, more than one with --device-map auto.",
        show_default="1, on the CPU none",
        rich_help_panel=MACHINE,
    ),
]
MemoryOption = Annotated[
    int | None,
    typer.Option(
        "--memory",
        parser=whole_number,
        metavar="GB",
        help="Memory that each run is given, or counted with here.",
        show_default="what it is computed to need",
        rich_help_panel=MACHINE,
    ),
]
