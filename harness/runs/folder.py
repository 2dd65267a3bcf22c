"""The folder of one run: who may write in it, what it says, and which of its parts are whole."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.errors import RunBusy
from palimpsest.harness.runs.journal import Journal, read_events
from palimpsest.harness.runs.layout import LOCK
from palimpsest.harness.runs.saves import Saves
from palimpsest.harness.runs.score_files import CONTINUATIONS, parquet_bytes, score_files
from palimpsest.harness.specs.cases import Case
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.atomic_files import (
    atomic_write_bytes,
    atomic_write_json,
    disk_errors,
    remove_partials,
    set_aside,
    verify_folder,
    write_folder,
)
from palimpsest.harness.system.environment import changed_environment
from palimpsest.harness.system.locks import Held, locked

if TYPE_CHECKING:
    from palimpsest.harness.specs.run_spec import RunSpec


ENDINGS = ("complete", "collapsed", "failed")


@dataclass(frozen=True, slots=True)
class Ending:
    """What ``result.json`` says: how a run ended."""

    status: str
    """One of `ENDINGS`."""
    edits: int
    """Last good number of edits."""
    reason: str | None = None


class RunFolder:
    """Files of one run. Only the process that holds `locked` writes."""

    def __init__(self, home: Path, spec: RunSpec) -> None:
        """Args: the home, and the run; nothing is read or written yet."""
        self.spec = spec
        self.path = home / "runs" / spec.id
        self.saves = Saves(self.path / "checkpoints", spec.id)
        self.journal: Journal
        self.warnings: list[str] = []
        """What was found damaged and repaired or set aside."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other processes.

        Raises:
            RunBusy: Another process works on this run.
        """
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.path / LOCK):
                yield
        except Held as held:
            raise RunBusy(
                f"Run {self.spec.id} is being worked on by another process ({held}). "
                f"Wait for it or stop it, then give the same command again. Folder: {self.path}"
            ) from held

    def check(self, cases: Sequence[Case]) -> None:
        """Clear what a killed process left, and write or repair the files that describe the run."""
        for folder in (self.path, self.saves.folder, self.path / "scores"):
            remove_partials(folder)
        self.journal = Journal(self.path / "events.jsonl")
        self._keep("spec.json", _spec_bytes(self.spec), _same_json)
        self._keep("cases.parquet", _case_bytes(cases), _same_table)
        self._keep("probes.parquet", _probe_bytes(cases), _same_table)

    def reopen(self, segment: Mapping[str, Any]) -> int:
        """Note that this process goes on with the run: take back its ending, add a segment; the segment's number."""
        (self.path / "result.json").unlink(missing_ok=True)
        return self._add_segment(segment)

    def ending(self) -> Ending | None:
        """How the run ended; None while it has not. A damaged ``result.json`` is set aside: it is made anew."""
        path = self.path / "result.json"
        if not path.exists():
            return None
        ending = read_ending(path)
        if ending is None or (ending.status == "complete") != (ending.edits == self.spec.schedule.edits):
            self.warnings.append(f"{path} is damaged; it was moved to {set_aside(path)} and is made anew.")
            return None
        return ending

    def end(self, ending: Ending) -> None:
        """Write ``result.json``."""
        value = {"status": ending.status, "edits": ending.edits, "reason": ending.reason}
        atomic_write_json(self.path / "result.json", value)

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
            problems = verify_folder(place, edits=edits, names=score_files(self.spec, edits), run=self.spec.id)
            if problems:
                aside = set_aside(place)
                self.warnings.append(
                    f"The scores at {edits} edits are damaged ({'; '.join(problems)}); they were moved to {aside} "
                    "and are computed anew."
                )
                missing.append(edits)
        return missing

    def write_scores(self, edits: int, files: Mapping[str, bytes]) -> None:
        """Write the scores of one checkpoint.

        Raises:
            MissingResource: The disk is full.
        """
        place = self._score_place(edits)
        needed = sum(map(len, files.values()))
        with write_folder(place, edits=edits, bytes_needed=needed, run=self.spec.id) as partial:
            for name, data in files.items():
                (partial / name).write_bytes(data)

    def continuations(self) -> bytes | None:
        """The file of what the unedited model says, from its checkpoint; None where the spec asks for none."""
        return (self._score_place(0) / CONTINUATIONS).read_bytes() if self.spec.scoring.top else None

    def events(self) -> list[dict[str, Any]]:
        """The journal so far."""
        return read_events(self.path / "events.jsonl")

    def _score_place(self, edits: int) -> Path:
        return self.path / "scores" / f"{edits:06d}"

    def _keep(self, name: str, data: bytes, same: Any) -> None:
        """Write the file if it is missing or not what it must be."""
        path = self.path / name
        if path.exists():
            found = path.read_bytes()
            if found == data:
                return
            if not same(found, data):
                self.warnings.append(
                    f"{path} is damaged or was changed; it was moved to {set_aside(path)} and written anew."
                )
        elif self.saves.positions() or self.events():
            self.warnings.append(f"{path} was missing and is written anew.")
        atomic_write_bytes(path, data)

    def _add_segment(self, segment: Mapping[str, Any]) -> int:
        path = self.path / "environment.json"
        segments: list[Any] = []
        if path.exists():
            try:
                segments = json.loads(path.read_bytes())["segments"]
                if not isinstance(segments, list):
                    raise TypeError
            except (ValueError, KeyError, TypeError):
                segments = []
                self.warnings.append(f"{path} is damaged; it was moved to {set_aside(path)} and begins anew.")
        if segments and isinstance(segments[-1], dict):
            changes = changed_environment(segments[-1], segment)
            if changes:
                self.warnings.append(f"The environment has changed since this run was begun: {'; '.join(changes)}.")
        atomic_write_json(path, {"segments": [*segments, dict(segment)]})
        return len(segments)


def read_ending(path: Path) -> Ending | None:
    """What a ``result.json`` says; None if it cannot be read or makes no sense."""
    try:
        value = json.loads(path.read_bytes())
        status, edits, reason = value["status"], value["edits"], value["reason"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fits = status in ENDINGS and type(edits) is int and edits >= 0 and (reason is None or isinstance(reason, str))
    return Ending(status, edits, reason) if fits else None


def _spec_bytes(spec: RunSpec) -> bytes:
    return (json.dumps(json.loads(spec.canonical()), indent=2, sort_keys=True) + "\n").encode()


def _same_json(found: bytes, wanted: bytes) -> bool:
    try:
        return bool(json.loads(found) == json.loads(wanted))
    except ValueError:
        return False


def _same_table(found: bytes, wanted: bytes) -> bool:
    """Whether two Parquet files hold the same, though other versions may have written them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return bool(pq.read_table(io.BytesIO(found)).equals(pq.read_table(io.BytesIO(wanted))))
    except (pa.ArrowException, OSError, ValueError):
        return False


def _case_bytes(cases: Sequence[Case]) -> bytes:
    import pyarrow as pa

    requests = [case.request for case in cases]
    columns: dict[str, Any] = {
        "position": pa.array(range(len(cases)), pa.int32()),
        "case_id": pa.array([r.case_id for r in requests], pa.int64()),
    }
    for name in ("subject", "prompt", "target_new", "target_true"):
        columns[name] = pa.array([getattr(r, name) for r in requests], pa.string())
    return parquet_bytes(columns)


def _probe_bytes(cases: Sequence[Case]) -> bytes:
    import pyarrow as pa

    rows = [(case.request.case_id, probe) for case in cases for probe in case.probes]
    columns: dict[str, Any] = {
        "case_id": pa.array([case_id for case_id, _ in rows], pa.int64()),
        "kind": pa.array([probe.kind for _, probe in rows], pa.string()),
        "index": pa.array([probe.index for _, probe in rows], pa.int32()),
    }
    for name in ("prompt", "target_new", "target_true"):
        columns[name] = pa.array([getattr(probe, name) for _, probe in rows], pa.string())
    return parquet_bytes(columns)


def move_aside(home: Path, spec: RunSpec) -> Path | None:
    """Make room for a fresh start: the run's folder goes to ``<home>/replaced``; its new place, or None.

    Raises:
        RunBusy: Another process works on it.
    """
    folder = home / "runs" / spec.id
    if not folder.exists():
        return None
    try:
        with locked(folder / LOCK):
            place = home / "replaced" / f"{spec.id}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
            place.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(place)
    except Held as held:
        raise RunBusy(f"Run {spec.id} is being worked on by another process ({held}); it cannot begin again.") from held
    (place / f"{LOCK}.holder").unlink(missing_ok=True)
    return place
