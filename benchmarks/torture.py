"""Really kill every verb that writes, at random instants and between any two file operations, and look what is left.

Usage: OMP_NUM_THREADS=1 python -m benchmarks.torture PLACE [--kills 200] [--seed 1]

A round takes one verb and one editor, stops it two to four times, gives the same command again until it ends by itself,
and compares every bit with a run that nobody disturbed. Rounds are numbered and seeded: the same call goes on where it
was stopped. ``PLACE/rounds.jsonl`` has one line for each round; the table at the end is that of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.forked import PATIENCE, THERE, Child, finish, in_a_child, rude, unlike
from palimpsest.cli.app import main
from palimpsest.cli.wiring import installation

EDITORS = (
    "ft", "ft-l", "rome", "r-rome", "memit", "memit-seq", "alphaedit", "nse", "deltaedit",
    "prune(memit)", "rect(memit)", "sphere(alphaedit)", "revive(memit)", "revive(alphaedit)", "revive(rect(memit))",
)  # fmt: skip
"""Every built-in editor and the main compositions."""
WEIGHTS = {"run": 14, "ingest": 2, "build": 2, "submit": 2, "nightly": 3}
"""Weight of each verb in the draw of the next round."""
WAYS = {"kill at an instant": 8, "kill before a file operation": 8, "SIGTERM": 2, "two Ctrl-C": 2, "stop and go on": 2}
NIGHT = "2026-01-02"
TASK = "pocket-counterfact"


@dataclass(frozen=True)
class Course:
    """One verb on one home."""

    verb: str
    editor: str

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.verb}-{self.editor}".replace("(", "-of-").replace(")", "")

    def commands(self, home: Path) -> list[list[str]]:
        """Commands that are called, one after the other; only the last is disturbed."""
        suite = str(home / "suite.yaml")
        run = ["run", "--suite", suite, "--home", str(home), "--quiet"]
        ingest = ["store", "ingest", "--home", str(home), "--submissions", str(home / "submissions")]
        return {
            "run": [run],
            "ingest": [run, ingest],
            "build": [run, ingest, ["site", "build", "--home", str(home), "--out", str(home / "page")]],
            "submit": [run, ["submit", *self.runs(home), "--home", str(home), "--out", str(home / "submissions")]],
            "nightly": [["nightly", "--suite", suite, "--day", NIGHT, "--home", str(home), "--quiet",
                         "--out", str(home / "page"), "--submissions", str(home / "submissions")]],
        }[self.verb]  # fmt: skip

    def runs(self, home: Path) -> list[str]:
        """Ids of the runs that are there."""
        return sorted(path.parent.name for path in home.glob("runs/*/result.json"))

    def write_suite(self, home: Path) -> None:
        """A suite of one run with three edits."""
        home.mkdir(parents=True)
        suite = {
            "name": "torture",
            "description": "Three edits",
            "model": "pocket-gpt2",
            "task": TASK,
            "editors": [self.editor],
            "schedule": {"edits": 3, "batch_size": 1, "checkpoints": [0, 1, 3]},
            "abilities": {"tasks": ["pocket"], "limit": 3},
            "seeds": [0],
        }
        (home / "suite.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")


@dataclass
class Reference:
    """Traces of an undisturbed course, and the cost of its last command."""

    digest: dict[str, str]
    processor: float
    """Seconds of processor time; a kill at an instant is one of them, whatever else the machine does."""
    operations: int
    """Operations on files of the home."""


@dataclass
class Round:
    """Blow to a course, and what came of it."""

    number: int
    course: str
    verb: str
    blows: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None


def warm(place: Path) -> None:
    """Import here what a run imports, and read the task, so that children begin with the work at once."""
    course = Course("run", "ft-l")
    names = place / "modules.txt"
    home = place / "warm"
    shutil.rmtree(home, ignore_errors=True)
    course.write_suite(home)
    pid = os.fork()
    if pid == 0:
        try:
            main(course.commands(home)[-1])
            names.write_text("\n".join(sys.modules), encoding="utf-8")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    for name in names.read_text(encoding="utf-8").splitlines():
        if name.startswith(("palimpsest.", "transformers.", "lm_eval", "sklearn.", "pyarrow.", "datasets.")):
            with suppress(Exception):
                import_module(name)
    assert installation().tasks.load(TASK).content_hash  # what takes most of a command that has little to do


def reference(course: Course, place: Path) -> Reference:
    """The undisturbed course, done once."""
    home = place / "undisturbed" / course.name
    kept = home.with_suffix(".json")
    if not kept.is_file():
        shutil.rmtree(home, ignore_errors=True)
        course.write_suite(home)
        for number, _ in enumerate(course.commands(home)[:-1]):
            problem = finish(course.commands(home)[number], home)
            assert problem is None, problem
        before = home.with_suffix(".before")
        shutil.rmtree(before, ignore_errors=True)
        shutil.copytree(home, before)
        count = home.with_suffix(".count")
        child = Child(course.commands(home)[-1], home / "log.txt", watch=home, count=count)
        assert child.wait(PATIENCE) == 0, (home / "log.txt").read_text()
        operations, processor = count.read_text().split()
        found = Reference(in_a_child(home), float(processor), int(operations))
        kept.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return Reference(**json.loads(kept.read_text(encoding="utf-8")))


def strike(course: Course, home: Path, known: Reference, dice: random.Random) -> dict[str, Any]:
    """Begin the course's last command and stop it in one of `WAYS`."""
    way = dice.choices(list(WAYS), weights=list(WAYS.values()))[0]
    if way == "kill before a file operation" and not known.operations:
        way = "kill at an instant"
    at_operation = dice.randrange(1, known.operations + 1) if known.operations else 0
    instant = dice.uniform(0.0, known.processor)
    begin_size = (home / "log.txt").stat().st_size if (home / "log.txt").exists() else 0
    child = Child(
        course.commands(home)[-1],
        home / "log.txt",
        watch=home,
        kill_at=at_operation if way == "kill before a file operation" else 0,
    )
    if way == "kill before a file operation":
        code = child.wait(PATIENCE)
    else:
        child.work(instant)
        code = _blow(child, way, dice)
    said = (home / "log.txt").read_bytes()[begin_size:].decode(errors="replace")
    blow = {"way": way, "code": code, "phase": phase(course, home, said)}
    blow["landed"] = (code != 0 and THERE not in said) or way == "stop and go on"
    blow["problem"] = _unseemly(code, said)
    return blow


def _blow(child: Child, way: str, dice: random.Random) -> int | None:
    if way == "kill at an instant":
        child.send(signal.SIGKILL)
    elif way == "SIGTERM":
        child.send(signal.SIGTERM)
    elif way == "two Ctrl-C":
        child.send(signal.SIGINT)
        child.wait(dice.uniform(0.0, 0.2))
        child.send(signal.SIGINT)
    else:
        child.send(signal.SIGSTOP)
        time.sleep(0.3)
        child.send(signal.SIGCONT)
    code = child.wait(PATIENCE)
    if code is None:
        child.send(signal.SIGKILL)
        child.wait(10)
    return code


def _unseemly(code: int | None, said: str) -> str | None:
    """Faults of a stopped process: to hang, show a traceback, or end with a code that means something else."""
    if code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        return None
    if code not in (None, 0, 130, 143) and THERE not in said:
        return f"ended with {code}: {said[-300:]}"
    return rude(code, said)


def phase(course: Course, home: Path, said: str) -> str:
    """Work that the process was about when it was stopped: as it said itself, or as its last journal line tells."""
    if course.verb not in ("run", "nightly"):
        return course.verb
    for line in reversed(said.splitlines()):
        if line.startswith("killed before "):
            return next((word for word in ("checkpoints", "scores", "models") if f"/{word}/" in line), "run's files")
    journals = sorted(home.rglob("events.jsonl"))
    lines = journals[0].read_bytes().splitlines() if journals else []
    try:
        last = str(json.loads(lines[-1])["event"]) if lines else "start"
    except (ValueError, KeyError):
        last = "journal"
    return {"batch": "edit", "prepared": "edit", "run_resumed": "edit", "save": "scores"}.get(last, last)


def play(number: int, seed: int, place: Path, editors: Sequence[str]) -> Round:
    """One round; its home is kept only when something is wrong."""
    dice = random.Random(f"{seed}-{number}")
    verb = dice.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
    # Every editor in turn where it matters; stores, pages and bundles do not depend on it.
    course = Course(verb, editors[number % len(editors)] if verb == "run" else "ft-l")
    known = reference(course, place)
    home = place / "rounds" / f"{number:04d}"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(place / "undisturbed" / f"{course.name}.before", home)
    _rename(home, place / "undisturbed" / course.name)
    if dice.random() < 0.7 and (made := place / "undisturbed" / course.name / "models").is_dir():
        shutil.copytree(made, home / "models", dirs_exist_ok=True)
    result = Round(number, course.editor, verb)
    for _ in range(dice.choice((2, 3, 4))):
        blow = strike(course, home, known, dice)
        result.blows.append(blow)
        result.problem = result.problem or blow["problem"]
    result.problem = result.problem or finish(course.commands(home)[-1], home) or differences(home, known)
    if result.problem is None:
        shutil.rmtree(home)
    return result


def _rename(home: Path, former: Path) -> None:
    """Suites name no folder, so nothing of a copied home does; make sure."""
    assert str(former) not in (home / "suite.yaml").read_text(encoding="utf-8")


def differences(home: Path, known: Reference) -> str | None:
    """Differences of a finished course from the undisturbed one; parts of files that lie about."""
    leftovers = [
        str(path.relative_to(home))
        for path in home.rglob(".*")
        if path.suffix == ".partial" and "models" not in path.parts  # another process may be writing there
    ]
    if leftovers:
        return f"left behind: {leftovers[:5]}"
    return unlike(in_a_child(home), known.digest)


def rounds(place: Path) -> Iterator[Round]:
    """Rounds that are done already."""
    kept = place / "rounds.jsonl"
    for line in kept.read_text(encoding="utf-8").splitlines() if kept.exists() else ():
        yield Round(**json.loads(line))


def landed(done: list[Round]) -> int:
    """Number of blows that stopped something."""
    return sum(blow["landed"] for item in done for blow in item.blows)


def table(done: list[Round]) -> str:
    """Markdown: what was stopped in what, how often, and what came of it."""
    tried = Counter((item.verb, blow["phase"]) for item in done for blow in item.blows if blow["landed"])
    ways = Counter(blow["way"] for item in done for blow in item.blows if blow["landed"])
    wrong = [item for item in done if item.problem]
    lines = ["| verb | in | stopped |", "| --- | --- | --- |"]
    lines += [f"| {verb} | {where} | {count} |" for (verb, where), count in sorted(tried.items())]
    lines += ["", "| how | times |", "| --- | --- |", *(f"| {way} | {count} |" for way, count in ways.most_common())]
    lines += ["", f"{len(done)} rounds, {sum(ways.values())} blows; {len(wrong)} rounds ended otherwise than alone."]
    lines += [f"- round {item.number}, {item.verb}, {item.course}: {item.problem}" for item in wrong]
    return "\n".join(lines)


def torture(
    place: Path, kills: int, seed: int, tell: Callable[[str], None], editors: Sequence[str] = EDITORS
) -> list[Round]:
    """Play rounds until ``kills`` blows have landed."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    place.mkdir(parents=True, exist_ok=True)
    done = list(rounds(place))
    warm(place)
    while landed(done) < kills:
        result = play(len(done), seed, place, editors)
        with (place / "rounds.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")
        done.append(result)
        tell(f"{landed(done)}/{kills} {result.verb} {result.course}: {result.problem or 'the same bits'}")
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--editors", nargs="+", default=EDITORS)
    given = parser.parse_args()
    played = torture(
        given.place.resolve(), given.kills, given.seed, lambda text: print(text, flush=True), given.editors
    )
    print(table(played))
    sys.exit(any(item.problem for item in played))
