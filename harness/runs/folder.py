"""The folder of one run, to be written: who may, and which of its parts are whole."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from palimpsest.harness.errors import ConfigError, MissingResource, RunBusy, UsageError
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.journal import Journal, Progress
from palimpsest.harness.runs.reading import Ending, read_ending
from palimpsest.harness.runs.saves import Save, Saves
from palimpsest.harness.specs.schedule import batches
from palimpsest.harness.system.atomic_files import (
    atomic_write_bytes,
    atomic_write_json,
    disk_errors,
    read_manifest,
    remove_partials,
    set_aside,
    verify_folder,
)
from palimpsest.harness.system.environment import changed_environment, changed_kind
from palimpsest.harness.system.locks import Held, locked

if TYPE_CHECKING:
    from palimpsest.harness.specs.cases import Case
    from palimpsest.harness.specs.run_spec import RunSpec


class RunFolder:
    """Files of one run. Only the process that holds `locked` writes."""

    def __init__(self, home: Path, spec: RunSpec, progress: Progress | None = None) -> None:
        """Name the place of a run in a home, and who hears its journal; nothing is read or written yet."""
        self.spec = spec
        self.path = home / layout.RUNS / spec.id
        self.saves = Saves(self.path / layout.SAVES, spec.id)
        self.journal = Journal(self.path / layout.JOURNAL, progress)
        self._warnings: list[str] = []

    @contextmanager
    def locked(self, work: str = "") -> Iterator[None]:
        """Hold the folder against other processes; a run that could not even begin leaves none behind.

        ``work`` says to others where this work comes from, beside the machine and the process.

        Raises:
            RunBusy: Another process works on this run.
        """
        begins = not (self.path / layout.SPEC).exists()
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.path / layout.LOCK, work):
                try:
                    yield
                except (UsageError, ConfigError, MissingResource, OSError, MemoryError):
                    if begins:
                        self._forget_beginning()
                    raise
        except Held as held:
            raise RunBusy(
                f"Run {self.spec.id} is being worked on by another process ({held}). "
                f"Wait for it or stop it, then give the same command again. Folder: {self.path}"
            ) from held
        except OSError:
            if begins:
                self._forget_beginning()
            raise

    def _forget_beginning(self) -> None:
        """Remove the folder, unless there is work in it: what could not begin is no partial run."""
        work = [path for part in (layout.SAVES, layout.SCORES) for path in (self.path / part).glob("*")]
        with suppress(OSError):
            if not work:
                shutil.rmtree(self.path)

    def check(self, cases: Sequence[Case]) -> None:
        """Clear what a killed process left; write or repair the files that say what the run is and what it edits."""
        for folder in (self.path, self.saves.folder, self.path / layout.SCORES):
            remove_partials(folder)
        self._warnings += self.journal.mend()
        self._keep(layout.SPEC, _spec_bytes(self.spec), _same_json)
        self._keep(layout.CASES, layout.packed(layout.case_table(cases)), _same_table)
        self._keep(layout.PROBES, layout.packed(layout.probe_table(cases)), _same_table)
        path, found = self.path / layout.MANIFEST, read_manifest(self.path)
        wanted = self._manifest(layout.DESCRIBING)
        if found is None or found != {**found, **wanted, "files": {**found["files"], **wanted["files"]}}:
            if path.exists():  # older runs have none
                self._warnings.append(f"{path} is damaged; it was moved to {set_aside(path)} and written anew.")
            atomic_write_json(path, wanted)

    def _manifest(self, names: Sequence[str]) -> dict[str, Any]:
        return {"format": 1, "run": self.spec.id, "files": {name: _entry(self.path / name) for name in names}}

    def _seals(self) -> dict[str, Any]:
        """Entries of the manifest for files that are written last."""
        files = (read_manifest(self.path) or {"files": {}})["files"]
        return {name: files[name] for name in layout.SEALED if isinstance(files.get(name), dict)}

    def seal(self) -> None:
        """Put ending, environment and journal under the manifest, unless they are; the last that an ended run writes.

        Raises:
            MissingResource: The disk is full.
        """
        if len(self._seals()) < len(layout.SEALED):
            atomic_write_json(self.path / layout.MANIFEST, self._manifest(layout.DESCRIBING + layout.SEALED))

    def _broken(self) -> list[str]:
        """Files that are no longer what they were when the run had ended; the journal may have grown."""
        seals = self._seals()
        grown = seals.get(layout.JOURNAL, {}).get("bytes")
        sizes = {layout.JOURNAL: grown if isinstance(grown, int) else -1}
        return [n for n, stated in seals.items() if _entry(self.path / n, sizes.get(n, -1)) != stated]

    def warnings(self) -> list[str]:
        """Everything found damaged and repaired or set aside since this was last asked."""
        warnings = self._warnings
        self._warnings = []
        return warnings

    def require_same(self, segment: Mapping[str, Any], *, any_machine: bool) -> None:
        """Refuse to go on otherwise than the run was begun, if there are saves or scores: its bits would change.

        Args:
            segment: This process; its ``threads`` are None where torch is not loaded.
            any_machine: Another kind of CPU or GPU will do.

        Raises:
            UsageError: It has another number of torch's threads.
            MissingResource: It is on another kind of machine.
        """
        begun = [path for part in (layout.SAVES, layout.SCORES) for path in (self.path / part).glob("*")]
        try:
            first = json.loads((self.path / layout.ENVIRONMENT).read_bytes())["segments"][0]
            before = first["threads"]
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return
        threads = segment["threads"]
        if begun and isinstance(before, int) and threads is not None and threads != before:
            raise UsageError(
                f"Run {self.spec.id} was begun with --threads {before}, and this command has --threads {threads}: "
                f"other last bits would come out. Go on with --threads {before}, or begin again with --fresh."
            )
        changes = changed_kind(first, segment)
        if begun and changes and not any_machine:
            raise MissingResource(
                f"Run {self.spec.id} was begun on another kind of machine: {'; '.join(changes)}. Other last bits would "
                "come out. Go on where it was begun, or give --any-machine to go on here."
            )

    def reopen(self, segment: Mapping[str, Any]) -> int:
        """Note that this process goes on with the run: take back its ending, add a segment; the segment's number."""
        if self._seals():
            atomic_write_json(self.path / layout.MANIFEST, self._manifest(layout.DESCRIBING))
        (self.path / layout.RESULT).unlink(missing_ok=True)
        return self._add_segment(segment)

    def ending(self) -> Ending | None:
        """Ending of the run; None while it has not. A damaged ``result.json`` is set aside: it is made anew."""
        path = self.path / layout.RESULT
        if not path.exists():
            return None
        ending = read_ending(path, self.spec.schedule.edits)
        if ending is None or layout.RESULT in self._broken():
            self._warnings.append(f"{path} is damaged; it was moved to {set_aside(path)} and is made anew.")
            return None
        return ending

    def end(self, ending: Ending) -> None:
        """Write ``result.json``."""
        value = {"status": ending.status, "edits": ending.edits, "reason": ending.reason}
        atomic_write_json(self.path / layout.RESULT, value)

    def drop_saves(self, ending: Ending) -> None:
        """Remove all saves of a run that is over for good, if every score of it is whole."""
        if ending.status != "failed" and self.saves.positions() and not self.unscored(ending.edits):
            self.saves.prune(kept=0)
            self.journal.append("saves_removed", edits=ending.edits)

    def unscored(self, up_to: int) -> list[int]:
        """Checkpoints at most ``up_to`` without whole scores, ascending; damaged score folders are set aside."""
        missing = []
        for edits in self.spec.schedule.checkpoints:
            if edits > up_to:
                break
            place = self._score_place(edits)
            if not place.exists():
                missing.append(edits)
                continue
            names = layout.score_files(self.spec, edits)
            problems = verify_folder(place, edits=edits, names=names, run=self.spec.id)
            if problems:
                aside = set_aside(place)
                self._warnings.append(
                    f"The scores at {edits} edits are damaged ({'; '.join(problems)}); they were moved to {aside} "
                    "and are computed anew."
                )
                missing.append(edits)
        return missing

    def to_be_done_again(self, ending: Ending) -> list[int]:
        """Checkpoints of an ended run, its scores whole, to do again since a record or its newest save is damaged."""
        told = {event.get("edits") for event in self.journal.events() if event["event"] == "batch"}
        lost = [b.number for b in batches(self.spec.schedule) if b.stop <= ending.edits and b.stop not in told]
        damaged = dict.fromkeys(self._broken(), "does not match its checksum")
        if lost:
            damaged[layout.JOURNAL] = f"does not tell of batch {lost[0]}, which was made"
        for name, why in damaged.items():
            path = self.path / name
            aside = f" and was moved to {set_aside(path)}" if path.exists() else ""
            self._warnings.append(f"{path} is damaged{aside}: it {why}. The run is done again from its first edit.")
        if damaged:
            for edits in self.saves.positions():
                self._warnings.append(self.saves.set_aside(edits, ["a record of its run is damaged"]))
            return list(self.spec.schedule.checkpoints)
        newest = self.saves.positions()[-1:]
        problems = self.saves.problems(newest[0]) if newest else []
        if not problems:
            return []
        self._warnings.append(self.saves.set_aside(newest[0], problems))
        return [edits for edits in self.spec.schedule.checkpoints if 0 < edits <= ending.edits][-1:]

    def saves_towards(self, checkpoints: Sequence[int]) -> dict[int, Save]:
        """The newest whole save on the way to each checkpoint from the one before; damaged ones are set aside."""
        found: dict[int, Save] = {}
        reached = 0
        for checkpoint in checkpoints:
            save, damaged = self.saves.newest(at_most=checkpoint, above=reached)
            self._warnings += [self.saves.set_aside(edits, problems) for edits, problems in damaged.items()]
            if save is not None:
                found[save.edits] = save
            reached = checkpoint
        return found

    def write_scores(self, edits: int, tables: Mapping[str, pa.Table]) -> None:
        """Write the scores of one checkpoint, by file name.

        Raises:
            MissingResource: The disk is full.
        """
        layout.write_tables(self._score_place(edits), tables, edits=edits, run=self.spec.id)

    def continuations(self) -> pa.Table | None:
        """The table of what the unedited model says, from its checkpoint; None where the spec asks for none."""
        return layout.read_table(self._score_place(0) / layout.CONTINUATIONS) if self.spec.scoring.top else None

    def _score_place(self, edits: int) -> Path:
        return self.path / layout.SCORES / layout.position(edits)

    def _keep(self, name: str, data: bytes, same: Callable[[bytes, bytes], bool]) -> None:
        """Write the file if it is missing or not what it must be."""
        path = self.path / name
        if path.exists():
            found = path.read_bytes()
            if found == data:
                return
            if not same(found, data):
                self._warnings.append(
                    f"{path} is damaged or was changed; it was moved to {set_aside(path)} and written anew."
                )
        elif self.saves.positions() or self.journal.events():
            self._warnings.append(f"{path} was missing and is written anew.")
        atomic_write_bytes(path, data)

    def _add_segment(self, segment: Mapping[str, Any]) -> int:
        path = self.path / layout.ENVIRONMENT
        segments: list[Any] = []
        if path.exists():
            try:
                segments = json.loads(path.read_bytes())["segments"]
                if not isinstance(segments, list):
                    raise TypeError
            except (ValueError, KeyError, TypeError):
                segments = []
                self._warnings.append(f"{path} is damaged; it was moved to {set_aside(path)} and begins anew.")
        if segments and isinstance(segments[-1], dict):
            changes = changed_environment(segments[-1], segment)
            if changes:
                self._warnings.append(f"The environment has changed since this run was begun: {'; '.join(changes)}.")
        atomic_write_json(path, {"segments": [*segments, dict(segment)]})
        return len(segments)


def _spec_bytes(spec: RunSpec) -> bytes:
    return (json.dumps(json.loads(spec.canonical()), indent=2, sort_keys=True) + "\n").encode()


def _same_json(found: bytes, wanted: bytes) -> bool:
    try:
        return bool(json.loads(found) == json.loads(wanted))
    except ValueError:
        return False


def _same_table(found: bytes, wanted: bytes) -> bool:
    """Tell if two Parquet files hold the same, though other versions may have written them."""
    try:
        return bool(pq.read_table(io.BytesIO(found)).equals(pq.read_table(io.BytesIO(wanted))))
    except (pa.ArrowException, OSError, ValueError):
        return False


def _entry(path: Path, size: int = -1) -> dict[str, Any] | None:
    """Length and checksum of a file's first ``size`` bytes, -1: of all; None where there is no such file."""
    try:
        with path.open("rb") as file:
            data = file.read(size)
    except FileNotFoundError:
        return None
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
