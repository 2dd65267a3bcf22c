"""Editing and scoring a transformers model that is in memory, without a run folder."""

from __future__ import annotations

import copy as copying
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from palimpsest.harness.metrics.probes import ProbeOutcome
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import Case, EditRequest, EditTask
    from palimpsest.harness.specs.model_entry import ModelEntry

_FIELDS = ("prompt", "subject", "target_new")


@dataclass(frozen=True, slots=True)
class Scores:
    """Answers of a model to the probes of some cases."""

    metrics: Mapping[str, float]
    """Metric → mean over the cases, as ``palimpsest list metrics``; NaN: no case asks for it."""
    outcomes: Sequence[ProbeOutcome]
    """One per probe."""

    def frame(self) -> pd.DataFrame:
        """The outcomes as a data frame, with the columns of ``frame("cases")`` that need no run."""
        import pandas as pd

        names = ("case_id", "kind", "index", "nll_new", "nll_true", "tokens_new", "tokens_true", "hits_new",
                 "hits_true", "exact_new", "exact_true")  # fmt: skip
        return pd.DataFrame({name: [getattr(one, name) for one in self.outcomes] for name in names})


def edit(
    model: Any,
    tokenizer: Any,
    requests: Sequence[EditRequest | Mapping[str, str]],
    editor: str = "alphaedit",
    *,
    config: Mapping[str, Any] | None = None,
    preset: str | None = None,
    statistics: Path | str | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    home: Path | str | None = None,
    copy: bool = True,
) -> Any:
    """The model with facts written into it by an editor.

    Args:
        model: A transformers causal language model, unedited.
        tokenizer: Its fast tokenizer.
        requests: Facts, each an `EditRequest` or a mapping with ``prompt`` (with ``{}``, or the subject itself, where
            the subject goes), ``subject``, ``target_new`` and perhaps ``target_true``.
        editor: An installed editor, or a composition as ``revive(memit)``.
        config: Field → value, in place of the preset's.
        preset: Name of the model whose preset is taken; None: found by where the model was loaded from.
        statistics: Text file for key statistics; None: the text that belongs to the preset's model.
        batch_size: Facts written at once; None: all.
        seed: Of all that is random.
        home: Folder whose cache keeps key statistics for the next call; None: they are not kept.
        copy: Edit a copy; False: the model itself, which saves memory.

    Raises:
        UsageError: A request, editor or text makes no sense; the architecture is not supported.
        ConfigError: The configuration does not fit, or there is no preset and it lacks something.
        EditorError: The editor fails.
        ModelCollapsed: Something is no longer a finite number.
    """
    from palimpsest.harness.model.loading import fingerprint
    from palimpsest.harness.plugins.compositions import canonical_name
    from palimpsest.harness.plugins.configuration import build_editor, find_editor, resolve_config
    from palimpsest.harness.plugins.session import Editing
    from palimpsest.harness.specs.run_spec import EditorRef
    from palimpsest.harness.statistics.resources import with_statistics
    from palimpsest.tasks.statistics_texts import find_text, statistics_source

    facts = [_request(number, one) for number, one in enumerate(requests)]
    if not facts or (batch_size is not None and batch_size < 1):
        raise UsageError("edit() needs at least one request, and a batch_size of at least 1.")
    known = _registered(model, preset)
    name = canonical_name(editor)
    found = find_editor(name)
    complete = resolve_config(name, known.name if known else "", dict(config or {}))
    ref = EditorRef(name=name, config=complete, distribution=found.distribution, version=found.version)
    edited = copying.deepcopy(model) if copy else model
    with _editable(edited, tokenizer, fingerprint(model, tokenizer)) as place:
        resources = with_statistics(place, None if home is None else Path(home) / "models")
        source = statistics_source(Path(statistics)).source if statistics is not None else None
        source = source or (known.statistics if known else None)
        if source is not None:
            text = find_text(source)
            resources.set_statistics(text.name, text.read, fixed=text.fixed)
        editing = Editing(place, lambda: build_editor(name, complete), ref, seed)
        size = batch_size or len(facts)
        for number, begin in enumerate(range(0, len(facts), size)):
            editing.edit(number, facts[begin : begin + size])
        editing.snapshot()  # checks that nothing else was changed
    return edited


def score(model: Any, tokenizer: Any, task: str | EditTask | Sequence[Case], *, cases: int | None = None) -> Scores:
    """Ask a model the rewrite, paraphrase and neighborhood probes of a task, as a checkpoint of a run does.

    Args:
        model: A transformers causal language model; it is left as it is.
        tokenizer: Its fast tokenizer.
        task: Name of a task, a task, or cases.
        cases: Only so many, from the first; None: all.

    Raises:
        UsageError: There is no such task, or the architecture is not supported.
        PalimpsestError: The task's data are not here.
    """
    from palimpsest.harness.metrics.probes import Outcomes, aggregate, case_table
    from palimpsest.harness.scoring.probes import score_cases
    from palimpsest.harness.specs.cases import EditTask
    from palimpsest.tasks.registry import load_task

    found = load_task(task) if isinstance(task, str) else task
    chosen = (found.cases if isinstance(found, EditTask) else found)[:cases]
    if not len(chosen) or (cases is not None and cases < 1):
        raise UsageError("score() needs at least one case.")
    form = found.form if isinstance(found, EditTask) else "counterfact"
    with _editable(model, tokenizer, "") as place:
        outcomes = score_cases(place, chosen)
    return Scores(aggregate(case_table(Outcomes.from_records(outcomes), form)), tuple(outcomes))


@contextmanager
def _editable(model: Any, tokenizer: Any, fingerprint: str) -> Iterator[EditableModel]:
    """The model as editors and scoring want it; afterwards its modes and gradients are as before."""
    from palimpsest.harness.model.architectures import is_supported
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.scoring.self_test import try_architecture

    reader = copying.deepcopy(tokenizer)
    reader.padding_side = "right"
    if reader.pad_token_id is None:
        reader.pad_token = reader.eos_token or reader.unk_token or reader.convert_ids_to_tokens(0)
    modes = {module: module.training for module in model.modules()}
    gradients = {parameter: parameter.requires_grad for parameter in model.parameters()}
    place = EditableModel(model, reader, name=type(model).__name__, fingerprint=fingerprint)
    try:
        if not is_supported(model):
            try_architecture(place)
        yield place
    finally:
        for module, training in modes.items():
            module.training = training
        for parameter, wanted in gradients.items():
            parameter.requires_grad_(wanted)


def _request(number: int, given: EditRequest | Mapping[str, str]) -> EditRequest:
    """One request, checked.

    Raises:
        UsageError: A field is missing or empty, or the prompt does not hold the subject once.
    """
    from palimpsest.harness.specs.cases import EditRequest

    if isinstance(given, EditRequest):
        return given
    where = f"Request {number}"
    for name in _FIELDS:
        if not isinstance(given.get(name), str) or not given[name].strip():
            raise UsageError(f"{where}: {name} must be a text, got {given.get(name)!r}.")
    prompt, subject = given["prompt"], given["subject"]
    if prompt.count("{}") != 1:
        if prompt.count(subject) != 1:
            raise UsageError(f"{where}: the prompt {prompt!r} must hold {{}} or the subject {subject!r} exactly once.")
        prompt = prompt.replace(subject, "{}")
    return EditRequest(
        number, prompt, subject, given["target_new"].strip(), str(given.get("target_true") or "").strip()
    )


def _registered(model: Any, preset: str | None) -> ModelEntry | None:
    """The registered model that is meant, by its name or by where it was loaded from; None: none of them."""
    from palimpsest.harness.model.catalogue import registered_models, resolve

    if preset is not None:
        return resolve(preset)
    source = str(getattr(model.config, "_name_or_path", "") or getattr(model, "name_or_path", ""))
    for entry in registered_models().values():
        if source and (source == entry.hub or (entry.folder is not None and Path(source) == entry.folder)):
            return entry
    return None
