"""The edited model of a run as a folder that transformers loads."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from palimpsest.harness.checkpoint import Save, Saves
from palimpsest.harness.errors import ConfigError, MissingResource, UsageError
from palimpsest.harness.runfolder import read_spec


def export_model(run: Path, edits: int, folder: Path, *, model_source: str | None = None) -> list[str]:
    """Write the model of a run as it was after ``edits`` edits, with its tokenizer.

    Args:
        run: The run's folder.
        edits: A checkpoint of which the run still keeps the weights; 0: the pristine model.
        folder: Where the model goes; must not exist, or be empty.
        model_source: Folder or hub id of the unedited model; None: the name in the run's spec.

    Returns:
        Names of the parameters that come from the checkpoint.

    Raises:
        UsageError: ``folder`` is taken, or the run keeps no weights at ``edits``.
        ConfigError: The model found is not the one that was edited.
        MissingResource: The checkpoint is damaged, or the model is not here.
    """
    from palimpsest.harness.model import load_model
    from palimpsest.harness.model_registry import fingerprint, locate, resolve

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already. Choose a new or empty folder.")
    spec = read_spec(run)
    save = _save(run, spec.id, edits) if edits else None
    entry = resolve(model_source or spec.model.name)
    found = fingerprint(entry)
    if found != spec.model.fingerprint:
        raise ConfigError(
            f"Model {entry.name!r} here is {found[:12]}, but the run edited {spec.model.fingerprint[:12]}. "
            "Give the folder or hub id of the right one with --model."
        )
    model = load_model(str(locate(entry)), name=entry.name, dtype=entry.dtype, known_fingerprint=found)
    weights = {} if save is None else Saves(run / "checkpoints", spec.id).read(save)[0]
    model.write_weights(weights)
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
    return sorted(weights)


def _save(run: Path, run_id: str, edits: int) -> Save:
    saves = Saves(run / "checkpoints", run_id)
    kept = saves.positions()
    if edits not in kept:
        there = f"at {', '.join(map(str, kept))} edits" if kept else "of no checkpoint"
        raise UsageError(
            f"Run {run.name} keeps no weights at {edits} edits; it keeps those {there} (a run keeps the newest two). "
            "For others, run with --limit and export before going on."
        )
    problems = saves.problems(edits)
    if problems:
        raise MissingResource(
            f"The checkpoint of run {run.name} at {edits} edits is damaged: {'; '.join(problems)}. "
            "The command that made the run makes it again."
        )
    return Save(edits, run / "checkpoints" / f"{edits:06d}")
