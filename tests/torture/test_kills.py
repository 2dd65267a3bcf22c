"""Really killed, stopped and interrupted, every verb that writes ends with the bits of an undisturbed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_killed_commands_end_with_the_bits_of_undisturbed_ones(tmp_path: Path) -> None:
    """Twelve kills, or as many as ``PALIMPSEST_TEST_KILLS`` says; two hundred: ``benchmarks/torture.py``."""
    kills = os.environ.get("PALIMPSEST_TEST_KILLS", "12")
    command = [sys.executable, "-m", "benchmarks.torture", str(tmp_path), "--kills", kills, "--seed", "3"]
    command += ["--editors", "memit-seq"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rounds = [json.loads(line) for line in (tmp_path / "rounds.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sum(blow["landed"] for played in rounds for blow in played["blows"]) >= int(kills)
