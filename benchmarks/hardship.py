"""Run, ingest, build and submit on machines that lack something, and two at once where one is meant.

Usage: OMP_NUM_THREADS=1 python -m benchmarks.hardship PLACE [NAME…]

Every hardship ends with words and an exit code, or with the numbers of a good machine; once it is over, the same
commands lead to those numbers. Small disks and read-only ones are mounted, which needs root; without, they are left
out and said to be.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.forked import PATIENCE, Child, attempt, finish, in_a_child, rude, unlike
from benchmarks.torture import Course, warm

COURSE = Course("run", "ft-l")


def steps(home: Path) -> list[list[str]]:
    """From nothing to a bundle."""
    place = ["--home", str(home)]
    return [
        *COURSE.commands(home),
        ["store", "ingest", *place, "--submissions", str(home / "none")],
        ["site", "build", *place, "--out", str(home / "page")],
        ["submit", *(COURSE.runs(home) or ["none"]), *place, "--out", str(home / "submissions")],
    ]


@dataclass(frozen=True)
class Hardship:
    """The lack or oddity of the machine, in words."""

    name: str
    child: Callable[[], None] | None = None
    """Called in the process itself."""
    disk: str | None = None
    """Options of a small file system that is mounted over the home once it is set up; remounted with them."""
    where: str = "home"
    """Path of the home below the place."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment that Python reads at its start: the command is then a process begun anew."""

    def before(self, command: list[str]) -> Callable[[], None] | None:
        """First work of the process that is to carry out a command."""
        if not self.variables:
            return self.child
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
        arguments = [sys.executable, "-P", "-m", "palimpsest.cli", *command]
        return lambda: os.execve(sys.executable, arguments, kept | self.variables)


def limit(what: int, most: int) -> Callable[[], None]:
    """A limit of the process."""
    return lambda: resource.setrlimit(what, (most, most))


def little_memory() -> None:
    """Leave 40 MiB of address space beyond what is taken."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit(resource.RLIMIT_AS, pages * resource.getpagesize() + (40 << 20))()


def clock(seconds: float) -> Callable[[], None]:
    """A clock that stands at a time."""

    def wind() -> None:
        time.time = lambda: seconds

    return wind


def no_home() -> None:
    """No HOME, no cache, no configuration."""
    for name in [name for name in os.environ if name == "HOME" or name.startswith("XDG_")]:
        del os.environ[name]


def stdout_to(name: str | None) -> Callable[[], None]:
    """Standard output that is closed, or leads elsewhere."""

    def lead() -> None:
        os.close(1)
        if name is not None:
            os.open(name, os.O_WRONLY)

    return lead


OTHER_LETTERS = "hôme/ホーム/mit Leerzeichen 'und\" Zeichen"
ASCII_ONLY = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
HARDSHIPS = (
    Hardship("a file of at most 20 kB (RLIMIT_FSIZE)", limit(resource.RLIMIT_FSIZE, 20_000)),
    Hardship("a file of at most 1 MB (RLIMIT_FSIZE)", limit(resource.RLIMIT_FSIZE, 1_000_000)),
    Hardship("a full disk (tmpfs of 3 MB)", disk="size=3m"),
    Hardship("a full disk (tmpfs of 12 MB)", disk="size=12m"),
    Hardship("a read-only home", disk="ro"),
    Hardship("64 open files", limit(resource.RLIMIT_NOFILE, 64)),
    Hardship("40 MiB of address space left", little_memory),
    Hardship("a clock in 1970", clock(0.0)),
    Hardship("a clock in 2096", clock(4e9)),
    Hardship("a path of 3,000 letters", where="/".join(["x" * 230] * 13)),
    Hardship("a path that is not ASCII", where=OTHER_LETTERS),
    Hardship("a locale of ASCII, a path that is not", where=OTHER_LETTERS, variables=ASCII_ONLY),
    Hardship("LANG=C", variables={"LANG": "C", "LC_ALL": "", "PYTHONUTF8": "0"}),
    Hardship("no HOME", no_home),
    Hardship("standard output closed", stdout_to(None)),
    Hardship("standard output full", stdout_to("/dev/full")),
)


@contextmanager
def mounted(home: Path, options: str | None) -> Iterator[bool]:
    """A small file system in place of the home, with what the home holds; False where none can be mounted."""
    if options is None:
        yield True
        return
    size = options if options.startswith("size") else "size=200m"
    aside = home.with_name("aside")
    home.rename(aside)
    home.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(home)], capture_output=True, check=False)
    if done.returncode:
        yield False
        return
    try:
        shutil.copytree(aside, home, dirs_exist_ok=True)
        if options == "ro":
            subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        yield True
        subprocess.run(["mount", "-o", "remount,rw,size=500m", str(home)], check=True)
        shutil.copytree(home, aside, dirs_exist_ok=True)
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)
        home.rmdir()
        aside.rename(home)


def prepared(place: Path) -> dict[str, str]:
    """A home with nothing but caches, and the digest that all roads lead to."""
    kept = place / "wanted.json"
    if not kept.is_file():
        home = place / "good"
        shutil.rmtree(home, ignore_errors=True)
        COURSE.write_suite(home)
        for number in range(4):
            problem = finish(steps(home)[number], home)
            assert problem is None, problem
        kept.write_text(json.dumps(results_of(home)), encoding="utf-8")
    return dict(json.loads(kept.read_text(encoding="utf-8")))


def results_of(home: Path) -> dict[str, str]:
    """Digests of the numbers and weights of its runs; stores, pages and bundles tell how long a run took."""
    return {name: digest for name, digest in in_a_child(home).items() if name.startswith("runs/")}


def fresh(place: Path, where: str, *, caches: bool = True) -> Path:
    """A home that has still to do everything."""
    shutil.rmtree(place / "hard", ignore_errors=True)
    home = place / "hard" / where
    COURSE.write_suite(home)
    if caches:
        shutil.copytree(place / "good" / "models", home / "models")
    return home


def endure(place: Path, hardship: Hardship, wanted: dict[str, str]) -> dict[str, Any]:
    """One hardship over all steps, and the way back."""
    home = fresh(place, hardship.where)
    codes: list[int | None] = []
    said: list[str] = []
    problems: list[str] = []
    with mounted(home, hardship.disk) as possible:
        for number in range(4 if possible else 0):
            code, text = attempt(steps(home)[number], home, hardship.before(steps(home)[number]))
            codes.append(code)
            said.append(text[-400:])
            problem = rude(code, text)
            problems += [problem] if problem else []
    for number in range(4):
        problem = finish(steps(home)[number], home)
        problems += [f"afterwards: {problem}"] if problem else []
    difference = unlike(results_of(home), wanted)
    problems += [f"afterwards {difference}"] if difference else []
    return {"hardship": hardship.name, "codes": codes, "said": said, "problems": problems}


def together(place: Path, name: str, commands: Sequence[Callable[[Path], list[str]]], wanted: dict[str, str]) -> Any:
    """Several commands at once on one home, then all steps once more."""
    home = fresh(place, "home")
    if "ingest" in name:
        assert finish(steps(home)[0], home) is None
        shutil.copy(home / "suite.yaml", home / "other.yaml")
        text = (home / "other.yaml").read_text(encoding="utf-8")
        (home / "other.yaml").write_text(text.replace("ft-l", "memit"), encoding="utf-8")
    children = [
        Child(command(home), home.with_name(f"{number}.log"), watch=home) for number, command in enumerate(commands)
    ]
    codes = [child.wait(PATIENCE) for child in children]
    said = [child.log.read_text(encoding="utf-8", errors="replace")[-400:] for child in children]
    problems = [problem for code, text in zip(codes, said, strict=True) if (problem := rude(code, text))]
    for number in range(4):
        problem = finish(steps(home)[number], home)
        problems += [f"afterwards: {problem}"] if problem else []
    if "other" not in name:
        difference = unlike(results_of(home), wanted)
        problems += [f"afterwards {difference}"] if difference else []
    return {"hardship": name, "codes": codes, "said": said, "problems": problems}


def _run(home: Path) -> list[str]:
    return steps(home)[0]


def _ingest(home: Path) -> list[str]:
    return steps(home)[1]


def _build(home: Path) -> list[str]:
    return steps(home)[2]


def _other(home: Path) -> list[str]:
    return ["run", "--suite", str(home / "other.yaml"), "--home", str(home), "--quiet"]


TOGETHER: dict[str, Sequence[Callable[[Path], list[str]]]] = {
    "two processes on one run": (_run, _run),
    "two ingests at once": (_ingest, _ingest),
    "ingest and build at once": (_ingest, _build, _ingest),
    "ingest beside other runs": (_other, _ingest, _ingest),
}


def table(done: list[dict[str, Any]]) -> str:
    """Markdown: what was hard, the exit codes, and whether that was all right."""
    lines = ["| hardship | exit codes | |", "| --- | --- | --- |"]
    for item in done:
        codes = ", ".join(map(str, item["codes"])) or "not tried"
        lines.append(f"| {item['hardship']} | {codes} | {'; '.join(item['problems']) or 'as it should be'} |")
    return "\n".join(lines)


def hardships(place: Path, only: Sequence[str], tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Go through all of them that are not done, or through those named."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    place.mkdir(parents=True, exist_ok=True)
    warm(place)
    wanted = prepared(place)
    kept = place / "hardships.jsonl"
    done = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []
    known = {item["hardship"] for item in done}
    with ExitStack() as stack:
        file = stack.enter_context(kept.open("a", encoding="utf-8"))
        for name in [*(hard.name for hard in HARDSHIPS), *TOGETHER]:
            if name in known or (only and name not in only):
                continue
            hard = next((hard for hard in HARDSHIPS if hard.name == name), None)
            found = endure(place, hard, wanted) if hard else together(place, name, TOGETHER[name], wanted)
            done.append(found)
            file.write(json.dumps(found) + "\n")
            file.flush()
            tell(f"{name}: {found['codes']} {found['problems'] or 'as it should be'}")
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", type=Path)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    endured = hardships(given.place.resolve(), given.names, lambda text: print(text, flush=True))
    print(table(endured))
    sys.exit(any(item["problems"] for item in endured))
