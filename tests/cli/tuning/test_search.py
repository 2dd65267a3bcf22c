"""The search of a tuning on known landscapes: what it finds and costs, and that an interruption changes nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from palimpsest.cli.tuning.axes import Axis
from palimpsest.cli.tuning.search import Search, key
from tests.cli.tuning.played import Landscape, searched, step_of, trial

STRENGTH = Axis("strength", (1.0, 10.0, 100.0, 1000.0), 3)
LAYERS = Axis("layers", ([0], [0, 1], [1], [1, 2]), 1, closed=True)
SHARE = Axis("share", (0.2, 0.4, 0.8, 1.0), 1, most=1.0)
EDITS = 100
"""Edits of a whole trial; those that are stopped make half of them."""


def peak(**at: Any) -> Landscape:
    """Highest where every field has this value; falls with the distance in steps of ten, or in places of the list."""

    def landscape(config: Mapping[str, Any]) -> float:
        lost = 0.0
        for name, value in at.items():
            if isinstance(value, list):
                lost += abs(LAYERS.values.index(config[name]) - LAYERS.values.index(value))
            else:
                lost += abs(math.log10(config[name] / value))
        return 400.0 - 50 * lost

    return landscape


def everything_fits(config: Mapping[str, Any]) -> bool:
    return True


def search(*axes: Axis, budget: int = 12) -> Search:
    return Search(axes, everything_fits, budget, EDITS)


def test_the_first_trial_is_the_published_setting() -> None:
    step = step_of(search(STRENGTH, LAYERS), {})
    assert step is not None
    assert step.config == {"strength": 1000.0, "layers": [0, 1]} and step.to_beat is None


def test_an_optimum_inside_is_found_and_lies_between_values_that_were_tried() -> None:
    one = search(STRENGTH, LAYERS)
    tried = searched(one, peak(strength=10.0, layers=[1]))
    chosen = one.chosen(tried)
    assert chosen.config == {"strength": 10.0, "layers": [1]} and len(tried) <= 12
    assert one.optimum(tried, chosen) == {"strength": "inside", "layers": "inside"}


def test_an_optimum_beyond_the_list_is_gone_after() -> None:
    one = search(STRENGTH)
    tried = searched(one, peak(strength=1e6))
    assert one.chosen(tried).config == {"strength": 1e6}
    assert one.optimum(tried, one.chosen(tried)) == {"strength": "inside"}


def test_a_bound_by_nature_is_an_end_and_not_an_edge() -> None:
    one = search(SHARE)
    tried = searched(one, peak(share=5.0))
    assert one.chosen(tried).config == {"share": 1.0}
    assert one.optimum(tried, one.chosen(tried)) == {"share": "end"}


def test_what_the_editor_does_not_take_is_a_bound_by_nature() -> None:
    one = Search([STRENGTH], lambda config: config["strength"] <= 1e4, 12, EDITS)
    tried = searched(one, peak(strength=1e6))
    assert one.chosen(tried).config == {"strength": 1e4}
    assert one.optimum(tried, one.chosen(tried)) == {"strength": "end"}


def test_an_edge_that_the_budget_did_not_reach_beyond_is_told() -> None:
    one = search(STRENGTH, LAYERS, budget=3)
    tried = searched(one, peak(strength=1.0, layers=[0, 1]))
    assert one.optimum(tried, one.chosen(tried)) == {"strength": "edge", "layers": "untried"}


def test_a_plain_list_has_no_values_beyond_or_between() -> None:
    one = search(Axis("strength", (1.0, 10.0, 100.0), 1, closed=True))
    tried = searched(one, peak(strength=1e6))
    assert [trial.config["strength"] for trial in tried.values()] == [10.0, 100.0]


@pytest.mark.parametrize("height", [peak(strength=30.0), peak(strength=1e9), lambda config: 0.0])
def test_no_search_makes_more_edits_than_the_budget_and_no_trial_twice(height: Landscape) -> None:
    tried = searched(search(STRENGTH, LAYERS), height)
    configs = [key(one.config) for one in tried.values()]
    assert len(configs) == len(set(configs))
    assert sum(one.share(EDITS) for one in list(tried.values())[:-1]) < 12


def test_a_trial_that_was_stopped_takes_its_share_of_the_budget_only() -> None:
    one = search(STRENGTH, LAYERS, budget=2)
    first, second = ({"strength": strength, "layers": [0, 1]} for strength in (1000.0, 100.0))
    known = {key(first): trial(first, 300.0), key(second): trial(second, 10.0, stopped_at=EDITS // 4, at_most=50.0)}
    step = step_of(one, known)
    assert step is not None and step.config not in (first, second)
    third = trial(step.config, 200.0)
    assert step_of(one, {**known, key(step.config): third}) is None


def test_a_height_to_which_no_single_axis_leads_is_found() -> None:
    values = (1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0)
    one = search(Axis("strength", values, 0), Axis("bound", values, 0), LAYERS)

    def valley(config: Mapping[str, Any]) -> float:
        strength, bound = math.log10(config["strength"]), math.log10(config["bound"])
        return 100.0 - 80 * abs(strength - bound) + 20 * (strength + bound)

    tried = searched(one, valley)
    assert one.chosen(tried).effective_edits >= 260, "each step along one axis alone loses"
    surveyed = [(trial.config["strength"], tuple(trial.config["layers"])) for trial in list(tried.values())[1:12]]
    assert {strength for strength, _ in surveyed} == {*values}, "every value comes"
    assert {layers for _, layers in surveyed} == {(0, 1)}, "what is no number stays as published"


def test_what_is_left_of_the_budget_refines() -> None:
    one = search(STRENGTH)
    assert one.chosen(searched(one, peak(strength=32.0))).config == {"strength": 32.0}


@pytest.mark.parametrize(("start", "alive"), [(3, 1.0), (1, 1000.0), (2, 1.0)])
@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_where_next_to_nothing_is_held_the_search_goes_on_to_where_something_is(
    start: int, alive: float, noise: float
) -> None:
    def dead(config: Mapping[str, Any]) -> float:
        return 100.0 if config["strength"] == alive else noise * (config["strength"] == 10.0)

    one = Search([Axis("strength", STRENGTH.values, start), LAYERS], everything_fits, 12, EDITS, little=20.0)
    tried = searched(one, dead)
    assert one.chosen(tried).config["strength"] == alive
    first = next(places for places, trial in tried.items() if trial.effective_edits == 100.0)
    assert all(trial.complete for trial in list(tried.values())[: list(tried).index(first)]), "none is stopped before"


def test_an_interrupted_search_goes_on_as_if_it_had_not_been() -> None:
    height = peak(strength=40.0, layers=[0])
    whole = searched(search(STRENGTH, LAYERS), height)
    for kept in range(len(whole)):
        known = {key(one.config): one for one in list(whole.values())[:kept]}
        assert searched(search(STRENGTH, LAYERS), height, known) == whole


def test_a_trial_that_was_stopped_where_it_need_not_be_is_done_again() -> None:
    one = search(STRENGTH)
    first = {"strength": 1000.0}
    known = {key(first): trial(first, 10.0, stopped_at=50, at_most=100.0)}
    step = step_of(one, known)
    assert step is not None and step.config == first
    known = {key(first): trial(first, 300.0)}
    below = {"strength": 100.0}
    for at_most, again in ((299.0, False), (301.0, True)):
        known[key(below)] = trial(below, 10.0, stopped_at=50, at_most=at_most)
        step = step_of(one, known)
        assert step is not None and (step.config == below) == again
