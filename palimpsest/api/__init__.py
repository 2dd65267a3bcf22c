"""The Python API for notebooks: runs and results as data frames, edited models in memory; all found in `palimpsest`."""

from __future__ import annotations

from palimpsest.api.editing import Scores, edit, score
from palimpsest.api.frames import FRAMES, frame
from palimpsest.api.runs import Run, runs

__all__ = ["FRAMES", "Run", "Scores", "edit", "frame", "runs", "score"]
