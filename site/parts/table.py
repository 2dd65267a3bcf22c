"""The rows of a track's table: one per editor and configuration, over its seeds, at every checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from palimpsest.harness.system.environment import DISTRIBUTION
from palimpsest.results.analysis.ranking import has_ended
from palimpsest.results.analysis.seeds import by_row, combine, combine_until
from palimpsest.results.records import BoardRow, EditsUntil, Interval, Standing, Track
from palimpsest.results.store.bulk import Series
from palimpsest.site.words import labels
from palimpsest.site.words.looks import Look, editor_looks, row_looks

ABILITIES_KEPT, QUALITY = "abilities_kept", "quality"
Values = Mapping[int, Interval]
Metrics = dict[str, dict[int, Interval]]
Singles = dict[str, dict[int, tuple[float | None, ...]]]


@dataclass(frozen=True, slots=True)
class TableRow:
    """One editor with one configuration on one track."""

    id: str
    runs: tuple[BoardRow, ...]
    """All of them, by seed."""
    counted: tuple[BoardRow, ...]
    """Runs that the figures are about: those that ended by themselves, or all if none did."""
    cases: int
    """Cases that each of its courses is scored on at the end."""
    look: Look
    effective_edits: Interval
    until_80: EditsUntil
    until_50: EditsUntil
    seconds: float | None
    memory: float | None
    metrics: Mapping[str, Values]
    """Metric → edits → mean over the seeds, with its interval over cases and seeds; window ``all``."""
    by_seed: Mapping[str, Mapping[int, tuple[float | None, ...]]]
    """The same for each counted run, in order; empty for a single run."""
    label: str
    """Its name in legends: the editor's, and what tells it from others of that name."""
    own_cases: bool = False
    """True if its seeds draw cases of their own."""
    along: bool = True
    """False on a track of one checkpoint: h is known at one number of edits, and nothing along the way to it."""

    @property
    def first(self) -> BoardRow:
        """Run from which everything can be read that all runs of the row have in common."""
        return self.counted[0]

    @property
    def standing(self) -> Standing | None:
        """Place of the row; None where no run of it ended by itself."""
        return self.first.standing

    @property
    def built_in(self) -> bool:
        """True if the editor comes with Palimpsest."""
        return self.first.distribution == DISTRIBUTION

    @property
    def statuses(self) -> tuple[tuple[str, int], ...]:
        """Statuses of all runs with how many have them, most frequent first."""
        return tuple(sorted(Counter(run.status for run in self.runs).items(), key=lambda item: (-item[1], item[0])))

    @property
    def date(self) -> str | None:
        """Time at which the newest of its runs ended, or began."""
        return max(((run.finished_at or run.started_at or "") for run in self.runs), default="") or None


def metric_names(track: Track) -> tuple[str, ...]:
    """Names of all metrics that the table can show, in the order of its columns, each form after the other."""
    forms = forms_of(track)
    return (*(f"{part}_{form}" for part in labels.COMPONENTS for form in forms), *track.extras, ABILITIES_KEPT, QUALITY)


def forms_of(track: Track) -> tuple[str, ...]:
    """Forms of the scores that a task has; the first is the one that ranks."""
    return ("token_accuracy",) if track.task_form == "zsre" else ("argmax", "preference")


def table_rows(
    track: Track,
    runs: Sequence[BoardRow],
    curves: Mapping[str, Sequence[Series]],
    site: Mapping[str, Look] | None = None,
) -> tuple[TableRow, ...]:
    """All rows of a track in the order of ``runs`` (that of rank).

    Args:
        track: The track.
        runs: Its runs, best first.
        curves: Run id → its series.
        site: Looks of all editors of the site; None: the track stands for itself.
    """
    names = metric_names(track)
    groups = by_row(runs)
    editors = {key: group[0].editor for key, group in groups.items()}
    looks = row_looks(editors, editor_looks(editors.values()) if site is None else site)
    titles = _row_labels(groups)
    found = (_row(key, group, track, looks[key], titles[key], names, curves) for key, group in groups.items())
    if sum(edits > 0 for edits in track.checkpoints) > 1:
        return tuple(found)
    return tuple(replace(row, along=False, until_80=EditsUntil(), until_50=EditsUntil()) for row in found)


def _row(
    key: str,
    group: Sequence[BoardRow],
    track: Track,
    look: Look,
    label: str,
    names: Sequence[str],
    curves: Mapping[str, Sequence[Series]],
) -> TableRow:
    counted = tuple(run for run in group if has_ended(run)) or tuple(group)
    found = [_values(curves.get(run.run_id, ()), names) for run in counted]
    metrics, single = _measured(counted, *_over_seeds(found, names, own_cases=track.own_cases))
    return TableRow(
        id=key,
        runs=tuple(group),
        counted=counted,
        cases=min(track.edits, track.sample or track.edits),
        look=look,
        effective_edits=_effective_edits(counted),
        until_80=combine_until([run.until_80 for run in counted], own_cases=track.own_cases),
        until_50=combine_until([run.until_50 for run in counted], own_cases=track.own_cases),
        seconds=_mean([run.seconds_per_edit for run in counted]),
        memory=_mean([run.peak_memory_mb for run in counted]),
        metrics=metrics,
        by_seed=single if len(counted) > 1 else {},
        label=label,
        own_cases=track.own_cases,
    )


def _effective_edits(counted: Sequence[BoardRow]) -> Interval:
    standing = counted[0].standing
    if standing is not None:
        return standing.effective_edits
    return combine([run.effective_edits for run in counted], most=float(counted[0].edits_planned))


def _over_seeds(
    found: Sequence[Mapping[str, Values]], names: Sequence[str], *, own_cases: bool
) -> tuple[Metrics, Singles]:
    metrics: Metrics = {}
    single: Singles = {}
    nothing = Interval(None)
    for name in names:
        edits = sorted({e for values in found for e in values.get(name, {})})
        most = None if labels.unbounded(name) else 100.0
        at = {e: [values.get(name, {}).get(e, nothing) for values in found] for e in edits}
        own = own_cases and labels.of_cases(name)
        metrics[name] = {e: combine(group, own_cases=own, most=most) for e, group in at.items()}
        single[name] = {e: tuple(values.get(name, {}).get(e, nothing).value for values in found) for e in edits}
    return metrics, single


def _measured(counted: Sequence[BoardRow], metrics: Metrics, single: Singles) -> tuple[Metrics, Singles]:
    """Drop what was not measured because runs had collapsed.

    It counts as 0 in a mean with runs that go on, and is no value of its own.
    """

    def known(run: BoardRow, edits: int) -> bool:
        return run.status != "collapsed" or edits <= run.edits_done

    means = {
        name: {edits: one for edits, one in values.items() if any(known(run, edits) for run in counted)}
        for name, values in metrics.items()
    }
    seeds = {
        name: {
            edits: tuple(v if known(run, edits) else None for run, v in zip(counted, values, strict=True))
            for edits, values in by_edits.items()
        }
        for name, by_edits in single.items()
    }
    return means, seeds


def _values(curves: Sequence[Series], names: Sequence[str]) -> dict[str, dict[int, Interval]]:
    wanted = set(names)
    return {
        one.metric: {
            edits: Interval(value, low, high)
            for edits, value, low, high in zip(one.edits, one.value, one.low, one.high, strict=True)
        }
        for one in curves
        if one.metric in wanted and one.window in ("all", "")
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _row_labels(groups: Mapping[str, Sequence[BoardRow]]) -> dict[str, str]:
    """Editor titles; where several rows share one, the version or the beginning of the row's id is added."""
    titles = {key: labels.editor_title(group[0].editor) for key, group in groups.items()}
    twins = Counter(titles.values())
    versions = Counter((titles[key], group[0].version) for key, group in groups.items())
    result = {}
    for key, group in groups.items():
        title, version = titles[key], group[0].version
        if twins[title] > 1:
            distinct = versions[title, version] == 1 and len({v for t, v in versions if t == title}) > 1
            title += f" {version}" if distinct else f" ({key[:6]})"
        result[key] = title
    return result
