"""Every file of a finished run, damaged in every way: the same command ends with the numbers of an undamaged one."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from benchmarks.damage import DAMAGES
from palimpsest.harness.model.editable import EditableModel
from tests.labs.run_lab import SHORT, copied, results, run, spec

TOLD_ELSEWHERE = {"lock", "events.jsonl", "environment.json"}
"""Files without a number; the journal and the environment have tests of their own."""


@pytest.mark.parametrize("number", range(len(DAMAGES)), ids=[damage.__name__ for damage in DAMAGES])
def test_the_damaged_files_of_a_run_are_made_anew(
    number: int, whole: Path, tmp_path: Path, lab_model: EditableModel
) -> None:
    """A seeded eight of them; with a damaged save the run has still to go on from it."""
    names = [str(path.relative_to(whole)) for path in sorted(whole.rglob("*")) if path.is_file()]
    names = [name for name in names if Path(name).name not in TOLD_ELSEWHERE]
    for place, name in enumerate(random.Random(number).sample(names, 8)):
        home = tmp_path / str(place)
        folder = copied(whole, home)
        if name.startswith("checkpoints"):
            (folder / "result.json").unlink()
            shutil.rmtree(folder / "scores" / "000004")
        DAMAGES[number](folder / name, random.Random(name))
        outcome = run(home, spec({}, **SHORT), lab_model)
        assert outcome.status == "complete", name
        assert of_the_end(folder) == of_the_end(whole), name


def of_the_end(folder: Path) -> dict[str, str]:
    """Results without the earlier save, which a run that goes on need not have."""
    return {name: digest for name, digest in results(folder).items() if not name.startswith("checkpoints/000002")}
