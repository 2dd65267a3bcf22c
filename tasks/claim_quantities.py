"""Numbers that a claim may be about: the headline, the scores, and diagnostics of all edited layers taken together.

A diagnostic is stored once per edited layer, and editors write different numbers of layers. What all layers of a model
amount to is comparable: a sum over layers of something that is 0 where nothing was edited, so that it does not matter
which layers an editor leaves alone. A mean over the edited layers is not: an editor that spreads the same change over
two layers would seem to change less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from palimpsest.harness.metrics.definitions import METRICS

HEADLINE = "effective_edits"
"""The one number of a whole run; all others are of one checkpoint."""
_SCORES = ("preference", "argmax")


@dataclass(frozen=True, slots=True)
class Layered:
    """A diagnostic over all edited layers, of the weights that are scored."""

    stored: str
    """Name of the diagnostic of one layer."""
    title: str
    unit: str
    definition: str
    _of_layer: Callable[[float], float]
    _of_sum: Callable[[float], float]

    def total(self, layers: Iterable[float]) -> float:
        """The number of a run, from those of its edited layers in any order."""
        return self._of_sum(math.fsum(map(self._of_layer, layers)))


def _itself(value: float) -> float:
    return value


LAYERED = {
    "total_update_norm": Layered(
        "update_norm",
        "‖Wₜ − W₀‖, all layers",
        "1",
        "root of the sum over edited layers of update_norm²: the Frobenius norm of all that was changed",
        lambda norm: norm**2,
        math.sqrt,
    ),
    "total_energy_change": Layered(
        "hyperspherical_energy_ratio",
        "Change of hyperspherical energy, all layers",
        "%",
        "root of the sum over edited layers of (100 · (hyperspherical_energy_ratio - 1))²",
        lambda ratio: (100 * (ratio - 1)) ** 2,
        math.sqrt,
    ),
    "total_superimposed_noise": Layered(
        "superimposed_noise",
        "Superimposed noise, all layers",
        "1",
        "sum over edited layers of superimposed_noise, which is a difference of squares; of the weights as written",
        _itself,
        _itself,
    ),
    "total_pretrained_drift": Layered(
        "pretrained_drift",
        "Drift on pretraining keys, all layers",
        "1",
        "sum over edited layers of pretrained_drift, which is a mean square",
        _itself,
        _itself,
    ),
}
"""Quantity → how it comes from the diagnostics of the edited layers."""
SCORES = (
    *(metric.name for metric in METRICS if metric.kind in _SCORES and metric.unit == "%"),
    *("quality", "abilities_kept"),
)
"""Quantities that are metrics of all edits so far."""
QUANTITIES = (HEADLINE, *SCORES, *LAYERED)


def unit_of(quantity: str) -> str:
    """``edits``, ``%`` or ``1``."""
    if quantity in LAYERED:
        return LAYERED[quantity].unit
    return "edits" if quantity == HEADLINE else "%"
