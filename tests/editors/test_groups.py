from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.editors.toolkit.targets.groups import grouped, tokens_together


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60),
    most_tokens=st.integers(1, 200),
    padded=st.booleans(),
)
def test_every_sentence_is_in_one_group_within_the_limit(lengths: list[int], most_tokens: int, padded: bool) -> None:
    groups = grouped(lengths, [0] * len(lengths), most_tokens=most_tokens, padded=padded)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        tokens = len(group) * max(lengths[i] for i in group) if padded else sum(lengths[i] for i in group)
        assert group and (len(group) == 1 or tokens <= most_tokens)


def test_groups_have_about_equal_numbers_of_tokens() -> None:
    lengths = [1] * 10 + [2] * 10 + [9] * 10
    sizes = [sum(lengths[i] for i in group) for group in grouped(lengths, lengths, most_tokens=80)]
    assert len(sizes) == 2 and max(sizes) - min(sizes) <= 18
    assert [len(group) for group in grouped(lengths, lengths, most_tokens=1000)] == [30]


def test_large_models_run_little_together() -> None:
    assert tokens_together(23, 14336, 4096) == 512
    assert tokens_together(3, 1536, 256) > 1000
