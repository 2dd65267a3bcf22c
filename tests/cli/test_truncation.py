"""The truncation probe: the right parts of the weights for the time of a measurement, and the model untouched."""

from __future__ import annotations

import pytest
import torch

from palimpsest.cli.truncation import leading_part, probe
from palimpsest.harness.abilities.items import AbilityOutcome, ItemOutcome
from palimpsest.harness.statistics.spectrum import singular_values
from tests.labs.tiny_models import tiny_model


def outcome(score: float, metric: str = "acc") -> AbilityOutcome:
    items = tuple(ItemOutcome(i, i < 100 * score) for i in range(100))
    return AbilityOutcome(name=metric, metric=metric, score=score, chance=0.25, items=items)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_only_the_leading_components_are_left_and_all_come_back(architecture: str) -> None:
    model = tiny_model(architecture)
    before = {layer: model.weight(layer).clone() for layer in range(4)}
    with leading_part(model, [1, 2], 25):
        for layer in (1, 2):
            left, whole = singular_values(model.weight(layer)), singular_values(before[layer])
            assert torch.allclose(left[:8], whole[:8], rtol=1e-5) and float(left[8]) < 1e-3 * float(left[0])
        assert torch.equal(model.weight(0), before[0]) and torch.equal(model.weight(3), before[3])
    assert all(torch.equal(model.weight(layer), weight) for layer, weight in before.items())


def test_weights_come_back_when_the_measurement_fails() -> None:
    model = tiny_model()
    before = model.weight(1).clone()
    with pytest.raises(KeyError), leading_part(model, [1], 10):
        raise KeyError
    assert torch.equal(model.weight(1), before)


def test_each_percentage_is_measured_on_its_own() -> None:
    model = tiny_model()
    seen: list[float] = []

    def evaluate() -> list[AbilityOutcome]:
        seen.append(float(model.weight(1).norm()))
        return [outcome(0.25 if len(seen) > 1 else 1.0), outcome(7.0, "word_perplexity")]

    points = list(probe(model, [1], [50, 10], evaluate))
    assert [(p.percent, p.components) for p in points] == [(100.0, 32), (10, 3), (50, 16)]
    assert seen[0] > seen[2] > seen[1]
    assert [p.scores["acc"] for p in points] == [100, 25, 25]
    assert all(p.scores["word_perplexity"] == 7 for p in points)  # in its own unit, and no share of anything
    assert [p.kept for p in points] == [100, 0, 0]


def test_nothing_above_chance_keeps_nothing_that_could_be_said() -> None:
    points = list(probe(tiny_model(), [1], [10], lambda: [outcome(0.2)]))
    assert [point.kept for point in points] == [None, None]
