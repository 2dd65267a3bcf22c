"""Protocol of all tunings: number of trials, and what each of them edits and asks."""

from __future__ import annotations

from dataclasses import dataclass

BUDGET = 20
"""Whole trials whose edits every editor may make; one that was stopped counts for as far as it went."""
EDITS = 500
"""Edits of a trial; all of the split where it has fewer."""
BATCH_SIZE = 50
CHECKPOINTS = (50, 150, 300, 500)
"""Edits after which a trial is scored: those of the suite ``editors``."""
ABILITY_LIMIT: int | None = None
"""Items of each ability task; None: all."""
LITTLE = 0.05
"""Share of a trial's edits: a best trial with fewer effective edits holds next to nothing, and shows no direction."""
RESAMPLES = 100
"""Draws of cases and items, the same for all trials, from which the standard error of a difference is taken."""
POCKET_SPLIT = "pocket-counterfact-tuning"
"""Facts that pocket models are located and tuned on."""
REAL_SPLIT = "realworld-counterfact-tuning"
"""Facts that other models are located and tuned on, as far as they know them."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """The edits of one trial."""

    edits: int
    batch_size: int
    checkpoints: tuple[int, ...]
    """Ascending; the last is ``edits``."""

    def batches(self) -> list[tuple[int, int]]:
        """First and last place (exclusive) of each batch."""
        return [(n, min(n + self.batch_size, self.edits)) for n in range(0, self.edits, self.batch_size)]


def horizon(cases: int, edits: int | None = None) -> Horizon:
    """The horizon of trials of so many edits, `EDITS` if not said, on a split with this many cases."""
    edits = min(edits or EDITS, cases)
    return Horizon(edits, BATCH_SIZE, (*(point for point in CHECKPOINTS if point < edits), edits))


def is_pocket(model: str) -> bool:
    """True for a model of the pocket world, by its name."""
    return model.startswith("pocket-")


def split_of(model: str) -> str:
    """The tuning split for a model where nobody names one."""
    return POCKET_SPLIT if is_pocket(model) else REAL_SPLIT
