"""The sample: decided by numbers alone, bounded, and the same after a save."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.harness.diagnostics.sample import Sample


def filled(numbers: list[int], size: int) -> Sample:
    sample = Sample(size)
    for number in numbers:
        sample.add(number, {"key": torch.full((3,), float(number)), "value": torch.ones(2) * number})
    return sample


@given(st.permutations(range(40)), st.integers(1, 40))
def test_the_order_of_offers_does_not_matter(numbers: list[int], size: int) -> None:
    kept = filled(numbers, size)
    assert len(kept) == size
    assert kept.numbers() == filled(sorted(numbers), size).numbers()


def test_a_smaller_sample_is_part_of_a_larger_one() -> None:
    numbers = list(range(200))
    assert set(filled(numbers, 20).numbers()) < set(filled(numbers, 50).numbers())


def test_members_come_from_the_whole_course() -> None:
    kept = filled(list(range(1000)), 100).numbers()
    assert 20 <= sum(number < 500 for number in kept) <= 80


def test_rows_belong_to_their_numbers() -> None:
    kept = filled(list(range(30)), 7)
    assert kept.stacked()["key"][:, 0].tolist() == kept.numbers()
    assert kept.stacked()["value"].shape == (7, 2)


def test_a_restored_sample_goes_on_alike() -> None:
    whole = filled(list(range(60)), 10)
    half = filled(list(range(30)), 10)
    again = Sample(10)
    again.load_state_dict(half.state_dict())
    for number in range(30, 60):
        assert again.wants(number) == half.wants(number)
        again.add(number, {"key": torch.full((3,), float(number)), "value": torch.ones(2) * number})
        half.add(number, {"key": torch.full((3,), float(number)), "value": torch.ones(2) * number})
    for one, other in ((again, whole), (half, whole)):
        assert one.numbers() == other.numbers()
        assert all(torch.equal(t, other.stacked()[name]) for name, t in one.stacked().items())


def test_what_is_kept_is_a_copy() -> None:
    sample, vector = Sample(2), torch.ones(3)
    sample.add(0, {"key": vector})
    vector += 1
    assert sample.stacked()["key"].tolist() == [[1, 1, 1]]


def test_an_empty_sample_has_an_empty_state() -> None:
    sample = Sample(2)
    assert sample.state_dict() == sample.stacked() == {}
    sample.load_state_dict({})
    assert len(sample) == 0
