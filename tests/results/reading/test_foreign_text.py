from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.cli import output
from palimpsest.results.reading import cleaning
from palimpsest.results.reading.foreign_text import Breaks, clean_text, harmless, is_clean
from palimpsest.site.words import text as words

UNWANTED = (
    "\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u00ad", "\u061c", "\u180e", "\u200b", "\u200e", "\u200f", "\u202a",
    "\u202e", "\u2060", "\u2066", "\u2069", "\u206f", "\u3164", "\ud800", "\udfff", "\ue000", "\ufdd0", "\ufeff",
    "\ufff9", "\uffff", "\U000e0041", "\U000e0100", "\U000f0000", "\U0010ffff",
)  # fmt: skip
WANTED = "naïve café, 東京, Привет, עברית, 👩\u200d👧, می\u200cخواهم, ‖W‖ → 1\u202f000 \ufffd"


@pytest.mark.parametrize("character", UNWANTED, ids=lambda c: f"U+{ord(c):04X}")
def test_what_one_cleaner_removes_every_cleaner_removes(character: str) -> None:
    hostile = f"a{character}b"
    assert {output.clean(hostile), cleaning.clean_text(hostile), words.clean(hostile)} == {"ab"}


def test_what_one_cleaner_keeps_every_cleaner_keeps() -> None:
    assert {output.clean(WANTED), cleaning.clean_text(WANTED), words.clean(WANTED)} == {WANTED}


def test_the_policies_differ_in_line_breaks_alone() -> None:
    hostile = "a\r\n\n\tb\u2028c"
    assert harmless(hostile, Breaks.KEEP) == "a\n\n\tbc"
    assert harmless(hostile, Breaks.SPACE) == "a    b c"
    assert harmless(hostile, Breaks.JOIN) == "a b c"


def test_a_path_is_printed_in_the_spelling_that_it_has_on_the_disk() -> None:
    decomposed = "re\u0301sultats"
    assert output.clean(decomposed) == decomposed
    assert cleaning.clean_text(decomposed) == words.clean(decomposed) == "résultats"


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters()), st.sampled_from(Breaks), st.integers(2, 50))
def test_cleaning_twice_is_cleaning_once(text: str, breaks: Breaks, limit: int) -> None:
    once = clean_text(text, breaks, limit)
    assert clean_text(once, breaks, limit) == once and len(once) <= limit and is_clean(once, breaks)
    once.encode()
    kept = "\n\t" if breaks is Breaks.KEEP else ""
    assert all(c in kept or unicodedata.category(c) not in ("Cc", "Cs", "Co", "Zl", "Zp") for c in once)
