"""Batches by length and padding: every sequence once, within the budget, and nothing lost by padding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.harness.model.batches import by_length, padded

LENGTHS = st.lists(st.integers(1, 40), max_size=30)


@given(LENGTHS, st.integers(1, 200), st.booleans())
@settings(deadline=None, max_examples=80)
def test_every_sequence_is_in_one_batch_within_the_budget(lengths: list[int], budget: int, descending: bool) -> None:
    batches = by_length(lengths, budget, longest_first=descending)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
    order = [lengths[place] for batch in batches for place in batch]
    assert order == sorted(lengths, reverse=descending)


def test_a_batch_ends_only_where_another_row_would_not_fit() -> None:
    assert by_length([3, 1, 3, 2, 3], 6) == [[1, 3], [0, 2], [4]]
    assert by_length([3, 1, 3, 2, 3], 6, longest_first=True) == [[0, 2], [4, 3], [1]]
    assert by_length([9, 1], 4) == [[1], [0]] and by_length([], 4) == []


def test_tokens_that_follow_take_room_too() -> None:
    assert by_length([2, 2, 2], 12, behind=[2, 4, 0]) == [[2, 0], [1]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_keeps_every_token_and_marks_the_rest(side: str) -> None:
    rows = [[5, 6, 7], [8], [9, 4]]
    ids, mask = padded(rows, 3, side)  # type: ignore[arg-type]
    assert ids.shape == mask.shape == (3, 3) and ids.dtype == mask.dtype == torch.long
    assert [row[seen.bool()].tolist() for row, seen in zip(ids, mask, strict=True)] == rows
    assert bool((ids[mask == 0] == 3).all())
    assert ids[1].tolist() == ([3, 3, 8] if side == "left" else [8, 3, 3])
