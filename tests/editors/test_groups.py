from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.editors.toolkit.targets.groups import grouped, pass_cost, tokens_together


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60),
    most_tokens=st.integers(1, 200),
    cost=st.floats(0, 500),
)
def test_every_sentence_is_in_one_group_within_the_limit(lengths: list[int], most_tokens: int, cost: float) -> None:
    groups = grouped(lengths, [0] * len(lengths), most_tokens=most_tokens, cost_of_group=cost)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert group and (len(group) == 1 or len(group) * max(lengths[i] for i in group) <= most_tokens)


def test_padding_is_traded_against_passes() -> None:
    lengths = [1] * 10 + [2] * 10 + [9] * 10
    assert [len(g) for g in grouped(lengths, lengths, most_tokens=1000, cost_of_group=0)] == [10, 10, 10]
    assert sorted(len(g) for g in grouped(lengths, lengths, most_tokens=1000, cost_of_group=20)) == [10, 20]
    assert [len(g) for g in grouped(lengths, lengths, most_tokens=1000, cost_of_group=1000)] == [30]


def test_large_models_run_little_together_and_hardly_pad() -> None:
    assert tokens_together(23, 14336, 4096) == 512
    assert tokens_together(3, 1536, 256) > 1000
    assert pass_cost(14336, 4096) < 1 < pass_cost(1536, 256)
