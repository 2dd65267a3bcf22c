"""Which trial is chosen: the best, or of those that cannot be told from it the one nearest to what is published."""

from __future__ import annotations

import numpy as np
import pytest

from palimpsest.cli.tuning.trials import Trial, best, chosen, standard_error, to_beat
from tests.cli.tuning.played import trial


def noisy(place: float, value: float, noise: list[float]) -> Trial:
    return trial({"place": place}, value, draws=tuple(value + one for one in noise))


NOISE = np.random.default_rng(0).normal(0, 5, 100).tolist()
OTHER = np.random.default_rng(1).normal(0, 5, 100).tolist()


def place(one: Trial) -> float:
    return float(one.config["place"])


def test_the_best_is_chosen_where_the_difference_is_sure() -> None:
    assert place(chosen([noisy(0, 300, NOISE), noisy(1, 301, NOISE)], place)) == 1, "the same noise falls out"


def test_a_tie_goes_to_the_setting_nearer_to_the_published_one() -> None:
    trials = [noisy(2, 300, NOISE), noisy(1, 299, OTHER), noisy(0, 250, OTHER)]
    assert place(chosen(trials, place)) == 1
    assert place(chosen([noisy(1, 299, NOISE), noisy(1, 300, OTHER)], place)) == 1


def test_the_standard_error_is_that_of_the_paired_difference() -> None:
    assert standard_error(noisy(0, 300, NOISE), noisy(1, 200, NOISE)) == pytest.approx(0, abs=1e-9)
    expected = float(np.std(np.array(NOISE) - np.array(OTHER), ddof=1))
    assert standard_error(noisy(0, 300, NOISE), noisy(1, 200, OTHER)) == pytest.approx(expected)


def test_a_stopped_trial_is_never_the_best() -> None:
    stopped = trial({"place": 0}, 400, stopped_at=300, at_most=480.0)
    full = noisy(1, 300, NOISE)
    assert best([stopped, full]) is full and chosen([stopped, full], place) is full
    assert best([stopped]) is None and to_beat([stopped]) is None


def test_what_is_to_beat_is_a_standard_error_below_the_best() -> None:
    assert to_beat([noisy(0, 300, NOISE)]) == pytest.approx(300 - np.std(NOISE, ddof=1))
    assert to_beat([trial({}, 300)]) == 300
