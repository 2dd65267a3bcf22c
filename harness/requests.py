"""What is edited and what is asked afterwards: requests, probes, cases, tasks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

TaskForm = Literal["counterfact", "zsre"]
ProbeKind = Literal["rewrite", "paraphrase", "neighborhood", "attribute", "generation"]


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


@dataclass(frozen=True, slots=True)
class EditTask:
    """A dataset as an ordered list of cases."""

    name: str
    form: TaskForm
    cases: tuple[Case, ...]

    @property
    def content_hash(self) -> str:
        """SHA-256 over all cases in order: data and order are part of a run's identity."""
        digest = hashlib.sha256(self.form.encode())
        for case in self.cases:
            digest.update(json.dumps(asdict(case), sort_keys=True, ensure_ascii=False).encode())
        return digest.hexdigest()
