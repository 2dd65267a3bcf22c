"""Work of the checks that needs a process of its own: an editor that goes on from a save, and whole runs.

    python -m palimpsest.cli.check_worker FOLDER

wires the rooms together and calls `main`. FOLDER holds ``task.json`` and the save; the weights and the state after the
next batch are written into it.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from palimpsest.harness.authoring.bench import Bench, copied
from palimpsest.harness.plugins.session import Editing
from palimpsest.harness.runs.installation import Installation
from palimpsest.harness.specs.cases import EditRequest

WEIGHTS, STATE, AFTER_WEIGHTS, AFTER_STATE = (
    f"{name}.safetensors" for name in ("weights", "state", "after-weights", "after-state")
)


ALONE = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
"""Environment variables of every child of a check: no GPU, no network."""


def main(folder: Path, installed: Installation) -> None:
    """Load the save in ``folder``, do one batch, and write what is there then."""
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    torch.set_num_threads(task["threads"])
    bench = Bench(task["editor"], task["overrides"], Path(task["home"]), installed, (task["model"],))
    with bench.editing(task["model"]) as editing:
        editing.load(load_file(folder / WEIGHTS), load_file(folder / STATE))
        editing.edit(task["number"], [EditRequest(**request) for request in task["batch"]])
        write_save(editing, folder / AFTER_WEIGHTS, folder / AFTER_STATE)


def write_save(editing: Editing, *files: Path) -> None:
    """Write weights and state into two files."""
    for file, tensors in zip(files, editing.snapshot(), strict=True):
        save_file({name: tensor.contiguous() for name, tensor in copied(tensors).items()}, file)
