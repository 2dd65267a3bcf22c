"""F1, MCC and perplexity from stored items; old folders without labels stay readable."""

import math
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palimpsest.harness.abilities.items import AbilityOutcome, ItemOutcome
from palimpsest.harness.runs.layout import ABILITIES, SCORE_COLUMNS, packed
from palimpsest.harness.runs.score_files import ability_table
from palimpsest.results.analysis.abilities import ability_results
from palimpsest.results.analysis.uncertainty import RESAMPLES
from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.score_rows import check_abilities
from palimpsest.results.reading.tables import parse_table

PRISTINE = [0, 0, 1, 1, 1, 0, 1, 0]
LABELS = [0, 1, 1, 1, 0, 0, 1, 0]


def outcome(name: str, predicted: list[int]) -> AbilityOutcome:
    rows = zip(predicted, LABELS, strict=True)
    items = tuple(ItemOutcome(i, p == label, p, label) for i, (p, label) in enumerate(rows))
    return AbilityOutcome(name, "acc", 0.0, 0.5, items, "hash")


def text(name: str, *values: float) -> AbilityOutcome:
    items = tuple(
        ItemOutcome(i, math.isfinite(value), log_likelihood=value, words=10) for i, value in enumerate(values)
    )
    return AbilityOutcome(name, "word_perplexity", 0.0, 0.0, items, "hash")


def results(*checkpoints: list[AbilityOutcome]) -> Any:
    tables = {
        100 * i: {"abilities.parquet": parse_table(packed(ability_table(outcomes)), SCORE_COLUMNS[ABILITIES])}
        for i, outcomes in enumerate(checkpoints)
    }
    return ability_results(SimpleNamespace(checkpoints=tables), RESAMPLES)  # type: ignore[arg-type]


def test_scores_and_kept_shares_by_hand() -> None:
    found = results(
        [outcome("one", PRISTINE), text("wiki", -20.0, -40.0)], [outcome("one", [0] * 8), text("wiki", -40.0, -40.0)]
    )
    values = {(row.edits, row.metric): row.interval.value for row in found.metrics}
    assert values[0, "ability_f1:one"] == pytest.approx(75.0)
    assert values[100, "ability_f1:one"] == pytest.approx(50 * 2 / 3)
    assert values[100, "ability_mcc:one"] == 0
    assert values[100, "abilities_f1_kept"] == pytest.approx(100 * (1 / 3) / 0.75)
    assert (100, "abilities_kept") not in values and not found.counted, "6 of 8 right is not surely above chance"
    assert values[0, "ability_perplexity:wiki"] == pytest.approx(math.e**3)
    assert values[100, "ability_perplexity:wiki"] == pytest.approx(math.e**4)
    assert {score.ability for score in found.scores} == {"one"}, "running text has no share of right items"
    assert [len(items) for items in found.paired.values()] == [1, 1]


def test_a_broken_model_has_an_endless_perplexity_that_can_still_be_stored() -> None:
    found = results([text("wiki", -20.0, math.nan)])
    (row,) = found.metrics
    assert row.interval.value == 1e300


def test_other_items_than_the_pristine_models_are_not_compared() -> None:
    other = outcome("one", [0] * 8)
    moved = AbilityOutcome(other.name, other.metric, 0.0, 0.5, other.items, "another hash")
    found = results([outcome("one", PRISTINE)], [moved])
    assert not [row for row in found.metrics if row.edits and "kept" in row.metric]


def test_folders_without_labels_stay_readable() -> None:
    old = pa.table({"ability": ["one"] * 2, "metric": ["acc"] * 2, "chance": [0.5] * 2, "item": [0, 1]})
    old = old.append_column("correct", pa.array([True, False]))
    stream = pa.BufferOutputStream()
    pq.write_table(old, stream)
    table = parse_table(stream.getvalue().to_pybytes(), SCORE_COLUMNS[ABILITIES])
    found = ability_results(SimpleNamespace(checkpoints={0: {"abilities.parquet": table}}), RESAMPLES)  # type: ignore[arg-type]
    assert found.metrics == [] and set(found.paired) == {0}
    assert found.scores[0].interval.value == 50


def test_items_that_contradict_their_labels_are_refused() -> None:
    good = outcome("one", PRISTINE)
    wrong = AbilityOutcome("one", "acc", 0.0, 0.5, (ItemOutcome(0, True, 0, 1), *good.items[1:]), "hash")
    table = parse_table(packed(ability_table([wrong])), SCORE_COLUMNS[ABILITIES])
    spec = SimpleNamespace(abilities=(SimpleNamespace(name="one"),))
    with pytest.raises(Invalid, match="against their labels"):
        check_abilities(table, spec)  # type: ignore[arg-type]
    check_abilities(parse_table(packed(ability_table([good])), SCORE_COLUMNS[ABILITIES]), spec)  # type: ignore[arg-type]
