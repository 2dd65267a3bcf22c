"""Axes: values in order, what lies between and beyond them, and grids that say what is wrong with them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from palimpsest.cli.tuning.axes import Axis, axes_of, within
from palimpsest.cli.tuning.bench import complete_config
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.needs import shape_of
from palimpsest.harness.plugins.compositions import canonical_name
from palimpsest.harness.plugins.entry_points import available_editors
from palimpsest.harness.specs.composition import parse

GRIDS = tomllib.loads(
    (Path(__file__).resolve().parents[3] / "editors" / "presets" / "grids.toml").read_text(encoding="utf-8")
)


def test_numbers_go_on_by_the_ratio_of_the_last_two() -> None:
    axis = Axis("x", (0.1, 0.5, 1.0), 0, most=3.0)
    assert [axis.value(place) for place in (-2, -1, 0, 2, 3, 4)] == [0.004, 0.02, 0.1, 1.0, 2.0, None]
    assert [Axis("n", (6, 12), 0).value(place) for place in (-1, 2)] == [3, 24]


def test_halves_lie_between_by_ratio_and_in_the_middle_beside_zero() -> None:
    assert Axis("x", (1.0, 100.0), 0).value(0.5) == 10.0
    assert Axis("x", (0.0, 0.5), 0).value(0.5) == 0.25
    assert Axis("n", (12, 25), 0).value(0.5) == 17
    assert Axis("n", (1, 2), 0).value(0.5) is None, "there is no whole number between"


def test_numbers_close_to_each_other_have_as_many_between_them_as_others() -> None:
    axis = Axis("alpha", (1.1, 1.2, 1.5), 0)
    assert [axis.value(place) for place in (0.5, 0.75, 1.25, 1.5)] == [1.15, 1.17, 1.27, 1.34]
    assert [Axis("x", (0.25, 1.0), 0).value(place) for place in (0.25, 0.5)] == [0.35, 0.5], "two digits where they do"


def test_words_and_lists_have_nothing_between_or_beyond() -> None:
    for axis in (Axis("w", ("a", "b"), 0), Axis("l", ([0], [0, 1]), 0), Axis("b", (True, False), 0)):
        assert [axis.value(place) for place in (-1, 0.5, 2)] == [None] * 3
    assert Axis("mixed", (2.0, "e", 4.0), 0).value(0.5) is None
    assert Axis("x", (0.0, 0.5), 0).value(-1) is None


def test_a_plain_list_begins_with_what_the_editor_has_now() -> None:
    (axis,) = axes_of({"x": [1.0, 2.0, 3.0]}, "f", {"x": 2.0})
    assert axis.closed and axis.published == 1
    assert axes_of({"x": [1.0, 2.0]}, "f", {"x": 7.0})[0].published == 0


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"x": []}, "f, x: expected a list of values, got []."),
        ({"x": {"values": 3}}, "f, x: expected a list of values, got 3."),
        ({"x": {"values": [1, 2]}}, "f, x: published: expected one of the values, got null."),
        ({"x": {"values": [1, 2], "published": 3}}, "f, x: published: expected one of the values, got 3."),
        ({"x": {"values": [1, 1], "published": 1}}, "f, x: a value is there twice."),
        ({"x": {"values": [1], "published": 1, "lowest": 0}}, "f, x: lowest is not a field"),
        ({"x": {"values": [1], "published": 1, "most": "all"}}, 'f, x: most: expected a number, got "all".'),
        ({}, "f: no field with values."),
    ],
)
def test_a_wrong_axis_is_told(grid: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        axes_of(grid, "f", {})
    assert said in str(caught.value)


def test_every_shipped_editor_has_a_grid() -> None:
    assert {entry.name for entry in available_editors() if entry.target.startswith("palimpsest.editors.")} == set(GRIDS)


@pytest.mark.parametrize("model", ["pocket-llama", "pocket-gpt2"])
@pytest.mark.parametrize("name", GRIDS)
def test_editors_take_every_value_of_the_shipped_grids(name: str, model: str) -> None:
    editor = canonical_name(name)
    axes = axes_of(GRIDS[name], name, {})
    start = {axis.name: axis.value(axis.published) for axis in axes}
    for axis in axes:
        for value in axis.values:
            complete_config(editor, model, {**start, axis.name: value}, None)


@pytest.mark.parametrize(("model", "last"), [("pocket-llama", 5), ("pocket-gpt2", 4)])
def test_the_block_goes_on_to_the_last_one_of_the_model_and_no_further(model: str, last: int) -> None:
    shape = shape_of(resolve(model))
    assert shape is not None and shape.blocks == last + 1
    (axis,) = (axis for axis in within(axes_of(GRIDS["ft-l"], "ft-l", {}), shape.blocks) if axis.name == "layer")
    taken = [value for place in range(-2, 8) if (value := axis.value(place)) is not None]
    assert taken == list(range(last + 1))


def test_editors_with_targets_and_blocks_have_the_same_axes_for_them() -> None:
    whole = {name: grid for name, grid in GRIDS.items() if len(parse(canonical_name(name))) == 1}
    spread = [grid for grid in whole.values() if "layers" in grid]
    assert len(spread) == 5
    assert all(grid["layers"] == spread[0]["layers"] for grid in spread)
    assert all(grid["clamp_norm_factor"] == spread[0]["clamp_norm_factor"] for grid in spread)
    single = [grid for grid in whole.values() if "layer" in grid]
    assert len(single) == len(whole) - 5 and {tuple(grid["layer"]["values"]) for grid in single} == {(0, 1, 2, 3, 4)}
    weights = {name: grid["second_moment_weight"] for name, grid in whole.items() if "second_moment_weight" in grid}
    assert len(weights) == 3 and all(axis == weights["memit"] for axis in weights.values())
    for name in ("nullspace_threshold", "ridge"):
        assert GRIDS["alphaedit"][name] == GRIDS["deltaedit"][name]
