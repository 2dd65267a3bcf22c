"""Runs of a home, their curves, and the models that they made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.api.frames import frame
from palimpsest.cli.options import home_folder
from palimpsest.cli.run_folders import list_runs
from palimpsest.harness.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder."""

    id: str
    home: Path
    editor: str
    model_name: str
    task: str
    seed: int
    status: str
    """``complete``, ``collapsed``, ``failed`` or ``partial``."""
    edits: int
    """Edits that it has made so far, or survived."""
    planned: int

    def curve(self, metric: str, window: str = "all") -> pd.DataFrame:
        """A metric over the checkpoints: ``value``, ``low``, ``high`` and ``imputed``, by number of edits.

        Args:
            metric: As ``palimpsest list metrics``.
            window: Edits that are asked about: ``all``, ``first``, ``latest``; abilities kept have none.

        Raises:
            UsageError: The run has no such metric or window; names those that it has.
            StoreError: There is no store yet, or it cannot be read.
        """
        found = frame("metrics", self.home, run=self.id)
        if not len(found):
            raise UsageError(f"Run {self.id} is not in the store, or has no scores yet: palimpsest store ingest")
        chosen = found[(found["metric"] == metric) & found["window"].isin([window, ""])]
        if not len(chosen):
            names = ", ".join(sorted(found["metric"].unique()))
            windows = ", ".join(name for name in sorted(found["window"].unique()) if name)
            raise UsageError(f"Run {self.id} has no {metric!r} in window {window!r}. Metrics: {names}. {windows=}")
        return chosen.set_index("edits")[["value", "low", "high", "imputed"]]

    def model(self, edits: int, *, data: Sequence[str] = ()) -> Any:
        """The transformers model as it was after ``edits`` edits, of the run's own making, to the bit.

        From the newest save at most there, with the batches after it done again and checked against the journal. What
        an editor does only while it is scored is not in it.

        Args:
            edits: The end of a batch that the run has reached; 0: the unedited model.
            data: Files of the task's records, where the run had them from files, as ``--data`` takes them.

        Raises:
            UsageError: ``edits`` is no end of a batch, or beyond what the run has made.
            PalimpsestError: Model or data are not here, or not those of the run; edits come out otherwise here.
        """
        from palimpsest.cli.wiring import installation
        from palimpsest.harness.runs import layout
        from palimpsest.harness.runs.reading import read_spec
        from palimpsest.harness.runs.replay import replay_run
        from palimpsest.tasks.registry import data_files

        if edits > self.edits:
            raise UsageError(f"Run {self.id} has made {self.edits} edits so far; edits={edits} is beyond that.")
        spec = read_spec(self.home / layout.RUNS / self.id)
        installed = installation(data_files(data, [spec.task.name.partition(":")[0]]))
        return replay_run(self.home, spec, edits, installed=installed).model.model

    def tokenizer(self) -> Any:
        """The tokenizer of its model."""
        from transformers import AutoTokenizer

        from palimpsest.harness.model.catalogue import located, resolve

        return AutoTokenizer.from_pretrained(str(located(resolve(self.model_name)).folder), trust_remote_code=False)


def runs(home: Path | str | None = None) -> list[Run]:
    """Every readable run of a home, the newest last.

    Args:
        home: Folder of runs and store; None: ``PALIMPSEST_HOME``, else ``./.palimpsest``.
    """
    place = home_folder(None if home is None else Path(home))
    return [
        Run(
            id=found.run_id,
            home=place,
            editor=found.name_in_spec("editor") or "",
            model_name=found.name_in_spec("model") or "",
            task=found.name_in_spec("task") or "",
            seed=int(found.spec.get("seed", 0)),
            status=found.status,
            edits=found.edits_done,
            planned=found.edits_planned or 0,
        )
        for found in list_runs(place)
        if found.spec is not None
    ]
