"""Saves of a run: edited weights and editor state, with the position that they belong to, in one checked folder."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.harness.errors import RunFailed
from palimpsest.harness.model.needs import SAVES_KEPT
from palimpsest.harness.runs.layout import STATE, TRACKER, WEIGHTS, position
from palimpsest.harness.system.atomic_files import (
    announce,
    disk_errors,
    read_manifest,
    remove_folder,
    require_space,
    set_aside,
    verify_folder,
    write_folder,
)

if TYPE_CHECKING:
    from torch import Tensor

_KEPT = SAVES_KEPT - 1
"""One more is being written."""
_NAMES = (WEIGHTS, STATE)


@dataclass(frozen=True, slots=True)
class Save:
    """A verified save of a run."""

    edits: int
    folder: Path

    @property
    def checksums(self) -> dict[str, str]:
        """File → SHA-256, as the manifest says."""
        manifest = read_manifest(self.folder) or {"files": {}}
        return {name: str(entry.get("sha256")) for name, entry in manifest["files"].items()}


class Saves:
    """The folder ``checkpoints`` of one run."""

    def __init__(self, folder: Path, run_id: str) -> None:
        """Name the folder, and the run whose saves may be in it; nothing is read yet."""
        self.folder = folder
        self._run_id = run_id

    def positions(self) -> list[int]:
        """Numbers of edits of all saves that are there, checked or not, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir())

    def problems(self, edits: int) -> list[str]:
        """Faults of the save at ``edits``; none if it is whole."""
        place = self._place(edits)
        names = (*_NAMES, TRACKER) if (place / TRACKER).exists() or _states(place, TRACKER) else _NAMES
        return verify_folder(place, edits=edits, names=names, run=self._run_id)

    def newest(self, at_most: int, above: int = 0) -> tuple[Save | None, dict[int, list[str]]]:
        """The newest whole save with ``above`` < edits ≤ ``at_most``. Nothing is changed.

        Returns:
            The save, or None; and the faults of each damaged newer one, by its number of edits.
        """
        damaged: dict[int, list[str]] = {}
        for edits in reversed(self.positions()):
            if not above < edits <= at_most:
                continue
            problems = self.problems(edits)
            if not problems:
                return Save(edits, self._place(edits)), damaged
            damaged[edits] = problems
        return None, damaged

    def set_aside(self, edits: int, problems: Sequence[str]) -> str:
        """Rename a damaged save, so that a new one can be made; a warning that says so."""
        aside = set_aside(self._place(edits))
        return f"The save at {edits} edits is damaged ({'; '.join(problems)}); it was moved to {aside}."

    def write(
        self,
        edits: int,
        weights: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        tracked: Mapping[str, Tensor] | None = None,
    ) -> Save:
        """Write and verify the save at ``edits``; one that is there already gives way.

        What the diagnostics keep (``tracked``) has a file of its own, left out if there is nothing.

        Raises:
            MissingResource: The disk is full; earlier saves are untouched.
            RunFailed: What was written does not read back.
        """
        place, tracked = self._place(edits), tracked or {}
        needed = sum(t.numel() * t.element_size() for t in (*weights.values(), *state.values(), *tracked.values()))
        with write_folder(place, edits=edits, bytes_needed=needed, run=self._run_id) as partial:
            self._write_tensors(partial / WEIGHTS, weights, edits, needed)
            self._write_tensors(partial / STATE, state, edits, needed)
            if tracked:
                self._write_tensors(partial / TRACKER, tracked, edits, needed)
        problems = self.problems(edits)
        if problems:
            raise RunFailed(f"The save at {edits} edits does not read back: {'; '.join(problems)}. Check the disk.")
        return Save(edits, place)

    def read(self, save: Save) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights and editor state of a save.

        Raises:
            RunFailed: The files belong to another run or position than their manifest says.
        """
        return self._read_tensors(save, WEIGHTS), self._read_tensors(save, STATE)

    def read_tracked(self, save: Save) -> dict[str, Tensor]:
        """Tensors that the diagnostics kept; empty for a save without it.

        Raises:
            RunFailed: As `read`.
        """
        return self._read_tensors(save, TRACKER) if (save.folder / TRACKER).exists() else {}

    def prune(self, wanted: Collection[int] = (), kept: int = _KEPT) -> None:
        """Remove all but the newest ``kept`` saves and those that are ``wanted``."""
        positions = self.positions()
        for edits in positions[: max(0, len(positions) - kept)]:
            if edits not in wanted:
                remove_folder(self._place(edits))

    def _place(self, edits: int) -> Path:
        return self.folder / position(edits)

    def _mark(self, edits: int) -> str:
        return json.dumps({"run": self._run_id, "edits": edits})

    def _write_tensors(self, path: Path, tensors: Mapping[str, Tensor], edits: int, needed: int) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        # Each tensor gets memory of its own: safetensors refuses views that share it.
        own = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        announce("write", path)
        try:
            with disk_errors(path.parent, needed):
                save_file(own, path, metadata={"palimpsest": self._mark(edits)})
        except SafetensorError as error:
            require_space(path.parent, needed)
            raise OSError(f"{path} cannot be written: {error}") from error

    def _read_tensors(self, save: Save, name: str) -> dict[str, Tensor]:
        from safetensors import safe_open

        path = save.folder / name
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("palimpsest") != self._mark(save.edits):
                raise RunFailed(f"{path} is not of run {self._run_id} at {save.edits} edits. Remove {save.folder}.")
            # Cloned into torch's own aligned memory, as tensors have it in an uninterrupted run.
            return {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118


def _states(folder: Path, name: str) -> bool:
    """Tell if the folder's manifest lists a file of this name."""
    return name in (read_manifest(folder) or {"files": {}})["files"]
