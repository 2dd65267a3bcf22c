from __future__ import annotations

import numpy as np
import pytest

from palimpsest.results.analysis.endurance import (
    Endurance,
    endurance,
    first_crossing,
    smaller,
)

nan = float("nan")


def test_interpolates_between_checkpoints() -> None:
    points = [(50, 100.0), (100, 90.0), (200, 70.0), (300, 10.0)]
    assert endurance(points) == Endurance(edits=150)
    assert endurance(points, 0.5).edits == pytest.approx(200 + 100 * 20 / 60)


def test_only_the_first_fall_counts() -> None:
    assert endurance([(50, 100.0), (100, 60.0), (200, 100.0)]) == Endurance(edits=75)


def test_on_the_limit_is_not_under_it() -> None:
    assert endurance([(50, 100.0), (100, 80.0)]) == Endurance(censored_at=100)
    assert endurance([(50, 80.0), (100, 90.0)]) == Endurance(censored_at=100)


def test_one_or_no_checkpoint() -> None:
    assert endurance([(50, 70.0)]) == Endurance(censored_at=50)
    assert endurance([]) == Endurance()


@pytest.mark.parametrize("start", [0.0, nan])
def test_what_never_worked_endures_nothing(start: float) -> None:
    assert endurance([(50, start), (100, 50.0)]) == Endurance(edits=0.0)


@pytest.mark.parametrize("value", [nan, float("inf"), 0.0])
def test_broken_checkpoint_counts_as_zero(value: float) -> None:
    assert endurance([(100, 100.0), (200, value)]) == Endurance(edits=120)


def test_smaller_of_two() -> None:
    ended, open_end, unknown = Endurance(edits=120.0), Endurance(censored_at=500), Endurance()
    assert smaller(ended, open_end) == smaller(open_end, ended) == ended
    assert smaller(ended, Endurance(edits=60.0)) == Endurance(edits=60.0)
    assert smaller(open_end, Endurance(censored_at=300)) == Endurance(censored_at=300)
    assert smaller(Endurance(edits=400.0), Endurance(censored_at=300)) == Endurance(censored_at=300)
    assert smaller(ended, unknown) == ended and smaller(unknown, unknown) == unknown


def test_many_curves_at_once_equal_one_by_one() -> None:
    generator = np.random.default_rng(0)
    edits = np.array([50.0, 100, 200, 300, 500])
    curves = generator.random((200, 5)) * 100
    together = first_crossing(edits, curves, 0.8)
    for curve, crossing in zip(curves, together, strict=True):
        single = endurance(list(zip(edits.tolist(), curve.tolist(), strict=True)))
        assert crossing == (np.inf if single.edits is None else pytest.approx(single.edits))
