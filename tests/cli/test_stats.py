"""`palimpsest stats` on a pocket model."""

import json
from pathlib import Path

import pytest

from palimpsest.cli.verbs.stats import usual_tokens
from tests.cli.helpers import cli


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALIMPSEST_HOME", str(tmp_path / "home"))


def test_statistics_are_made_once_and_say_what_they_rest_on(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"The mother of number {i} lives in a city by the river." for i in range(60)))
    words = ("stats", "pocket-gpt2", "--layers", "1,0", "--tokens", "300", "--stats-text", str(text))
    code, out, err = cli(*words, "--json")
    found = json.loads(out)
    assert code == 0 and (found["tokens"], found["layers"], found["name"]) == (300, [0, 1], f"file:{text}")
    assert len(list(Path(found["folder"]).glob("second-moments-*.safetensors"))) == 2
    assert "300 of 300 tokens read (100 %)" in err
    code, out, err = cli(*words)
    assert code == 0 and "statistics of layers 0, 1 from 300 tokens" in out and "tokens read" not in err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--tokens", "0"], "--tokens: expected a whole number of at least 1"),
        (["--layers", "a"], '--layers: expected whole numbers with commas, like 4,5,6; got "a"'),
        (["--layers", "99"], "has blocks 0 to 4, got 99"),
        (["--stats-text", "none.txt"], "none.txt: no such file"),
        (["--device", "gpu"], "--device: expected cpu, cuda or cuda:N"),
    ],
)
def test_wrong_words_are_answered_without_a_traceback(words: list[str], complaint: str) -> None:
    code, _, err = cli("stats", "pocket-gpt2", *words)
    assert code == 2 and complaint in err


def test_the_number_of_tokens_is_that_of_the_preset() -> None:
    assert usual_tokens("pocket-gpt2") == 100_000
    assert usual_tokens("llama3-8b") == 44_000_000
    assert usual_tokens("someone/unknown") == 100_000
