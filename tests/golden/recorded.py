"""Reading a folder of recorded reference runs, and replaying one of them with our editors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from palimpsest.editors.alphaedit import AlphaEdit
from palimpsest.editors.memit import Memit
from palimpsest.editors.memit_seq import MemitSeq
from palimpsest.editors.toolkit import pipeline
from palimpsest.editors.toolkit.keys import Ascent
from palimpsest.editors.toolkit.pipeline import LocateThenEdit
from palimpsest.editors.toolkit.targets.search import Targets
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.loading import load_model
from palimpsest.harness.model.pristine_statistics import SecondMoments
from palimpsest.harness.specs.cases import EditRequest
from palimpsest.harness.statistics.resources import with_statistics

EDITORS: dict[str, type[LocateThenEdit]] = {"memit_seq": MemitSeq, "alphaedit": AlphaEdit, "memit": Memit}
FIELDS = {
    "layers": "layers",
    "v_num_grad_steps": "target_steps",
    "v_lr": "target_learning_rate",
    "v_weight_decay": "target_weight_decay",
    "clamp_norm_factor": "clamp_norm_factor",
    "kl_factor": "kl_factor",
}
OWN_FIELDS = {
    "memit": {"mom2_update_weight": "second_moment_weight"},
    "memit_seq": {"mom2_update_weight": "second_moment_weight"},
    "alphaedit": {"nullspace_threshold": "nullspace_threshold", "L2": "ridge"},
}

ELSEWHERE = {
    "memit_rect", "sphere", "prune", "revive_memit_by_formula",
    "nse", "nse_p1", "deltaedit", "rome", "rome_noadj", "r_rome", "ft", "ft_l",
}  # fmt: skip
"""Runs with a test module of their own: filters, and editors that record other things than the pipeline's."""


@dataclass
class Replayed:
    """What our editor did in one batch, in the recorded arrays' shapes."""

    targets: Targets | None = None
    keys: list[Tensor] = field(default_factory=list)
    present: list[Tensor] = field(default_factory=list)
    updates: list[Tensor] = field(default_factory=list)
    remembered: list[Tensor] = field(default_factory=list)


class Recording:
    """One folder in the format of its README."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = self._json("hparams.json")
        self.requests: dict[str, Any] = self._json("requests.json")

    def editor(self, run: str) -> str | None:
        """Which of our editors a run belongs to; None if it is of another editor or sets what ours does not know."""
        name = next((e for e in EDITORS if run == e or run.startswith(f"{e}_")), None)
        known = {*FIELDS, *OWN_FIELDS.get(name or "", {}), "batches"}
        return name if name and set(self.settings["runs"][run]) <= known else None

    def covered(self) -> list[str]:
        return [run for run in self.settings["runs"] if self.editor(run) and (self.folder / f"{run}.npz").is_file()]

    def elsewhere(self) -> list[str]:
        return [run for run in self.settings["runs"] if run in ELSEWHERE and (self.folder / f"{run}.npz").is_file()]

    def having(self, names: Iterable[str]) -> list[str]:
        """Which of these runs the folder holds."""
        return [name for name in names if (self.folder / f"{name}.npz").is_file()]

    def not_covered(self) -> list[str]:
        done = {*self.covered(), *self.elsewhere()}
        return [run for run in self.settings["runs"] if run not in done and (self.folder / f"{run}.npz").is_file()]

    def arrays(self, run: str) -> dict[str, Any]:
        with np.load(self.folder / f"{run}.npz") as file:
            return dict(file)

    def batches(self, run: str) -> list[list[EditRequest]]:
        wanted = self.requests["batches"][: self.settings["runs"][run].get("batches")]
        return [[self.request(number) for number in batch] for batch in wanted]

    def request(self, number: int) -> EditRequest:
        entry = self.requests["requests"][number]
        target_true = entry.get("target_true", {}).get("str", "")
        return EditRequest(entry["case_id"], entry["prompt"], entry["subject"], entry["target_new"]["str"], target_true)

    def layers(self, run: str) -> list[int]:
        return list(self.setting(run)["layers"])

    def setting(self, run: str) -> dict[str, Any]:
        return {**self.settings["common"], **self.settings["runs"][run]}

    @cached_property
    def statistics(self) -> dict[str, Any]:
        with np.load(self.folder / "c0.npz") as file:
            return dict(file)

    @cached_property
    def moments(self) -> SecondMoments:
        triangles = self.statistics["C0_triu"]
        named = sorted(int(key.removeprefix("U_removed.l")) for key in self.statistics if key.startswith("U_removed.l"))
        layers = named if len(named) == len(triangles) else range(len(triangles))
        size = int((np.sqrt(8 * triangles.shape[1] + 1) - 1) / 2)
        matrices = {}
        for layer, triangle in zip(layers, triangles, strict=True):
            upper = np.zeros((size, size))
            upper[np.triu_indices(size)] = triangle
            matrices[layer] = torch.from_numpy(upper + np.triu(upper, 1).T)
        return SecondMoments(matrices, int(self.statistics["n_tokens"]), "recorded")

    def removed(self, layer: int) -> Tensor:
        return torch.from_numpy(self.statistics[f"U_removed.l{layer}"]).double()

    def model(self) -> EditableModel:
        model = load_model(str(self.folder / "model"), name="golden")
        with_statistics(model)
        model.resources.set_context_templates(self.requests["context_templates"])
        model.resources.set_second_moments(self.moments)
        return model

    def prepared(self, run: str, model: EditableModel, *, stored_projector: bool = True) -> LocateThenEdit:
        name = self.editor(run)
        assert name is not None
        fields = FIELDS | OWN_FIELDS[name]
        config = {ours: value for theirs, value in self.setting(run).items() if (ours := fields.get(theirs))}
        editor = EDITORS[name](EDITORS[name].Config(**config))
        editor.prepare(model)
        if isinstance(editor, AlphaEdit) and stored_projector:
            editor.removed = {layer: self.removed(layer) for layer in editor.config.layers}
        return editor

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


def noted_targets(module: Any, monkeypatch: Any) -> list[Targets]:
    """A list that receives the targets of every batch that ``module`` computes from here on."""
    found: list[Targets] = []
    compute = module.compute_targets

    def noted(*arguments: Any, **named: Any) -> Targets:
        found.append(compute(*arguments, **named))
        return found[-1]

    monkeypatch.setattr(module, "compute_targets", noted)
    return found


def replay(editor: LocateThenEdit, batch: list[EditRequest], monkeypatch: Any) -> Replayed:
    """One batch, with everything that goes through the pipeline noted down."""
    noted = Replayed()
    targets, present = pipeline.compute_targets, Ascent.stream
    solve, remember, add = editor.solve, editor.remember, editor.model.add_update

    def noted_targets(*arguments: Any, **named: Any) -> Targets:
        noted.targets = targets(*arguments, **named)
        return noted.targets

    def noted_present(*arguments: Any, **named: Any) -> Tensor:
        stream = present(*arguments, **named)
        noted.present.append(stream.T)
        return stream

    def noted_solve(keys: Tensor, layer: int) -> Tensor:
        noted.keys.append(keys)
        return solve(keys, layer)

    def noted_remember(keys: Tensor, layer: int) -> None:
        noted.remembered.append(keys)
        remember(keys, layer)

    def noted_add(layer: int, delta: Tensor) -> None:
        noted.updates.append(delta)
        add(layer, delta)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "compute_targets", noted_targets)
        patch.setattr(Ascent, "stream", noted_present)
        patch.setattr(editor, "solve", noted_solve)
        patch.setattr(editor, "remember", noted_remember)
        patch.setattr(editor.model, "add_update", noted_add)
        editor.edit(batch)
    return noted
