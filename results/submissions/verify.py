"""Checks of a submission without running anything of it: every problem is listed, nothing is believed.

In this order, and a finding of one step does not keep the next from looking, as far as it can: the tree (only the files
that a bundle has, plain, within bounds), the manifest, sizes and checksums, the run folder as for ingest but without
leniency, the closed list of files, columns and entries (`contents`), completeness, consistency of the run's own numbers
(`plausible`), facts that are known without a network (`known`), and the means against the rows of every single case. A
consistent lie in all of these is found by running it again only (`rerun`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from palimpsest.harness.runs import layout
from palimpsest.harness.runs.reading import ENDED
from palimpsest.results.analysis.aggregate import aggregate_run
from palimpsest.results.reading.bounded_files import BYTES_JSON, read_bytes
from palimpsest.results.reading.cleaning import clean_text
from palimpsest.results.reading.plausible import implausible
from palimpsest.results.reading.problems import Invalid, Problem
from palimpsest.results.reading.run_folder import PACKED_JOURNAL, CheckedRun, read_run_folder
from palimpsest.results.submissions.bundle import (
    FORMAT,
    MANIFEST,
    MAX_BYTES,
    Manifest,
    Mean,
    means,
    needed_files,
    totals,
)
from palimpsest.results.submissions.contents import check_answers, check_tree, check_windows_are_there, surplus, walk
from palimpsest.results.submissions.known import contradictions

_SHOWN_MEANS = 20
_TOLERANCE = 1e-9


@dataclass(slots=True)
class Verification:
    """Findings in one bundle."""

    folder: Path
    manifest: Manifest | None = None
    digest: str = ""
    """SHA-256 of ``bundle.json``, which names the checksums of all other files."""
    run: CheckedRun | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """True if there is nothing against the bundle."""
        return not self.problems and self.run is not None and self.manifest is not None

    def add(self, path: str, message: str) -> None:
        """Note a problem; texts may be foreign."""
        self.problems.append(Problem(clean_text(path, 300), clean_text(message, 1000)))


def verify_bundle(folder: Path) -> Verification:
    """Check the bundle in ``folder``; nothing of it is executed, and nothing outside it is read."""
    found = Verification(folder)
    if folder.is_symlink() or not folder.is_dir():
        found.add(str(folder), "is not a folder of its own")
        return found
    for path, message in check_tree(folder, MAX_BYTES):
        found.add(path, message)
    if found.problems:  # links, strange or huge files: nothing below is opened
        return found
    _read_manifest(found)
    if found.manifest is not None:
        _check_files(found, found.manifest)
    try:
        found.run = read_run_folder(folder, "")
    except Invalid as error:
        found.add(str(folder), str(error))
        return found
    except Exception as error:  # whatever a foreign bundle does to a reader is a problem of the bundle
        found.add(str(folder), f"cannot be read ({type(error).__name__}: {error})")
        return found
    for problem in found.run.problems:
        found.add(problem.path, problem.message)
    _check_complete(found, found.run)
    for check in (surplus(folder, found.run), check_answers(found.run), check_windows_are_there(found.run)):
        for path, message in check:
            found.add(path, message)
    for path, message in (*implausible(found.run), *contradictions(found.run, found.manifest)):
        found.add(path, message)
    if found.manifest is not None:
        _check_means(found, found.run, found.manifest.means)
        _check_totals(found, found.run, found.manifest.totals)
    return found


def _read_manifest(found: Verification) -> None:
    try:
        data = read_bytes(found.folder / MANIFEST, BYTES_JSON * 4)
        found.digest = hashlib.sha256(data).hexdigest()
        found.manifest = Manifest.model_validate_json(data)
    except Invalid as error:
        found.add(MANIFEST, str(error))
    except ValidationError as error:
        for problem in error.errors()[:20]:
            found.add(MANIFEST, f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['msg']}")
    if found.manifest is None:
        return
    if found.manifest.format != FORMAT:
        found.add(MANIFEST, f"has format {found.manifest.format}, expected {FORMAT}")
    if found.manifest.run != found.folder.name:
        found.add(MANIFEST, f"belongs to run {found.manifest.run}, but the folder is {found.folder.name}")


def _check_files(found: Verification, manifest: Manifest) -> None:
    there = {name for path, name in walk(found.folder, "") if path.is_file()} - {MANIFEST}
    for name in sorted(there - set(manifest.files)):
        found.add(name, f"is not listed in {MANIFEST}")
    for name in sorted(set(manifest.files) - there):
        found.add(name, f"is listed in {MANIFEST}, but missing")
    for name in sorted(there & set(manifest.files)):
        stated = manifest.files[name]
        data = (found.folder / name).read_bytes()
        if len(data) != stated.bytes or hashlib.sha256(data).hexdigest() != stated.sha256:
            found.add(name, f"does not match its size or checksum in {MANIFEST}: it was damaged or changed")


def _check_complete(found: Verification, run: CheckedRun) -> None:
    if run.ending is None or run.ending.status not in ENDED:
        status = "none" if run.ending is None else run.ending.status
        found.add("result.json", f"must say complete or collapsed, got {status}")
        return
    for edits in run.spec.schedule.checkpoints:
        if edits <= run.ending.edits and edits not in run.checkpoints:
            found.add(f"scores/{edits:06d}", "is missing: the run got that far, so it was scored there")
        if edits > run.ending.edits and edits in run.checkpoints:
            found.add(f"scores/{edits:06d}", f"is there, but the run ended after {run.ending.edits} edits")
    if found.manifest is not None:
        _check_editors(found, run, found.manifest)
        listed = {layout.JOURNAL if name == PACKED_JOURNAL else name for name in found.manifest.files}
        for name in sorted(set(needed_files(run.spec, run.checkpoints)) - listed):
            found.add(name, f"belongs to the run, but is not listed in {MANIFEST}")


def _check_editors(found: Verification, run: CheckedRun, manifest: Manifest) -> None:
    """The sources named must be those of the composition in the spec, and of the distributions in it."""
    named = "(".join(source.name for source in manifest.editors) + ")" * (len(manifest.editors) - 1)
    if named != run.spec.editor.name:
        found.add(MANIFEST, f"editors: names {named}, but the run is of {run.spec.editor.name}")
    for part, key in (("distribution", run.spec.editor.distribution), ("version", run.spec.editor.version)):
        stated = [getattr(source, part) for source in manifest.editors]
        if not set(key.split(" + ")) <= set(stated) or not set(stated) <= set(key.split(" + ")):
            found.add(MANIFEST, f"editors: {part} {', '.join(stated)}, but the spec says {key}")


def _check_means(found: Verification, run: CheckedRun, stated: Sequence[Mean]) -> None:
    try:
        computed = {_key(mean): mean for mean in means(aggregate_run(run, resamples=0))}
    except Exception as error:  # outcomes that no aggregate can be made of are a problem of the bundle
        found.add("scores", f"no means can be computed from it ({type(error).__name__}: {error})")
        return
    claimed = {_key(mean): mean for mean in stated}
    wrong = []
    if len(claimed) != len(stated):
        wrong.append("a mean stands twice")
    for key in sorted(set(computed) | set(claimed)):
        own, theirs = computed.get(key), claimed.get(key)
        if own is None or theirs is None:
            wrong.append(f"{_named(key)} {'is missing' if theirs is None else 'does not follow from the rows'}")
        elif own.n != theirs.n or not _equal(own.value, theirs.value):
            wrong.append(
                f"{_named(key)} is {theirs.value} (n = {theirs.n}), but its rows give {own.value} (n = {own.n})"
            )
    for message in wrong[:_SHOWN_MEANS]:
        found.add(MANIFEST, f"means: {message}")
    if len(wrong) > _SHOWN_MEANS:
        found.add(MANIFEST, f"means: {len(wrong) - _SHOWN_MEANS} more do not agree with their rows")


def _check_totals(found: Verification, run: CheckedRun, stated: Mapping[str, float]) -> None:
    computed = totals(run)
    for name in sorted(set(computed) ^ set(stated)):
        if computed.get(name) or stated.get(name):  # a column that came later is empty in bundles from before
            found.add(MANIFEST, f"totals: {name} {'is missing' if name in computed else 'is of no table'}")
    for name in sorted(set(computed) & set(stated)):
        if not _equal(computed[name], stated[name]):
            found.add(MANIFEST, f"totals: {name} is {stated[name]}, but its rows give {computed[name]}")


def _key(mean: Mean) -> tuple[int, str, str]:
    return mean.edits, mean.window, mean.metric


def _named(key: tuple[int, str, str]) -> str:
    edits, window, metric = key
    return f"{metric} at {edits} edits" + (f", window {window}" if window else "")


def _equal(own: float | None, theirs: float | None) -> bool:
    if own is None or theirs is None:
        return own is theirs
    return abs(own - theirs) <= _TOLERANCE * max(1.0, abs(own))
