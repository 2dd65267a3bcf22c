"""``python -m palimpsest.cli.check_worker FOLDER``: the process of a conformance check that goes on from a save."""

from __future__ import annotations

import sys
from pathlib import Path

from palimpsest.cli.wiring import installation
from palimpsest.harness.authoring.worker import main

if __name__ == "__main__":
    main(Path(sys.argv[1]), installation())
