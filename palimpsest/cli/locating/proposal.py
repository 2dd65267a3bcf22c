"""The blocks to edit that follow from tracing and reach, and the file in which `palimpsest tune` finds them."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.cli import options
from palimpsest.cli.tuning import protocol
from palimpsest.harness.errors import ConfigError, MissingResource
from palimpsest.harness.system.atomic_files import atomic_write_text

if TYPE_CHECKING:
    from palimpsest.cli.locating.reach import Reach
    from palimpsest.cli.locating.tracing import Trace
    from palimpsest.harness.specs.run_spec import ModelRef

ENOUGH = 0.9
"""Share of the best block's reach that a block needs."""
_MOST = 5
_SHARE = 5 / 32
"""Blocks that MEMIT writes, of those of LLaMA3-8B: 4 to 8 of 32."""
_AROUND = 3
"""Blocks to both sides of the proposed one that a tuning may choose."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Blocks, and those that a tuning chooses among."""

    layer: int
    """For editors that write one block."""
    layers: tuple[int, ...]
    """For editors that write several, ascending."""
    layer_choices: tuple[int, ...]
    layers_choices: tuple[tuple[int, ...], ...]


def propose(traced: Trace, reached: Sequence[Reach], blocks: int) -> Proposal:
    """The blocks around the peak of the MLPs' indirect effect, as far up as target vectors still reach.

    The MLPs at the subject's last token are what ROME and MEMIT write because of that peak (arXiv 2202.05262,
    section 2; arXiv 2210.07229, section 4.1). Where no vector reaches its target at the peak, the nearest block below
    is taken at which it does.
    """
    mlp = traced.effects["mlp"]
    best = max(one.reached for one in reached)
    good = [one.block for one in reached if one.reached >= ENOUGH * best]
    highest = max(good)
    peak = min(max(range(blocks), key=lambda block: mlp[block]), highest)
    width = max(1, min(_MOST, round(blocks * _SHARE)))

    def run_to(block: int) -> tuple[int, ...]:
        return tuple(range(max(0, block - width + 1), block + 1))

    last = min(highest, max(peak + width // 2, width - 1))
    ends = range(max(width - 1, last - _AROUND), min(blocks - 2, last + _AROUND) + 1)
    several = list(dict.fromkeys([*map(run_to, ends), run_to(last)]))
    single = sorted({*range(max(0, peak - _AROUND), min(blocks - 2, peak + _AROUND) + 1), peak})
    return Proposal(peak, run_to(last), tuple(single), tuple(sorted(several)))


def place(home: Path, fingerprint: str) -> Path:
    """The file of a model's proposal."""
    return home / "located" / f"{fingerprint[:12]}.toml"


def keep(path: Path, model: str, command: str, found: Proposal) -> None:
    """Write a proposal for `palimpsest tune`."""
    name = " ".join(model.split())
    lines = [
        f"# Blocks of {name} to edit, by `{' '.join(command.split())}`; palimpsest tune chooses among the choices.",
        f"layer = {found.layer}",
        f"layers = {json.dumps(found.layers)}",
        f"layer_choices = {json.dumps(found.layer_choices)}",
        f"layers_choices = {json.dumps(found.layers_choices)}",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, "\n".join(lines) + "\n")


def kept(path: Path) -> Proposal | None:
    """The proposal in a file; None: there is none.

    Raises:
        ConfigError: The file holds something else.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        several = tuple(tuple(map(int, one)) for one in values["layers_choices"])
        single = tuple(map(int, values["layer_choices"]))
        found = Proposal(int(values["layer"]), tuple(map(int, values["layers"])), single, several)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: no proposal of `palimpsest locate`. Remove it, and locate again.") from error
    if found.layer not in found.layer_choices or found.layers not in found.layers_choices:
        raise ConfigError(f"{path}: the proposed blocks are not among the choices. Remove it, and locate again.")
    return found


def require(home: Path, model: ModelRef, typed: str) -> Proposal | None:
    """The proposal for a model; None for a pocket model without one, whose blocks the shipped grid has.

    Args:
        home: Folder of proposals.
        model: Which one.
        typed: Its name, as it was typed.

    Raises:
        MissingResource: Another model has none.
    """
    found = kept(place(home, model.fingerprint))
    if found is None and not protocol.is_pocket(model.name):
        raise MissingResource(
            f"Which blocks of {typed} are to be edited is not known: the shipped grid has those of the pocket models. "
            f"First: palimpsest locate {shlex.quote(typed)}{options.home_words(home)}. Or give values with --grid FILE."
        )
    return found


def with_blocks(grid: Mapping[str, Any], found: Proposal) -> dict[str, Any]:
    """A grid of an editor with a model's own blocks in place of its ``layer`` and ``layers``."""
    changed = dict(grid)
    if "layer" in grid:
        choices = list(found.layer_choices)
        changed["layer"] = {"values": choices, "published": found.layer, "least": choices[0], "most": choices[-1]}
    if "layers" in grid:
        changed["layers"] = {"values": [list(one) for one in found.layers_choices], "published": list(found.layers)}
    return changed
