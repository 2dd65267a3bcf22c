"""Texts on the disk: read back as they were, gone with their object."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.harness.specs.packed_lines import PackedLines


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=8))
def test_every_text_comes_back(texts: list[str]) -> None:
    packed = PackedLines(texts)
    assert len(packed) == len(texts)
    assert [packed.read(place) for place in reversed(range(len(texts)))] == texts[::-1]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs a list of open files")
def test_the_file_has_no_name_and_is_closed_with_its_object() -> None:
    before = open_files()
    packed = PackedLines(["a"])
    assert open_files() == before + 1
    del packed
    gc.collect()
    assert open_files() == before
