"""Scores of the unedited model, measured once and shared by all runs that ask it the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.files import remove_folder, verify_folder, write_folder
from palimpsest.harness.measurement import ABILITIES, ANSWERS, PROBES

if TYPE_CHECKING:
    from palimpsest.harness.spec import RunSpec

_NAMES = (PROBES, ANSWERS, ABILITIES)


class PristineScores:
    """A folder below ``<home>/models/<fingerprint>/scores``, addressed by everything that its content depends on."""

    def __init__(self, cache: Path, spec: RunSpec, environment: Mapping[str, Any]) -> None:
        """Args: folder of the model's caches; a run; versions and hardware, which may move the last bits."""
        relevant = {
            "protocol": spec.protocol,
            "task": spec.task.model_dump(mode="json"),
            "schedule": spec.schedule.model_dump(mode="json", include={"edits", "order_seed"}),
            "order": spec.seed if spec.schedule.order_seed == "run" else None,
            "scoring": spec.scoring.model_dump(mode="json"),
            "abilities": [ability.model_dump(mode="json") for ability in spec.abilities],
            "environment": dict(environment),
        }
        text = json.dumps(relevant, sort_keys=True, default=str)
        self._key = hashlib.sha256(text.encode()).hexdigest()
        self.folder = cache / "scores" / self._key[:24]

    def find(self) -> dict[str, bytes] | None:
        """The files, verified; None if they are not there or damaged."""
        if not self.folder.exists():
            return None
        if verify_folder(self.folder, edits=0, names=_NAMES, key=self._key):
            remove_folder(self.folder)
            return None
        return {name: (self.folder / name).read_bytes() for name in _NAMES}

    def keep(self, files: Mapping[str, bytes]) -> None:
        """Store the files for other runs.

        Raises:
            MissingResource: The disk is full.
        """
        needed = sum(len(files[name]) for name in _NAMES)
        try:
            with write_folder(self.folder, edits=0, bytes_needed=needed, key=self._key) as partial:
                for name in _NAMES:
                    (partial / name).write_bytes(files[name])
        except OSError:
            if self.find() is None:  # unless another process was quicker
                raise
