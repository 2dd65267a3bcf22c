from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.results.reading.cleaning import clean_json, clean_optional, clean_text

ANY = st.text(st.characters())  # surrogates, controls and all


def test_ordinary_text_is_kept_as_it_is() -> None:
    for text in (
        "",
        "The mother tongue of Danielle is",
        "naïve café, 東京, Привет, עברית, 🙂",
        "zero\u200dwidth joiner",
    ):
        assert clean_text(text) == text


def test_unwanted_characters_go() -> None:
    assert clean_text("a\u202egnp.exe\u202c\x00\x1b[31m\u200b\ufeff\U000e0041b") == "agnp.exe[31mb"
    assert clean_text("two\nlines\t\u2028and\r\nmore") == "two lines and more"
    assert clean_text("\ud800") == ""


def test_nfc_and_length() -> None:
    assert clean_text("A\u030a") == "Å"
    assert clean_text("x" * 5000, 100) == "x" * 99 + "…"
    assert clean_text(12) == "12" and clean_optional(None) is None


@settings(max_examples=200, deadline=None)
@given(ANY, st.integers(1, 50))
def test_cleaning_is_final(text: str, limit: int) -> None:
    once = clean_text(text, limit)
    assert len(once) <= limit and clean_text(once, limit) == once
    once.encode("utf-8")
    assert unicodedata.is_normalized("NFC", once)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in once)


def test_json_is_bounded_in_depth_and_width() -> None:
    deep: object = "x"
    for _ in range(50):
        deep = {"\x00k": [deep]}
    cleaned = clean_json({"deep": deep, "wide": list(range(10_000)), "nan": float("nan"), "keep": [1, 2.5, None, True]})
    assert len(str(cleaned)) < 5000 and "…" in str(cleaned)
    assert cleaned["nan"] == "nan" and cleaned["keep"] == [1, 2.5, None, True]
