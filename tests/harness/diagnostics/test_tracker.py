"""The tracker watches an editor: right numbers, the same after a save, and nothing of the run disturbed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from palimpsest.editors.toolkit.keys import keys_at
from palimpsest.harness.diagnostics import edits
from palimpsest.harness.diagnostics.tracker import Tracker
from palimpsest.harness.editor import Editor, EditorConfig, EditReport, LayerUpdate
from palimpsest.harness.metrics.diagnostic_definitions import EVALUATED, RECORDS, record
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.plugins.configuration import build_editor
from palimpsest.harness.plugins.guard import seed_everything
from palimpsest.harness.specs.cases import EditRequest
from palimpsest.harness.specs.schedule import Batch
from tests.labs.tiny_models import REQUESTS, tiny_model

LAYERS = (1, 2)
MEMIT: dict[str, Any] = {
    "layers": list(LAYERS),
    "target_steps": 3,
    "target_learning_rate": 0.3,
    "second_moment_weight": 10.0,
    "statistics_tokens": 200,
}
Numbers = Mapping[tuple[str, int | None], float]


class Restrained(Editor):
    """Adds random rank-one updates; is scored with only half of them."""

    def prepare(self, model: EditableModel) -> None:
        self.model = model

    def writes(self) -> Collection[str]:
        return [self.model.anatomy.weight_name(1)]

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        report = EditReport()
        weight = self.model.weight(1)
        alpha, beta = torch.randn(weight.shape[0], len(batch)), torch.randn(weight.shape[1], len(batch))
        self.model.add_update(1, alpha @ beta.T)
        if self.record_updates:
            report.updates.append(LayerUpdate(1, influence=alpha, activation=beta, keys=beta))
        return report

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        name = self.model.anatomy.weight_name(1)
        before = self.model.read_weights([name])
        self.model.write_weights({name: (before[name] + self.model.pristine(name)) / 2})
        yield
        self.model.write_weights(before)


def started(
    model: EditableModel, editor: Editor, level: Any = "cheap", *, watched: bool = True
) -> tuple[Editor, Tracker | None]:
    editor.prepare(model)
    model.write_weights(model.read_weights(editor.writes()))
    return editor, Tracker(model, editor.writes(), editor, level) if watched else None


def do(editor: Editor, tracker: Tracker | None, number: int, size: int = 2) -> EditReport:
    batch = Batch(number, number * size, (number + 1) * size)
    requests = [REQUESTS[position % len(REQUESTS)] for position in range(batch.start, batch.stop)]
    if tracker:
        tracker.before(batch)
    seed_everything(0, number)
    report = editor.edit(requests)
    if tracker:
        tracker.after(batch, requests, report.updates)
    return report


def numbers(tracker: Tracker | None, batches: int) -> Numbers:
    assert tracker is not None
    return {(row.name, row.layer): row.value for row in tracker.measure(batches)}


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def measured(request: pytest.FixtureRequest) -> tuple[EditableModel, Numbers, list[EditReport]]:
    model = tiny_model(request.param)
    editor, tracker = started(model, build_editor("memit", MEMIT))
    reports = [do(editor, tracker, number) for number in range(3)]
    return model, numbers(tracker, 3), reports


def oriented(model: EditableModel, name: str) -> Tensor:
    weight = model.pristine(name)
    return weight.T if model.anatomy.transposed else weight


def test_weights_are_measured_in_the_orientation_of_the_formulas(measured: Any) -> None:
    model, found, _ = measured
    for layer in LAYERS:
        pristine = oriented(model, model.anatomy.weight_name(layer))
        update = (model.weight(layer) - pristine).double()
        largest = float(torch.linalg.matrix_norm(update, 2))
        assert found["update_norm", layer] == pytest.approx(float(update.norm()))
        assert found["update_spectral_norm", layer] == pytest.approx(largest)
        ratio = largest / float(torch.linalg.matrix_norm(pristine.double(), 2))
        assert found["spectral_norm_ratio", layer] == pytest.approx(ratio)
        assert found["condition_number", layer] == pytest.approx(float(torch.linalg.cond(model.weight(layer).double())))
        c0 = model.resources.second_moments(LAYERS, 200)[layer]
        assert found["pretrained_drift", layer] == pytest.approx(float((update @ c0 @ update.T).trace()))


def test_rank_of_keys_is_that_of_the_clean_keys_of_all_edits(measured: Any) -> None:
    model, found, _ = measured
    assert found["stored_edits", 1] == 6
    assert 1 <= found["key_stable_rank", 1] <= found["key_effective_rank", 1] <= 6
    # Blocks before the first edited one are pristine, so its keys are the same at any time.
    spectrum = torch.linalg.matrix_norm(keys_at(model, REQUESTS[:6], [["{}"]], 1).double(), 2)
    norm = keys_at(model, REQUESTS[:6], [["{}"]], 1).double().norm()
    assert found["key_stable_rank", 1] == pytest.approx(float((norm / spectrum) ** 2), rel=1e-5)


def test_overlaps_are_those_of_the_reported_factors(measured: Any) -> None:
    _, found, reports = measured
    updates = [update for report in reports for update in report.updates if update.layer == 1]
    stacked = [torch.cat([getattr(u, name) for u in updates], dim=1).T for name in ("keys", "activation", "influence")]
    expected = edits.overlap(*stacked)
    assert found["activation_overlap", 1] == pytest.approx(expected.activation, rel=1e-5)
    assert found["influence_overlap", 1] == pytest.approx(expected.influence, rel=1e-5)


def test_every_number_has_a_record_and_every_record_of_weights_a_number() -> None:
    model = tiny_model()
    editor, tracker = started(model, build_editor("memit", MEMIT), "full")
    for number in range(2):
        do(editor, tracker, number)
    found = {record(name) for name, _ in numbers(tracker, 2)}
    assert None not in found
    assert found == {entry for entry in RECORDS if entry.group not in ("targets", "events")}


def test_noise_of_batches_of_one_is_that_of_the_paper() -> None:
    model = tiny_model()
    editor, tracker = started(model, Restrained(EditorConfig()))
    reports = [do(editor, tracker, number, size=1) for number in range(4)]
    keys = keys_at(model, REQUESTS[:4], [["{}"]], 1).T.double()  # not changed by writing their own layer
    deltas = [update.influence @ update.activation.T for r in reports for update in r.updates]  # type: ignore[union-attr,operator]
    squared = []
    for e, key in enumerate(keys):
        all_of_them = sum((delta.double() @ key for delta in deltas), torch.zeros(32))
        squared.append(float(all_of_them.square().sum() - (deltas[e].double() @ key).square().sum()))
    assert numbers(tracker, 4)["superimposed_noise", 1] == pytest.approx(sum(squared) / 4, rel=1e-3)


def test_before_the_first_edit_nothing_has_changed() -> None:
    _, tracker = started(tiny_model(), build_editor("memit", MEMIT))
    found = numbers(tracker, 0)
    for layer in LAYERS:
        assert found["update_norm", layer] == found["spectral_norm_ratio", layer] == 0
        assert found["subspace_similarity", layer] == pytest.approx(1)
        assert found["vector_similarity", layer] == pytest.approx(1)
        assert found["hyperspherical_energy_ratio", layer] == 1
        assert ("protected_energy", layer) not in found  # not defined without an update


@pytest.mark.parametrize("level", ["cheap", "full"])
def test_a_restored_tracker_measures_the_same_bits(level: Any) -> None:
    model, again = tiny_model(), tiny_model()
    editor, tracker = started(model, Restrained(EditorConfig()), level)
    other, resumed = started(again, Restrained(EditorConfig()), level)
    do(editor, tracker, 0)
    assert tracker is not None and resumed is not None
    again.write_weights(model.read_weights(editor.writes()))
    resumed.load_state_dict(tracker.state_dict())
    for number in (1, 2):
        do(editor, tracker, number)
        do(other, resumed, number)
    assert tracker.measure(3) == resumed.measure(3)
    saved = resumed.state_dict()
    assert saved.keys() == tracker.state_dict().keys()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in tracker.state_dict().items())


def test_a_tracker_without_a_state_begins_where_it_is() -> None:
    model = tiny_model()
    editor, tracker = started(model, Restrained(EditorConfig()), "full")
    do(editor, None, 0)
    assert tracker is not None
    tracker.load_state_dict({})
    do(editor, tracker, 1)
    assert numbers(tracker, 2)["stored_edits", 1] == 2


def test_the_way_of_the_energy_is_followed_batch_by_batch_with_full() -> None:
    model = tiny_model()
    editor, tracker = started(model, Restrained(EditorConfig()), "full")
    do(editor, tracker, 0)
    first = numbers(tracker, 1)
    do(editor, tracker, 1)
    second = numbers(tracker, 2)
    ratios = [1.0, first["hyperspherical_energy_ratio", 1], second["hyperspherical_energy_ratio", 1]]
    expected = (abs(ratios[1] - ratios[0]) + abs(ratios[2] - ratios[1])) / 2
    assert second["hyperspherical_energy_path", 1] == pytest.approx(expected)
    assert second["hyperspherical_energy_change", 1] == pytest.approx(abs(ratios[2] - 1) / 2)


def test_weights_that_are_scored_otherwise_are_measured_too() -> None:
    model = tiny_model()
    editor, tracker = started(model, Restrained(EditorConfig()))
    do(editor, tracker, 0)
    assert tracker is not None
    with editor.evaluated():
        tracker.see_scored()
    found = numbers(tracker, 1)
    assert found[f"{EVALUATED}update_norm", 1] == pytest.approx(found["update_norm", 1] / 2, rel=1e-5)
    assert ("superimposed_noise", 1) in found and (f"{EVALUATED}superimposed_noise", 1) not in found
    assert f"{EVALUATED}update_norm" not in {name for name, _ in numbers(tracker, 1)}  # only what was seen since


def test_an_editor_that_scores_what_it_writes_is_measured_once() -> None:
    model = tiny_model()
    editor, tracker = started(model, build_editor("memit", MEMIT))
    do(editor, tracker, 0)
    assert tracker is not None
    tracker.see_scored()
    assert not [name for name, _ in numbers(tracker, 1) if name.startswith(EVALUATED)]


@pytest.mark.parametrize("level", ["cheap", "full"])
def test_watching_changes_neither_weights_nor_reports_nor_generators(level: Any) -> None:
    results = []
    for watched in (True, False):
        model = tiny_model()
        editor, tracker = started(model, build_editor("memit", MEMIT), level, watched=watched)
        reports = []
        for number in range(2):
            reports.append(do(editor, tracker, number))
            if tracker:
                tracker.measure(number + 1)
        state = torch.get_rng_state()
        results.append((model.read_weights(editor.writes()), [(r.counters, r.values) for r in reports], state))
    (weights, watched_reports, state), (other, unwatched, untouched) = results
    assert all(torch.equal(weight, other[name]) for name, weight in weights.items())
    assert watched_reports == unwatched and torch.equal(state, untouched)


def test_an_editor_that_writes_no_down_projection_is_only_measured_by_its_norms() -> None:
    class Norms(Restrained):
        def writes(self) -> Collection[str]:
            return ["model.norm.weight"]

        def edit(self, batch: Sequence[EditRequest]) -> EditReport:
            name = "model.norm.weight"
            self.model.write_weights({name: self.model.read_weights([name])[name] * 2})
            return EditReport()

    model = tiny_model()
    editor, tracker = started(model, Norms(EditorConfig()))
    do(editor, tracker, 0)
    assert tracker is not None and tracker.state_dict() == {}
    assert {name for name, _ in numbers(tracker, 1)} == {
        f"{norm}:model.norm.weight" for norm in ("weight_norm", "update_norm")
    }
    assert not editor.record_updates


def test_a_memory_based_editor_has_no_diagnostics() -> None:
    class Memory(Restrained):
        def writes(self) -> Collection[str]:
            return []

        def edit(self, batch: Sequence[EditRequest]) -> EditReport:
            return EditReport()

    editor, tracker = started(tiny_model(), Memory(EditorConfig()), "full")
    do(editor, tracker, 0)
    assert numbers(tracker, 1) == {}


def test_updates_without_factors_leave_out_the_overlaps() -> None:
    class Masked(Restrained):
        def edit(self, batch: Sequence[EditRequest]) -> EditReport:
            report = super().edit(batch)
            report.updates = [LayerUpdate(1, delta=torch.zeros(1))]
            return report

    editor, tracker = started(tiny_model(), Masked(EditorConfig()))
    do(editor, tracker, 0)
    found = {name for name, _ in numbers(tracker, 1)}
    assert "superimposed_noise" in found and "activation_overlap" not in found


def test_a_weight_that_cannot_be_decomposed_still_has_its_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    editor, tracker = started(model, Restrained(EditorConfig()))
    do(editor, tracker, 0)

    def fails(*_: Any) -> Any:
        raise RuntimeError("did not converge")

    monkeypatch.setattr("palimpsest.harness.diagnostics.gauge.left_spectrum", fails)
    found = numbers(tracker, 1)
    assert found["update_norm", 1] > 0 and ("condition_number", 1) not in found


def test_cheap_leaves_statistics_alone_that_the_editor_does_not_use(tmp_path: Path) -> None:
    def refuse() -> Any:
        raise AssertionError("the statistics text was read")

    model = tiny_model()
    model.resources.set_statistics("none", refuse)
    editor, tracker = started(model, Restrained(EditorConfig()))
    do(editor, tracker, 0)
    assert "pretrained_drift" not in {name for name, _ in numbers(tracker, 1)}


@pytest.mark.parametrize("name", ["revive", "rect", "prune"])
def test_filters_are_measured_with_the_statistics_of_their_host(name: str) -> None:
    editor, tracker = started(tiny_model(), build_editor(f"{name}(memit)", {"host": MEMIT}))
    do(editor, tracker, 0)
    found = {name for name, _ in numbers(tracker, 1)}
    assert {"pretrained_drift", "superimposed_noise"} <= found
    assert ("activation_overlap" in found) == (name != "rect")  # no factors are left of a masked update


def test_revive_leaves_no_energy_in_the_protected_subspace() -> None:
    editor, tracker = started(tiny_model(), build_editor("revive(memit)", {"host": MEMIT}))
    host, plain = started(tiny_model(), build_editor("memit", MEMIT))
    do(editor, tracker, 0)
    do(host, plain, 0)
    for layer in LAYERS:
        assert numbers(tracker, 1)["protected_energy", layer] < 1e-3
        assert numbers(plain, 1)["protected_energy", layer] > 1
