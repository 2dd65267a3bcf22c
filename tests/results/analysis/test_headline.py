"""The headline from outcomes of probes: what may change it, in which direction, and what may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.harness.metrics.probes import CaseTable, Outcomes, case_table
from palimpsest.results.analysis import headline as module
from palimpsest.results.analysis.headline import Headline, collapse_point, headline
from palimpsest.results.analysis.intervals.items import AbilityItems
from palimpsest.results.records import EditsUntil

CHECKPOINTS = (0, 4, 8, 16)
KINDS = ("rewrite", "paraphrase", "paraphrase", "neighborhood", "neighborhood")
ITEMS = 60
FORMS = st.sampled_from(("counterfact", "zsre"))
PARTS = ("efficacy_argmax", "paraphrase_argmax", "neighborhood_argmax")


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are what is tested here, not intervals."""
    few = 20
    monkeypatch.setattr(module, "RESAMPLES", few)
    for name in ("drawn_parts", "drawn_kept"):
        whole = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *given, whole=whole, **more: whole(*given, **more | {"resamples": few})
        )


def outcomes(cases: int, seed: int) -> dict[str, Any]:
    """Columns of all probes of some cases, right or wrong by chance."""
    luck = np.random.default_rng(seed)
    rows = cases * len(KINDS)
    return {
        "case_id": np.repeat(np.arange(cases) * 7 + 1, len(KINDS)),
        "kind": np.tile(KINDS, cases),
        "nll_new": luck.random(rows),
        "nll_true": luck.random(rows),
        **{name: np.full(rows, 2) for name in ("tokens_new", "tokens_true")},
        **{name: luck.integers(0, 3, rows) for name in ("hits_new", "hits_true")},
        **{name: luck.random(rows) < 0.7 for name in ("exact_new", "exact_true")},
    }


def measured(seed: int) -> tuple[dict[int, dict[str, Any]], dict[int, np.ndarray]]:
    """Columns of probes, and right items of one ability task, at every checkpoint."""
    luck = np.random.default_rng([seed, 1])
    probes = {edits: outcomes(edits or CHECKPOINTS[-1], seed * 100 + edits) for edits in CHECKPOINTS}
    return probes, {edits: luck.random(ITEMS) < 0.95 - edits / 50 for edits in CHECKPOINTS}


def value(
    probes: dict[int, dict[str, Any]], items: dict[int, np.ndarray], form: str = "counterfact", **more: Any
) -> float:
    found = whole(probes, items, form, **more).effective_edits.value
    assert found is not None
    return found


def whole(probes: dict[int, dict[str, Any]], items: dict[int, np.ndarray], form: str, **more: Any) -> Headline:
    tables = {edits: case_table(Outcomes.from_columns(columns), form) for edits, columns in probes.items()}
    paired = {edits: [AbilityItems("recall", 0.25, right, items[0])] for edits, right in items.items()}
    return headline(tables, paired, form, **more)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 5), st.sampled_from(CHECKPOINTS[1:]), st.integers(0, 10**6), st.sampled_from(("counterfact", "zsre"))
)
def test_a_better_answer_never_lowers_it_and_a_worse_one_never_raises_it(
    seed: int, edits: int, place: int, form: str
) -> None:
    probes, items = measured(seed)
    for better in (True, False):
        changed = {n: {name: column.copy() for name, column in columns.items()} for n, columns in probes.items()}
        row = place % len(changed[edits]["case_id"])
        for side in ("new", "true"):
            changed[edits][f"exact_{side}"][row] = better
            changed[edits][f"hits_{side}"][row] = 2 if better else 0
        before, after = value(probes, items, form), value(changed, items, form)
        assert after >= before - 1e-9 if better else after <= before + 1e-9
        other = {n: right.copy() for n, right in items.items()}
        other[edits][place % ITEMS] = better
        after = value(probes, other, form)
        assert after >= before - 1e-9 if better else after <= before + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_of_cases_and_of_probes_changes_nothing(seed: int, random: Any) -> None:
    probes, items = measured(seed)
    mixed = {}
    for edits, columns in probes.items():
        order = list(range(len(columns["case_id"])))
        random.shuffle(order)
        mixed[edits] = {name: column[order] for name, column in columns.items()}
    assert value(mixed, items) == pytest.approx(value(probes, items), rel=1e-12)


def test_a_probe_that_is_not_finite_is_a_wrong_answer() -> None:
    probes, items = measured(3)
    broken = {n: {name: column.copy() for name, column in columns.items()} for n, columns in probes.items()}
    broken[8]["nll_new"][:] = np.nan
    assert value(broken, items) < value(probes, items)
    assert whole(broken, items, "counterfact").quality[8].value == 0


def test_a_collapse_counts_from_the_last_good_edit_on() -> None:
    probes, items = measured(1)
    until_8 = {edits: columns for edits, columns in probes.items() if edits <= 8}
    late, early = (value(until_8, items, collapsed_at=edits) for edits in (15, 8))
    assert early < late < value(probes, items) + 4
    held = whole(until_8, items, "counterfact").quality[8].value or 0.0
    assert late - early == pytest.approx(7 * held / 100 / 2)


def test_without_abilities_it_is_of_three_shares() -> None:
    probes, _ = measured(2)
    tables = {edits: case_table(Outcomes.from_columns(columns), "counterfact") for edits, columns in probes.items()}
    found = headline(tables, {}, "counterfact")
    shares = [
        np.nanmean(tables[4].values[f"{part}_argmax"]) / 100 for part in ("efficacy", "paraphrase", "neighborhood")
    ]
    shares[2] = min(1.0, shares[2] / (np.nanmean(tables[0].values["neighborhood_argmax"]) / 100))
    assert found.quality[4].value == pytest.approx(100 * 3 / sum(1 / share for share in shares))
    assert set(found.relative) == {"editing"}


def preferring(shares: Mapping[int, float], cases: int = 20) -> dict[int, CaseTable]:
    """Tables of checkpoints at which the new target is preferred in so many percent of the cases."""
    tables = {}
    for edits, share in shares.items():
        columns = outcomes(cases, 0)
        new = np.repeat(np.arange(cases) < round(cases * share / 100), len(KINDS))
        columns |= {"nll_new": np.where(new, 0.1, 0.9), "nll_true": np.full(len(new), 0.5)}
        tables[edits] = case_table(Outcomes.from_columns(columns), "counterfact")
    return tables


@pytest.mark.parametrize(
    ("shares", "collapsed_at", "expected"),
    [
        ({0: 5, 4: 95, 8: 60, 16: 55}, None, EditsUntil(16.0)),  # 60 is not under 60, the unedited model does not count
        ({0: 5, 4: 95, 8: 40, 16: 100}, None, EditsUntil(8.0)),  # the first one counts, whatever follows
        ({4: 95, 8: 90, 16: 60}, None, EditsUntil(None, 16)),
        ({0: 5, 4: 95, 8: 90}, 11, EditsUntil(11.0)),  # a collapse between the checkpoints
        ({0: 5, 4: 50}, 11, EditsUntil(4.0)),
        ({0: 5}, 3, EditsUntil(3.0)),
        ({0: 5}, None, EditsUntil()),
    ],
)
def test_the_collapse_point_is_the_first_checkpoint_under_sixty_percent_or_the_collapse(
    shares: dict[int, float], collapsed_at: int | None, expected: EditsUntil
) -> None:
    tables = preferring(shares)
    for edits, table in tables.items():
        plain = [np.mean(table.values["efficacy_preference"][i]) for i in range(len(table.case_ids))]
        assert np.mean(plain) == pytest.approx(shares[edits])
    assert collapse_point(tables, "counterfact", collapsed_at) == expected
    if 0 in shares:
        assert headline(tables, {}, "counterfact", collapsed_at=collapsed_at).collapse_point == expected


def test_questions_have_no_collapse_point_since_nothing_is_preferred_to_their_answer() -> None:
    probes, items = measured(0)
    assert whole(probes, items, "zsre", collapsed_at=16).collapse_point == EditsUntil()


def test_a_task_without_paraphrases_has_a_headline_of_what_it_has_and_no_relative_endurance() -> None:
    columns = outcomes(12, 4)
    inside = columns["kind"] != "paraphrase"
    some = {name: column[inside] for name, column in columns.items()}
    tables = {edits: case_table(Outcomes.from_columns(some), "zsre") for edits in (0, 8)}
    found = headline(tables, {}, "zsre")
    share = np.nanmean(tables[8].values["efficacy_token_accuracy"]) / 100
    assert found.quality[8].value == pytest.approx(100 * 2 / (1 / share + 1))  # the neighborhood is as before
    assert found.relative == {"editing": EditsUntil()}
