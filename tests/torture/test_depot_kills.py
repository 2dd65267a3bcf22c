"""Two processes share runs of a depot and are killed: never two publishers, never a torn head, the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_killed_processes_lose_nothing_that_they_have_published(tmp_path: Path) -> None:
    """Ten kills, or as many as ``PALIMPSEST_TEST_KILLS`` says; two hundred: ``benchmarks/depot_kills.py``."""
    kills = os.environ.get("PALIMPSEST_TEST_KILLS", "10")
    command = [sys.executable, "-m", "benchmarks.depot_kills", str(tmp_path), "--kills", kills, "--seed", "3"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    total = json.loads(done.stdout.splitlines()[-1])
    assert total["kills"] == int(kills) and total["with_edits"] >= 1 and total["taken_over"] >= 1, done.stdout
