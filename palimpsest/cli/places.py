"""Places at which runs are done: the flags that say so, and what does not go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from palimpsest.cli.pool import at_once
from palimpsest.cli.ray_pool import ray_address
from palimpsest.cli.slurm_script import checked_words
from palimpsest.harness.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Places where runs are done, and what each takes there; nothing here changes a number."""

    on: str | None = None
    """``local``, ``local:N``, ``ray``, ``ray:HOST:PORT`` or ``slurm``.

    None: here, as many at once as cores and memory allow, where there is more than one run.
    """
    slurm: str | None = None
    """Further options of sbatch."""
    detach: bool = False
    """Hand the runs over to a Ray cluster and end, without watching."""
    gpus: int | None = None
    """GPUs of each run; None: one, unless it works on the CPU."""
    memory: int | None = None
    """Memory of each run in GB; None: as much as it is predicted to need."""

    @property
    def address(self) -> str | None:
        """Address of the Ray cluster; None: none is meant."""
        return ray_address(self.on)

    @property
    def on_slurm(self) -> bool:
        """Slurm is meant."""
        return self.on == "slurm"

    @property
    def elsewhere(self) -> bool:
        """Other machines do the runs."""
        return self.on_slurm or self.address is not None

    @property
    def leaves(self) -> bool:
        """The command hands the runs over and ends before they do."""
        return self.on_slurm or self.detach

    @property
    def keep(self) -> Literal["newest", "none"]:
        """Part of the weights of runs that stays where nobody says it: the disk of many machines fills soon."""
        return "none" if self.elsewhere else "newest"

    def check(self, *, device: str = "cpu", device_map: str | None = None, page: bool = False) -> None:
        """Check the flags, alone and together with others.

        Args:
            device: ``--device``.
            device_map: ``--device-map``.
            page: ``--page``.

        Raises:
            UsageError: Says which, and what to give instead.
        """
        if not self.elsewhere:
            at_once(self.on, or_else="ray, ray:HOST:PORT, slurm")
        if self.slurm is not None and not self.on_slurm:
            raise UsageError("--slurm: only --on slurm has use for it.")
        checked_words(self.slurm or "")
        if self.detach and not self.elsewhere:
            raise UsageError("--detach: runs on this machine end with the command. Give --on ray, too.")
        if self.leaves and page:
            raise UsageError("--page: the command ends before the runs do. Build the page later: site build")
        if self.elsewhere and device not in ("cpu", "cuda"):
            raise UsageError(
                f"--on {self.on} with --device {device}: a run sees its own GPUs alone; give --device cuda."
            )
        if self.memory is not None and self.memory < 1:
            raise UsageError(f"--memory: expected a whole number of GB, at least 1, got {self.memory}.")
        if self.gpus is not None:
            self._check_gpus(self.gpus, device, device_map)

    def _check_gpus(self, count: int, device: str, device_map: str | None) -> None:
        if count < 1:
            raise UsageError(f"--gpus-per-run: expected a whole number of at least 1, got {count}.")
        if not self.elsewhere:
            raise UsageError("--gpus-per-run: on this machine nobody deals out GPUs. Give --on ray or --on slurm, too.")
        if device_map is None and device == "cpu":
            raise UsageError("--gpus-per-run: the runs are on the CPU. Give --device cuda or --device-map auto, too.")
        if device_map is None and count > 1:
            raise UsageError(f"--gpus-per-run {count}: --device cuda uses one GPU; --device-map auto uses all.")
