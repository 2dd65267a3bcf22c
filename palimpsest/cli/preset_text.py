"""The preset file that a tuning ends in."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from palimpsest.harness.authoring.tuning import BATCH_SIZE, EDITS, Trial


def preset_text(
    editor_name: str,
    model_name: str,
    task_name: str,
    settings: Mapping[str, Any],
    trial: Trial,
    options: Sequence[str] = (),
) -> str:
    """The preset file of the best trial: every field that is set, with what was tuned and what was fixed.

    Args:
        editor_name: As it was tuned.
        model_name: On which model.
        task_name: On which task.
        settings: Every field of the preset.
        trial: The best one.
        options: Further words of the command that was given.
    """
    command = shlex.join(["palimpsest", "tune", editor_name, "--model", model_name, *options])
    lines = [
        f"# {editor_name} on {model_name}: the best of `{command}`",
        f"# ({EDITS} edits of {task_name} in batches of {BATCH_SIZE}; every trial is in the file beside this one):",
        f"# score {trial.score_argmax:.1f} (argmax), abilities kept {trial.abilities_kept:.1f} %.",
    ]
    for name, value in settings.items():
        if value is None:
            continue  # TOML has no null; the default stands
        note = "  # tuned" if name in trial.config else ""
        lines.append(f"{name} = {json.dumps(value)}{note}")
    return "\n".join(lines) + "\n"
