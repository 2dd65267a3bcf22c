"""The preset file that a tuning ends in."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from palimpsest.cli.tuning.protocol import Horizon
from palimpsest.cli.tuning.trials import Trial
from palimpsest.harness.plugins.presets import preset_name


def file_stem(model_name: str) -> str:
    """Name of a model's presets and of their records, without an ending."""
    return Path(preset_name("", model_name)).stem


def preset_text(
    editor_name: str,
    model_name: str,
    task_name: str,
    horizon: Horizon,
    settings: Mapping[str, Any],
    trial: Trial,
    options: Sequence[str] = (),
) -> str:
    """The preset file of the chosen trial: every field that is set, with what was tuned and what was fixed.

    Args:
        editor_name: As it was tuned.
        model_name: On which model.
        task_name: On which task.
        horizon: Edits of each trial.
        settings: Every field of the preset.
        trial: The chosen one.
        options: Words of the command that was given, behind the editor.
    """
    command = shlex.join(["palimpsest", "tune", editor_name, *options])
    kept = trial.points[-1].abilities_kept if trial.points else None
    lines = [
        f"# {editor_name} on {model_name}: chosen by `{command}`",
        f"# ({horizon.edits} edits of {task_name} in batches of {horizon.batch_size}; "
        "every trial is in the file beside this one):",
        f"# {trial.effective_edits:.1f} effective edits"
        + ("." if kept is None else f", abilities kept at the end {kept:.1f} %."),
    ]
    for name, value in settings.items():
        if value is None:
            continue  # TOML has no null; the default stands
        note = "  # tuned" if name in trial.config else ""
        lines.append(f"{name} = {json.dumps(value)}{note}")
    return "\n".join(lines) + "\n"
