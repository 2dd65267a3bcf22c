"""Kills runs for `test_kills`: a process that imports everything once, and forks a child for each run.

Usage: python -m tests.labs.kill_lab HOME_FOLDER SEED INSTANTS FAULT_POINTS; prints a JSON report.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from palimpsest.harness.system.atomic_files import atomic_write_json
from tests.labs.run_lab import EditableModel, results, run, spec, tiny_model

EDITS = {"edits": 6, "checkpoints": (0, 2, 6)}


def child(home: Path, model: EditableModel, *, kill_at: int | None = None, count_in: Path | None = None) -> int:
    """Do the run in a forked process; its process id. It kills itself before file operation number ``kill_at``."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        seen = 0

        def listen(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event == "palimpsest.files" and str(arguments[1]).startswith(str(home)):
                seen += 1
                if seen == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(listen)
        # Saves between checkpoints depend on the clock: one is made after every batch.
        outcome = run(home, spec({"sleep": 0.01}, **EDITS), model, save_seconds=0.0)
        code = 0 if outcome.status == "complete" else 1
        if count_in is not None:
            atomic_write_json(count_in, seen)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def finish(home: Path, model: EditableModel, wanted: dict[str, str]) -> str | None:
    """Continue a killed run to its end; what differs from the uninterrupted one."""
    if wait(child(home, model)) != 0:
        return "the continued run did not complete"
    (folder,) = (home / "runs").iterdir()
    found = results(folder)
    leftovers = [str(path) for path in folder.rglob(".*.partial")]
    if leftovers:
        return f"left behind: {leftovers}"
    return (
        None if found == wanted else f"differs in {sorted(k for k in found | wanted if found.get(k) != wanted.get(k))}"
    )


def main(place: Path, seed: int, instants: int, fault_points: int) -> None:
    torch.set_num_threads(1)
    model, dice, failures = tiny_model(), random.Random(seed), []
    begin = time.monotonic()
    assert wait(child(place / "whole", model, count_in=place / "count.json")) == 0
    seconds = time.monotonic() - begin
    (folder,) = (place / "whole" / "runs").iterdir()
    wanted, operations = results(folder), json.loads((place / "count.json").read_text())
    killed = 0
    for number in range(instants):
        home = place / f"instant-{number}"
        for _ in range(2):  # killed twice before it may finish
            pid = child(home, model)
            time.sleep(dice.uniform(0.0, seconds))
            os.kill(pid, signal.SIGKILL)
            killed += wait(pid) == -signal.SIGKILL
        problem = finish(home, model, wanted)
        failures += [f"instant {number}: {problem}"] if problem else []
    for point in sorted(dice.sample(range(1, operations + 1), min(fault_points, operations))):
        home = place / f"point-{point}"
        killed += wait(child(home, model, kill_at=point)) == -signal.SIGKILL
        killed += wait(child(home, model, kill_at=dice.randrange(1, operations))) == -signal.SIGKILL
        problem = finish(home, model, wanted)
        failures += [f"before operation {point}: {problem}"] if problem else []
    print(json.dumps({"operations": operations, "killed": killed, "failures": failures, "seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(argument) for argument in sys.argv[2:5]))
