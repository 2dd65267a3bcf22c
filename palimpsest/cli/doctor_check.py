"""One line of `palimpsest doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was looked at."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""
    """Instruction; empty where nothing is to be done."""
