"""Our editors against runs of the published reference implementations, array by array."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from palimpsest.editors.alphaedit import AlphaEdit
from palimpsest.editors.toolkit.requests import target_ids
from palimpsest.harness.model.pristine_statistics import SecondMoments
from palimpsest.harness.model.prompts import sentences
from tests.golden.recorded import Recording, replay

END_TO_END = {"memit": 1e-4, "memit_seq": 1e-4, "alphaedit": 1e-3}
SOLVE = {"memit": 2e-6, "memit_seq": 1e-5, "alphaedit": 1e-5}
OWN_PROJECTOR = 5e-3


def off(found: Any, recorded: Any) -> float:
    """Relative Frobenius error."""
    found, recorded = torch.as_tensor(found).double(), torch.as_tensor(recorded).double()
    assert found.shape == recorded.shape
    return float((found - recorded).norm() / recorded.norm())


def recorded_updates(arrays: dict[str, Any], batch: str) -> list[Tensor] | None:
    """Δ per layer, from itself or from its factors; None where a run holds neither."""
    if f"{batch}.delta" in arrays:
        return [torch.from_numpy(delta) for delta in arrays[f"{batch}.delta"]]
    if f"{batch}.A" in arrays:
        factors = zip(arrays[f"{batch}.R"], arrays[f"{batch}.A"], strict=True)
        return [torch.from_numpy(r.astype(np.float64) @ a.T) for r, a in factors]
    return None


def test_requests_are_tokenised_alike(golden: Recording) -> None:
    model = golden.model()
    for number, entry in enumerate(golden.requests["requests"]):
        request = golden.request(number)
        (sentence,) = sentences(model, [(request.prompt, request.subject)])
        assert list(sentence.ids) == entry["prompt_token_ids"]
        assert sentence.lookup == entry["lookup_index"]
        assert target_ids(model, request) == entry["target_token_ids"]


def test_statistics_are_collected_alike(golden: Recording) -> None:
    texts = golden.folder / "c0_texts.json"
    model = golden.model()
    content = json.loads(texts.read_text(encoding="utf-8"))
    lines = content if isinstance(content, list) else next(v for v in content.values() if isinstance(v, list))
    own = type(model.resources)(model, None)
    own.set_statistics("recorded texts", lambda: lines)
    found = own.second_moments(sorted(golden.moments.matrices))
    assert found.tokens == golden.moments.tokens
    for layer, recorded in golden.moments.matrices.items():
        assert off(found[layer], recorded) < 1e-5


def test_recorded_inputs_give_the_recorded_updates(golden: Recording, run: str) -> None:
    check_updates(golden, run, SOLVE[golden.editor(run) or ""], stored_projector=True)


def check_updates(golden: Recording, run: str, tolerance: float, *, stored_projector: bool) -> None:
    arrays = golden.arrays(run)
    editor = golden.prepared(run, golden.model(), stored_projector=stored_projector)
    for number in range(1, len(golden.batches(run)) + 1):
        updates = recorded_updates(arrays, f"b{number}")
        for i, layer in enumerate(golden.layers(run)):
            keys, residual = (torch.from_numpy(arrays[f"b{number}.{kind}"][i]) for kind in ("K", "R"))
            a = editor.solve(keys, layer)
            if f"b{number}.A" in arrays:
                assert off(a, arrays[f"b{number}.A"][i]) < tolerance
            if updates is not None:
                assert off(residual.double() @ a.T, updates[i]) < tolerance
        for i, layer in enumerate(golden.layers(run)):
            if f"b{number}.K_post" in arrays:
                editor.remember(torch.from_numpy(arrays[f"b{number}.K_post"][i]), layer)


def test_the_whole_run_is_reproduced(golden: Recording, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tolerance = END_TO_END[golden.editor(run) or ""]
    check_whole_run(golden, run, tolerance, monkeypatch, stored_projector=True)


def test_our_own_projector_gives_nearly_the_recorded_updates(
    golden: Recording, projected_run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Single updates only: targets of later batches amplify what the first projector's directions differ by."""
    check_updates(golden, projected_run, OWN_PROJECTOR, stored_projector=False)
    check_whole_run(golden, projected_run, OWN_PROJECTOR, monkeypatch, stored_projector=False, batches=1)


def test_our_own_projector_has_the_recorded_rank(golden: Recording, projected_run: str) -> None:
    editor = golden.prepared(projected_run, golden.model(), stored_projector=False)
    assert isinstance(editor, AlphaEdit)
    layers = list(golden.moments.matrices)
    for layer, removed in editor.removed.items():
        recorded = int(golden.statistics["projector_rank"][layers.index(layer)])
        assert len(removed) - removed.shape[1] == recorded


def check_whole_run(
    golden: Recording,
    run: str,
    tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
    *,
    stored_projector: bool,
    batches: int | None = None,
) -> None:
    arrays, layers = golden.arrays(run), golden.layers(run)
    model = golden.model()
    editor = golden.prepared(run, model, stored_projector=stored_projector)
    pristine = {layer: model.weight(layer).clone() for layer in layers}
    total = {layer: torch.zeros_like(weight).double() for layer, weight in pristine.items()}
    for number, batch in enumerate(golden.batches(run)[:batches], 1):
        noted = replay(editor, batch, monkeypatch)
        here = f"b{number}"
        assert noted.targets is not None
        assert off(noted.targets.z, arrays[f"{here}.z"]) < tolerance
        assert noted.targets.passes.tolist() == arrays[f"{here}.n_forward"].tolist()
        for ours, theirs in ((noted.targets.loss_first, "loss_first"), (noted.targets.loss_last, "loss_last")):
            np.testing.assert_allclose(ours.numpy(), arrays[f"{here}.{theirs}"], rtol=10 * tolerance, atol=tolerance)
        updates = recorded_updates(arrays, here)
        for i, layer in enumerate(layers):
            assert off(noted.keys[i], arrays[f"{here}.K"][i]) < tolerance
            assert off(noted.present[i], arrays[f"{here}.H"][i]) < tolerance
            residual = (noted.targets.z - noted.present[i]) / (len(layers) - i)
            assert off(residual, arrays[f"{here}.R"][i]) < tolerance
            if f"{here}.K_post" in arrays:
                assert off(noted.remembered[i], arrays[f"{here}.K_post"][i]) < tolerance
            if updates is not None:
                assert off(noted.updates[i], updates[i]) < tolerance
                total[layer] += updates[i].double()
                assert off(model.weight(layer), pristine[layer] + total[layer]) < tolerance
        check_norms(golden.folder, run, number, [model.weight(layer) for layer in layers], tolerance)
    if "C_p_last_layer_final" in arrays and batches is None:
        system, removed = editor.systems[layers[-1]], golden.removed(layers[-1])
        p = torch.eye(len(removed), dtype=torch.float64) - removed @ removed.T
        assert off(system.remembered(), p @ torch.from_numpy(arrays["C_p_last_layer_final"]).double() @ p) < tolerance


def check_norms(folder: Path, run: str, number: int, weights: list[Tensor], tolerance: float) -> None:
    recorded = json.loads((folder / "info.json").read_text(encoding="utf-8")).get(run, {}).get("batches", [])
    if len(recorded) >= number:
        norms = [float(weight.norm()) for weight in weights]
        assert norms == pytest.approx(recorded[number - 1]["W_fro"], rel=tolerance)


def test_recorded_updates_lead_to_the_recorded_bits(golden: Recording, run: str) -> None:
    info = json.loads((golden.folder / "info.json").read_text(encoding="utf-8")).get(run, {}).get("batches", [])
    arrays, model = golden.arrays(run), golden.model()
    for number, batch in enumerate(info, 1):
        for i, layer in enumerate(golden.layers(run)):
            if f"b{number}.delta" not in arrays:
                return  # only factors are recorded; their product may round otherwise
            model.add_update(layer, torch.from_numpy(arrays[f"b{number}.delta"][i]))
            bits = model.weight(layer).contiguous().numpy().astype("<f4").tobytes()
            assert hashlib.sha256(bits).hexdigest() == batch["W_sha256"][i]


def test_the_model_computes_the_recorded_logits(golden: Recording) -> None:
    model = golden.model()
    path = golden.folder / "logits.npz"
    recorded = next(iter(np.load(path).values())) if path.is_file() else np.zeros((0, 0))
    for number, logits in enumerate(recorded):
        ids = golden.requests["requests"][number]["prompt_token_ids"]
        with torch.no_grad():
            assert off(model.model(torch.tensor([ids])).logits[0, -1], logits) < 1e-5


def test_statistics_cover_every_replayed_layer(golden: Recording) -> None:
    assert isinstance(golden.moments, SecondMoments)
    for run in golden.covered():
        assert set(golden.layers(run)) <= set(golden.moments.matrices)
