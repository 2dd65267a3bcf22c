"""C07 to C10: the same bits again, beside another instance, from a save, and after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch

from palimpsest.harness.authoring.bench import TASK, Bench, copied, differing
from palimpsest.harness.authoring.report import Finding, last_line
from palimpsest.harness.authoring.worker import AFTER_STATE, AFTER_WEIGHTS, ALONE, STATE, WEIGHTS, write_save
from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.system import child
from palimpsest.harness.system.atomic_files import read_manifest

_PATIENCE = 600.0
"""Seconds that a process of ours may take at most."""
_EDITS, _BATCH, _CHECKPOINTS = 6, 2, "0,2,6"


def same_seed_same_bits(bench: Bench) -> Finding:
    """C07. A second course in the same process ends with the same weights and state."""
    for name in bench.models:
        first, second = bench.base(name), bench.course(name)
        for number, (one, other) in enumerate(zip(first.weights, second.weights, strict=True)):
            changed = differing(one, other) or differing(first.states[number], second.states[number])
            if changed:
                seen = f"{name}: after batch {number} {changed[0]} differs between two courses of the same seed"
                return Finding("fail", seen)
    return Finding("ok", "two courses, the same bits after every batch")


def instances_do_not_interact(bench: Bench) -> Finding:
    """C08. A course is the same when a second instance edits another model in between."""
    wanted = bench.base(bench.small)
    other_model = bench.fresh(bench.small)
    with bench.editing(bench.small) as editing, bench.editing(bench.small, other_model) as other:
        other.edit(0, bench.requests[-3:])
        for number, batch in enumerate(bench.batches):
            editing.edit(number, batch)
            other.edit(number + 1, bench.requests[-3:])
        now = copied(editing.model.read_weights(editing.written))
        state = copied(editing.editor.state_dict())
    changed = differing(wanted.weights[-1], now) or differing(wanted.states[-1], state)
    if changed:
        return Finding("fail", f"{changed[0]} differs when another instance edits another model in between")
    return Finding("ok", "interleaved with another instance, the same bits")


def goes_on_from_a_save(bench: Bench) -> Finding:
    """C09. Weights and state, loaded in a new process, and the next batch: the bits of the course that was not cut."""
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory(prefix="palimpsest-check-") as place, bench.editing(bench.small) as editing:
        folder = Path(place)
        editing.edit(0, bench.batches[0])
        editing.edit(1, bench.batches[1])
        write_save(editing, folder / WEIGHTS, folder / STATE)
        task = {
            "editor": bench.editor,
            "overrides": bench.overrides,
            "home": str(bench.home.resolve()),
            "model": bench.small,
            "threads": torch.get_num_threads(),
            "number": 2,
            "batch": [asdict(request) for request in bench.batches[2]],
        }
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        ended = child.run("-m", "palimpsest.cli.check_worker", place, variables=ALONE, timeout=_PATIENCE)
        if ended.returncode:
            return Finding("fail", f"in a new process: {last_line(ended.stderr)}")
        editing.edit(2, bench.batches[2])
        weights, state = editing.snapshot()
        changed = differing(copied(weights), load_file(folder / AFTER_WEIGHTS))
        changed = changed or differing(copied(state), load_file(folder / AFTER_STATE))
    if changed:
        return Finding("fail", f"{changed[0]} differs after the next batch in a new process")
    return Finding("ok", "saved, loaded in a new process, next batch: the same bits")


def killed_and_resumed(bench: Bench) -> Finding:
    """C10. A run through the command line, killed without warning and called again, ends as the one left alone."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-check-") as place:
        homes = [Path(place) / "whole", Path(place) / "killed"]
        (bench.home / "models").mkdir(parents=True, exist_ok=True)
        for home in homes:
            home.mkdir()
            (home / "models").symlink_to((bench.home / "models").resolve())
        whole, killed = (_run(bench, home) for home in homes)
        was_killed = _kill_between_batches(homes[1], killed)
        again = _run(bench, homes[1])
        for process in (whole, again):
            said, _ = process.communicate(timeout=_PATIENCE)
            if process.returncode:
                return Finding(
                    "fail",
                    f"`palimpsest run` ended with code {process.returncode}: {last_line(said)}",
                    "a run of six edits to its end",
                    "`palimpsest run --editor …` with --debug",
                )
        results = [_result(home) for home in homes]
    if results[0] != results[1]:
        return Finding(
            "fail", "the run that was killed ends otherwise than the one left alone: weights, state or answers"
        )
    if not was_killed:
        return Finding("ok", "two runs through the command line, the same bits (too quick to be killed in between)")
    return Finding("ok", "killed after its first save and called again: the same bits")


def _run(bench: Bench, home: Path) -> subprocess.Popen[str]:
    settings = [part for key, value in bench.overrides.items() for part in ("--set", f"{key}={_as_flag(value)}")]
    arguments = [
        *("run", "--editor", bench.editor, "--model", bench.small),
        *("--task", TASK, "--edits", str(_EDITS), "--batch-size", str(_BATCH), "--checkpoints", _CHECKPOINTS),
        *("--abilities", "none", "--home", str(home), "--quiet", *settings),
    ]
    return child.start("-m", "palimpsest.cli", *arguments, variables=ALONE, folder=home)


def _as_flag(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _kill_between_batches(home: Path, process: subprocess.Popen[str]) -> bool:
    """SIGKILL once a save is journalled; whether the run was still going on."""
    begin = time.monotonic()
    while process.poll() is None and time.monotonic() - begin < _PATIENCE:
        if any(event["event"] == "save" for path in home.glob("runs/*/events.jsonl") for event in read_events(path)):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    process.communicate(timeout=_PATIENCE)
    return process.returncode == -signal.SIGKILL


def _result(home: Path) -> dict[str, str]:
    """Digest of each file of the last save and of all scores."""
    (run,) = (home / "runs").iterdir()
    found = {}
    for folder in (run / "checkpoints" / f"{_EDITS:06d}", *sorted((run / "scores").iterdir())):
        for name, entry in (read_manifest(folder) or {"files": {}})["files"].items():
            found[f"{folder.parent.name}/{folder.name}/{name}"] = str(entry["sha256"])
    return found
