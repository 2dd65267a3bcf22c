"""Damage every file of a run, a save, a cache and a store in turn, and look whether it is told or mended.

Usage: OMP_NUM_THREADS=1 python -m benchmarks.damage PLACE [--seed 1] [--share 1.0] [--only STATE…]

Each file is changed by one bit, cut in half, emptied and removed; then the same commands as ever are given. They end
with the numbers of an undamaged home, or with words and an exit code. ``PLACE/damages.jsonl`` has a line for each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.forked import attempt, finish, in_a_child, rude, unlike
from benchmarks.torture import Course, warm

COURSE = Course("run", "memit-seq")
"""An editor with a state beside its weights."""


def flip(path: Path, dice: random.Random) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def cut(path: Path, dice: random.Random) -> None:
    """Leave only a beginning."""
    path.write_bytes(path.read_bytes()[: dice.randrange(1, path.stat().st_size)])


def empty(path: Path, dice: random.Random) -> None:
    """Leave no byte."""
    path.write_bytes(b"")


def remove(path: Path, dice: random.Random) -> None:
    """Leave no file."""
    path.unlink()


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (flip, cut, empty, remove)


def steps(home: Path, what: str) -> list[list[str]]:
    """The commands of a home in this state, as its owner would give them again."""
    run, *_ = COURSE.commands(home)
    place = ["--home", str(home)]
    ingest = ["store", "ingest", *place, "--submissions", str(home / "none")]
    build = ["site", "build", *place, "--out", str(home / "page")]
    submit = ["submit", *COURSE.runs(home), *place, "--out", str(home / "submissions")]
    # A page is built from the store alone, so that a damaged store says what becomes of it.
    return {"finished": [run, ingest, submit], "store": [ingest, build]}.get(what, [run])


STATES: dict[str, tuple[str, ...]] = {
    "finished": ("runs/*/*", "runs/*/scores/*/*", "runs/*/checkpoints/*/*"),
    "continued": ("runs/*/*", "runs/*/scores/*/*", "runs/*/checkpoints/*/*"),
    "cache": ("models/*/*", "models/*/*/*", "models/*/*/*/*"),
    "store": ("palimpsest.duckdb",),
}
"""State of a home → patterns of the files that are damaged in it."""


def prepared(place: Path) -> dict[str, dict[str, str]]:
    """A home in each state, and the digest of what its commands lead to; made once."""
    kept = place / "wanted.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    homes = {state: place / state for state in STATES}
    for home in homes.values():
        shutil.rmtree(home, ignore_errors=True)
    COURSE.write_suite(homes["continued"])
    _must([*COURSE.commands(homes["continued"])[0], "--limit", "1"], homes["continued"])
    shutil.copytree(homes["continued"], homes["finished"])
    _must(COURSE.commands(homes["finished"])[0], homes["finished"])
    COURSE.write_suite(homes["cache"])
    shutil.copytree(homes["finished"] / "models", homes["cache"] / "models")
    shutil.copytree(homes["finished"], homes["store"])
    _must(steps(homes["store"], "store")[0], homes["store"])
    wanted = {}
    for state, home in homes.items():
        trial = home.with_name("trial")
        shutil.rmtree(trial, ignore_errors=True)
        shutil.copytree(home, trial)
        for number in range(len(steps(trial, state))):
            _must(steps(trial, state)[number], trial)
        wanted[state] = numbers_of(trial)
    kept.write_text(json.dumps(wanted), encoding="utf-8")
    return wanted


def _must(command: list[str], home: Path) -> None:
    problem = finish(command, home)
    assert problem is None, problem


def attempts(place: Path, seed: int, share: float, only: Collection[str] = STATES) -> Iterator[tuple[str, str, int]]:
    """State, file and number of the damage, a seeded share of all in some states."""
    dice = random.Random(seed)
    for state in only:
        patterns = STATES[state]
        home = place / state
        files = sorted({str(path.relative_to(home)) for pattern in patterns for path in home.glob(pattern)})
        for name in files:
            if (home / name).is_file() and (home / name).stat().st_size and not name.endswith("/lock"):
                yield from ((state, name, number) for number in range(len(DAMAGES)) if dice.random() < share)


def numbers_of(home: Path) -> dict[str, str]:
    """Digest of a home without what tells how often a run was begun: journals, in the store and in bundles too."""
    tables = tuple(f"palimpsest.duckdb: {name}" for name in ("environment", "events", "runs"))
    return {name: d for name, d in in_a_child(home).items() if not name.startswith((*tables, "submissions/", "page/"))}


def suffer(place: Path, seed: int, state: str, name: str, number: int, wanted: dict[str, str]) -> dict[str, Any]:
    """One damage, and what came of it."""
    home = place / "hurt"  # no word that a message about damage has
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(place / state, home)
    DAMAGES[number](home / name, random.Random(f"{seed}-{state}-{name}-{number}"))
    said = ""
    problem = None
    codes = []
    for step in range(len(steps(home, state))):
        code, text = attempt(steps(home, state)[step], home)
        codes.append(code)
        said += text
        problem = rude(code, text)
        if code != 0 or problem:
            break
    if problem is None and not any(codes):
        problem = unlike(numbers_of(home), wanted)
    outcome = "wrong" if problem else "clear message" if any(codes) else "right numbers"
    if outcome == "right numbers" and ("damaged" in said or "anew" in said):
        outcome = "told, right numbers"
    return {
        "state": state,
        "file": kind(name),
        "damage": DAMAGES[number].__name__,
        "codes": codes,
        "outcome": outcome,
        "problem": problem,
        "said": said[-500:],
    }


def kind(name: str) -> str:
    """Kind of a file: its path without the ids of run, model and content in its name."""
    parts = [part for part in name.split("/") if len(part) < 40 and not (len(part) == 12 and part.isalnum())]
    return "/".join("-".join(word for word in part.split("-") if len(word.split(".")[0]) != 16) for part in parts)


def table(done: list[dict[str, Any]]) -> str:
    """Markdown: every kind of file, how often it was damaged, and what came of it."""
    found = Counter((item["state"], item["file"], item["outcome"]) for item in done)
    names = sorted({(state, name) for state, name, _ in found})
    outcomes = ("right numbers", "told, right numbers", "clear message", "wrong")
    lines = [f"| home | file | {' | '.join(outcomes)} |", f"| --- | --- |{' --- |' * len(outcomes)}"]
    for state, name in names:
        lines.append(f"| {state} | {name} | {' | '.join(str(found[state, name, o] or '') for o in outcomes)} |")
    return "\n".join(lines)


def damage(
    place: Path, seed: int, share: float, tell: Callable[[str], None], only: Collection[str] = STATES
) -> list[dict[str, Any]]:
    """Do all damages that are not done yet."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    place.mkdir(parents=True, exist_ok=True)
    kept = place / "damages.jsonl"
    done = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []
    warm(place)
    wanted = prepared(place)
    for state, name, number in list(attempts(place, seed, share, only))[len(done) :]:
        done.append(suffer(place, seed, state, name, number, wanted[state]))
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(done[-1]) + "\n")
        tell(f"{state} {name} {done[-1]['damage']}: {done[-1]['outcome']} {done[-1]['problem'] or ''}")
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only", nargs="+", choices=STATES, default=tuple(STATES))
    given = parser.parse_args()
    suffered = damage(given.place.resolve(), given.seed, given.share, lambda text: print(text, flush=True), given.only)
    print(table(suffered))
    sys.exit(any(item["problem"] for item in suffered))
