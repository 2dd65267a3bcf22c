"""Edits and the questions asked afterwards: requests, probes, cases, tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, get_args, overload

from palimpsest.harness.specs.packed_lines import PackedLines

TaskForm = Literal["counterfact", "zsre"]
FurtherKind = Literal["portability_reasoning", "portability_alias", "portability_logic", "multi_hop", "distracting"]
"""Kinds of probes that only some data have; those of a case with one prompt are alternatives: one right one will do."""
ProbeKind = Literal["rewrite", "paraphrase", "neighborhood", "attribute", "generation", FurtherKind]
SCORED_KINDS: tuple[ProbeKind, ...] = ("rewrite", "paraphrase", "neighborhood", *get_args(FurtherKind))
"""Kinds of probes whose targets are scored at a checkpoint; the others are asked for texts."""


@dataclass(frozen=True, slots=True)
class EditRequest:
    """One fact to write; all that an editor may know about a case."""

    case_id: int
    prompt: str
    """Text with exactly one ``{}`` where the subject goes; the target follows its end."""
    subject: str
    target_new: str
    """The object to write, without leading space."""
    target_true: str
    """The object that the unedited model is expected to give; may be empty (ZsRE)."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to ask after editing; never shown to an editor.

    ZsRE locality questions are probes of kind ``neighborhood`` with the locality answer as ``target_true``.
    """

    kind: ProbeKind
    index: int
    """Position among the probes of this kind within the case."""
    prompt: str
    """Full text, the subject filled in, without trailing space."""
    target_new: str
    """Empty when there is nothing to compare with (ZsRE locality, generation)."""
    target_true: str


@dataclass(frozen=True, slots=True)
class Case:
    """A request with everything that is asked about it."""

    request: EditRequest
    probes: tuple[Probe, ...]


class PackedCases(Sequence[Case]):
    """Cases that are on the disk; each is made anew when it is asked for, and goes when nobody holds it.

    What will be asked about an edit must be out of an editor's reach while it works. So it is no object of the process
    then, which anybody could walk through; only scoring, between edits, makes objects of it.
    """

    def __init__(self, lines: PackedLines, places: Sequence[int]) -> None:
        """A view on packed cases, one a line: those at ``places``, in this order."""
        self._lines = lines
        self._places = places

    @staticmethod
    def of(cases: Sequence[Case]) -> PackedCases:
        """These cases, packed; themselves, if they are already."""
        if isinstance(cases, PackedCases):
            return cases
        return PackedCases(PackedLines(map(_packed, cases)), range(len(cases)))

    def at(self, places: Sequence[int]) -> PackedCases:
        """The cases at these places of this view, in this order."""
        return PackedCases(self._lines, [self._places[place] for place in places])

    @overload
    def __getitem__(self, place: int) -> Case: ...
    @overload
    def __getitem__(self, place: slice) -> PackedCases: ...
    def __getitem__(self, place: int | slice) -> Case | PackedCases:
        """One case, or a view on several."""
        if isinstance(place, slice):
            return PackedCases(self._lines, self._places[place])
        return _unpacked(self._lines.read(self._places[place]))

    def __len__(self) -> int:
        """Give the number of cases in this view."""
        return len(self._places)

    def __eq__(self, other: object) -> bool:
        """Compare case by case."""
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def _packed(case: Case) -> str:
    return json.dumps([_values(case.request), [_values(probe) for probe in case.probes]])


def _values(record: EditRequest | Probe) -> list[str | int]:
    return [getattr(record, name) for name in record.__slots__]


def _unpacked(text: str) -> Case:
    request, probes = json.loads(text)
    return Case(EditRequest(*request), tuple(Probe(*probe) for probe in probes))


@dataclass(frozen=True, slots=True)
class Origin:
    """Source of data that do not ship, and the findings of reading them."""

    source: str
    """Name of the file, or repository and commit on the hub."""
    records: int
    """Records read."""
    skipped: int = 0
    """Bad records that were left out."""
    left_out: int = 0
    """Good ones that the task leaves out since they contradict others."""
    contradicting: int = 0
    """Requests that stay, and ask for another new object of the same relation of the same subject as some other."""
    notes: tuple[str, ...] = ()
    """Remarks for a person."""


@dataclass(frozen=True)
class EditTask:
    """A dataset as an ordered list of cases."""

    name: str
    form: TaskForm
    cases: Sequence[Case]
    """Packed, see `PackedCases`."""
    origin: Origin | None = None
    """None: the data ship with Palimpsest."""

    def __post_init__(self) -> None:
        """Pack the cases."""
        object.__setattr__(self, "cases", PackedCases.of(self.cases))

    def ordered(self, places: Sequence[int]) -> Sequence[Case]:
        """The cases at these places, in this order, still packed."""
        return PackedCases.of(self.cases).at(places)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over all cases in order: data and order are part of a run's identity."""
        digest = hashlib.sha256(self.form.encode())
        for case in self.cases:
            content = {"request": _fields(case.request), "probes": [_fields(probe) for probe in case.probes]}
            digest.update(json.dumps(content, sort_keys=True, ensure_ascii=False).encode())
        return digest.hexdigest()

    @cached_property
    def order_hash(self) -> str:
        """SHA-256 over the case ids in order."""
        return hashlib.sha256(" ".join(str(case.request.case_id) for case in self.cases).encode()).hexdigest()


class TaskFinder(Protocol):
    """Finds edit tasks by name; `tasks.registry.DataFiles` is the real one."""

    def load(self, name: str, *, skip_bad: bool | None = None) -> EditTask:
        """The task called ``name``: one that ships, or whose data come from the hub or from a file.

        ``skip_bad``: leave out bad records; None: as this finder was told.

        Raises:
            UsageError: The name is not known.
            ConfigError: The data hold bad records.
            MissingResource: The data are not available.
        """


def _fields(record: EditRequest | Probe) -> dict[str, str | int]:
    return {name: getattr(record, name) for name in record.__slots__}
