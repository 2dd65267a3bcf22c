"""A worker of tickets that edits nothing: it counts, and keeps its count and all that it did in files of the home.

``python -m tests.labs.played_worker TICKET``; the ticket's course says in its command how it goes:
``good EDITS SECONDS``, ``gated EDITS SECONDS``, ``crash-once EDITS SECONDS``, ``lacks-once EDITS SECONDS``, ``fail``,
or ``poisoned [ATTEMPT]``, which dies at once, and from that attempt on, behind the gate.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

GATE = "gate"
"""File in the home; until it is there, work that is ``gated`` does not get beyond its first edit."""
_PATIENCE = 900.0


def wait_for(gate: Path, stop: threading.Event) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not (gate.exists() or stop.wait(0.05)):
        if time.monotonic() > deadline:  # a test has failed, and others want the processor
            sys.exit(1)


def tell(**event: object) -> None:
    print(json.dumps(event), flush=True)


def play(place: Path) -> int:
    ticket = json.loads(place.read_text(encoding="utf-8"))
    home, how = Path(ticket["home"]), ticket["course"]["command"].split()
    name = place.stem
    counted, diary = home / f"{name}.count", home / "diary"
    node = psutil.Process(os.getppid()).ppid()  # whose child Ray's worker is, which keeps this process
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()

    def note(what: str) -> None:
        with diary.open("a", encoding="utf-8") as book:
            book.write(f"{what} {name} {node} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}\n")

    tell(event="here", run=name, process=os.getpid())
    try:
        lock = FileLock(home / f"{name}.lock", timeout=0)
        lock.acquire()
    except Timeout:
        tell(event="error", kind="busy", message="another process works on it")
        return 3
    note("begin")
    try:
        edits = int(counted.read_text()) if counted.exists() else 0
        tell(event="run_resumed", edits=edits) if edits else tell(event="prepared")
        if how[0] == "fail":
            tell(event="error", kind="error", message="the editor failed")
            return 1
        if how[0] == "lacks-once" and diary.read_text(encoding="utf-8").count(f"begin {name} ") == 1:
            tell(event="error", kind="missing", message="the disk is full here")
            return 4
        if how[0] == "poisoned":
            if how[1:] and diary.read_text(encoding="utf-8").count(f"begin {name} ") >= int(how[1]):
                wait_for(home / GATE, stop)
            if stop.is_set():
                return 143
            os.kill(os.getpid(), signal.SIGKILL)
        while edits < int(how[1]):
            if edits and how[0] == "gated":
                wait_for(home / GATE, stop)
            if stop.wait(float(how[2])):
                return 143
            edits += 1
            counted.write_text(str(edits), encoding="utf-8")
            tell(event="batch", edits=edits, seconds_edit=0.1)
            if how[0] == "crash-once" and edits == 2 and not (home / f"{name}.crashed").exists():
                (home / f"{name}.crashed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return 0
    finally:
        note("end")
        lock.release()


if __name__ == "__main__":
    sys.exit(play(Path(sys.argv[1])))
