"""Texts on the disk: read back as they were, gone with their object."""

from __future__ import annotations

import gc
import subprocess
import sys
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


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_a_disk_that_takes_no_more_is_an_error_and_nothing_is_printed_behind_it() -> None:
    code = (
        "import resource\n"
        "from palimpsest.harness.specs.packed_lines import PackedLines\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n    PackedLines(['a' * 1000] * 100)\nexcept OSError as error:\n    print(error.strerror)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "File too large\n", "")
