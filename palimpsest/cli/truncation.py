"""The truncation probe: how much of a model's general abilities the leading singular components of its weights carry.

Zhang et al. 2026 (REVIVE), arXiv 2601.11042: down-projections replaced by their top-p % singular part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palimpsest.harness.abilities.items import PERPLEXITY
from palimpsest.harness.diagnostics.spectra import components, truncated
from palimpsest.harness.metrics.abilities_kept import abilities_kept

if TYPE_CHECKING:
    from palimpsest.harness.abilities.items import AbilityOutcome
    from palimpsest.harness.model.editable import EditableModel


@dataclass(frozen=True, slots=True)
class Truncation:
    """The abilities of a model of whose down-projections only the largest singular components are left."""

    percent: float
    """Share of the components that are left; 100: the model as it is."""
    components: int
    """Number of components that are left of each down-projection."""
    scores: dict[str, float]
    """Ability task → score in its own unit: percent of items answered right, or perplexity per word."""
    kept: float | None
    """Abilities above chance that are left, percent; None where no task is surely above chance."""


def probe(
    model: EditableModel,
    layers: Sequence[int],
    percents: Sequence[float],
    evaluate: Callable[[], Sequence[AbilityOutcome]],
) -> Iterator[Truncation]:
    """Measure the abilities of the whole model, then with ever more components; the model is as before after each.

    Args:
        model: Any; a filter on weights, so nothing is trained or edited.
        layers: Blocks whose down-projection is truncated.
        percents: Above 0 and below 100.
        evaluate: Asks the model, as it is then, all items of the ability tasks.
    """
    rank = min(model.weight(layers[0]).shape)
    whole = evaluate()
    yield _point(100.0, rank, whole, whole)
    for percent in sorted(percents):
        with leading_part(model, layers, percent):
            outcomes = evaluate()
        yield _point(percent, components(rank, percent), outcomes, whole)


@contextmanager
def leading_part(model: EditableModel, layers: Sequence[int], percent: float) -> Iterator[None]:
    """The model with only the top ``percent`` % components of these down-projections; its bits again afterwards."""
    names = [model.anatomy.weight_name(layer) for layer in layers]
    before = model.read_weights(names)
    try:
        for name, weight in before.items():
            shaped = weight.T if model.anatomy.transposed else weight
            part = truncated(shaped, percent)
            model.write_weights({name: part.T if model.anatomy.transposed else part})
        yield
    finally:
        model.write_weights(before)


def _point(
    percent: float, count: int, outcomes: Sequence[AbilityOutcome], whole: Sequence[AbilityOutcome]
) -> Truncation:
    pairs = zip(outcomes, whole, strict=True)
    shares = [(now.score, then.score, now.chance, len(then.items)) for now, then in pairs if _is_share(now)]
    kept = abilities_kept(*zip(*shares, strict=True)) if shares else float("nan")
    scores = {outcome.name: 100 * outcome.score if _is_share(outcome) else outcome.score for outcome in outcomes}
    return Truncation(percent, count, scores, None if kept != kept else kept)


def _is_share(outcome: AbilityOutcome) -> bool:
    return outcome.metric != PERPLEXITY
