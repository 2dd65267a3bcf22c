"""General abilities at a checkpoint: lm-eval's tasks on the edited model, item by item.

lm-eval renders the items and judges them; the likelihoods and texts come from an engine, for the model in memory by
prefix trees, so that the choices of an item share its text. What the model said is kept with each item, so that every
score can be computed again. lm-eval is imported only when a harness is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jinja2 import TemplateError

from palimpsest.harness.abilities.items import (
    AbilityFinder,
    AbilityOutcome,
    AbilitySource,
    ItemOutcome,
    mean_chance,
    metric_of,
    outcome_of,
    score_of,
)
from palimpsest.harness.abilities.stock import quiet, stock_manager
from palimpsest.harness.errors import ConfigError, MissingResource, PalimpsestError, first_line
from palimpsest.harness.specs.run_spec import AbilityRef

if TYPE_CHECKING:
    from palimpsest.harness.abilities.engine import Engine

T = TypeVar("T")
_OWN = (LookupError, TypeError, ValueError, AttributeError, AssertionError, ArithmeticError, TemplateError)
"""Errors that wrong definitions of tasks end in, inside lm-eval."""


class AbilityHarness:
    """Ability tasks, ready to be asked again and again of one model whose weights change in place."""

    def __init__(
        self,
        model: Any,
        refs: Sequence[AbilityRef],
        *,
        library: AbilityFinder,
        engine: Engine | None = None,
    ) -> None:
        """Load the tasks and render their items. Make it before the first edit.

        Args:
            model: the `EditableModel` that is asked, at each `evaluate` as it is then.
            refs: from `AbilityLibrary.refs`.
            library: where the tasks are found.
            engine: who answers; None: the model in memory.

        Raises:
            ConfigError: a task whose files changed since the reference was made, or whose kind is not supported.
            MissingResource: items that cannot be had from the hub, or local data that are not given.
        """
        from palimpsest.harness.abilities.hf_engine import HfEngine

        self._refs, self._model = tuple(refs), model
        self._engine = engine or HfEngine(model)
        sources = {ref: library.source(ref) for ref in self._refs}
        self._leaves: dict[str, list[Any]] = {}
        self._places: dict[str, Path | None] = {}
        if not sources:
            return
        with quiet():
            from palimpsest.harness.abilities.lm_eval_model import EngineModel
            from palimpsest.harness.scoring.isolation import untouched

            with untouched(model):
                self._lm = EngineModel(model, self._engine)
                for ref, source in sources.items():
                    self._places[ref.name] = source.folder
                    self._leaves[ref.name] = _load(source, library)
                self._chances = {name: self._sound(name, _chance, name, tasks) for name, tasks in self._leaves.items()}
                for ref in self._refs:
                    for task in self._leaves[ref.name]:
                        self._sound(ref.name, _render_once, task, ref.limit, sources[ref].shots)
                self._hashes = {name: _items_hash(tasks) for name, tasks in self._leaves.items()}

    @property
    def items_hashes(self) -> Mapping[str, str]:
        """Task → SHA-256 of its rendered questions."""
        return self._hashes if self._refs else {}

    @property
    def documents(self) -> Mapping[str, int]:
        """Task → number of its items."""
        return {
            name: sum(len({instance.doc_id for instance in task.instances}) for task in tasks)
            for name, tasks in self._leaves.items()
        }

    def evaluate(self, names: Sequence[str] | None = None, *, canary_texts: Sequence[str] = ()) -> list[AbilityOutcome]:
        """Ask the items of the model as it is now; global random generators and model modes are left as they are.

        ``names``: only these of the tasks. ``canary_texts``: more texts by which to check that the engine has the model
        as it is.
        """
        wanted = [ref.name for ref in self._refs if names is None or ref.name in names]
        if not wanted:
            return []
        from lm_eval import evaluate

        from palimpsest.harness.abilities.engine import hand_over
        from palimpsest.harness.scoring.isolation import untouched

        with untouched(self._model):
            tasks = {task.task_name: task for name in wanted for task in self._leaves[name]}
            hand_over(self._engine, self._model, canary_texts)
            ask = partial(evaluate, lm=self._lm, task_dict={"tasks": tasks}, bootstrap_iters=0, log_samples=True)
            with quiet():
                results = self._sound(" and ".join(wanted), ask)
            return [self._sound(name, self._outcome, name, results["samples"]) for name in wanted]

    def _sound(self, name: str, step: Callable[..., T], *arguments: Any) -> T:
        """Result of ``step``; a `ConfigError` about the tasks ``name`` where their own definitions make it fail."""
        try:
            return step(*arguments)
        except (ConfigError, *_OWN) as error:
            places = " and ".join(dict.fromkeys(str(place) for place in self._places.values() if place)) or "lm-eval"
            raise ConfigError(f"Ability task {name} of {places} cannot be asked: {first_line(error)}") from error

    def _outcome(self, name: str, samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> AbilityOutcome:
        """All items of a task, those of its parts one after another."""
        items: list[ItemOutcome] = []
        for task in self._leaves[name]:
            found = sorted(samples[task.task_name], key=lambda sample: int(sample["doc_id"]))
            filtered = found[0]["filter"]  # a task with several filters of its answers is judged by the first
            chosen = [sample for sample in found if sample["filter"] == filtered]
            items += [outcome_of(task, sample, len(items) + i, self._lm.tokens) for i, sample in enumerate(chosen)]
        metric = metric_of(self._leaves[name][0], chosen[0])
        return AbilityOutcome(
            name, metric, score_of(metric, items), self._chances[name], tuple(items), self._hashes[name]
        )


def _load(source: AbilitySource, library: AbilityFinder) -> list[Any]:
    """lm-eval's tasks of one source: one, or the parts of a group."""
    try:
        if source.folder is None:
            manager = stock_manager()
        else:
            from lm_eval.tasks import TaskManager

            data = {"ability_data": [str(folder) for folder in library.data]}
            manager = TaskManager(include_path=str(source.folder), include_defaults=False, metadata=data)
            if source.name not in manager.all_tasks:  # lm-eval passes over what it cannot read
                raise ConfigError(f"Ability task {source.name!r}: no file in {source.folder} can be read as its YAML.")
        tasks = list(manager.load([source.name])["tasks"].values())
    except PalimpsestError:
        raise
    except Exception as error:  # datasets, the hub client and lm-eval each have errors of their own
        raise _unusable(source, error) from error
    if not tasks:
        raise ConfigError(f"Ability {source.name!r} has no tasks.")
    return tasks


def _unusable(source: AbilitySource, error: Exception) -> PalimpsestError:
    line = first_line(error)
    if source.folder is None:
        return MissingResource(
            f"Ability task {source.name!r}: its items come from the hub and cannot be had now ({line}). Connect once "
            "so that they are cached, or give local files: --abilities glue-lm-eval --ability-data DIR, or a folder "
            "of lm-eval tasks as --abilities."
        )
    return ConfigError(f"Ability task {source.name!r} in {source.folder} cannot be loaded: {line}")


def _chance(name: str, tasks: Sequence[Any]) -> float:
    """Score of guessing: as the task says, else from its choices."""
    for task in tasks:
        if task.OUTPUT_TYPE == "loglikelihood_rolling" and len({t.OUTPUT_TYPE for t in tasks}) > 1:
            raise ConfigError(f"Ability {name!r} mixes running text with other tasks; ask for its parts.")
    stated: list[Any] = [(task.config.metadata or {}).get("chance") for task in tasks]
    for chance in stated:
        if chance is None:
            continue
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance < 1:
            raise ConfigError(
                f"Ability task {name!r}, metadata.chance: expected a number from 0 to below 1, got {chance!r}."
            )
    if all(chance is not None for chance in stated):
        return float(sum(stated) / len(stated))
    return mean_chance(tasks)


def _render_once(task: Any, limit: int | None, shots: int | None) -> None:
    """Render the requests of a task now; each evaluation then reuses them, with the old responses taken out."""
    if shots is not None:
        task.set_config(key="num_fewshot", value=shots)
    if task.config.num_fewshot:
        task.set_fewshot_seed(seed=0)
    task.build_all_requests(limit=limit)
    asked = {instance.doc_id for instance in task.instances}
    whole = task.doc_iterator

    def reuse(**_: Any) -> None:
        for instance in task.instances:
            instance.resps, instance.filtered_resps = [], {}

    def limited(**arguments: Any) -> Any:
        return whole(**{**arguments, "limit": len(asked)})

    task.build_all_requests = reuse
    task.doc_iterator = limited


def _items_hash(tasks: Sequence[Any]) -> str:
    digest = hashlib.sha256()
    for task in tasks:
        for instance in task.instances:
            digest.update(repr((task.task_name, instance.doc_id, instance.idx, instance.args)).encode())
    return digest.hexdigest()
