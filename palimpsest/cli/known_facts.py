"""Listing the facts of a task that a model knows, and putting them in the place of the task."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest import __version__
from palimpsest.cli import output
from palimpsest.cli.means import Means
from palimpsest.harness.errors import MissingResource
from palimpsest.harness.model.placement import use_threads
from palimpsest.harness.specs.cases import Case, EditRequest, EditTask, Probe
from palimpsest.harness.specs.model_entry import ModelEntry
from palimpsest.harness.specs.run_spec import ModelRef
from palimpsest.harness.specs.suite import Suite
from palimpsest.harness.system.locks import alone
from palimpsest.tasks import known
from palimpsest.tasks.known import KnownCase, KnownFacts

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.planning import Catalog

_CHUNK = 64
"""Cases asked at once; after so many what is known is kept."""
_TELL_SECONDS = 10.0


def per_model(
    suite: Suite, catalog: Catalog, given: Means, home: Path, *, make: bool = True, quiet: bool = False
) -> list[Suite]:
    """The suite, or one suite for each model where a task stands for what its model knows.

    Args:
        suite: What is to be run.
        catalog: Finds models.
        given: With what runs are done.
        home: Folder of caches.
        make: Make a list that is missing, which takes minutes and is done once.
        quiet: Print nothing but warnings.

    Raises:
        MissingResource: The model is not here, or knows nothing.
    """
    if not any(map(_is_open, suite.tasks)):
        return [suite]
    found = []
    for name in suite.models:
        ref, entry = catalog.model(name)
        names = [known.marked(task, ref.fingerprint) if _is_open(task) else task for task in suite.tasks]
        for task in filter(_is_open, suite.tasks) if make else ():
            whole = given.installed.tasks.load(known.whole_name(task))
            facts = listed(whole, ref, entry, given, home, quiet=quiet)
            if not quiet:
                output.note(in_words(whole, facts))
        found.append(suite.model_copy(update={"models": (name,), "tasks": tuple(names)}))
    return found


def _is_open(task: str) -> bool:
    """True if the name of a task means what the model knows that it is run on."""
    split = known.split_name(task)
    return split is not None and split[1] is None


def listed(
    task: EditTask, ref: ModelRef, entry: ModelEntry, given: Means, home: Path, *, quiet: bool = False
) -> KnownFacts:
    """The list of what a model knows of a task, found or made.

    Args:
        task: The whole task.
        ref: The model.
        entry: Where it is.
        given: Where the model goes when it is asked.
        home: Folder of caches.
        quiet: Print nothing but warnings.

    Raises:
        MissingResource: The model is not here, or has changed.
    """
    if (facts := _fitting(task, ref)) is not None:
        return facts
    # Late: torch loads in 2 s, which --help and a list that is there need not wait for.
    from palimpsest.harness.runs.loaded_model import load

    started = known.unfinished(task.name, ref.fingerprint)
    started.parent.mkdir(parents=True, exist_ok=True)
    with alone(started.parent, started.name):
        if (facts := _fitting(task, ref)) is not None:  # another process has made it meanwhile
            return facts
        use_threads(given.placement)
        model = load(entry, home, placement=given.placement, texts=given.installed.texts).model
        if model.fingerprint != ref.fingerprint:
            raise MissingResource(f"{entry.name} has changed on the disk while it was read. Give the command again.")
        cases = [one for found in _asked(model, task, started, quiet=quiet) for one in found]
        facts = KnownFacts(
            task=task.name, content_hash=task.content_hash, model=entry.name, fingerprint=ref.fingerprint,
            version=__version__, cases=tuple(cases),
        )  # fmt: skip
        known.keep_list(facts)
        started.unlink(missing_ok=True)
    return facts


def known_part(task: EditTask, ref: ModelRef, entry: ModelEntry, given: Means, home: Path) -> EditTask:
    """The part of a task that a model knows, and a line on how much that is; arguments and errors as of `listed`."""
    facts = listed(task, ref, entry, given, home)
    output.note(in_words(task, facts))
    return known.restricted(task, facts)


def _fitting(task: EditTask, ref: ModelRef) -> KnownFacts | None:
    """The list that is there, if it is of just these data."""
    facts = known.find_list(task.name, ref.fingerprint[:12], task.content_hash)
    return facts if facts is not None and facts.content_hash == task.content_hash else None


def _asked(model: EditableModel, task: EditTask, kept: Path, *, quiet: bool) -> Iterator[list[KnownCase]]:
    """The known cases of every chunk; those that an earlier process has asked are taken from its file."""
    head = {"content_hash": task.content_hash, "fingerprint": model.fingerprint, "version": __version__}
    before = _kept_chunks(kept, head)
    yield from before
    if not before:
        kept.write_text(json.dumps(head) + "\n", encoding="utf-8")
    begun = last = time.monotonic()
    first = len(before) * _CHUNK
    with kept.open("a", encoding="utf-8") as file:
        for start in range(first, len(task.cases), _CHUNK):
            found = known_cases(model, task.cases[start : start + _CHUNK])
            file.write(json.dumps(found) + "\n")
            file.flush()
            yield found
            now, done = time.monotonic(), min(start + _CHUNK, len(task.cases))
            if not quiet and (now - last > _TELL_SECONDS or done == len(task.cases)):
                rate = (done - first) / (now - begun)
                left = (len(task.cases) - done) / rate
                asked = f"{done:,} of {len(task.cases):,} requests asked"
                output.note(f"{task.name}: {asked}, {rate:.1f}/s, {output.duration(left)} left")
                last = now


def _kept_chunks(kept: Path, head: dict[str, str]) -> list[list[KnownCase]]:
    """Chunks in the file of a process that did not finish; none, where they are of something else."""
    chunks: list[list[KnownCase]] = []
    with suppress(OSError, ValueError):  # no file, or a line that death cut short
        first, *lines = kept.read_text(encoding="utf-8").splitlines()
        for line in lines if json.loads(first) == head else ():
            chunks.append([(case_id, tuple(p), tuple(n)) for case_id, p, n in json.loads(line)])
    if chunks:  # without the line that was cut short
        told = "".join(json.dumps(line) + "\n" for line in (head, *chunks))
        kept.write_text(told, encoding="utf-8")
    return chunks


def known_cases(model: EditableModel, cases: Sequence[Case]) -> list[KnownCase]:
    """The cases whose true object is the model's first choice, with their probes of which that is true too."""
    ids = {request.case_id for request in known_requests(model, cases)}
    rest = [_only(case, known.SIFTED) for case in cases if case.request.case_id in ids]
    also = _sure(model, rest)

    def indices(case: Case, kind: str) -> tuple[int, ...]:
        return tuple(p.index for p in case.probes if (case.request.case_id, p.kind, p.index) in also and p.kind == kind)

    return [(case.request.case_id, indices(case, "paraphrase"), indices(case, "neighborhood")) for case in rest]


def known_requests(model: EditableModel, cases: Sequence[Case]) -> list[EditRequest]:
    """The requests whose true object is the model's first choice at each of its tokens."""
    sure = _sure(model, [_only(case, ("rewrite",)) for case in cases if case.request.target_true])
    return [case.request for case in cases if (case.request.case_id, "rewrite", 0) in sure]


def _only(case: Case, kinds: Sequence[str]) -> Case:
    """The case with probes of these kinds alone, each with its true target alone."""
    probes = [_true(probe, case.request) for probe in case.probes if probe.kind in kinds]
    return Case(case.request, tuple(probe for probe in probes if probe.target_true))


def _true(probe: Probe, request: EditRequest) -> Probe:
    """The probe with its true target alone; in the form of ZsRE, only the request has that of what is edited."""
    edited = "" if probe.kind == "neighborhood" else request.target_true
    return replace(probe, target_new="", target_true=probe.target_true or edited)


def _sure(model: EditableModel, cases: Sequence[Case]) -> set[tuple[int, str, int]]:
    """(case id, kind, index) of the probes whose true target is the first choice at each of its tokens."""
    # Late: torch comes with it.
    from palimpsest.harness.scoring.probes import score_cases

    return {(one.case_id, one.kind, one.index) for one in score_cases(model, cases) if one.exact_true}


def in_words(task: EditTask, facts: KnownFacts) -> str:
    """One sentence about the size of a list."""
    known_ones, whole = len(facts.cases), len(task.cases)
    if not known_ones:
        return f"{facts.model} knows none of the {whole:,} requests of {task.name}."
    paraphrases = sum(len(p) for _, p, _ in facts.cases) / known_ones
    neighbors = sum(len(n) for _, _, n in facts.cases) / known_ones
    enough = sum(len(n) >= 5 for _, _, n in facts.cases)
    probes = f"{paraphrases:.1f} paraphrase and {neighbors:.1f} neighborhood probes each"
    share = f"{known_ones:,} of {whole:,} requests of {task.name} ({known_ones / whole:.0%})"
    return f"{facts.model} knows {share}, with {probes}; {enough:,} have five neighbors or more."
