"""The batch script of many tickets of one size, for Slurm: each task of the array works on one of them."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from palimpsest.harness.errors import UsageError

MOST_TASKS = 1000
"""Tasks of one array; Slurm's own limit is 1,001 where nobody has raised it."""
STOP = "stop"
"""File in a submission's folder: who finds it begins nothing, and does not queue again."""
_STEP_MB = 4096
_OURS = ("--array", "--dependency", "--signal", "--wrap", "--test-only", "--parsable", "--help", "--usage", "--version")
_LEAST_NOTICE = 300


@dataclass(frozen=True, slots=True)
class Size:
    """Needs of each task of an array."""

    cpus: int
    gpus: int
    memory_mb: int

    @classmethod
    def of(cls, cpus: int, gpus: int, memory: int) -> Size:
        """The size for so many bytes of memory, rounded up to whole steps of 4 GB so that there are few sizes."""
        return cls(cpus, gpus, max(1, -(-memory // (_STEP_MB << 20))) * _STEP_MB)


@dataclass(frozen=True, slots=True)
class Times:
    """Predicted times of the tasks of an array."""

    longest: float | None
    """Predicted seconds of the longest; None: unknown."""
    batch: float | None
    """Predicted seconds of its longest batch, behind which a task saves."""

    @property
    def minutes(self) -> int | None:
        """Limit for each task: half as long again as predicted, or the notice if longer, and ten minutes.

        None: the partition's own.
        """
        if self.longest is None:
            return None
        return round((self.longest + max(0.5 * self.longest, self.notice)) / 60) + 10

    @property
    def notice(self) -> int:
        """Seconds before its limit at which a task is told to save: two batches, and five minutes at least."""
        return max(_LEAST_NOTICE, round(2 * (self.batch or 0.0)))


def checked_words(words: str) -> None:
    """Check the words of ``--slurm``, which go into the script as they are.

    Raises:
        UsageError: They are not one line of options, or take the array's place.
    """
    try:
        parts = shlex.split(words)
    except ValueError as error:
        raise UsageError(f"--slurm: {error}: {words!r}.") from error
    if not words.isprintable() or (parts and not parts[0].startswith("-")):
        raise UsageError(f'--slurm: expected options of sbatch in one line, like "--partition=gpu", got {words!r}.')
    ours = [part for part in parts if part.startswith(("-a", "-d")) or _is_ours(part.partition("=")[0])]
    if ours:
        raise UsageError(f"--slurm: {ours[0]} is for Palimpsest to give.")


def _is_ours(name: str) -> bool:
    """Tell if an option, or the beginning of its name that sbatch takes for it, is one that the script depends on."""
    return len(name) > len("--a") and any(option.startswith(name) for option in _OURS)


def script(folder: Path, names: Path, count: int, size: Size, times: Times, words: str = "") -> str:
    """The text of a batch script.

    Args:
        folder: Of the submission.
        names: File with the path of a ticket in each line, ``count`` of them.
        count: Tasks of the array.
        size: What each of them needs.
        times: How long they take.
        words: Further options of sbatch; they take the place of those below with the same names.
    """
    options = {
        "--job-name": "palimpsest",
        "--array": f"0-{count - 1}",
        "--ntasks": "1",
        "--cpus-per-task": str(size.cpus),
        **({"--gpus-per-task": str(size.gpus)} if size.gpus else {}),
        "--mem": f"{size.memory_mb}M",
        **({} if times.minutes is None else {"--time": str(times.minutes)}),
        "--open-mode": "append",
        "--signal": f"B:TERM@{times.notice}",
        "--output": shlex.quote(f"{folder}/slurm-%A_%a.out"),
    }
    given = {part.partition("=")[0] for part in shlex.split(words)}
    lines = [f"#SBATCH {name}={value}" for name, value in options.items() if name not in given]
    lines += ["#SBATCH --requeue", *([f"#SBATCH {words}"] if words else [])]
    values = {"FOLDER": folder, "NAMES": names, "PYTHON": sys.executable}
    body = _BODY
    for name, value in values.items():
        body = body.replace(f"@{name}@", shlex.quote(str(value)))
    return "\n".join(["#!/usr/bin/env bash", *lines, body])


_BODY = f"""
set -u
folder=@FOLDER@
python=@PYTHON@
if [ -e "$folder/{STOP}" ]; then
  exit 0
fi
ticket=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" @NAMES@)
told=${{ticket%.json}}

# The worker stops in order when its stdin ends: the shell holds the other end of the pipe, and it alone.
code=4 # a node without room for it lacks something, which is no failure of the run
trap 'rm -rf "$place"' EXIT
if place=$(mktemp -d) && mkfifo "$place/keeper"; then
  "$python" -P -m palimpsest.cli.ticket_worker "$ticket" <"$place/keeper" >>"$told.lines" 2>>"$told.log" &
  worker=$!
  trap 'kill -TERM "$worker" 2>/dev/null' TERM
  exec 3<>"$place/keeper"

  while :; do
    wait "$worker"
    code=$?
    kill -0 "$worker" 2>/dev/null || break # else only the wait was interrupted, by a signal that was handed on
  done
  exec 3>&-
fi

if ! next=$("$python" -P -m palimpsest.cli.slurm_verdict "$ticket" "$code" "$folder" 2>>"$told.log"); then
  next="end $code"
  if [ "${{SLURM_RESTART_COUNT:-0}}" -lt 3 ]; then
    next="requeue 30"
  fi
fi
case $next in
requeue*)
  sleep "${{next#requeue }}"
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}" || exit "$code"
  ;;
*)
  exit "${{next#end }}"
  ;;
esac
"""
