"""Standard output that is closed, full or left by its reader, in processes of their own as a shell starts them."""

import subprocess
import sys
from pathlib import Path

import pytest

PALIMPSEST = f"{sys.executable} -m palimpsest.cli"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("palimpsest ", f"{PALIMPSEST} ", 1)],
        capture_output=True, text=True, cwd=folder, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("words", ["--version", "--help", "list --help", "list metrics", "list metrics --json"])
@pytest.mark.parametrize(("place", "reason"), [(">&-", "it is closed"), (">/dev/full", "No space left on device")])
def test_a_closed_or_full_stdout_is_told_and_ends_with_4(words: str, place: str, reason: str, tmp_path: Path) -> None:
    done = shell(f"palimpsest {words} {place}", tmp_path)
    assert done.returncode == 4
    assert done.stderr == f"Standard output cannot be written ({reason}); the results are not shown.\n"


@pytest.mark.parametrize("words", ["--help", "run --help", "list metrics", "list metrics --json"])
def test_a_reader_that_takes_one_line_is_no_error(words: str, tmp_path: Path) -> None:
    done = shell(f"palimpsest {words} | head -1", tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_results_come_out_where_no_message_can(tmp_path: Path) -> None:
    for place in ("2>&-", "2>/dev/full", "<&-"):
        done = shell(f"palimpsest list suites {place}", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "smoke" in done.stdout
    assert shell("palimpsest lst 2>&-", tmp_path).returncode == 2


def test_a_file_that_is_opened_never_takes_the_place_of_a_closed_stdout(tmp_path: Path) -> None:
    """The number of a closed stream would go to the next file, and what C code prints would land in it."""
    program = (
        "import os, sys; from palimpsest.cli.streams import guarded\n"
        "with guarded():\n"
        "    print(open('kept.txt', 'w').fileno(), file=sys.stderr)"
    )
    done = subprocess.run(
        ["bash", "-c", f'exec {sys.executable} -c "$0" >&-', program], capture_output=True, text=True, cwd=tmp_path
    )
    assert int(done.stderr) > 2
