"""A run's page: spec, command, environment, curves, abilities, sample prompts before and after."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palimpsest.results.rows import Curve, CurvePoint, Interval, RunDetail, SampleAnswer
from palimpsest.site import board, charts, diagnostics, figures, labels, series
from palimpsest.site.figures import Figure
from palimpsest.site.text import MISSING, clean, count, seconds

_ANSWER_LENGTH = 120
_NORMS = {"update_norm": "Distance from the pristine weights, ‖Wₜ − W₀‖", "weight_norm": "Size, ‖Wₜ‖"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said once, and what that was."""

    text: str
    verdict: str
    """``kept``: begins as it should; ``true``: with the original fact, after an edit of it; ``spilled``: with the new
    fact on a neighbour's prompt; empty: with something else."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One prompt over time."""

    kind: str
    kind_help: str
    prompt: str
    answers: tuple[Answer, ...]
    """Before the edits, at the first checkpoint that includes the edit, at the end."""


@dataclass(frozen=True, slots=True)
class SampleCase:
    """All prompts of one edited fact."""

    position: int
    target_new: str
    target_true: str
    learned_at: int | None
    """The first checkpoint after the edit."""
    rows: tuple[SampleRow, ...]


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One line of a table over the checkpoints."""

    title: str
    note: str
    cells: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class RunView:
    """Everything that a run's page shows."""

    detail: RunDetail
    line: board.RowView
    forms: tuple[str, ...]
    command: str
    spec_text: str
    config: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    charts: tuple[charts.Chart, ...]
    checkpoints: tuple[int, ...]
    metric_rows: tuple[tuple[str, tuple[MatrixRow, ...]], ...]
    ability_rows: tuple[MatrixRow, ...]
    ability_columns: tuple[int, ...]
    phases: tuple[tuple[str, str, float], ...]
    """Phase, seconds as text, share of all editing time in percent."""
    samples: tuple[SampleCase, ...]
    end: int
    diagnostics: tuple[diagnostics.Section, ...] = ()
    diagnostic_columns: tuple[int, ...] = ()


def run_view(detail: RunDetail, curves: Sequence[Curve], samples: Sequence[SampleAnswer]) -> RunView:
    """The view of one run."""
    forms = board.forms_of(detail.track)
    scored = tuple(c.edits for c in detail.checkpoints if c.edits > 0)
    line = board.row_view(detail.row, labels.editor_title(detail.row.editor), series.look(0), forms)
    return RunView(
        detail=detail,
        line=line,
        forms=forms,
        command=command(detail.spec),
        spec_text=json.dumps(detail.spec, indent=2, sort_keys=True, ensure_ascii=False),
        config=tuple((key, json.dumps(value, ensure_ascii=False)) for key, value in sorted(_config(detail).items())),
        facts=board.facts(detail.track),
        charts=tuple(c for c in run_charts(detail, curves, forms) if not c.empty),
        checkpoints=scored,
        metric_rows=tuple((form, metric_rows(detail, form, scored)) for form in forms),
        ability_rows=ability_rows(detail),
        ability_columns=tuple(sorted({edits for a in detail.abilities for edits in a.scores})),
        phases=_phases(detail),
        samples=sample_cases(samples, scored),
        end=scored[-1] if scored else 0,
        diagnostics=diagnostics.sections(detail),
        diagnostic_columns=diagnostics.checkpoints(detail),
    )


def _config(detail: RunDetail) -> Mapping[str, Any]:
    config = detail.spec.get("editor", {}).get("config", {})
    return config if isinstance(config, Mapping) else {}


def command(spec: Mapping[str, Any]) -> str:
    """The command that repeats a run: every setting written out, quoted for a shell."""
    schedule, editor, scoring = spec["schedule"], spec["editor"], spec["scoring"]
    parts = [
        ("palimpsest run", ""),
        ("--model", spec["model"]["name"]),
        ("--editor", editor["name"]),
        ("--task", spec["task"]["name"]),
        ("--edits", schedule["edits"]),
        ("--batch-size", schedule["batch_size"]),
        ("--checkpoints", ",".join(str(edits) for edits in schedule["checkpoints"])),
    ]
    if schedule.get("order_seed") is not None:
        parts.append(("--order-seed", schedule["order_seed"]))
    if scoring.get("sample") is not None:
        parts.append(("--sample", scoring["sample"]))
    abilities = spec["abilities"]
    parts += [("--abilities", ability["name"]) for ability in abilities] or [("--abilities", "none")]
    limits = {ability.get("limit") for ability in abilities} - {None}
    parts += [("--ability-limit", limit) for limit in sorted(limits)]
    parts.append(("--seed", spec["seed"]))
    parts += [("--set", f"{key}={json.dumps(value)}") for key, value in sorted(editor["config"].items())]
    words = [f"{flag} {shlex.quote(clean(str(value)))}" if value != "" else flag for flag, value in parts]
    return " \\\n  ".join(_lines(words))


def _lines(words: Sequence[str], width: int = 92) -> list[str]:
    """Words gathered into lines; a flag is never parted from its value."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) < width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def run_charts(detail: RunDetail, curves: Sequence[Curve], forms: Sequence[str]) -> tuple[charts.Chart, ...]:
    """Scores, windows, abilities, weights and time of one run against edits."""
    return (
        _components_chart(detail, curves, forms),
        _windows_chart(curves, forms),
        _ability_chart(detail, curves),
        _norm_chart(detail),
    )


def _components_chart(detail: RunDetail, curves: Sequence[Curve], forms: Sequence[str]) -> charts.Chart:
    named = series.lines([(c, labels.METRICS[c]) for c in labels.COMPONENTS])
    views = []
    for form in forms:
        points = {c: charts.pick(curves, f"{c}_{form}", "all") for c in labels.COMPONENTS}
        marks = {}
        crossing = detail.row.endurance_editing.edits
        if f"score_{form}" == detail.track.main_metric and crossing is not None:
            value = charts.value_at(points["score"], crossing)
            marks = {"score": (crossing, value)} if value is not None else {}
        views.append(
            charts.View(f"components|{form}|all", f"Scores ({labels.FORMS[form]}), all edits so far", points, marks)
        )
    note = "Score is the harmonic mean of the other three. The ring marks 80 % of its start."
    return charts.Chart("run-components", "Editing", note, named, tuple(views), sync="run")


def _windows_chart(curves: Sequence[Curve], forms: Sequence[str]) -> charts.Chart:
    windows = ("all", "first", "latest")
    named = series.lines([(w, labels.WINDOWS[w]) for w in windows])
    views = []
    for component in labels.COMPONENTS:
        for form in forms:
            points = {w: charts.pick(curves, f"{component}_{form}", w) for w in windows}
            title = f"{labels.METRICS[component]} ({labels.FORMS[form]}) of old and new edits"
            views.append(charts.View(f"{component}|{form}|windows", title, points))
    note = "What the first edits lose while the latest are written is forgetting."
    return charts.Chart("run-windows", "Old edits and new", note, named, tuple(views), sync="run")


def _ability_chart(detail: RunDetail, curves: Sequence[Curve]) -> charts.Chart:
    named = series.lines([(a.ability, labels.ability_title(a.ability)) for a in detail.abilities])
    points = {a.ability: _ability_points(a.scores) for a in detail.abilities}
    kept = charts.pick(curves, "abilities_kept", "")
    views = (charts.View("abilities", "Items answered right", points),)
    note = "The band is the 95 % interval of the mean; those of the tasks are in the table below."
    crossing = detail.row.endurance_abilities.edits
    if kept:
        mean = series.Line("mean", "mean share kept", series.look(len(named)))
        value = charts.value_at(kept, crossing) if crossing is not None else None
        marks = {"mean": (crossing, value)} if crossing is not None and value is not None else {}
        rules = ((80.0, "80 %"), (50.0, "50 %"))
        named = (*named, mean)
        title = "Items answered right, and the mean share kept above chance"
        views = (charts.View("abilities", title, {**points, "mean": kept}, marks, rules),)
    return charts.Chart("run-abilities", "General abilities", note, named, views, sync="run")


def _ability_points(scores: Mapping[int, Interval]) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint(e, i.value, None, None) for e, i in sorted(scores.items()))


def _norm_chart(detail: RunDetail) -> charts.Chart:
    found: dict[str, dict[str, tuple[CurvePoint, ...]]] = {name: {} for name in _NORMS}
    for curve in detail.diagnostics:
        name, _, layer = curve.metric.rpartition(":")
        if name in found and layer.isdigit():
            found[name][layer] = curve.points
    layers = sorted({layer for lines in found.values() for layer in lines}, key=int)
    named = series.lines([(layer, f"layer {layer}") for layer in layers])
    views = tuple(charts.View(name, title, found[name]) for name, title in _NORMS.items() if found[name])
    return charts.Chart("run-weights", "Edited weights", "Frobenius norms.", named, views, percent=False, sync="run")


def metric_rows(detail: RunDetail, form: str, checkpoints: Sequence[int]) -> tuple[MatrixRow, ...]:
    """The scores of one form over the checkpoints, each window a line."""
    at = {(m.metric, m.window, m.edits): m.interval for m in detail.metrics}
    rows = []
    for component in labels.COMPONENTS:
        metric = f"{component}_{form}"
        for window in ("all", "first", "latest"):
            cells = tuple(figures.interval_figure(at.get((metric, window, edits))) for edits in checkpoints)
            if any(cell.sort for cell in cells):
                rows.append(MatrixRow(labels.METRICS[component], labels.WINDOWS[window], cells))
    return tuple(rows)


def ability_rows(detail: RunDetail) -> tuple[MatrixRow, ...]:
    """The abilities over the checkpoints."""
    columns = sorted({edits for a in detail.abilities for edits in a.scores})
    rows = []
    for ability in detail.abilities:
        note = f"{count(ability.items)} items, chance {ability.chance:.0f}"
        cells = tuple(figures.interval_figure(ability.scores.get(edits)) for edits in columns)
        rows.append(MatrixRow(labels.ability_title(ability.ability), note, cells))
    return tuple(rows)


def _phases(detail: RunDetail) -> tuple[tuple[str, str, float], ...]:
    total = sum(detail.timings.phases.values())
    ordered = sorted(detail.timings.phases.items(), key=lambda item: (-item[1], item[0]))
    return tuple((name, seconds(value), 100 * value / total if total else 0.0) for name, value in ordered)


def sample_cases(samples: Sequence[SampleAnswer], checkpoints: Sequence[int]) -> tuple[SampleCase, ...]:
    """Sample answers by edited fact, in edit order."""
    groups: dict[int, list[SampleAnswer]] = {}
    for sample in samples:
        groups.setdefault(sample.position, []).append(sample)
    return tuple(_case(position, group, checkpoints) for position, group in sorted(groups.items()))


def _case(position: int, group: Sequence[SampleAnswer], checkpoints: Sequence[int]) -> SampleCase:
    learned_at = next((edits for edits in checkpoints if edits > position), None)
    edit = next((s for s in group if s.kind == "rewrite"), group[0])
    return SampleCase(
        position=position,
        target_new=edit.target_new,
        target_true=edit.target_true,
        learned_at=learned_at,
        rows=tuple(_sample_row(sample, learned_at, checkpoints[-1] if checkpoints else None) for sample in group),
    )


def _sample_row(sample: SampleAnswer, learned_at: int | None, end: int | None) -> SampleRow:
    texts = [sample.before, *(sample.answers.get(e) if e is not None else None for e in (learned_at, end))]
    return SampleRow(
        kind=sample.kind,
        kind_help=labels.KINDS.get(sample.kind, sample.kind),
        prompt=sample.prompt,
        answers=tuple(_answer(text, sample, edited=i > 0) for i, text in enumerate(texts)),
    )


def _answer(text: str | None, sample: SampleAnswer, *, edited: bool) -> Answer:
    if text is None:
        return Answer(MISSING, "")
    said = " ".join(clean(text, _ANSWER_LENGTH).split())
    neighbour = sample.kind == "neighborhood"
    verdict = ""
    if _begins(said, sample.target_new):
        verdict = "spilled" if neighbour else "kept"
    elif _begins(said, sample.target_true):
        verdict = "kept" if neighbour and edited else "true"
    return Answer(said or "(nothing)", verdict)


def _begins(said: str, target: str) -> bool:
    wanted = " ".join(clean(target).split()).casefold()
    return bool(wanted) and said.casefold().startswith(wanted)
