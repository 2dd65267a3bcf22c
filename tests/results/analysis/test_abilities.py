"""F1, MCC and perplexity from stored items; old folders without labels stay readable."""

import math
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palimpsest.harness.abilities.items import AbilityOutcome, ItemOutcome
from palimpsest.harness.runs.layout import ABILITIES, PROBES, SCORE_COLUMNS, packed
from palimpsest.harness.runs.score_files import ability_table
from palimpsest.results.analysis.abilities import ability_results
from palimpsest.results.analysis.courses import SHARES, ability_courses
from palimpsest.results.analysis.intervals.cases import RESAMPLES
from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.score_rows import check_abilities
from palimpsest.results.reading.tables import parse_table
from palimpsest.results.submissions.agreement import compared

PRISTINE = [0, 0, 1, 1, 1, 0, 1, 0]
LABELS = [0, 1, 1, 1, 0, 0, 1, 0]
NO_PROBES = pa.schema([field.with_nullable(True) for field in SCORE_COLUMNS[PROBES]]).empty_table()


def outcome(name: str, predicted: list[int]) -> AbilityOutcome:
    rows = zip(predicted, LABELS, strict=True)
    items = tuple(ItemOutcome(i, p == label, p, label) for i, (p, label) in enumerate(rows))
    return AbilityOutcome(name, "acc", 0.0, 0.5, items, "hash")


def text(name: str, *values: float) -> AbilityOutcome:
    items = tuple(
        ItemOutcome(i, math.isfinite(value), log_likelihood=value, words=10) for i, value in enumerate(values)
    )
    return AbilityOutcome(name, "word_perplexity", 0.0, 0.0, items, "hash")


def summaries(*scores: float) -> AbilityOutcome:
    items = tuple(ItemOutcome(i, score == 1, score=score) for i, score in enumerate(scores))
    return AbilityOutcome("summaries", "rouge", 0.0, 0.0, items, "hash")


def table_of(*outcomes: AbilityOutcome) -> pa.Table:
    return parse_table(packed(ability_table(outcomes)), SCORE_COLUMNS[ABILITIES])


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


def test_degrees_are_averaged_and_their_loss_counts_by_halves() -> None:
    first, later = [0.5, 1.0, 0.0, 0.3] * 25, [0.25, 0.5, 0.0, 0.15] * 25
    found = results([summaries(*first)], [summaries(*later)])
    assert [(one.metric, one.chance, round(one.interval.value or 0, 9)) for one in found.scores] == [
        ("rouge", 0.0, 45.0),
        ("rouge", 0.0, 22.5),
    ]
    kept = {row.edits: row.interval for row in found.metrics if row.metric == "abilities_kept"}
    assert found.counted == ("summaries",) and kept[0].value == pytest.approx(100)
    assert kept[100].value == pytest.approx(50), "each item lost a half"
    assert kept[100].low == pytest.approx(50 - 3 / 0.45, abs=0.5), "and three that nobody saw may have lost all"


def test_degrees_are_courses_of_letters() -> None:
    outcomes = [summaries(0.0, 0.5, 1.0, 0.25), outcome("labels", PRISTINE)]
    rows = ability_courses({0: {"abilities.parquet": table_of(*outcomes)}})
    right = "".join(str(int(p == label)) for p, label in zip(PRISTINE, LABELS, strict=True))
    found = {row["ability"]: row["items"] for row in rows}
    assert found == {"summaries": "~0" + SHARES[30] + SHARES[60] + SHARES[15], "labels": right}


def test_a_run_without_degrees_has_no_column_for_them() -> None:
    assert "score" not in ability_table([outcome("labels", PRISTINE)]).column_names
    assert "score" in ability_table([summaries(0.5)]).column_names


@pytest.mark.parametrize(
    ("items", "metric", "complaint"),
    [
        ([ItemOutcome(0, False, score=1.5)], "rouge", "not from 0 to 1"),
        ([ItemOutcome(0, False, score=math.nan)], "rouge", "not from 0 to 1"),
        ([ItemOutcome(0, True, score=0.5)], "rouge", "others right than those of 1"),
        ([ItemOutcome(0, True), ItemOutcome(1, False, score=0.5)], "rouge", "must give degrees to the items of rouge"),
        ([ItemOutcome(0, False, score=0.5)], "acc", "must give degrees to the items of rouge"),
    ],
)
def test_degrees_that_cannot_be_are_refused(items: list[ItemOutcome], metric: str, complaint: str) -> None:
    spec = SimpleNamespace(abilities=(SimpleNamespace(name="summaries"),))
    check_abilities(table_of(summaries(0.0, 0.5, 1.0)), spec)  # type: ignore[arg-type]
    check_abilities(table_of(), SimpleNamespace(abilities=()))  # type: ignore[arg-type]
    wrong = AbilityOutcome("summaries", metric, 0.0, 0.0, tuple(items), "hash")
    with pytest.raises(Invalid, match=complaint):
        check_abilities(table_of(wrong), spec)  # type: ignore[arg-type]


def test_a_re_run_with_other_degrees_answers_otherwise() -> None:
    tables = [{ABILITIES: table_of(summaries(0.5, 0.25)), PROBES: NO_PROBES} for _ in range(2)]
    assert compared(*tables, edits=0).same_bits
    tables[1][ABILITIES] = table_of(summaries(0.5, 0.3))
    assert compared(*tables, edits=0).different == 0.5


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
