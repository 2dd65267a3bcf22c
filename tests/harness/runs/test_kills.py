"""A run that is killed, at any instant and between any two file operations, ends as one that was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_killed_runs_end_with_the_same_bits(tmp_path: Path) -> None:
    instants, points = 4, int(os.environ.get("PALIMPSEST_TEST_KILLS", "12"))
    command = [sys.executable, "-m", "tests.labs.kill_lab", str(tmp_path), "7", str(instants), str(points)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["failures"] == [], done.stderr[-3000:]
    assert report["killed"] >= points
    assert report["operations"] > 100
