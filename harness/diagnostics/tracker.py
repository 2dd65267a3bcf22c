"""Watches a run batch by batch and measures its weights at checkpoints, without touching anything that counts.

Everything is measured on the weights that the editor writes. Where it scores others (`Editor.evaluated`), those are
measured too, under names that begin with `records.EVALUATED`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.harness.diagnostics.gauge import (
    Numbers,
    Pristine,
    gauge_edits,
    gauge_pristine,
    gauge_sample,
    gauge_weight,
    own_vectors,
)
from palimpsest.harness.diagnostics.keys import clean_keys
from palimpsest.harness.diagnostics.norms import weight_norms
from palimpsest.harness.diagnostics.sample import Sample
from palimpsest.harness.diagnostics.sphere import sphere
from palimpsest.harness.errors import MissingResource
from palimpsest.harness.metrics.diagnostic_definitions import EVALUATED, Diagnostic, Level
from palimpsest.harness.scoring.isolation import untouched

if TYPE_CHECKING:
    from palimpsest.harness.editor import Editor, LayerUpdate
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest
    from palimpsest.harness.specs.schedule import Batch

STORED_EDITS: Mapping[Level, int] = {"cheap": 512, "full": 2048}
"""Edits whose key, value and own update are kept, at most, by level."""
STORED_UPDATES = 128
"""Single updates per layer whose factors are kept, at most."""
_OF_UPDATES = "superimposed_noise"
"""Means nothing of weights as they are scored: they are no sum of the updates that the editor made."""
_STATISTICS_TOKENS = 100_000


class Tracker:
    """Watches one editor on one model. The model is left as it is, random generators included."""

    def __init__(self, model: EditableModel, written: Collection[str], editor: Editor, level: Level = "cheap") -> None:
        """Start with nothing seen, and ask the editor, which is prepared on the model, for its updates."""
        self._model, self._written, self._level = model, tuple(written), level
        names = {model.anatomy.weight_name(layer): layer for layer in range(model.anatomy.n_layers)}
        self._layers = sorted(names[name] for name in self._written if name in names)
        self._edits = {layer: Sample(STORED_EDITS[level]) for layer in self._layers}
        self._updates = {layer: Sample(STORED_UPDATES) for layer in self._layers}
        self._before: dict[int, Tensor] = {}
        self._scored: dict[str, Tensor] = {}
        self._seconds = 0.0
        editor.record_updates = bool(self._layers)
        with self._at_work():
            moments = _second_moments(model, self._layers, _statistics_tokens(editor, level))
            self._pristine: dict[int, Pristine] = {
                layer: gauge_pristine(
                    model.pristine_weight(layer), model.resources.weight_spectrum(layer), moments.get(layer)
                )
                for layer in self._layers
            }
        self._paths = {layer: _new_path(self._pristine[layer].energy) for layer in self._layers}

    def before(self, batch: Batch) -> None:
        """Called before a batch: what its edits change of their own is measured from here."""
        if self._chosen(batch):
            self._before = {layer: self._model.weight(layer).clone() for layer in self._layers}

    def after(self, batch: Batch, requests: Sequence[EditRequest], updates: Sequence[LayerUpdate]) -> None:
        """Called after the batch, with the updates of its report."""
        if not self._layers:
            return
        with self._at_work():
            self._store_edits(self._chosen(batch), batch, requests)
            self._store_updates(batch, updates)
            if self._level == "full":
                for layer, path in self._paths.items():
                    _follow(path, sphere(self._model.weight(layer)).energy)

    def see_scored(self) -> None:
        """Look at the weights as they are scored; called inside `Editor.evaluated`."""
        self._scored = self._model.read_weights(self._model.anatomy.weight_name(layer) for layer in self._layers)

    def measure(self, batches: int) -> list[Diagnostic]:
        """All diagnostics of the model after so many batches, and of the weights that were last seen to be scored."""
        with self._at_work():
            others = set(self._written) - {self._model.anatomy.weight_name(layer) for layer in self._layers}
            rows = weight_norms(self._model, others)
            for layer in self._layers:
                rows += self._rows(layer, batches)
        self._scored = {}
        return rows

    def spent(self) -> float:
        """Seconds that watching and measuring took since this was last asked."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors from which a later process continues measuring, to the bit."""
        state: dict[str, Tensor] = {}
        for kind, samples in (("edits", self._edits), ("updates", self._updates)):
            for layer, sample in samples.items():
                state |= {f"{kind}.{layer}.{name}": tensor for name, tensor in sample.state_dict().items()}
        if self._level == "full":
            state |= {f"path.{layer}": path.clone() for layer, path in self._paths.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`; called once the model has the weights that belong to it.

        What an earlier state lacks (it is empty for a run begun by a version that kept none) begins from here.
        """
        for kind, samples in (("edits", self._edits), ("updates", self._updates)):
            for layer, sample in samples.items():
                start = f"{kind}.{layer}."
                mine = {name.removeprefix(start): t for name, t in state.items() if name.startswith(start)}
                sample.load_state_dict(mine)
        if self._level == "full":
            for layer in self._layers:
                saved = state.get(f"path.{layer}")
                self._paths[layer] = (
                    saved.clone() if saved is not None else _new_path(sphere(self._model.weight(layer)).energy)
                )

    def _rows(self, layer: int, batches: int) -> list[Diagnostic]:
        weight, pristine = self._model.weight(layer), self._pristine[layer]
        stored = self._edits[layer].stacked()
        numbers = _gauged(weight, pristine, stored, batches) | gauge_sample(stored, self._updates[layer].stacked())
        _, moved, count = self._paths[layer].tolist()
        if count:
            numbers["hyperspherical_energy_path"] = moved / count / pristine.energy
        scored = self._scored.get(self._model.anatomy.weight_name(layer))
        if scored is not None:
            seen = scored.T if self._model.anatomy.transposed else scored
            if not torch.equal(seen, weight):
                evaluated = _gauged(seen, pristine, stored, batches)
                numbers |= {EVALUATED + name: v for name, v in evaluated.items() if not name.startswith(_OF_UPDATES)}
        return [Diagnostic(name, layer, value) for name, value in numbers.items() if value == value]

    def _chosen(self, batch: Batch) -> list[int]:
        """Positions of the batch that the samples want; all layers want the same."""
        samples = list(self._edits.values())[:1]
        return [position for position in range(batch.start, batch.stop) if any(s.wants(position) for s in samples)]

    def _store_edits(self, chosen: Sequence[int], batch: Batch, requests: Sequence[EditRequest]) -> None:
        keys = clean_keys(self._model, [requests[position - batch.start] for position in chosen], self._layers)
        found = [(position, k) for position, k in zip(chosen, keys, strict=True) if k is not None and _finite(k)]
        for layer in self._layers if found else ():
            rows = torch.stack([of_layers[layer] for _, of_layers in found])
            vectors = own_vectors(rows, self._before[layer], self._model.weight(layer))
            for row, (position, _) in enumerate(found):
                self._edits[layer].add(position, {name: tensor[row] for name, tensor in vectors.items()})
        self._before = {}

    def _store_updates(self, batch: Batch, updates: Sequence[LayerUpdate]) -> None:
        ordinals = dict.fromkeys(self._layers, 0)
        for update in updates:
            if update.layer not in ordinals:
                continue
            if update.influence is None or update.activation is None or update.keys is None:
                continue  # no such factors: RECT keeps single entries of Δ
            for column in range(update.influence.shape[1]):
                number = (batch.number << 24) | (ordinals[update.layer] << 20) | column
                if self._updates[update.layer].wants(number):
                    vectors = {
                        "key": update.keys[:, column],
                        "activation": update.activation[:, column],
                        "influence": update.influence[:, column],
                    }
                    self._updates[update.layer].add(number, vectors)
            ordinals[update.layer] += 1

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        begin = time.perf_counter()
        with untouched(self._model):
            yield
        self._seconds += time.perf_counter() - begin


def _gauged(weight: Tensor, pristine: Pristine, stored: Mapping[str, Tensor], batches: int) -> Numbers:
    """Numbers about a weight; only its norms where the decompositions fail, as they may on a collapsed model."""
    try:
        return gauge_weight(weight, pristine, batches) | gauge_edits(weight, pristine, stored)
    except RuntimeError:  # what torch raises when an eigendecomposition does not converge
        update = weight.double() - pristine.weight.double()
        return {"weight_norm": float(weight.double().norm()), "update_norm": float(update.norm())}


def _finite(of_layers: Mapping[int, Tensor]) -> bool:
    return all(bool(torch.isfinite(key).all()) for key in of_layers.values())


def _new_path(energy: float) -> Tensor:
    """Hyperspherical energy now, sum of its changes, number of changes."""
    return torch.tensor([energy, 0.0, 0.0], dtype=torch.float64)


def _follow(path: Tensor, energy: float) -> None:
    path[1] += abs(energy - float(path[0]))
    path[2] += 1
    path[0] = energy


def _statistics_tokens(editor: Editor, level: Level) -> int | None:
    """Number of tokens of the editor's own statistics; None: it has none, and the level does not make any."""
    found = getattr(getattr(editor.bottom, "config", None), "statistics_tokens", None)
    if isinstance(found, int):
        return found
    return _STATISTICS_TOKENS if level == "full" else None


def _second_moments(model: EditableModel, layers: Sequence[int], tokens: int | None) -> Mapping[int, Tensor]:
    if tokens is None or not layers:
        return {}
    try:
        return model.resources.second_moments(layers, tokens).matrices
    except MissingResource:
        return {}
