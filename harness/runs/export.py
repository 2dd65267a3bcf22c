"""The edited model of a run as a folder that transformers loads."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.runs.reading import read_spec, summarise
from palimpsest.harness.runs.saves import Saves

if TYPE_CHECKING:
    from palimpsest.harness.runs.loaded_model import Statistics
    from palimpsest.tasks.registry import DataFiles


def export_model(
    run: Path,
    edits: int,
    folder: Path,
    *,
    model_source: str | None = None,
    data: DataFiles | None = None,
    statistics: Statistics | None = None,
) -> list[str]:
    """Write the model of a run as it was after ``edits`` edits, with its tokenizer.

    Args:
        run: The run's folder.
        edits: A batch boundary; 0: the pristine model. Where the run keeps no good save, the edits after the newest
            one before it are done again.
        folder: Where the model goes; must not exist, or be empty.
        model_source: Folder or hub id of the unedited model; None: the name in the run's spec.
        data: Local files for tasks whose data do not ship, should edits be done again.
        statistics: What ``--stats-text`` names, should edits be done again; None: the model's own text.

    Returns:
        Names of the parameters that the editor may have changed.

    Raises:
        UsageError: ``folder`` is taken, or ``edits`` lies within a batch or beyond what the run has made.
        ConfigError: The model, the data or the statistics found are not those of the run.
        MissingResource: They are not here.
        RunFailed: Edits done again came out otherwise than in the run.
    """
    from palimpsest.harness.runs.loaded_model import load
    from palimpsest.harness.runs.replay import check_position, newest_good_save, replay_run

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already. Choose a new or empty folder.")
    spec = read_spec(run)
    check_position(spec, edits)
    done = summarise(run).edits_done
    if edits > done:
        raise UsageError(f"Run {run.name} has made {done} edits so far; --edits can be at most that.")
    save = newest_good_save(run, spec, edits)
    if edits and (save is None or save.edits != edits):
        editing = replay_run(
            run.parent.parent, spec, edits, model_source=model_source, data=data, statistics=statistics
        )
        model, written = editing.model, list(editing.written)
    else:
        model = load(model_source or spec.model.name, spec.model.fingerprint, run.parent.parent).model
        weights = {} if save is None else Saves(run / "checkpoints", spec.id).read(save)[0]
        model.write_weights(weights)
        written = sorted(weights)
    if edits and not written:
        raise UsageError(
            f"{spec.editor.name} writes no weights: what it learned is in its state beside the model, and cannot be "
            "exported as a model."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        partial.chmod(0o755)
        model.model.save_pretrained(partial)
        model.tokenizer.save_pretrained(partial)
        if folder.is_dir():
            folder.rmdir()
        partial.replace(folder)
    except OSError as error:
        raise MissingResource(f"{folder} cannot be written: {error}. Make room or choose another place.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return written
