from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from palimpsest.harness.system.json_values import json_value


@dataclass
class Point:
    x: float
    names: frozenset[str]


def test_every_value_becomes_what_json_can_write() -> None:
    value = {1: Point(float("nan"), frozenset({"b", "a"})), "path": Path("x"), "t": (True, 2, None, float("inf"))}
    expected = {"1": {"x": None, "names": ["a", "b"]}, "path": "x", "t": [True, 2, None, None]}
    assert json_value(value) == expected
    json.dumps(json_value(value), allow_nan=False)


def test_numbers_that_are_not_finite_and_texts_are_what_the_caller_says() -> None:
    assert json_value({"a\x00": [float("nan"), "b\x00"]}, not_finite=str, text=lambda t: t.strip("\x00")) == {
        "a": ["nan", "b"]
    }
