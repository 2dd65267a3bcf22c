"""Trials carried out: a model, the tuning split and the abilities, on which configurations are tried one by one."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from palimpsest.cli.tuning.protocol import RESAMPLES, Horizon
from palimpsest.cli.tuning.trials import Point, Trial
from palimpsest.harness.abilities.items import PERPLEXITY
from palimpsest.harness.errors import EditorError
from palimpsest.harness.metrics.probes import SCORES, CaseTable, Outcomes, case_table, main_score
from palimpsest.harness.plugins.compositions import complete
from palimpsest.harness.plugins.configuration import resolve_config
from palimpsest.harness.plugins.presets import load_preset
from palimpsest.harness.specs.composition import HOST
from palimpsest.harness.specs.run_spec import EditorRef
from palimpsest.harness.system.atomic_files import atomic_write_json
from palimpsest.harness.system.locks import alone
from palimpsest.harness.system.memory import FreedMemory
from palimpsest.harness.system.public_text import public
from palimpsest.results.analysis.headline import Headline, headline
from palimpsest.results.analysis.intervals.cases import drawn_parts
from palimpsest.results.analysis.intervals.clusters import SHARED, Clusters
from palimpsest.results.analysis.intervals.items import AbilityItems, drawn_kept

if TYPE_CHECKING:
    from palimpsest.cli.tuning.abilities import AbilityChoice
    from palimpsest.harness.abilities.items import AbilityOutcome
    from palimpsest.harness.plugins.session import Editing
    from palimpsest.harness.runs.loaded_model import LoadedModel
    from palimpsest.harness.specs.cases import Case, EditTask


BASIS = "pocket-llama"
"""Model by whose presets other models are tuned at first, in what is not varied."""


def complete_config(
    editor: str, model: str, config: Mapping[str, Any], host: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The complete configuration of a trial.

    Args:
        editor: As it is tuned.
        model: On which model. Where the editor has no preset for it yet, what is not varied is that of `BASIS`.
        config: Values of the axes.
        host: Complete configuration of a filter's host; None: the editor has none.
    """
    name, cls = complete(editor)[0]
    own, other = (load_preset(name, one, cls.__module__) for one in (model, BASIS))
    base = BASIS if own is None and other is not None else model
    return resolve_config(editor, base, {**config, **({} if host is None else {HOST: host})})


@dataclass(slots=True)
class _Measured:
    """Measurements of one trial so far."""

    tables: dict[int, CaseTable]
    """Checkpoint → values of each case; at 0 edits the unedited model's neighborhood."""
    items: dict[int, list[AbilityItems]]
    form: str
    clusters: Clusters

    def headline(self, collapsed_at: int | None = None, resamples: int = 0) -> Headline:
        """Effective edits up to the last checkpoint."""
        return headline(
            self.tables,
            self.items,
            self.form,
            collapsed_at=collapsed_at,
            clusters=self.clusters,
            resamples=resamples,
        )

    def points(self) -> tuple[Point, ...]:
        """Every checkpoint with edits."""
        parts = drawn_parts(self.tables, SCORES[main_score(self.form)], self.clusters, resamples=0)
        quality = self.headline().quality
        found = []
        for edits in sorted(self.items):
            shares = [*parts[edits][0].tolist(), float(drawn_kept(self.items[edits], resamples=0)[0])]
            percents = [None if np.isnan(share) else round(100 * share, 4) for share in shares]
            held = quality[edits].value if edits in quality else None
            found.append(Point(edits, None if held is None else round(held, 4), *percents))
        return tuple(found)


class Bench:
    """A model with the tuning split, on which configurations are tried; it is pristine before and after each."""

    def __init__(self, loaded: LoadedModel, task: EditTask, abilities: AbilityChoice, horizon: Horizon) -> None:
        """Measure the unedited model, or take over what was measured before.

        Raises:
            ConfigError: There is nothing to keep.
        """
        self._freed = FreedMemory()
        self._loaded = loaded
        self._form = task.form
        self._cases: Sequence[Case] = task.cases[: horizon.edits]
        self._abilities = abilities
        self._horizon = horizon
        self._pristine = abilities.pristine(loaded)
        self._unedited = self._neighborhood(task.content_hash)
        requests = [case.request for case in self._cases]
        labels = ([getattr(request, name) for request in requests] for name in SHARED)
        self._clusters = Clusters.of([request.case_id for request in requests], *labels)

    def trial(
        self, editor: str, config: dict[str, Any], host: Mapping[str, Any] | None = None, to_beat: float | None = None
    ) -> Trial:
        """Edit the split with one configuration, score it at the checkpoints, and put the pristine weights back.

        Args:
            editor: As it is tuned.
            config: Values of the axes.
            host: Complete configuration of a filter's host.
            to_beat: The trial is stopped at a checkpoint where it could not come up to as many effective edits if h
                stayed as it is there to the end. h does not grow with more edits, but for the noise of few cases.
        """
        # Late, like all that loads torch.
        from palimpsest.harness.plugins.configuration import build_editor, find_editor
        from palimpsest.harness.plugins.session import Editing

        started = time.process_time()
        found = _Measured({0: self._unedited}, {}, self._form, self._clusters)
        done, failure, at_most = 0, None, None
        try:
            whole = complete_config(editor, self._loaded.model.name, config, host)
            entry = find_editor(editor)
            ref = EditorRef(name=editor, config=whole, distribution=entry.distribution, version=entry.version)
            editing = Editing(self._loaded.model, lambda: build_editor(editor, whole), ref, 0)
            for number, (start, stop) in enumerate(self._horizon.batches()):
                editing.edit(number, [case.request for case in self._cases[start:stop]])
                done = stop
                self._freed.give_back()
                if stop in self._horizon.checkpoints:
                    self._score(editing, stop, found)
                    at_most = self._at_most(found, stop)
                    if to_beat is not None and at_most < to_beat:
                        break
        except EditorError as error:
            failure = public(str(error))
        finally:
            self._loaded.restored()
        stopped = failure is None and done < self._horizon.edits
        reached = found.headline(None if failure is None else done, 0 if stopped else RESAMPLES)
        return Trial(
            config=config,
            effective_edits=round(reached.effective_edits.value or 0.0, 4),
            points=found.points(),
            cpu_seconds=round(time.process_time() - started, 1),
            collapsed_at=None if failure is None else done,
            failure=failure,
            stopped_at=done if stopped else None,
            at_most=round(at_most, 4) if stopped and at_most is not None else None,
            draws=tuple(round(draw, 2) for draw in reached.draws),
        )

    def _score(self, editing: Editing, edits: int, found: _Measured) -> None:
        """Score all edits so far, and ask for the abilities."""
        # Late: torch loads in 2 s, which planning a tuning need not wait for.
        from palimpsest.harness.scoring.probes import score_cases

        with editing.evaluated():
            outcomes = Outcomes.from_records(score_cases(self._loaded.model, self._cases[:edits]))
            after = self._abilities.harness(self._loaded).evaluate()
        found.tables[edits] = case_table(outcomes, self._form)
        found.items[edits] = [_beside(*pair) for pair in zip(after, self._pristine, strict=True) if _shares(pair[0])]

    def _at_most(self, found: _Measured, edits: int) -> float:
        """Effective edits at the end if h stays as it is."""
        so_far = found.headline()
        held = so_far.quality[edits].value or 0.0
        return (so_far.effective_edits.value or 0.0) + held / 100 * (self._horizon.edits - edits)

    def _neighborhood(self, task_hash: str) -> CaseTable:
        """The unedited model's neighborhood of every case, measured once where the model has a cache."""
        # Late: torch loads in 2 s, which planning a tuning need not wait for.
        from palimpsest.harness.runs.instruments import scoring_environment
        from palimpsest.harness.scoring.probes import score_cases

        name = SCORES[main_score(self._form)][2]
        cache = self._loaded.resources.folder
        identity = json.dumps(
            [task_hash, len(self._cases), scoring_environment(self._loaded, "cpu")], sort_keys=True, default=str
        )
        file = (
            None if cache is None else cache / "tuning" / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.json"
        )
        with alone(cache, "tuning"):
            known = None if file is None else _read(file)
            if known is None:
                table = case_table(Outcomes.from_records(score_cases(self._loaded.model, self._cases)), self._form)
                missing = np.full(len(table.case_ids), np.nan)
                values = table.values.get(name, missing).tolist()
                known = {
                    "cases": table.case_ids.tolist(),
                    name: [None if np.isnan(value) else value for value in values],
                }
                if file is not None:
                    atomic_write_json(file, known)
        values = np.array([np.nan if value is None else value for value in known[name]], dtype=np.float64)
        return CaseTable(np.array(known["cases"], dtype=np.int64), {name: values}, 0)


def _read(file: Path) -> dict[str, Any] | None:
    """Values that were kept; None where there are none."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _shares(outcome: AbilityOutcome) -> bool:
    """True for a task with right items; running text has none."""
    return outcome.metric != PERPLEXITY


def _beside(now: AbilityOutcome, then: AbilityOutcome) -> AbilityItems:
    """The items of a task beside the same items on the unedited model."""
    correct, pristine = (np.array([item.correct for item in outcome.items], dtype=bool) for outcome in (now, then))
    return AbilityItems(now.name, now.chance, correct, pristine)
