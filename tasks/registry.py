"""The edit tasks by name: those of the pocket world, and those whose data come from the hub or from files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError, MissingResource, UsageError, unknown_name
from palimpsest.harness.specs.cases import EditTask, Origin
from palimpsest.tasks import counterfact, knowedit, known, mquake, portability, zsre
from palimpsest.tasks.collecting import Collected, Form, collect, notes
from palimpsest.tasks.hub import HubData, hub_records
from palimpsest.tasks.joining import files_of, joined
from palimpsest.tasks.pocket import edits
from palimpsest.tasks.pocket.world import build_world
from palimpsest.tasks.realworld import edits as realworld

_LIST = "palimpsest list tasks"
_LONGEST_NAME = 100
_LONGEST_NAMES = 176
"""Characters of the names of joined files together."""
_ENDINGS = (".gz", ".jsonl", ".json", ".parquet")


@dataclass(frozen=True, slots=True)
class DataTask:
    """A task whose data do not ship."""

    description: str
    form: Form
    hub: HubData | None = None
    """None: the data come from a file only."""
    originals: Mapping[str, int] = field(default_factory=dict)
    """Name of a published file without its endings → its records; such a file is the task itself."""
    consistent: bool = False
    """Leave out requests that contradict each other."""


_COUNTERFACT = HubData("azhx/counterfact", "c01c413f856ee38f5c080c9fc5e87aff478e2ff9", ("train", "test"))
_ZSRE = HubData("wangzn2001/Model_Editing_Hurt", "00f0042", file="training-data/zsre_mend_eval.json")
_DATA: Mapping[str, DataTask] = {
    "counterfact": DataTask(
        "21,919 counterfactual rewrites of ROME (hub or --data)",
        counterfact.FORM,
        _COUNTERFACT,
        {"counterfact": 21919},
    ),
    "multi-counterfact": DataTask(
        "CounterFact without requests that contradict each other, after MEMIT (hub or --data)",
        counterfact.FORM,
        _COUNTERFACT,
        {"counterfact": 21919, "multi_counterfact": 20877},
        consistent=True,
    ),
    "zsre": DataTask(
        "19,086 question-answer edits of ZsRE in MEND's form (hub or --data)",
        zsre.FORM,
        _ZSRE,
        {"zsre_mend_eval": 19086},
    ),
    "counterfact-portability": DataTask(
        "CounterFact with questions that follow from the edits, or distract from them (--data FILE+EXTRAS)",
        portability.COUNTERFACT,
    ),
    "zsre-portability": DataTask("ZsRE with questions that follow from the edits (--data)", portability.ZSRE),
    "knowedit": DataTask("KnowEdit of EasyEdit: edits with portability and locality (--data)", knowedit.FORM),
    "mquake": DataTask("MQuAKE's records of one edit, with multi-hop questions (--data)", mquake.FORM),
}


@dataclass(frozen=True, slots=True)
class MadeTask:
    """A task that is generated here, so that all have the same."""

    description: str
    form: Form
    records: Callable[[], Iterable[Mapping[str, Any]]]


_MADE: Mapping[str, MadeTask] = {
    "pocket-counterfact": MadeTask(
        "2,662 counterfactual rewrites in the pocket world, CounterFact schema",
        counterfact.FORM,
        lambda: edits.counterfact_records(build_world()),
    ),
    "pocket-counterfact-tuning": MadeTask(
        "484 rewrites about other subjects, for choosing presets only",
        counterfact.FORM,
        lambda: edits.counterfact_records(build_world(), "tuning"),
    ),
    "pocket-zsre": MadeTask(
        "1,200 question-answer edits in the pocket world, ZsRE form",
        zsre.FORM,
        lambda: edits.zsre_records(build_world()),
    ),
    "realworld-counterfact": MadeTask(
        "10,562 counterfactual rewrites of real facts in our own sentences, CounterFact schema",
        counterfact.FORM,
        realworld.counterfact_records,
    ),
    "realworld-counterfact-tuning": MadeTask(
        "1,286 rewrites about other subjects, for choosing presets only",
        counterfact.FORM,
        lambda: realworld.counterfact_records("tuning"),
    ),
    "realworld-zsre": MadeTask(
        "the same facts as question-answer edits, ZsRE form",
        zsre.FORM,
        realworld.zsre_records,
    ),
}


@cache  # a task never changes, and what its cases hold is on the disk
def _made(name: str) -> EditTask:
    task = _MADE[name]
    records = ((f"made record {i}", record) for i, record in enumerate(task.records()))
    return EditTask(name, task.form.name, collect(records, task.form).cases)


def task_names() -> dict[str, str]:
    """Every task with a one-line description."""
    made = {name: task.description for name, task in _MADE.items()}
    return made | {name: task.description for name, task in _DATA.items()}


def is_made_here(name: str) -> bool:
    """True if the task is generated, and reads no file and no hub."""
    return known.whole_name(name) in _MADE


@dataclass(frozen=True, slots=True)
class DataFiles:
    """Local files that stand in for the hub's data."""

    files: Mapping[str, Path] = field(default_factory=dict)
    """Task → file."""
    other: Path | None = None
    """File of a task that is not among them."""
    skip_bad: bool = False
    """Leave bad records out."""

    def load(self, name: str, *, skip_bad: bool | None = None) -> EditTask:
        """The task called ``name``, or ``NAME:FILE`` for one whose data are read from a file.

        Behind either may stand `palimpsest.tasks.known.MARK` with the model whose known facts are meant.

        Args:
            name: Of the task.
            skip_bad: Leave bad records out; None: as `skip_bad` says.

        Raises:
            UsageError: If the name is not known; names the near ones.
            ConfigError: If the data hold bad records; lists them.
            MissingResource: If the data are not there.
        """
        if known.split_name(name) is not None:
            short = known.require_model(name)
            return known.known_part(self.load(known.whole_name(name), skip_bad=skip_bad), short)
        base, colon, place = name.partition(":")
        if colon and base not in _DATA:
            raise UsageError(f"Task {name!r}: data files are given as TASK:FILE, where TASK is {' or '.join(_DATA)}.")
        if base not in _DATA:
            if name not in _MADE:
                raise unknown_name("Task", name, task_names(), _LIST)
            return _made(name)
        path = self.files.get(base) or self.other or (Path(place) if place else None)
        skip = self.skip_bad if skip_bad is None else skip_bad
        return _from_hub(base, skip) if path is None else _from_file(base, path, skip)


def load_task(name: str) -> EditTask:
    """`DataFiles.load` without files."""
    return DataFiles().load(name)


def data_files(values: Sequence[str], tasks: Sequence[str] | None = None, *, skip_bad: bool = False) -> DataFiles:
    """Read the values of ``--data``.

    Args:
        values: ``TASK=FILE``, or ``FILE`` for the one task that reads data and has no other file.
        tasks: Names of the chosen tasks, which each value must fit; ``TASK:FILE`` has its file already. None: not
            known yet.
        skip_bad: Leave bad records out.

    Raises:
        UsageError: A value fits none of the tasks, or could be meant for several, or a task gets two files.
    """
    names = map(known.whole_name, _DATA if tasks is None else tasks)
    wanted = list(dict.fromkeys(name for name in names if name in _DATA))
    files: dict[str, Path] = {}
    others: list[str] = []
    for value in values:
        task, equals, place = value.partition("=")
        if not equals or task not in _DATA:
            others.append(value)
        elif task not in wanted:
            raise UsageError(f"--data {value}: {task} without a file is not among the tasks {', '.join(tasks or ())}.")
        elif not place or task in files:
            found = f"{task} has the file {files[task]} already" if task in files else "expected the name of a file"
            raise UsageError(f"--data {value}: {found}.")
        else:
            files[task] = Path(place)
    left = [task for task in wanted if task not in files]
    if others and (len(others) > 1 or not left or (tasks is not None and len(left) > 1)):
        told = f"{', '.join(left)} do: say which, --data {left[0]}={others[-1]}" if left else "none is left"
        raise UsageError(f"--data {others[-1]}: expected one chosen task that reads data and has no file yet; {told}.")
    return DataFiles(files, Path(others[0]) if others else None, skip_bad)


def _from_file(name: str, path: Path, skip_bad: bool) -> EditTask:
    files = files_of(path)
    shown = "+".join(file.name for file in files)
    longest = _LONGEST_NAME if len(files) == 1 else _LONGEST_NAMES
    if not shown.isprintable() or len(shown) > longest:
        what = f"its name stands in results, and has {len(shown)} characters of at most {longest}"
        raise UsageError(f"Data file {str(path)!r}: {what}. Give it a shorter, printable one.")
    try:
        found = collect(joined(files), _DATA[name].form, skip_bad=skip_bad)
    except ConfigError as error:
        known = any(str(file) in str(error) for file in files)
        raise error if known else ConfigError(f"{path}: {error}") from None
    except MissingResource as error:
        raise MissingResource(f"{error} Give it with --data FILE.") from error
    bare = shown
    for ending in _ENDINGS:
        bare = bare.removesuffix(ending)
    original = _DATA[name].originals.get(bare) == found.records
    return _task(name, name if original else f"{name}:{shown}", found, shown)


def _from_hub(name: str, skip_bad: bool) -> EditTask:
    data = _DATA[name]
    if data.hub is None:
        raise MissingResource(f"Task {name!r} reads a file: give it with --data {name}=FILE (schema: docs/data.md).")
    try:
        found = collect(hub_records(data.hub), data.form, skip_bad=skip_bad)
    except MissingResource as error:
        raise MissingResource(
            f"Task {name!r}: {error}. Connect this machine to the hub, or give a file of its records with --data FILE "
            "(JSON, JSON lines, either gzipped, or Parquet; schema: docs/data.md)."
        ) from error
    if data.form.name == "counterfact":  # the hub deals the records over two splits; the file has them by number
        order = sorted(range(len(found.cases)), key=lambda place: found.cases[place].request.case_id)
        found = found.ordered(order)
    published = max(data.originals.values())
    first = [] if found.records == published else [f"{name}: {found.records:,} records; published are {published:,}."]
    return _task(name, name, found, str(data.hub), first)


def _task(name: str, full_name: str, found: Collected, source: str, first: Sequence[str] = ()) -> EditTask:
    data, told = _DATA[name], [*first, *notes(found, full_name)]
    left_out = 0
    if data.consistent:
        kept = found.consistent()
        left_out, found = len(found.cases) - len(kept.cases), kept
        if not found.cases:
            raise ConfigError(f"{source}: every request contradicts another one; none is left for {name}.")
        if left_out:
            told.append(
                f"{full_name}: the {left_out:,} that contradict another are left out; {len(found.cases):,} stay."
            )
    clashing = sum(len(clash.members) for clash in found.clashes if clash.targets > 1)
    origin = Origin(source, found.records, len(found.problems), left_out, clashing, tuple(told))
    return EditTask(full_name, data.form.name, found.cases, origin)
