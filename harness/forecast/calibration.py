"""A short calibration: what one batch, one checkpoint and one round of abilities cost here, measured and remembered.

The editor does a few edits on the real model and is undone; nothing of a run is begun. Statistics that are not there
yet are not collected for it, unless that takes seconds: matrices of the same size and a likely spectrum stand in.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from palimpsest.harness.forecast.prediction import Costs
from palimpsest.harness.model.needs import flattened
from palimpsest.harness.model.pristine_statistics import SecondMoments
from palimpsest.harness.plugins.configuration import build_editor
from palimpsest.harness.plugins.session import Editing, restore_pristine
from palimpsest.harness.runs.score_files import Instruments, measure
from palimpsest.harness.scoring.generation import sample_texts
from palimpsest.harness.specs.run_spec import Generation
from palimpsest.harness.specs.schedule import order
from palimpsest.harness.statistics.second_moments import seconds_per_token
from palimpsest.harness.system.atomic_files import atomic_write_json
from palimpsest.harness.system.environment import environment_segment
from palimpsest.harness.system.memory import PeakMemory

if TYPE_CHECKING:
    from palimpsest.harness.abilities.ability_harness import AbilityHarness
    from palimpsest.harness.abilities.items import AbilityFinder
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.model.placement import Placement
    from palimpsest.harness.runs.loaded_model import LoadedModel
    from palimpsest.harness.specs.planning import PlannedRun

FEW, SECONDS_OF_STATISTICS = 8, 60.0
ITEMS = 40
"""Items per ability task that are asked."""


def calibrated(
    planned: PlannedRun,
    home: Path,
    *,
    placement: Placement,
    load: Callable[[], LoadedModel] | None,
    library: AbilityFinder,
    anywhere: bool = False,
) -> Costs | None:
    """The calibration of a run's editor, model and task on this machine, remembered below ``home``.

    ``load`` gives the model to measure with; None: nothing is. ``anywhere``: the newest of any machine will do.
    """
    spec = planned.spec
    segment = environment_segment(())
    common = {"model": spec.model.model_dump(), "placement": asdict(placement)}
    machine = None if anywhere else [segment[n] for n in ("cpu", "cores", "packages", "palimpsest_version")]
    asked = {
        "task": spec.task.form,
        "scoring": spec.scoring.model_dump(),
        "abilities": [ref.model_dump() for ref in spec.abilities],
    }
    written = {"editor": [spec.editor.name, spec.editor.config], "batch": spec.schedule.batch_size}
    folder = home / "models" / spec.model.fingerprint / "calibrations"
    write = None if load is None else partial(_measured_writing, planned, load)
    ask = None if load is None else partial(_measured_asking, planned, load, library)
    writing = _remembered(folder, "editing", common | written, machine, write)
    asking = _remembered(folder, "asking", common | asked, machine, ask)
    if writing is None or asking is None:
        return None
    peak = {"peak_memory_mb": max(part["peak_memory_mb"] for part in (writing, asking))}
    return Costs(**writing | asking | peak)


def _remembered(
    folder: Path, part: str, relevant: Any, machine: list[Any] | None, measure: Callable[[], dict[str, Any]] | None
) -> dict[str, Any] | None:
    """Fields of `Costs`: those that are the same for all editors (asking), or an editor's own (editing)."""
    about = [json.dumps(one, sort_keys=True, default=str) for one in (relevant, machine)]
    key, here = (hashlib.sha256(text.encode()).hexdigest() for text in about)
    path = folder / f"{part}-{key[:24]}-{'*' if machine is None else here[:8]}.json"
    for known in sorted(folder.glob(path.name), key=lambda one: one.stat().st_mtime, reverse=True):
        with suppress(OSError, ValueError, TypeError):
            found = json.loads(known.read_text(encoding="utf-8"))
            Costs(**found)  # a record of other fields is measured again
            return dict(found)
    if measure is None:
        return None
    found = measure()
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_json(path, found)
    return found


def _measured_asking(planned: PlannedRun, load: Callable[[], LoadedModel], library: AbilityFinder) -> dict[str, Any]:
    """Score a few cases and ask a few items of the unedited model, timed."""
    loaded, memory = load(), PeakMemory()
    spec, model = planned.spec, loaded.model
    begin = time.perf_counter()
    few = tuple(ref.model_copy(update={"limit": min(ref.limit or ITEMS, ITEMS)}) for ref in spec.abilities)
    harness = loaded.abilities(few, library)
    seconds_start = time.perf_counter() - begin + loaded.seconds_load
    cases = planned.task.ordered(order(len(planned.task.cases), spec.schedule, spec.seed))
    fixed, each = _scoring(planned, cases, Instruments(model, lambda edits, scored: ()))
    return {
        "seconds_start": seconds_start, "seconds_checkpoint": fixed, "seconds_case": each,
        "seconds_abilities": _abilities(harness, loaded, spec.abilities, library),
        "seconds_texts": _texts(planned, cases, model), "peak_memory_mb": memory.megabytes(),
    }  # fmt: skip


def _measured_writing(planned: PlannedRun, load: Callable[[], LoadedModel]) -> dict[str, Any]:
    """Do a few edits, timed; the model is pristine again afterwards."""
    loaded, memory = load(), PeakMemory()
    spec, model = planned.spec, loaded.model
    statistics, stand_in = _statistics(loaded, spec.editor.config)
    cases = planned.task.ordered(order(len(planned.task.cases), spec.schedule, spec.seed))
    try:
        begin = time.perf_counter()
        editing = Editing(model, lambda: build_editor(spec.editor.name, spec.editor.config), spec.editor, spec.seed)
        seconds_prepare = time.perf_counter() - begin
        seconds_batch = _batch(editing, cases, spec.schedule.batch_size)
        begin = time.perf_counter()
        weights, state = editing.snapshot()
        size = sum(tensor.nbytes for tensor in (*weights.values(), *state.values()))
        seconds_save = time.perf_counter() - begin + size / 300e6
    finally:
        restore_pristine(model)
        if stand_in:
            loaded.resources.set_second_moments(None)
    return {
        "seconds_prepare": seconds_prepare, "seconds_statistics": statistics, "seconds_batch": seconds_batch,
        "seconds_save": seconds_save, "bytes_save": size, "peak_memory_mb": memory.megabytes(),
    }  # fmt: skip


def _statistics(loaded: LoadedModel, config: Mapping[str, Any]) -> tuple[float, bool]:
    """Seconds that collecting statistics will take, and whether stand-ins are used here."""
    flat, resources = flattened(config), loaded.resources
    tokens, layers = flat.get("statistics_tokens"), flat.get("layers") or [flat.get("layer")]
    if tokens is None or None in layers or resources.has_second_moments(layers, tokens):
        return 0.0, False
    seconds = seconds_per_token(loaded.model, layers) * tokens
    if seconds < SECONDS_OF_STATISTICS:
        resources.second_moments(layers, tokens)  # the run needs them too, and finds them
        return 0.0, False
    size, generator = loaded.model.anatomy.d_inner, torch.Generator().manual_seed(0)
    spectrum = torch.logspace(0, -6, size, dtype=torch.float64)
    basis = torch.randn(size, min(size, 256), generator=generator, dtype=torch.float64) / size**0.5
    moment = torch.diag(spectrum) + basis @ basis.T * 1e-3
    resources.set_second_moments(SecondMoments({layer: moment.to(resources.device) for layer in layers}, tokens, ""))
    return seconds, True


def _batch(editing: Editing, cases: Any, batch_size: int) -> float:
    """Seconds of one batch: measured where it is small, else from two smaller ones.

    What each edit more costs is taken to lie between half and all of the mean, so that noise is not multiplied.
    """
    few, more = min(batch_size, FEW), min(batch_size, 2 * FEW)
    editing.edit(0, [case.request for case in cases[:1]])  # the first one is slow
    seconds = _edit(editing, cases, few)
    if more == few:
        return seconds
    second = _edit(editing, cases, more)
    each = min(max((second - seconds) / (more - few), 0.5 * second / more), second / more)
    return second + each * (batch_size - more)


def _edit(editing: Editing, cases: Any, count: int) -> float:
    restore_pristine(editing.model)
    return editing.edit(1, [case.request for case in cases[:count]])[1]


def _scoring(planned: PlannedRun, cases: Any, instruments: Instruments) -> tuple[float, float]:
    """Seconds of a checkpoint without cases, and of each case, from checkpoints over few and over more."""
    counts = sorted({min(len(cases), n) for n in (8, 60)})
    seconds = []
    for count in [counts[0], *counts]:  # the first one is slow
        schedule = planned.spec.schedule.model_copy(update={"edits": count})
        scoring = planned.spec.scoring.model_copy(update={"generation": Generation()})
        spec = planned.spec.model_copy(update={"schedule": schedule, "scoring": scoring})
        begin = time.perf_counter()
        measure(spec, cases[:count], count, instruments)
        seconds.append(time.perf_counter() - begin)
    if len(counts) == 1:
        return 0.0, seconds[-1] / counts[0]
    each = max(0.0, (seconds[-1] - seconds[-2]) / (counts[1] - counts[0]))
    return max(0.0, seconds[-1] - each * counts[1]), each


def _texts(planned: PlannedRun, cases: Any, model: EditableModel) -> float:
    """Seconds of the sampled texts of one case, from a batch of some."""
    scoring = planned.spec.scoring
    few = cases[: min(FEW, scoring.generation.cases)]
    if not few:
        return 0.0
    sample_texts(model, few[:1], scoring.generation, seed=scoring.seed)  # the first one is slow
    begin = time.perf_counter()
    sample_texts(model, few, scoring.generation, seed=scoring.seed)
    return (time.perf_counter() - begin) / len(few)


def _abilities(harness: AbilityHarness | None, loaded: LoadedModel, refs: Any, library: AbilityFinder) -> float:
    """Seconds of a round of all items, from a round of a few."""
    if harness is None:
        return 0.0
    harness.evaluate()  # the first one tokenises
    begin = time.perf_counter()
    harness.evaluate()
    seconds = float(time.perf_counter() - begin)
    whole = loaded.abilities(tuple(refs), library)
    assert whole is not None
    items: int = sum(whole.documents.values())
    return seconds * items / max(1, sum(harness.documents.values()))
