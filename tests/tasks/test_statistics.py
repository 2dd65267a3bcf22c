"""Texts for key statistics."""

import gzip
import sys
from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.errors import ConfigError, MissingResource, UsageError
from palimpsest.harness.model.catalogue import registered_models
from palimpsest.tasks.statistics_texts import WIKIPEDIA, find_text, paragraphs, statistics_text


def test_paragraphs_end_at_blank_lines_plain_or_gzipped(tmp_path: Path) -> None:
    text = " \n = Title = \n \n One line \n and another . \n\n\r\n\r\nLast.\n"
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    assert paragraphs(tmp_path / "a.txt") == ["= Title =", "One line\nand another .", "Last."]
    assert list(statistics_text(f"file:{tmp_path / 'a.txt.gz'}")) == paragraphs(tmp_path / "a.txt")


def test_long_paragraphs_are_divided_between_lines_and_nothing_is_lost(tmp_path: Path) -> None:
    lines = [f"Sentence number {i} of a corpus with one sentence a line." for i in range(500)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    pieces = paragraphs(tmp_path / "a.txt")
    assert len(pieces) > 10 and max(map(len, pieces)) <= 2_000
    assert "\n".join(pieces).split("\n") == lines


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="a.txt: cannot be read as UTF-8"):
        paragraphs(tmp_path / "a.txt")
    (tmp_path / "b.gz").write_bytes(b"\x1f\x8b torn")
    with pytest.raises(ConfigError, match="b.gz"):
        paragraphs(tmp_path / "b.gz")
    with pytest.raises(UsageError, match="no such file"):
        statistics_text(f"file:{tmp_path / 'c.txt'}")
    with pytest.raises(UsageError, match="Did you mean 'wikipedia'"):
        statistics_text("wikipdia")


class FakeDatasets:
    """Stands in for the library `datasets`."""

    def __init__(self, *, reachable: bool) -> None:
        self.reachable = reachable
        self.asked: dict[str, Any] = {}

    def load_dataset(self, *place: str, **how: Any) -> "FakeDatasets":
        if not self.reachable:
            raise ConnectionError("Couldn't reach the hub")
        self.asked = {"place": place, **how}
        return self

    def shuffle(self, **how: Any) -> list[dict[str, str]]:
        self.asked |= how
        return [{"text": "An article."}, {"text": "Another one."}]


def test_wikipedia_is_streamed_from_a_pinned_commit_in_a_seeded_order(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeDatasets(reachable=True)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert list(statistics_text("wikipedia")) == ["An article.", "Another one."]
    assert fake.asked["revision"] == WIKIPEDIA[2] and fake.asked["streaming"] and fake.asked["seed"] == 0


def test_offline_wikipedia_says_what_to_give_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", FakeDatasets(reachable=False))
    with pytest.raises(MissingResource, match="--stats-text FILE"):
        list(statistics_text("wikipedia"))


def test_what_a_small_model_says_ships_and_is_long_enough() -> None:
    texts = list(statistics_text("spoken"))
    assert sum(len(text.split()) for text in texts) > 60_000
    assert registered_models()["smollm2-135m"].statistics == "spoken"
    assert find_text("spoken").name == "spoken" and not any("\n\n" in text for text in texts)
