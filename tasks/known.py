"""The facts of a task that a model knows: what it gives before any edit, so that what is lost was there.

A list holds the requests whose true objects the unedited model gives as its first choice, token by token, and of each
its paraphrase and neighborhood probes of which the same is true. Those of models that ship lie in `known_lists`; others
are made by `palimpsest run --known` and lie in the user's cache.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.formats.gguf_files import cache_folder
from palimpsest.harness.specs.cases import Case, EditTask, Probe
from palimpsest.harness.system.atomic_files import atomic_write_bytes
from palimpsest.harness.system.strict import Strict

MARK = "@known"
"""Behind a task's name: only the facts that the model knows; with ``-FINGERPRINT`` those of a certain model."""
SIFTED = ("paraphrase", "neighborhood")
"""Kinds of probes of which only those stay that the model knows."""
_NAME = re.compile(rf"(?P<task>.+?){MARK}(?:-(?P<short>[0-9a-f]{{12}}))?")
_SHIPPED = Path(__file__).parent / "known_lists"
_SHORT = 12
_LONGEST = 200
"""Characters of a task's name in results."""
_MOST_BYTES = 50_000_000

KnownCase = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Id of a case, and the indices of its paraphrase and of its neighborhood probes that are known."""


class KnownFacts(Strict):
    """The list of one model and one task."""

    task: str = Field(max_length=300)
    content_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of the whole task's content."""
    model: str = Field(max_length=300)
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Checksum of the model."""
    version: str = Field(max_length=100)
    """Version of Palimpsest that asked."""
    cases: tuple[KnownCase, ...] = Field(strict=False)
    """In the task's order."""

    @property
    def name(self) -> str:
        """Name of the task that is left."""
        return f"{self.task}{MARK}-{self.fingerprint[:_SHORT]}"


def split_name(name: str) -> tuple[str, str | None] | None:
    """(whole task, beginning of a model's fingerprint or None) of a name with `MARK`; None: it has none."""
    found = _NAME.fullmatch(name)
    return (found["task"], found["short"]) if found else None


def marked(task: str, fingerprint: str | None = None) -> str:
    """The name of a task's known facts: of a certain model, or None: of the model that it is run on."""
    whole, short = split_name(task) or (task, None)
    if short is not None:
        return task
    return f"{whole}{MARK}" + (f"-{fingerprint[:_SHORT]}" if fingerprint is not None else "")


def restricted(task: EditTask, facts: KnownFacts) -> EditTask:
    """The part of a task that a list names.

    Raises:
        MissingResource: The list was made of another version of the task, or nothing is known.
    """
    if facts.content_hash != task.content_hash:
        differ = f"{facts.content_hash[:12]}, not {task.content_hash[:12]}"
        raise MissingResource(
            f"The list of what {facts.model} knows of {task.name} was made of other data ({differ}). Make it again: "
            f"{_command(task.name, facts.model)}"
        )
    if not facts.cases:
        raise MissingResource(f"{facts.model} knows no fact of {task.name}; there is nothing to edit.")
    if len(facts.name) > _LONGEST:
        raise UsageError(f"Task {task.name!r}: its name is too long for the mark of known facts. Rename its file.")
    known = {case_id: {"paraphrase": set(p), "neighborhood": set(n)} for case_id, p, n in facts.cases}
    kept = [
        Case(case.request, _numbered(probe for probe in case.probes if _stays(probe, known[case.request.case_id])))
        for case in task.cases
        if case.request.case_id in known
    ]
    return EditTask(facts.name, task.form, kept, task.origin)


def _stays(probe: Probe, known: dict[str, set[int]]) -> bool:
    return probe.kind not in SIFTED or probe.index in known[probe.kind]


def _numbered(probes: Iterable[Probe]) -> tuple[Probe, ...]:
    """The probes, each kind numbered from 0 again: readers of a run take a gap for a probe that was lost."""
    before: Counter[str] = Counter()
    found = []
    for probe in probes:
        found.append(replace(probe, index=before[probe.kind]))
        before[probe.kind] += 1
    return tuple(found)


def find_list(task: str, short: str, content_hash: str = "") -> KnownFacts | None:
    """The list of a task and of the model whose fingerprint begins so; None: there is none.

    One that was made of the content with this hash goes before one of other data, and one that ships before an own one.

    Raises:
        MissingResource: It is damaged; says how it is made again.
    """
    found = [_read(path) for path in _places(task, short) if path.is_file()]
    return next((one for one in found if one.content_hash == content_hash), next(iter(found), None))


def known_part(task: EditTask, short: str) -> EditTask:
    """`restricted` by the list of the model whose fingerprint begins so.

    Raises:
        MissingResource: There is no such list, or it is damaged or of other data.
    """
    facts = find_list(task.name, short, task.content_hash)
    if facts is None:
        raise MissingResource(
            f"What the model {short}… knows of {task.name} is not listed on this machine. Make the list: "
            f"{_command(task.name, 'MODEL')}"
        )
    return restricted(task, facts)


def ships(name: str) -> bool:
    """True where no list is needed for a task, or the list that it names is one of those in the repository."""
    found = split_name(name)
    return found is None or (found[1] is not None and (_SHIPPED / _file_name(found[0], found[1])).is_file())


def keep_list(facts: KnownFacts, folder: Path | None = None) -> Path:
    """Write a list where `find_list` finds it, or into another folder; its file."""
    path = (folder or _own_folder()) / _file_name(facts.task, facts.fingerprint[:_SHORT])
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(path, gzip.compress(facts.model_dump_json().encode(), mtime=0))
    return path


def place_of(facts: KnownFacts) -> Path:
    """The file that `find_list` has a list from."""
    own = _own_folder() / _file_name(facts.task, facts.fingerprint[:_SHORT])
    return next((one for one in _places(facts.task, facts.fingerprint[:_SHORT]) if _holds(one, facts)), own)


def unfinished(task: str, fingerprint: str) -> Path:
    """The file of what is known so far while a list is made."""
    return _own_folder() / f"{_file_name(task, fingerprint[:_SHORT])}.unfinished"


def _places(task: str, short: str) -> list[Path]:
    """Files in which a list may be."""
    return [folder / _file_name(task, short) for folder in (_SHIPPED, _own_folder())]


def _holds(path: Path, facts: KnownFacts) -> bool:
    return path.is_file() and _read(path) == facts


def _own_folder() -> Path:
    return cache_folder().parent / "known"


def _file_name(task: str, short: str) -> str:
    return f"{re.sub('[^A-Za-z0-9._-]', '-', task)}-{short}.json.gz"


def _read(path: Path) -> KnownFacts:
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, changed: int) -> KnownFacts:
    try:
        with gzip.open(path) as file:
            return KnownFacts.model_validate_json(file.read(_MOST_BYTES))
    except (OSError, EOFError, ValidationError) as error:
        raise MissingResource(f"{path} is no list of known facts, or damaged. Remove it, and make it again.") from error


def require_model(name: str) -> str:
    """The beginning of a model's fingerprint in a name with `MARK`.

    Raises:
        UsageError: It has none, and nobody has said which model is meant.
    """
    found = split_name(name)
    if found is None or found[1] is None:
        raise UsageError(
            f"Task {name!r}: which facts are known depends on the model. Give --known with --model MODEL, or name the "
            f"model's list: {MARK}-FINGERPRINT, its first {_SHORT} digits."
        )
    return found[1]


def whole_name(name: str) -> str:
    """The name of the whole task in a name with `MARK`, or the name itself."""
    found = split_name(name)
    return name if found is None else found[0]


def _command(task: str, model: str) -> str:
    return f"palimpsest tasks known {task} --model {model}"
