"""`palimpsest probe-spectrum` on a pocket model, and what it says to wrong values."""

import json
from pathlib import Path

import pytest

from tests.cli.helpers import cli

FEW = ("--abilities", "pocket_recall", "--ability-limit", "12")


def test_more_components_keep_more(tmp_path: Path) -> None:
    words = ("probe-spectrum", "pocket-gpt2", *FEW, "--percent", "50,1", "--json", "--home", str(tmp_path))
    code, out, err = cli(*words)
    assert code == 0, err
    found = json.loads(out)
    assert (found["model"], found["layers"]) == ("pocket-gpt2", [0, 1, 2, 3, 4])
    assert [(p["percent"], p["components"]) for p in found["points"]] == [(100, 128), (1, 1), (50, 64)]
    whole, least, half = (point["scores"]["pocket_recall"] for point in found["points"])
    assert whole == 100 and least < half


def test_the_table_names_the_tasks(tmp_path: Path) -> None:
    words = ("probe-spectrum", "pocket-gpt2", *FEW, "--layers", "1", "--percent", "10", "--home", str(tmp_path), "-q")
    code, out, err = cli(*words)
    assert (code, err) == (0, "")
    head, *rows = out.splitlines()
    assert head.split() == ["%", "components", "pocket_recall", "kept"] and len(rows) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--percent", "5,100"), '--percent: expected numbers above 0 and below 100, like 1,5,25; got "100".'),
        (("--percent", "five"), 'got "five"'),
        (("--layers", "1,x"), '--layers: expected whole numbers with commas, like 0,2, or all; got "x".'),
        (("--layers", "9"), "--layers: pocket-gpt2 has blocks 0 to 4, got 9."),
    ],
)
def test_wrong_values_are_told(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    code, _, err = cli("probe-spectrum", "pocket-gpt2", *FEW, *words, "--home", str(tmp_path))
    assert code == 2 and message in err
