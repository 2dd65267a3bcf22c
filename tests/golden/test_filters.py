"""Our filters against recorded runs: from recorded inputs, and whole runs recomputed from the requests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from palimpsest.editors.alphaedit import AlphaEdit
from palimpsest.editors.memit import Memit
from palimpsest.editors.prune import Prune
from palimpsest.editors.rect import Rect
from palimpsest.editors.revive import Revive
from palimpsest.editors.sphere import Sphere
from palimpsest.editors.toolkit.filtering import Filter
from palimpsest.editors.toolkit.pipeline import LocateThenEdit
from palimpsest.editors.toolkit.updates import full
from palimpsest.harness.editor import EditReport, LayerUpdate
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.statistics.spectrum import left_spectrum
from tests.golden.recorded import FIELDS, OWN_FIELDS, Recording
from tests.golden.test_golden import off

FROM_INPUTS = {"memit_rect": 2e-6, "revive_memit_by_formula": 2e-6, "sphere": 1e-5}
END_TO_END = {"memit_rect": 1e-4, "revive_memit_by_formula": 1e-4, "sphere": 1e-3}
PRUNE_VARIANTS = {"sigma_out": "e", "sigma_out_log2": 2.0, "sigma_out_linear": "linear"}


def recorded_cases(found: Recording) -> list[str]:
    there = found.having(("prune", "memit")) == ["prune", "memit"]
    return sorted({".".join(key.split(".")[:2]) for key in found.arrays("prune")}) if there else []


RUNS_OF = {
    "filtered_run": lambda found: found.having(FROM_INPUTS),
    "restrained": recorded_cases,
    "revived": lambda found: [run for run in found.having(["revive_memit_by_formula"]) if "k" in found.arrays(run)],
}


def host_of(golden: Recording, run: str) -> LocateThenEdit:
    name, cls = ("alphaedit", AlphaEdit) if run == "sphere" else ("memit", Memit)
    fields = FIELDS | OWN_FIELDS[name]
    settings = golden.settings["common"] | golden.settings["runs"].get(run, {})
    return cls(cls.Config(**{fields[theirs]: value for theirs, value in settings.items() if theirs in fields}))


def prepared(golden: Recording, run: str, model: EditableModel) -> Filter:
    made: dict[str, Filter] = {
        "memit_rect": Rect(Rect.Config(signed_denominator=True), host_of(golden, run)),
        "revive_memit_by_formula": Revive(Revive.Config(), host_of(golden, run)),
        "sphere": Sphere(Sphere.Config(), host_of(golden, run)),
    }
    editor = made[run]
    editor.prepare(model)
    if isinstance(editor.host, AlphaEdit):
        editor.host.removed = {layer: golden.removed(layer) for layer in editor.layers}
    return editor


def updates_before_and_after(run: str, arrays: dict[str, Any], batch: int, layer: int) -> tuple[LayerUpdate, Tensor]:
    """A recorded update as the filter gets it, and what the reference made of it, d_out × d_in."""
    b = f"b{batch}"
    if run == "sphere":
        return LayerUpdate(layer, delta=tensor(arrays[f"{b}.delta_raw"][layer])), tensor(arrays[f"{b}.delta"][layer])
    update = LayerUpdate(layer, tensor(arrays[f"{b}.R"][layer]), tensor(arrays[f"{b}.A"][layer]))
    if run == "memit_rect":
        kept = np.unpackbits(arrays[f"{b}.mask_packed"][layer], axis=-1).astype(bool)
        return update, torch.where(torch.from_numpy(kept), full(update), 0.0)
    r, a = arrays[f"{b}.l{layer}.R_safe"], arrays[f"{b}.l{layer}.A_safe"]
    return update, tensor(r @ a.T)


def tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.asarray(array)).double()


def batches(arrays: dict[str, Any]) -> list[int]:
    return sorted({int(key[1]) for key in arrays if key.startswith("b")})


def test_recorded_updates_become_the_recorded_filtered_ones(golden: Recording, filtered_run: str) -> None:
    arrays, model = golden.arrays(filtered_run), golden.model()
    editor = prepared(golden, filtered_run, model)
    for batch in batches(arrays):
        for layer in editor.layers:
            update, wanted = updates_before_and_after(filtered_run, arrays, batch, layer)
            report = EditReport()
            found = full(editor.filter(update, model.weight(layer), report))
            assert off(found, wanted) < FROM_INPUTS[filtered_run]
            if filtered_run == "memit_rect":
                assert torch.equal(found != 0, wanted != 0)
            if filtered_run == "sphere":
                assert report.values[f"principal_rank.{layer}"] == arrays[f"b{batch}.U_rank"][layer]
            model.add_update(layer, wanted)


def test_whole_filtered_runs_are_reproduced(golden: Recording, filtered_run: str) -> None:
    arrays, model = golden.arrays(filtered_run), golden.model()
    editor = prepared(golden, filtered_run, model)
    for batch in batches(arrays):
        before = {layer: model.weight(layer).double() for layer in editor.layers}
        report = editor.edit(golden.batches("memit")[batch - 1])
        assert report.values["target_passes"] == arrays[f"b{batch}.n_forward"].mean()
        for layer in editor.layers:
            _, wanted = updates_before_and_after(filtered_run, arrays, batch, layer)
            assert off(model.weight(layer).double() - before[layer], wanted) < END_TO_END[filtered_run]


def test_revive_protects_the_recorded_directions(golden: Recording, revived: str) -> None:
    arrays, model = golden.arrays(revived), golden.model()
    editor = prepared(golden, revived, model)
    assert isinstance(editor, Revive)
    for layer in editor.layers:
        assert editor.protected[layer].left.shape[1] == arrays["k"][layer]
        assert off(model.resources.weight_spectrum(layer).values, arrays["sigma_W0"][layer]) < 1e-9


def test_prune_compresses_as_recorded(golden: Recording, restrained: str) -> None:
    arrays, memit = golden.arrays("prune"), golden.arrays("memit")
    layer = int(restrained[-1])
    sums = sum(memit[f"b{batch}.R"][layer].astype(np.float64) @ memit[f"b{batch}.A"][layer].T for batch in (1, 2))
    update = tensor(sums) * float(arrays[f"{restrained}.scale"])  # D, d_out × d_in
    largest = float(arrays[f"{restrained}.sigma_max_W0"])
    rank = int((arrays[f"{restrained}.sigma_in"] > 1e-4).sum())
    values = left_spectrum(update).values
    assert off(values[:rank], arrays[f"{restrained}.sigma_in"][:rank]) < 2e-6
    for kind, alpha in PRUNE_VARIANTS.items():
        if f"{restrained}.{kind}" in arrays:
            prune = Prune(Prune.Config(alpha=alpha), host_of(golden, "memit"))
            wanted = arrays[f"{restrained}.{kind}"]
            assert off(prune.compressed(values, largest)[:rank], wanted[:rank]) < 2e-6
            found = prune.restraint(update, largest)
            assert found.clipped == int((arrays[f"{restrained}.sigma_in"] > largest).sum())
            evaluated = update if found.correction is None else update + found.correction
            assert off(left_spectrum(evaluated).values, np.sort(wanted)[::-1].copy()) < 2e-6
            if kind == "sigma_out" and f"{restrained}.D_out" in arrays:
                assert off(evaluated, arrays[f"{restrained}.D_out"]) < 2e-6
