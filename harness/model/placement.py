"""Place of a model and its statistics, and the engine that answers for it. Never part of a run's identity."""

from __future__ import annotations

import re
from dataclasses import dataclass

from palimpsest.harness.errors import MissingResource, UsageError

_DEVICE = re.compile(r"cpu|cuda(:\d+)?")


@dataclass(frozen=True, slots=True)
class Placement:
    """The flags ``--device``, ``--device-map``, ``--offload``, ``--engine`` and ``--threads``."""

    device: str = "cpu"
    """``cpu``, ``cuda`` or ``cuda:N``."""
    device_map: str | None = None
    """``auto``: blocks are spread over all GPUs, and over the CPU when these are full."""
    offload: bool = False
    """Statistics, their spectra and the solves with them stay on the CPU."""
    engine: str = "hf"
    """The engine that answers ability tasks; one of `ENGINES`."""
    threads: int | None = None
    """Threads of torch on the CPU; None: one, where the model is on the CPU, else as many as torch likes."""

    def check(self, *, elsewhere: bool = False) -> None:
        """Check that this machine, or one ``elsewhere``, may have what is asked for; looks at GPUs here with torch.

        Raises:
            UsageError: A value that does not exist, or two that exclude each other.
            MissingResource: There is no such GPU.
        """
        if not _DEVICE.fullmatch(self.device):
            raise UsageError(f'--device: expected cpu, cuda or cuda:N, got "{self.device}".')
        if self.device_map not in (None, "auto"):
            raise UsageError(f'--device-map: expected auto, got "{self.device_map}".')
        if self.device_map is not None and self.device != "cpu":
            raise UsageError("--device-map auto chooses the devices itself; leave --device away.")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads: expected a whole number of at least 1, got {self.threads}.")
        if self.engine not in ENGINES:
            raise UsageError(f'--engine: expected one of {", ".join(ENGINES)}, got "{self.engine}".')
        if self.device.startswith("cuda") and not elsewhere:
            _check_cuda(int(self.device.partition(":")[2] or 0))


def use_threads(placement: Placement) -> None:
    """Fix the number of torch's threads: sums in another number of pieces have other last bits."""
    import torch

    on_cpu = placement.device == "cpu" and placement.device_map is None
    threads = placement.threads or (1 if on_cpu else None)
    if threads is not None:
        torch.set_num_threads(threads)


def _check_cuda(index: int) -> None:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        there = f"{count} GPU(s), numbered from 0" if count else "no GPU that torch can use"
        raise MissingResource(f"--device cuda:{index}: this machine has {there}. Use --device cpu, or another number.")


ENGINES = ("hf", "vllm")
