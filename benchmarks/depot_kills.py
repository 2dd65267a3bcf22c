"""Really kill processes that share runs of a depot, and look for two publishers, torn heads, lost work, other bits.

Usage: OMP_NUM_THREADS=1 python -m benchmarks.depot_kills PLACE [--kills 200] [--seed 1]

A round is one run that two processes want, each with a home of its own; one or the other is killed again and again
with SIGKILL, and started again, until the run is over. Most runs only count; every fifth really edits a tiny model. The
store is moto's S3 on the loopback, and a share of its answers is lost. One line of JSON for each round, and a sum.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from palimpsest.cli.depot_mirror import mirror
from palimpsest.cli.run_in_depot import work_in_depot
from palimpsest.harness.depot.head import Head, look
from palimpsest.harness.depot.store import Unreachable, open_store
from palimpsest.harness.errors import RunBusy
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.runs.journal import Progress, SilentProgress
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.interrupts import Interrupts
from tests.labs.depot_history import check_history
from tests.labs.run_lab import results, run, spec, tiny_model
from tests.labs.s3_server import BUCKET, S3, s3_server

URL = f"s3://{BUCKET}/kills"
TTL = 2.0
"""Seconds of silence after which a process counts as dead; with 60 the kills would take a night."""
PATIENCE = 8 * TTL
LOST = 0.03
"""Share of lost answers."""
COUNTED = 60
AT_WORK = "at-work"
"""File in a home whose process has taken the run: it is killed more often than one that waits."""
EDITS = {"edits": 6, "checkpoints": (0, 2, 6)}


@dataclass
class Round:
    """One run, and how it went."""

    number: int
    edits: bool
    kills: int = 0
    owners: int = 0
    taken_over: int = 0
    """Times that a process took the run from one that was dead or silent."""
    seconds: float = 0.0

    @property
    def spec(self) -> RunSpec:
        """A run of its own."""
        config = {"sleep": 0.05, "rate": 0.05 if self.edits else 0.06 + self.number / 1000}
        return spec(config, **EDITS) if self.edits else spec(config, edits=COUNTED, checkpoints=(0, COUNTED))


def count(home: Path, wanted: RunSpec, progress: Progress) -> int:
    """A run that only counts: a score that stays, a save that gives way, and a line in the journal for each number."""
    folder = home / "runs" / wanted.id
    for number in range(len([*folder.glob("scores/*")]) + 1, COUNTED + 1):
        time.sleep(0.02)
        for kind in ("scores", "checkpoints"):
            place = folder / kind / f"{number:06d}"
            place.mkdir(parents=True)
            (place / "manifest.json").write_text(json.dumps({"files": {}, "number": number}))
        with (folder / "events.jsonl").open("a") as journal:
            journal.write(json.dumps({"event": "batch", "edits": number, "process": os.getpid()}) + "\n")
        old = folder / "checkpoints" / f"{number - 2:06d}"
        if old.exists():
            (old / "manifest.json").unlink()
            old.rmdir()
        progress.tell({"event": "checkpoint", "edits": number})
    ending = {"status": "complete", "edits": COUNTED, "reason": None}
    (folder / "result.json").write_text(json.dumps(ending))
    return 0


def worker(home: Path, one: Round, url: str, model: EditableModel) -> int:
    """Work on the run in a forked process until it is over; its process id."""
    (home / AT_WORK).unlink(missing_ok=True)
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        while code:
            try:
                code = _work(home, one, url, model)
            except (RunBusy, Unreachable):
                time.sleep(0.05)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _work(home: Path, one: Round, url: str, model: EditableModel) -> int:
    wanted = one.spec
    with Interrupts() as interrupts:

        def work(progress: Progress) -> int:
            (home / AT_WORK).touch()
            if not one.edits:
                return count(home, wanted, progress)
            how: Mapping[str, Any] = {"progress": progress, "interrupts": interrupts, "save_seconds": 0.0}
            return int(run(home, wanted, model, **how).status != "complete")

        store = open_store(url, ttl=PATIENCE)
        return work_in_depot(store, home, wanted, SilentProgress(), interrupts, work, ttl=TTL)


def nursery(place: Path) -> None:
    """The process that forks and kills: it has imported everything, and has one thread. Rounds come on stdin."""
    torch.set_num_threads(1)
    model = tiny_model()
    for line in sys.stdin:
        asked = json.loads(line)
        one, dice = Round(asked["number"], asked["edits"]), random.Random(asked["seed"])
        longest = 4 * TTL if one.edits else 1.5 * TTL
        homes = [place / f"{one.number}-{slot}" for slot in range(2)]
        began = time.monotonic()
        workers: dict[int, Path] = {worker(home, one, asked["url"], model): home for home in homes}
        pause = time.monotonic() + dice.uniform(0.1, longest)
        while workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                home = workers.pop(pid)
                if os.waitstatus_to_exitcode(status):
                    workers[worker(home, one, asked["url"], model)] = home
            elif time.monotonic() > pause and one.kills < asked["kills"]:
                owners = [pid for pid, home in workers.items() if (home / AT_WORK).exists()]
                os.kill(dice.choice(sorted(owners if owners and dice.random() < 0.7 else workers)), signal.SIGKILL)
                one.kills += 1
                pause = time.monotonic() + dice.uniform(0.1, longest)
            else:
                time.sleep(0.02)
        one.seconds = round(time.monotonic() - began, 1)
        print(json.dumps(asdict(one)), flush=True)


def judge(one: Round, s3: S3, url: str, place: Path, whole: dict[str, str]) -> list[str]:
    """Faults of a round that has ended."""
    heads = [head for head in map(Head.model_validate_json, s3.heads) if head.run == one.spec.id]
    one.owners = heads[-1].epoch
    one.taken_over = sum(after.epoch > before.epoch and before.owner != "" for before, after in pairwise(heads))
    faults = [f"torn: {key}" for key in s3.torn]
    try:
        check_history(heads)
    except AssertionError as error:
        faults.append(str(error) or traceback.format_exc(limit=-1))
    store = open_store(url, ttl=60)
    head, _ = look(store, one.spec.id)
    if head is None or not head.is_over:
        return [*faults, "it did not end"]
    mirror(store, place, head, saves=True)
    folder = place / "runs" / one.spec.id
    if one.edits:
        found = results(folder)
        faults += [f"other bits: {name}" for name in found | whole if found.get(name) != whole.get(name)]
    else:
        told = [json.loads(line)["edits"] for line in (folder / "events.jsonl").read_text().splitlines()]
        faults += [] if told == [*range(1, COUNTED + 1)] else [f"counted {told}"]
    there, named = set(store.sizes(f"runs/{one.spec.id}")), {f"runs/{one.spec.id}/{key}" for key in head.keys}
    return faults + ([] if named <= there else ["blobs are lost"])


def main(place: Path, kills: int, seed: int) -> int:
    """Kill so many processes in as many rounds as that takes; the exit code."""
    place.mkdir(parents=True, exist_ok=True)
    whole = results(run(place / "whole", Round(0, edits=True).spec, save_seconds=0.0).folder)
    rounds: list[Round] = []
    faults: list[str] = []
    words = [sys.executable, "-m", "benchmarks.depot_kills", str(place), "--nursery"]
    with s3_server() as s3, subprocess.Popen(words, stdin=-1, stdout=-1, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        while sum(one.kills for one in rounds) < kills:
            number, url = len(rounds) + 1, f"{URL}/{len(rounds) + 1}"
            asked: dict[str, Any] = {"number": number, "edits": number % 5 == 2, "url": url}
            left = kills - sum(one.kills for one in rounds)
            asked |= {"seed": seed * 1000 + number, "kills": min(left, max(4, kills // 10))}
            s3.heads.clear()
            s3.torn.clear()
            s3.lose = LOST
            print(json.dumps(asked), file=child.stdin, flush=True)
            one = Round(**json.loads(child.stdout.readline()))
            s3.lose = 0.0
            found = judge(one, s3, url, place / "mirrors" / str(number), whole)
            faults += [f"round {number}: {fault}" for fault in found]
            rounds.append(one)
            print(json.dumps(asdict(one) | {"faults": found}), flush=True)
        child.stdin.close()
    total = {name: sum(getattr(one, name) for one in rounds) for name in ("kills", "owners", "taken_over", "seconds")}
    edited = sum(one.edits for one in rounds)
    print(json.dumps({"rounds": len(rounds), "with_edits": edited, **total, "faults": faults}))
    return 1 if faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("place", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nursery", action="store_true")
    given = parser.parse_args()
    sys.exit(nursery(given.place) if given.nursery else main(given.place, given.kills, given.seed))
