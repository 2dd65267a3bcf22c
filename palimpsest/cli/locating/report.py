"""Tracing and reach of one model as a table, as JSON, and as a figure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from palimpsest.cli import output
from palimpsest.cli.locating.proposal import Proposal
from palimpsest.cli.locating.reach import Reach
from palimpsest.cli.locating.tracing import KINDS, Trace
from palimpsest.harness.errors import UsageError
from palimpsest.harness.system.atomic_files import atomic_write_bytes
from palimpsest.site.parts.drawn import drawing

TITLES = {
    "block": "block at the subject",
    "last": "block at the end",
    "mlp": "MLPs at the subject",
    "attention": "attention at the subject",
}
"""Kind of state → words for it."""
_STYLES = (
    ("block", "#1f5fa8", "-"),
    ("last", "#6b6b6b", ":"),
    ("mlp", "#b3431e", "-"),
    ("attention", "#2c7a4b", "--"),
)
"""Kind of state, its colour, and its dashes."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found about one model."""

    model: str
    task: str
    trace: Trace
    reach: tuple[Reach, ...]
    proposal: Proposal
    file: Path
    """File in which `palimpsest tune` finds the proposal."""
    next_command: str = ""
    """Command that tunes editors by it, on the same facts."""

    def as_json(self) -> dict[str, Any]:
        """The report as one object."""
        return {
            "model": self.model,
            "task": self.task,
            "trace": asdict(self.trace),
            "reach": [asdict(one) for one in self.reach],
            "proposal": asdict(self.proposal),
            "file": self.file,
        }

    def print(self) -> None:
        """Print the table, what it rests on, and what to do next."""
        traced = self.trace
        reached = {one.block: one for one in self.reach}
        output.table(
            ["block", *(TITLES[kind] for kind in KINDS), "reached", "passes", "moved"],
            [
                [
                    block,
                    *(f"{100 * traced.effects[kind][block]:.1f}" for kind in KINDS),
                    *_reach_words(reached.get(block)),
                ]
                for block in range(len(traced.effects["block"]))
            ],
        )
        rests_on = f"{traced.facts} facts of {self.task}, {traced.draws} draws of noise each"
        shares = f"the true object has {100 * traced.clean:.1f} %, with noise {100 * traced.disturbed:.1f} %"
        output.line(
            f"Indirect effects in points of probability, over {rests_on}: {shares}. MLPs and attention are given back "
            f"in windows of {traced.window}. Reached: requests whose target vector at the block makes the new object "
            "likelier than not; moved: its length, in that of the state."
        )
        layers = ", ".join(map(str, self.proposal.layers))
        output.line(f"Proposed: layers {layers}; for editors that write one block, layer {self.proposal.layer}.")
        output.note(f"Kept in {self.file}. Next: {self.next_command}")


def _reach_words(found: Reach | None) -> list[str]:
    if found is None:
        return ["", "", ""]
    return [f"{found.reached} of {found.requests}", f"{found.passes:.1f}", f"{found.moved:.2f}"]


def check_figure(path: Path | None) -> None:
    """Refuse a file for the figure before anything long begins.

    Raises:
        UsageError: Its ending is no form of figures.
        MissingResource: The extra `figures` is not installed.
    """
    if path is None:
        return
    if path.suffix[1:] not in drawing.FORMS:
        raise UsageError(f"--figure {path}: expected a name that ends in {', '.join(drawing.FORMS)}.")
    drawing.require_matplotlib()


def draw(report: Report, path: Path) -> None:
    """Write the indirect effects by block, the blocks proposed shaded, as a PDF, SVG or PNG on white."""
    title = f"{output.clean(report.model)}: where {report.trace.facts} facts come back"
    with drawing.blank(title) as (figure, axes):
        for kind, colour, dash in _STYLES:
            values = [100 * value for value in report.trace.effects[kind]]
            axes.plot(range(len(values)), values, dash, color=colour, marker="o", markersize=3.5, label=TITLES[kind])
        axes.axvspan(report.proposal.layers[0] - 0.5, report.proposal.layers[-1] + 0.5, color="#000000", alpha=0.07)
        axes.set_xlabel("block")
        axes.set_ylabel("indirect effect, points of probability")
        axes.set_title(title, loc="left", fontsize=11)
        axes.legend(frameon=False)
        atomic_write_bytes(path, drawing.as_bytes(figure, path.suffix[1:], title, ""))
