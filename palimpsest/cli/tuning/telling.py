"""Reports of what tunings chose, for people and as JSON, and how a run takes presets that it does not find itself."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from palimpsest.cli import output
from palimpsest.cli.tuning.preset_text import file_stem
from palimpsest.cli.tuning.record import Tuning
from palimpsest.harness.plugins.compositions import complete
from palimpsest.harness.plugins.presets import presets_folder
from palimpsest.harness.specs.composition import HOST, parse, spell


def tell(tunings: Sequence[Tuning], model: str, name: str, *, everything: bool, as_json: bool) -> None:
    """Say what was chosen, and where it is.

    Args:
        tunings: Those that ended.
        model: As it was typed.
        name: Of the model, after which presets are called.
        everything: As a list, of one editor too.
        as_json: As one line of JSON.
    """
    if as_json:
        found = [
            {"editor": one.editor, "model": name, "best": one.chosen, "optimum": one.optimum, "trials": one.trials}
            for one in tunings
        ]
        output.json_line(found if everything else found[0])
        return
    rows = [
        (
            one.editor,
            round(one.chosen.effective_edits, 1),
            len(one.trials),
            output.duration(sum(trial.cpu_seconds for trial in one.trials)),
            ", ".join(f"{field} {value}" for field, value in one.chosen.config.items()),
            ", ".join(field for field, place in one.optimum.items() if place in ("edge", "untried")),
        )
        for one in tunings
    ]
    output.table(("editor", "effective edits", "trials", "CPU", "chosen", "not settled"), rows)
    files = {one.editor: one.record.with_name(f"{file_stem(name)}.toml") for one in tunings}
    for editor, file in files.items():
        output.line(f"Preset: {file}")
        if not _is_found(editor, file):
            words = ["--model", model, "--editor", editor, *_preset_words(editor, files)]
            output.note(f"A run takes it with: palimpsest run {shlex.join(words)} …")


def _is_found(editor: str, file: Path) -> bool:
    """True where a run finds the preset by itself: in the folder of presets beside the editor's module."""
    name, cls = complete(editor)[0]
    folder = presets_folder(cls.__module__)
    return folder is not None and file.resolve() == (folder / name / file.name).resolve()


def _preset_words(editor: str, files: Mapping[str, Path]) -> list[str]:
    """The options that give a run the presets of an editor and of its hosts, as far as they were tuned with it."""
    parts = parse(editor)
    inner = [spell(parts[depth:]) for depth in range(len(parts))]
    return [
        word
        for depth, one in enumerate(inner)
        if one in files
        for word in ("--preset", f"{'.'.join([editor, *[HOST] * depth])}={files[one]}")
    ]
