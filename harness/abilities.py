"""General abilities at a checkpoint: lm-eval's tasks on the model in memory, item by item.

lm-eval renders the items, tokenises and judges them; the likelihoods come from our prefix trees, so that the choices of
an item share its text. lm-eval is imported only when a harness is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError, UsageError, unknown_name
from palimpsest.harness.spec import AbilityRef

FOLDER = Path(__file__).resolve().parent.parent / "tasks" / "abilities"
"""One ``<task>.yaml`` per ability with its items, code shared by them, and ``groups.toml``."""
METRIC = "acc"
_LIST = "palimpsest list tasks"


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """One item of an ability task."""

    item: int
    """Number of the item within its task, from 0."""
    correct: bool
    """The right choice has the highest log-likelihood, and every choice has a finite one."""


@dataclass(frozen=True, slots=True)
class AbilityOutcome:
    """One ability task at one moment."""

    name: str
    metric: str
    """lm-eval's name of the metric: ``acc``."""
    score: float
    """Share of right items, 0..1."""
    chance: float
    """Share that guessing would get, 0..1; from the task's metadata."""
    items: tuple[ItemOutcome, ...]


def ability_groups(folder: Path = FOLDER) -> Mapping[str, tuple[str, ...]]:
    """Group name → its tasks."""
    path = folder / "groups.toml"
    if not path.is_file():
        return {}
    return {name: tuple(tasks) for name, tasks in tomllib.loads(path.read_text(encoding="utf-8")).items()}


def ability_names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of all ability tasks."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def ability_refs(names: Sequence[str], limit: int | None, *, folder: Path = FOLDER) -> tuple[AbilityRef, ...]:
    """References to the tasks of these names, groups replaced by their tasks, each task once.

    Args:
        names: tasks or groups.
        limit: at most this many items of each task, from its first; None: all.
        folder: where the tasks are.

    Raises:
        UsageError: a name that is neither task nor group.
    """
    groups, tasks = ability_groups(folder), ability_names(folder)
    chosen: dict[str, None] = {}
    for name in names:
        if name not in groups and name not in tasks:
            raise unknown_name("ability", name, (*groups, *tasks), _LIST)
        chosen |= dict.fromkeys(groups.get(name, (name,)))
    missing = sorted(set(chosen) - set(tasks))
    if missing:
        raise UsageError(f"{folder / 'groups.toml'} names tasks without a file: {', '.join(missing)}.")
    return tuple(AbilityRef(name=name, content_hash=_content_hash(folder, name), limit=limit) for name in chosen)


def _content_hash(folder: Path, name: str) -> str:
    """SHA-256 over the task's YAML and items and the code beside them; line ends do not count."""
    digest = hashlib.sha256()
    for path in (folder / f"{name}.yaml", folder / f"{name}.jsonl", *sorted(folder.glob("*.py"))):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


class AbilityHarness:
    """Ability tasks, ready to be asked again and again of one model whose weights change in place."""

    def __init__(self, model: Any, refs: Sequence[AbilityRef], *, folder: Path = FOLDER) -> None:
        """Load the tasks and render their items. Make it before the first edit.

        Args:
            model: the `palimpsest.harness.model.EditableModel` that is asked, at each `evaluate` as it is then.
            refs: from `ability_refs`.
            folder: where the tasks are.

        Raises:
            ConfigError: a task whose files changed since the reference was made, that lacks ``metadata.chance`` or
                the metric ``acc``, or that is not multiple choice.
        """
        self._refs = tuple(refs)
        for ref in self._refs:
            if _content_hash(folder, ref.name) != ref.content_hash:
                raise ConfigError(f"{folder / ref.name}.yaml or its items changed since this run was specified.")
        with _quiet():
            from lm_eval.tasks import TaskManager

            from palimpsest.harness.scoring import untouched

            self._model = model
            with untouched(model):
                self._lm = _tree_model_class()(model)
                manager = TaskManager(include_path=str(folder), include_defaults=False)
                self._tasks = manager.load([ref.name for ref in self._refs])["tasks"] if self._refs else {}
                self._chances = {ref.name: _chance(folder, ref.name, self._tasks[ref.name]) for ref in self._refs}
                for ref in self._refs:
                    _render_once(self._tasks[ref.name], ref.limit)

    def evaluate(self) -> list[AbilityOutcome]:
        """Ask all items of the model as it is now; global random generators and model modes are left as they are."""
        if not self._refs:
            return []
        from lm_eval import evaluate

        from palimpsest.harness.scoring import untouched

        with untouched(self._model):
            results = evaluate(lm=self._lm, task_dict={"tasks": self._tasks}, bootstrap_iters=0, log_samples=True)
        return [self._outcome(ref.name, results["samples"][ref.name]) for ref in self._refs]

    def _outcome(self, name: str, samples: Iterable[Mapping[str, Any]]) -> AbilityOutcome:
        items = tuple(
            ItemOutcome(int(sample["doc_id"]), bool(sample[METRIC]) and _all_finite(sample["filtered_resps"]))
            for sample in sorted(samples, key=lambda sample: int(sample["doc_id"]))
        )
        score = sum(item.correct for item in items) / len(items)
        return AbilityOutcome(name, METRIC, score, self._chances[name], items)


def _all_finite(responses: Iterable[tuple[float, bool]]) -> bool:
    # Without this a broken model would be right wherever the first choice is, as argmax of NaN gives the first.
    return all(math.isfinite(log_prob) for log_prob, _ in responses)


def _chance(folder: Path, name: str, task: Any) -> float:
    chance = (task.config.metadata or {}).get("chance")
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance < 1:
        raise ConfigError(
            f"{folder / name}.yaml, metadata.chance: expected a number from 0 to below 1, got {chance!r}."
        )
    if task.OUTPUT_TYPE != "multiple_choice" or METRIC not in task.aggregation():
        raise ConfigError(f"{folder / name}.yaml: expected output_type multiple_choice with the metric {METRIC}.")
    return float(chance)


def _render_once(task: Any, limit: int | None) -> None:
    """Render the requests of a task now; each evaluation then reuses them, with the old responses taken out."""
    task.build_all_requests(limit=limit)
    documents = len({instance.doc_id for instance in task.instances})

    def reuse(**_: Any) -> None:
        for instance in task.instances:
            instance.resps, instance.filtered_resps = [], {}

    task.build_all_requests = reuse
    if limit is not None and documents < len(task.eval_docs):
        task.dataset[task.config.test_split] = task.eval_docs.select(range(documents))


@cache
def _tree_model_class() -> type[Any]:
    """The lm-eval model whose likelihoods come from prefix trees; made on first use, as lm-eval is slow to import."""
    from lm_eval.models.huggingface import HFLM

    from palimpsest.harness.packing import score_targets

    class TreeModel(HFLM):  # type: ignore[misc]
        """`HFLM` with the choices of an item, and all common beginnings, computed once; tokens are remembered."""

        def __init__(self, model: Any) -> None:
            longest = getattr(model.model.config, "max_position_embeddings", None)
            super().__init__(pretrained=model.model, tokenizer=model.tokenizer, max_length=longest, batch_size=64)
            self._scored = model
            self._encoded: dict[tuple[str, str], tuple[list[int], list[int]]] = {}

        def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
            pair = (context, continuation)
            if pair not in self._encoded:
                self._encoded[pair] = super()._encode_pair(context, continuation)
            return self._encoded[pair]

        def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> Any:
            return super().loglikelihood(requests, disable_tqdm=True)

        def _loglikelihood_tokens(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
            pairs = []
            for _texts, context, target in requests:
                kept = max(1, self.max_length + 1 - len(target))  # as HFLM: too long texts lose their beginning
                pairs.append((context[-kept:], target))
            scores = score_targets(self._scored, pairs)
            return [
                (float(mean) * len(target), int(hits) == len(target))
                for mean, hits, (_, target) in zip(scores.log_prob, scores.hits, pairs, strict=True)
            ]

    return TreeModel


@contextlib.contextmanager
def _quiet() -> Any:
    """Progress bars and notices of lm-eval's loading are swallowed; errors still raise."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield
